package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fates are the ways in which a task can end badly, and what they are counted as.
var fates = map[string]func() error{
	"error":       func() error { return errBad },
	"panic":       func() error { panic(errBad) },
	"panic-value": func() error { panic("bad") },
	"panic-nil":   func() error { panic(nil) },
	//lint:ignore SA5000 the write to a nil map is what it is for
	"runtime":     func() error { var m map[int]int; m[0]++; return nil },
	"goexit":      func() error { runtime.Goexit(); return nil },
	"nil-pointer": func() error { var e *nilError; return e }, // E15
}

var errBad = errors.New("bad")

// nilError is an error that nobody can print.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// E2, E3, P9: a task that fails costs no worker, no place and no waiter, wherever
// it stands in a batch, and its failure reaches the handler and Close.
func TestFailures(t *testing.T) {
	for fate, f := range fates {
		t.Run(fate, func(t *testing.T) {
			bubbles(t, func(t *testing.T, workers, buffer int) {
				var handled, panics atomic.Int64
				p := mustNew(t, WithWorkers(workers), WithBuffer(buffer),
					WithErrorHandler(func(err error) {
						handled.Add(1)
						checkFate(t, fate, err)
					}),
					WithPanicHandler(func(*PanicError) { panics.Add(1) }))
				var ok atomic.Int64
				for i := range 300 {
					must(t, p.Submit(bg, func(context.Context) error {
						if i%3 == 1 {
							return f()
						}
						ok.Add(1)
						return nil
					}))
				}
				must(t, p.Wait(bg))
				s := p.Stats()
				checkRest(t, s)
				if ok.Load() != 200 || handled.Load() != 100 || s.Completed != 200 || s.Failed+s.Panicked+s.Goexited != 100 {
					t.Fatalf("%d succeeded, %d were handled, %+v", ok.Load(), handled.Load(), s)
				}
				if panics.Load() != int64(s.Panicked) || strings.HasPrefix(fate, "panic") != (s.Panicked == 100) && fate != "runtime" {
					t.Fatalf("%d panics, %+v", panics.Load(), s)
				}
				synctest.Wait()
				g := make(gate) // all places are still there
				for range workers {
					must(t, p.Submit(bg, g.task))
				}
				synctest.Wait()
				if n := p.Stats().Running; n != uint64(workers) {
					t.Fatalf("%d run with %d workers", n, workers)
				}
				close(g)
				err := p.Close()
				checkFate(t, fate, err)
				if !strings.Contains(err.Error(), "99 more") {
					t.Fatalf("Close does not count the others: %v", err)
				}
			})
		})
	}
}

func checkFate(t *testing.T, fate string, err error) {
	t.Helper()
	var p *PanicError
	var r runtime.Error
	var n *runtime.PanicNilError
	isPanic := errors.As(err, &p)
	switch ok := false; fate {
	case "error":
		ok = errors.Is(err, errBad)
		fallthrough
	case "panic":
		ok = ok || isPanic && errors.Is(err, errBad)
		fallthrough
	case "panic-value":
		ok = ok || isPanic && p.Value == "bad"
		fallthrough
	case "panic-nil":
		ok = ok || isPanic && errors.As(err, &n)
		fallthrough
	case "runtime":
		ok = ok || isPanic && errors.As(err, &r)
		fallthrough
	default:
		ok = ok || fate == "goexit" && errors.Is(err, ErrGoexit) || fate == "nil-pointer" && err != nil
		if !ok {
			t.Errorf("%s became %v", fate, err)
		}
	}
	if isPanic && !bytes.Contains(p.Stack, []byte("failure_test.go")) {
		t.Errorf("the stack is not the task's own:\n%s", p.Stack)
	}
}

// E5: a panic or Goexit in a handler costs nothing either.
func TestFailuresInHandlers(t *testing.T) {
	for what, f := range map[string]func(){"panic": func() { panic("handler") }, "goexit": runtime.Goexit} {
		for _, fate := range []string{"error", "panic", "goexit"} {
			t.Run(name("handler", what, "task", fate), func(t *testing.T) {
				bubbles(t, func(t *testing.T, workers, buffer int) {
					var panics, n atomic.Int64
					p := mustNew(t, WithWorkers(workers), WithBuffer(buffer),
						WithErrorHandler(func(error) { f() }),
						WithPanicHandler(func(*PanicError) { panics.Add(1) }))
					for i := range 60 {
						must(t, p.Submit(bg, func(context.Context) error {
							n.Add(1)
							if i%2 == 0 {
								return fates[fate]()
							}
							return nil
						}))
					}
					must(t, p.Wait(bg))
					if n.Load() != 60 {
						t.Fatalf("%d ran", n.Load())
					}
					want := int64(0)
					if fate == "panic" {
						want += 30
					}
					if what == "panic" {
						want += 30
					}
					if panics.Load() != want {
						t.Fatalf("%d panics were handled, want %d", panics.Load(), want)
					}
					if p.Close() == nil {
						t.Fatal("Close returned nil")
					}
					s := p.Stats()
					checkRest(t, s)
					if s.Completed != 30 {
						t.Fatalf("got %+v", s)
					}
				})
			})
		}
	}
	synctest.Test(t, func(t *testing.T) { // Goexit in the panic handler
		p := mustNew(t, WithWorkers(1), WithPanicHandler(func(*PanicError) { runtime.Goexit() }))
		for range 10 {
			must(t, p.Submit(bg, func(context.Context) error { panic("bad") }))
		}
		must(t, p.Wait(bg))
		var pe *PanicError
		if err := p.Close(); !errors.As(err, &pe) {
			t.Errorf("the panic was lost: %v", err)
		}
		checkRest(t, p.Stats())
	})
	synctest.Test(t, func(t *testing.T) { // a panic in the error handler, inline
		var panics int
		p := mustNew(t, WithWorkers(1), WithBuffer(1), WithOverflow(CallerRuns),
			WithErrorHandler(func(error) { panic("handler") }), WithPanicHandler(func(*PanicError) { panics++ }))
		must(t, p.Submit(bg, sleep(time.Second)))
		synctest.Wait()
		must(t, p.Submit(bg, sleep(time.Second)))
		must(t, p.Submit(bg, func(context.Context) error { return errBad }))
		if panics != 1 {
			t.Errorf("%d panics were handled", panics)
		}
		wantIs(t, p.Close(), errBad)
	})
}

// Close returns as many errors as were asked for, in order, and counts the rest.
func TestErrorLimit(t *testing.T) {
	var errs []error
	p := mustNew(t, WithWorkers(1), WithErrorLimit(3))
	for i := range 5 {
		err := fmt.Errorf("error %d", i)
		errs = append(errs, err)
		must(t, p.Submit(bg, func(context.Context) error { return err }))
	}
	err := p.Close()
	for i, e := range errs {
		if errors.Is(err, e) != (i < 3) {
			t.Errorf("error %d: %v", i, err)
		}
	}
	if !strings.Contains(err.Error(), "2 more") {
		t.Errorf("got %v", err)
	}
	if p.Close() != nil {
		t.Error("the errors were returned twice")
	}
}

// E9, E10, E11: after the first failure nothing starts, contexts are cancelled with
// it, submitters and waiters get it, and it is not masked.
func TestFailFast(t *testing.T) {
	for _, fate := range []string{"error", "panic", "goexit"} {
		t.Run(fate, func(t *testing.T) {
			bubbles(t, func(t *testing.T, workers, buffer int) {
				p := mustNew(t, WithWorkers(workers), WithBuffer(buffer), WithErrorMode(FailFast),
					WithPanicHandler(func(*PanicError) {}))
				g := make(gate)
				must(t, p.Submit(bg, func(context.Context) error { <-g; return fates[fate]() }))
				synctest.Wait()
				for range workers - 1 {
					must(t, p.Submit(bg, func(ctx context.Context) error {
						<-ctx.Done()
						checkFate(t, fate, context.Cause(ctx))
						return ctx.Err()
					}))
				}
				synctest.Wait()
				late := func(context.Context) error { t.Error("started after the failure"); return nil }
				for range buffer {
					must(t, p.Submit(bg, late))
				}
				errs := make(chan error, 3)
				go func() { errs <- p.Submit(bg, late) }()
				go func() { _, err := p.SubmitBatch(bg, []Task{late}); errs <- err }()
				go func() { errs <- p.Wait(bg) }()
				synctest.Wait()
				close(g)
				for range 3 {
					checkFate(t, fate, <-errs)
				}
				<-p.Done()
				err := p.Submit(bg, late)
				wantIs(t, err, ErrClosed)
				checkFate(t, fate, err)
				if n := len(p.Leftover()); n != buffer {
					t.Fatalf("%d were handed back, want %d", n, buffer)
				}
				err = p.Close()
				checkFate(t, fate, err)
				if errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "more") {
					t.Fatalf("Close reports consequences: %v", err)
				}
				checkClosed(t, p)
			})
		})
	}
}

// Of 10,000 tasks of which the 50th fails, few start after it.
func TestFailFastWastesLittle(t *testing.T) {
	for range 20 {
		const workers = 2
		var after atomic.Int64
		var failed atomic.Bool
		p := mustNew(t, WithWorkers(workers), WithBuffer(1000), WithErrorMode(FailFast),
			WithErrorHandler(func(error) { failed.Store(true) }))
		tasks := make([]Task, 1000)
		for i := range tasks {
			tasks[i] = func(context.Context) error {
				if failed.Load() {
					after.Add(1)
				}
				if i == 50 {
					return errBad
				}
				return nil
			}
		}
		_, _ = p.SubmitBatch(bg, tasks)
		wantIs(t, p.Close(), errBad)
		if n := after.Load(); n > workers {
			t.Fatalf("%d tasks started after the failure", n)
		}
	}
}

// E1, E8, B19: by default a panic ends the program, with the task's own stack; a
// fatal error does so always; and a waiting goroutine does not hide it.
func TestCrash(t *testing.T) {
	if what := os.Getenv("POOL_TEST_CRASH"); what != "" {
		crash(what)
		return
	}
	for what, want := range map[string][]string{
		"panic":         {"panic: boom", "crashingTask", "exit status 2"},
		"batch":         {"panic: boom", "crashingTask", "exit status 2"},
		"panic-handler": {"panic: handler", "exit status 2"},
		"fatal":         {"fatal error: concurrent map", "exit status 2"},
		"main":          {"panic: main", "exit status 2"},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrash$")
		// The race detector would write its report into the middle of the lines.
		cmd.Env = append(os.Environ(), "POOL_TEST_CRASH="+what, "GORACE=log_path="+filepath.Join(t.TempDir(), "race"))
		out, err := cmd.CombinedOutput()
		for _, w := range want {
			if !strings.Contains(string(out)+fmt.Sprint(err), w) {
				t.Errorf("%s: output does not contain %q: %v\n%s", what, w, err, out)
			}
		}
	}
}

//go:noinline
func crashingTask(context.Context) error { panic("boom") }

func crash(what string) {
	var opts []Option
	if what == "panic-handler" {
		opts = append(opts, WithPanicHandler(func(*PanicError) { panic("handler") }))
	}
	p, _ := New(opts...)
	switch what {
	case "fatal":
		m := map[int]int{}
		for range 100 {
			_ = p.Submit(bg, func(context.Context) error {
				for {
					m[1]++
				}
			})
		}
	case "batch":
		for range 2000 {
			_ = p.Submit(bg, func(context.Context) error { return nil })
		}
		fallthrough
	case "panic", "panic-handler":
		_ = p.Submit(bg, crashingTask)
	case "main":
		_ = p.Submit(bg, func(ctx context.Context) error { <-ctx.Done(); return nil })
		defer func() {
			ctx, cancel := context.WithTimeout(bg, 100*time.Millisecond)
			defer cancel()
			_ = p.Shutdown(ctx)
		}()
		panic("main")
	}
	_ = p.Wait(bg)
	select {}
}

// C16: DropOldest discards what has waited longest, counts it and hands it over.
func TestDropOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped []int
		ran := record{}
		hold := make(gate)
		p, err := NewTyped(func(_ context.Context, i int) error {
			if i < 0 {
				<-hold
				return nil
			}
			ran.add(i)
			return nil
		}, WithWorkers(1), WithBuffer(3), WithOverflow(DropOldest), WithDropHandler(func(i int) { dropped = append(dropped, i) }))
		must(t, err)
		must(t, p.Submit(bg, -1))
		synctest.Wait()
		for i := range 10 {
			must(t, p.Submit(bg, i))
		}
		wantIs(t, p.TrySubmit(99), ErrFull)
		n, err := p.SubmitBatch(bg, []int{10, 11})
		must(t, err)
		if n != 2 {
			t.Fatalf("accepted %d", n)
		}
		waited := make(chan error)
		go func() { waited <- p.Wait(bg) }()
		synctest.Wait()
		must(t, p.Submit(bg, 12)) // drops one that is waited for
		close(hold)
		must(t, <-waited)
		must(t, p.Close())
		if !slices.Equal(dropped, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) || !slices.Equal(ran.get(), []int{10, 11, 12}) {
			t.Fatalf("dropped %v, ran %v", dropped, ran.get())
		}
		s := p.Stats()
		checkRest(t, s)
		if s.Dropped != 10 || s.Accepted != 14 {
			t.Fatalf("got %+v", s)
		}
		wantIs(t, p.Submit(bg, 1), ErrClosed)
	})
}

// Reject refuses at once.
func TestReject(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer), WithOverflow(Reject))
		g := make(gate)
		for range workers {
			must(t, p.Submit(bg, g.task))
			synctest.Wait()
		}
		n, err := p.SubmitBatch(bg, slices.Repeat([]Task{g.task}, buffer+5))
		wantIs(t, err, ErrFull)
		if n != buffer {
			t.Fatalf("accepted %d", n)
		}
		wantIs(t, p.Submit(bg, g.task), ErrFull)
		close(g)
		must(t, p.Close())
		if s := p.Stats(); s.Rejected != 6 {
			t.Fatalf("got %+v", s)
		}
	})
}

// C15: CallerRuns runs on the caller's goroutine with the caller's context, is
// counted once, obeys Close, and Wait and Close wait for it.
func TestCallerRuns(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		type key struct{}
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer), WithOverflow(CallerRuns))
		g := make(gate)
		for range workers {
			must(t, p.Submit(bg, g.task))
			synctest.Wait()
		}
		for range buffer {
			must(t, p.Submit(bg, g.task))
		}
		synctest.Wait()
		me, ran := goroutineID(), false
		must(t, p.Submit(context.WithValue(bg, key{}, 1), func(ctx context.Context) error {
			ran = goroutineID() == me && ctx.Value(key{}) == 1
			if s := p.Stats(); s.Running != uint64(workers)+1 {
				t.Errorf("got %+v", s)
			}
			return errBad
		}))
		if !ran {
			t.Fatal("did not run on the caller's goroutine with its context")
		}
		inside := make(gate)
		var ended atomic.Bool
		go func() {
			_ = p.Submit(bg, func(ctx context.Context) error {
				<-inside
				ended.Store(true)
				return nil
			})
		}()
		synctest.Wait()
		waited, closed := make(chan error, 1), make(chan error, 1)
		go func() { waited <- p.Wait(bg) }()
		synctest.Wait()
		close(g)
		go func() { closed <- p.Close() }()
		synctest.Wait()
		if len(waited)+len(closed) != 0 {
			t.Fatal("Wait or Close did not wait for a task on its submitter's goroutine")
		}
		wantIs(t, p.Submit(bg, func(context.Context) error { t.Error("ran"); return nil }), ErrClosed)
		close(inside)
		must(t, <-waited)
		wantIs(t, <-closed, errBad)
		if s := p.Stats(); !ended.Load() || s.Failed != 1 || s.Accepted != uint64(workers+buffer)+2 {
			t.Fatalf("got %+v", s)
		}
		checkRest(t, p.Stats())
	})
}

// A task on its submitter's goroutine may wait, close, panic and Goexit.
func TestCallerRunsFailures(t *testing.T) {
	for fate, task := range map[string]func(p *Pool) Task{
		"wait": func(p *Pool) Task {
			return func(ctx context.Context) error {
				if err := errors.Join(p.Wait(ctx), p.Wait(bg)); !errors.Is(err, ErrInTask) || strings.Count(err.Error(), "\n") != 1 {
					return fmt.Errorf("Wait: %v", err)
				}
				_, err := Do(ctx, p, func(context.Context) (int, error) { return 0, nil })
				return err
			}
		},
		"close": func(p *Pool) Task { return func(context.Context) error { return p.Close() } },
		"nested": func(p *Pool) Task {
			return func(ctx context.Context) error {
				return p.Submit(ctx, func(ctx context.Context) error { return p.Submit(ctx, sleep(0)) })
			}
		},
		"panic":  func(*Pool) Task { return func(context.Context) error { panic(errBad) } },
		"goexit": func(*Pool) Task { return func(context.Context) error { runtime.Goexit(); return nil } },
	} {
		for _, handler := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				opts := []Option{WithWorkers(1), WithBuffer(1), WithOverflow(CallerRuns)}
				if handler {
					opts = append(opts, WithPanicHandler(func(*PanicError) {}))
				}
				p := mustNew(t, opts...)
				must(t, p.Submit(bg, sleep(time.Second)))
				synctest.Wait()
				must(t, p.Submit(bg, sleep(time.Second)))
				var err error
				var recovered any
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { recovered = recover() }()
					err = p.Submit(bg, task(p))
				}()
				<-done
				must(t, err)
				if (recovered != nil) != (fate == "panic" && !handler) {
					t.Errorf("%s: recovered %v", fate, recovered)
				}
				err = p.Close()
				if (err != nil) != (fate != "wait" && fate != "nested") && !(fate == "panic" && !handler) {
					t.Errorf("%s: Close returned %v", fate, err)
				}
				checkClosed(t, p)
			})
		}
	}
}

// A drop handler that panics has been called by a Submit that has accepted its task.
func TestDropHandlerPanics(t *testing.T) {
	for _, handled := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var panics, told int
			opts := []Option{WithWorkers(1), WithBuffer(1), WithOverflow(DropOldest), WithDropHandler(func(Task) { told++; panic("told") })}
			if handled {
				opts = append(opts, WithPanicHandler(func(*PanicError) { panics++ }))
			}
			p := mustNew(t, opts...)
			must(t, p.Submit(bg, sleep(time.Second)))
			synctest.Wait()
			must(t, p.Submit(bg, nop))
			ran := false
			func() {
				defer func() {
					if r := recover(); (r != nil) == handled {
						t.Errorf("with a panic handler: %t, recovered %v", handled, r)
					}
				}()
				must(t, p.Submit(bg, func(context.Context) error { ran = true; return nil }))
			}()
			err := p.Close()
			s := p.Stats()
			if checkRest(t, s); !ran || told != 1 || s.Dropped != 1 || s.Rejected != 0 || handled && (panics != 1 || err == nil) {
				t.Errorf("ran %t, told %d, panics %d, Close %v, %+v", ran, told, panics, err, s)
			}
		})
	}
}

// A drop handler that submits what was dropped comes to an end.
func TestDropHandlerSubmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *Pool
		refused := 0
		p = mustNew(t, WithWorkers(1), WithBuffer(2), WithOverflow(DropOldest), WithDropHandler(func(task Task) {
			if err := p.Submit(bg, task); err != nil {
				wantIs(t, err, ErrFull)
				refused++
			}
		}))
		must(t, p.Submit(bg, sleep(time.Second)))
		synctest.Wait()
		const n = 100
		for range n {
			must(t, p.Submit(bg, nop))
		}
		must(t, p.Close())
		s := p.Stats()
		if checkRest(t, s); refused == 0 || s.Rejected != uint64(refused) {
			t.Errorf("%d refused, %+v", refused, s)
		}
	})
}
