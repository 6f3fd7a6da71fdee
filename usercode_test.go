package pool

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The places where code of the user's runs inside the pool, and what it may do there: nothing may hang, or be left undone.

// trap does something bad in the turn-th call of hit, once.
type trap struct {
	calls atomic.Int64
	turn  int64
	act   func()
}

func (c *trap) hit() {
	if c.calls.Add(1) == c.turn {
		c.act()
	}
}

// trapContext is a context of a type of the user's.
type trapContext struct {
	context.Context
	*trap
}

func (c trapContext) Err() error                       { c.hit(); return c.Context.Err() }
func (c trapContext) Done() <-chan struct{}            { c.hit(); return c.Context.Done() }
func (c trapContext) Value(key any) any                { c.hit(); return c.Context.Value(key) }
func (c trapContext) AfterFunc(f func()) func() bool   { c.hit(); return context.AfterFunc(c.Context, f) }
func (c trapContext) Deadline() (d time.Time, ok bool) { c.hit(); return c.Context.Deadline() }

// trapError is an error whose methods misbehave.
type trapError struct{ *trap }

func (e trapError) Error() string        { e.hit(); return "trap" }
func (e trapError) Is(target error) bool { e.hit(); return false }
func (e trapError) Unwrap() error        { e.hit(); return nil }

// misdeeds is what code of the user's does where it runs.
var misdeeds = map[string]func(p *Pool){
	"panic":    func(*Pool) { panic("mine") },
	"Goexit":   func(*Pool) { runtime.Goexit() },
	"Submit":   func(p *Pool) { _ = p.Submit(bg, sleep(0)) },
	"Close":    func(p *Pool) { _ = p.Close() },
	"Shutdown": func(p *Pool) { _ = p.Shutdown(bg) },
	"Abort":    func(p *Pool) { p.Abort() },
	"Wait":     func(p *Pool) { _ = p.Wait(bg) },
	"others": func(p *Pool) {
		_ = p.TrySubmit(sleep(0))
		_ = p.Resize(3)
		_ = p.Stats()
		g := NewGroup(bg, p)
		_ = g.TryGo(sleep(0))
		_ = g.Wait()
	},
}

// place is a place where code of the user's runs.
type place struct {
	opts func(c *trap) []Option
	run  func(p *Pool, c *trap)
}

var userPlaces = map[string]place{
	"task": {run: func(p *Pool, c *trap) {
		_ = p.Submit(bg, func(context.Context) error { c.hit(); return nil })
	}},
	"error of a task after a stop": {run: func(p *Pool, c *trap) {
		_ = p.Submit(bg, func(context.Context) error { p.Abort(); return trapError{c} })
	}},
	"error of a task, FailFast": {
		opts: func(*trap) []Option { return []Option{WithErrorMode(FailFast)} },
		run: func(p *Pool, c *trap) {
			began := make(chan struct{})
			_ = p.Submit(bg, func(ctx context.Context) error { close(began); <-ctx.Done(); return trapError{c} })
			_ = p.Submit(bg, func(context.Context) error { <-began; return errors.New("first") })
		}},
	"error handler": {
		opts: func(c *trap) []Option { return []Option{WithErrorHandler(func(error) { c.hit() })} },
		run: func(p *Pool, c *trap) {
			for range 3 {
				_ = p.Submit(bg, func(context.Context) error { return errors.New("bad") })
			}
		}},
	"panic handler": {
		opts: func(c *trap) []Option {
			return []Option{WithPanicHandler(func(*PanicError) { c.hit() })}
		},
		run: func(p *Pool, c *trap) {
			_ = p.Submit(bg, func(context.Context) error { panic("other") })
		}},
	"drop handler": {
		opts: func(c *trap) []Option {
			return []Option{WithOverflow(DropOldest), WithDropHandler(func(Task) { c.hit() })}
		},
		run: func(p *Pool, c *trap) {
			for range 9 {
				_ = p.Submit(bg, sleep(time.Second))
			}
		}},
	"create of a state": {
		opts: func(c *trap) []Option {
			return []Option{WithState(func(context.Context) (int, error) { c.hit(); return 1, nil }, nil)}
		},
		run: func(p *Pool, c *trap) {
			for range 3 {
				_ = p.Submit(bg, func(ctx context.Context) error { _, err := StateOf[int](ctx); return err })
			}
		}},
	"close of a state": {
		opts: func(c *trap) []Option {
			return []Option{WithState(func(context.Context) (int, error) { return 1, nil }, func(int) { c.hit() })}
		},
		run: func(p *Pool, c *trap) {
			_ = p.Submit(bg, func(ctx context.Context) error { _, err := StateOf[int](ctx); return err })
		}},
	"task of a group": {run: func(p *Pool, c *trap) {
		g := NewGroup(bg, p)
		g.Go(func(context.Context) error { c.hit(); return nil })
		_ = g.Wait()
	}},
	"errors of a group": {run: func(p *Pool, c *trap) {
		g := NewGroup(bg, p)
		for range 3 {
			g.Go(func(context.Context) error { return trapError{c} })
		}
		_ = g.Wait()
	}},
	"errors of a group that keeps going": {run: func(p *Pool, c *trap) {
		g := NewGroup(bg, p)
		g.SetErrorMode(KeepGoing)
		for range 3 {
			g.Go(func(context.Context) error { return trapError{c} })
		}
		_ = g.Wait()
	}},
	"errors of a group inside a task": {run: func(p *Pool, c *trap) {
		_ = p.Submit(bg, func(ctx context.Context) error {
			g := NewGroup(ctx, p)
			g.SetLimit(1)
			for range 3 {
				g.Go(func(context.Context) error { return trapError{c} })
			}
			return g.Wait()
		})
	}},
	"context of a group": {run: func(p *Pool, c *trap) {
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		g := NewGroup(trapContext{ctx, c}, p)
		g.SetLimit(2)
		for range 4 {
			g.Go(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			time.Sleep(time.Second)
			cancel()
		}
		_ = g.Wait()
		_ = g.Context().Err()
	}},
	"errors of a loop": {run: func(p *Pool, c *trap) {
		_ = ForEach(bg, p, slices.Values(make([]int, 5)), func(context.Context, int) error { return trapError{c} })
	}},
	"context of a loop": {run: func(p *Pool, c *trap) {
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		_ = ForEach(trapContext{ctx, c}, p, slices.Values(make([]int, 9)), func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		})
	}},
	"sequence and body of a loop": {run: func(p *Pool, c *trap) {
		seq := func(yield func(int) bool) {
			for i := range 9 {
				if c.hit(); !yield(i) {
					return
				}
			}
		}
		for range Map(bg, p, seq, func(context.Context, int) (int, error) { return 0, nil }) {
			c.hit()
		}
	}},
	"function of a loop": {run: func(p *Pool, c *trap) {
		for range MapUnordered(bg, p, slices.Values(make([]int, 9)), func(context.Context, int) (int, error) { c.hit(); return 0, trapError{c} }) {
		}
	}},
	"context of a Future": {run: func(p *Pool, c *trap) {
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		mine := trapContext{ctx, c}
		_, _ = Do(mine, p, func(ctx context.Context) (int, error) { <-ctx.Done(); return 1, trapError{c} })
	}},
	"context of a submission that waits": {
		opts: func(*trap) []Option { return []Option{WithBuffer(1)} },
		run: func(p *Pool, c *trap) {
			for range 3 {
				_ = p.Submit(bg, sleep(time.Minute))
			}
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			_ = p.Submit(trapContext{ctx, c}, sleep(0))
			_, _ = p.SubmitBatch(trapContext{ctx, c}, []Task{sleep(0), sleep(0)})
		}},
	"context of a Wait inside and outside": {run: func(p *Pool, c *trap) {
		_ = p.Submit(bg, sleep(time.Minute))
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		_ = p.Wait(trapContext{ctx, c})
	}},
	"context of a wait inside a task": {run: func(p *Pool, c *trap) {
		_ = p.Submit(bg, func(ctx context.Context) error {
			u := Go(ctx, p, func(context.Context) (int, error) { time.Sleep(time.Minute); return 1, nil })
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := u.Wait(trapContext{ctx, c})
			return err
		})
	}},
	"context of a batcher": {
		opts: func(*trap) []Option { return []Option{WithBuffer(1), WithBatch(2)} },
		run: func(p *Pool, c *trap) {
			b := p.Batcher()
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			for range 8 {
				_ = b.Add(trapContext{ctx, c}, sleep(time.Minute))
			}
			_ = b.Flush(trapContext{ctx, c})
		}},
	"context of Shutdown": {run: func(p *Pool, c *trap) {
		_ = p.Submit(bg, sleep(time.Minute))
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		_ = p.Shutdown(trapContext{ctx, c})
	}},
}

// Wherever code of the user's panics, calls Goexit, or calls the pool, nothing hangs and each task has one outcome.
func TestUserCodeMisbehaves(t *testing.T) {
	for where, pl := range userPlaces {
		for what, act := range misdeeds {
			for turn := range int64(8) {
				for _, inside := range []bool{false, true} {
					if what == "panic" && (where == "panic handler" || where == "context of Shutdown" && inside) {
						continue // it ends the program: nobody is left to recover it
					}
					misbehave(t, name("place", where, "act", what, "turn", turn, "inside", inside), pl, act, turn+1, inside)
				}
			}
		}
	}
}

func misbehave(t *testing.T, what string, pl place, act func(*Pool), turn int64, inside bool) {
	defer watchdog(what)()
	synctest.Test(t, func(t *testing.T) {
		var p *Pool
		c := &trap{turn: turn}
		c.act = func() { act(p) }
		opts := []Option{WithWorkers(2), WithBuffer(4), WithPanicHandler(func(*PanicError) {})}
		if pl.opts != nil {
			opts = append(opts, pl.opts(c)...)
		}
		p = mustNew(t, opts...)
		done := make(chan struct{})
		run := func(context.Context) error { pl.run(p, c); return nil }
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			if inside {
				_ = p.Submit(bg, run)
			} else {
				_ = run(bg)
			}
			_ = p.Wait(bg)
			_ = p.Wait(bg) // for what that has submitted
		}()
		select {
		case <-done:
		case <-time.After(1000 * time.Hour):
			t.Fatalf("%s: it has not returned", what)
		}
		closed := make(chan struct{})
		go func() { _ = p.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(1000 * time.Hour):
			t.Fatalf("%s: Close has not returned", what)
		}
		if turn == 1 && c.calls.Load() == 0 {
			t.Errorf("%s: it did not come to that", what)
		}
		s := p.Stats()
		if sum := s.Completed + s.Failed + s.Panicked + s.Goexited + s.Skipped + s.Dropped + s.Unrun; sum != s.Accepted || s.Queued != 0 || s.Running != 0 {
			t.Fatalf("%s: %+v", what, s)
		}
	})
}

// The handler of a typed batch does the same.
func TestBatchHandlerMisbehaves(t *testing.T) {
	acts := map[string]func(p *Typed[int]){
		"panic":    func(*Typed[int]) { panic("mine") },
		"Goexit":   func(*Typed[int]) { runtime.Goexit() },
		"Submit":   func(p *Typed[int]) { _ = p.Submit(bg, 1) },
		"Close":    func(p *Typed[int]) { _ = p.Close() },
		"Shutdown": func(p *Typed[int]) { _ = p.Shutdown(bg) },
		"Abort":    func(p *Typed[int]) { p.Abort() },
		"Wait":     func(p *Typed[int]) { _ = p.Wait(bg) },
		"others":   func(p *Typed[int]) { _ = p.TrySubmit(1); _ = p.Resize(3); _ = p.Stats() },
	}
	for what, act := range acts {
		for turn := range int64(4) {
			t.Run(name("act", what, "turn", turn), func(t *testing.T) {
				defer watchdog(what)()
				synctest.Test(t, func(t *testing.T) {
					var p *Typed[int]
					c := &trap{turn: turn + 1, act: func() { act(p) }}
					p, err := NewTypedBatch(func(context.Context, []int) error { c.hit(); return trapError{c} },
						WithStrategy(strategy), WithWorkers(2), WithBatch(3), WithPanicHandler(func(*PanicError) {}))
					must(t, err)
					for i := range 9 {
						_ = p.Submit(bg, i)
					}
					_ = p.Wait(bg)
					_ = p.Close()
					if c.calls.Load() == 0 {
						t.Error("it did not come to that")
					}
					checkRest(t, p.Stats())
				})
			})
		}
	}
}

// The page of the tests lists all these places.
func TestUserPlacesAreListed(t *testing.T) {
	only(t, Shared)
	data, err := os.ReadFile("docs/how-tested.md")
	must(t, err)
	for where := range userPlaces {
		if !strings.Contains(string(data), "\n- "+where+"\n") {
			t.Errorf("docs/how-tested.md does not list %q", where)
		}
	}
}
