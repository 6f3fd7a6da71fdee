package pool

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// resource is a worker's state that knows what happens to it.
type resource struct {
	users  atomic.Int64
	closed atomic.Int64
}

// ledger makes resources and checks each at the end.
type ledger struct {
	mu  sync.Mutex
	all []*resource
}

func (l *ledger) option() Option {
	return WithState(func(context.Context) (*resource, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		r := new(resource)
		l.all = append(l.all, r)
		return r, nil
	}, func(r *resource) { r.closed.Add(1) })
}

// check checks that each resource was closed once.
func (l *ledger) check(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.all {
		if n := r.closed.Load(); n != 1 {
			t.Errorf("a state was closed %d times", n)
		}
	}
}

// use is a task that uses its worker's resource, and nobody else may.
func use(t testing.TB, body Task) Task {
	return func(ctx context.Context) error {
		r, err := StateOf[*resource](ctx)
		if err != nil {
			t.Error(err)
			return err
		}
		if r.users.Add(1) != 1 {
			t.Error("two tasks use one state")
		}
		defer r.users.Add(-1)
		if r.closed.Load() != 0 {
			t.Error("a closed state is used")
		}
		return body(ctx)
	}
}

// D26: a state is closed exactly once, whatever ends its worker, and before Close
// returns.
func TestStateIsClosedOnce(t *testing.T) {
	ends := map[string]func(p *Pool){
		"close":  func(p *Pool) { p.Close() },
		"abort":  func(p *Pool) { p.Abort(); <-p.Done() },
		"shrink": func(p *Pool) { _ = p.Resize(1); synctest.Wait(); p.Close() },
		"idle":   func(p *Pool) { time.Sleep(time.Hour); p.Close() },
		"inside": func(p *Pool) {
			_ = p.Submit(bg, func(context.Context) error { return p.Close() })
			<-p.Done()
		},
	}
	for what, end := range ends {
		t.Run(what, func(t *testing.T) {
			bubbles(t, func(t *testing.T, workers, buffer int) {
				l := new(ledger)
				opts := []Option{l.option(), WithWorkers(workers), WithBuffer(buffer), WithPanicHandler(func(*PanicError) {})}
				if what == "idle" && strategy != Elastic {
					opts = append(opts, WithLazy(time.Minute))
				}
				p := mustNew(t, opts...)
				for i := range 100 {
					must(t, p.Submit(bg, use(t, func(ctx context.Context) error {
						switch i % 10 {
						case 3:
							panic("bad")
						case 4:
							runtime.Goexit()
						case 5, 6, 7, 8:
							time.Sleep(time.Second)
						}
						return nil
					})))
				}
				end(p)
				l.check(t)
				if what == "close" && strategy != Elastic && len(l.all) != workers {
					t.Errorf("%d states for %d workers", len(l.all), workers)
				}
			})
		})
	}
}

// D23: an error of create goes to the task, the next one tries again, and the pool
// works on. A panic in it is the task's.
func TestStateCreationFails(t *testing.T) {
	bad := errors.New("bad")
	var calls, closed int
	var got []error
	p := mustNew(t, WithWorkers(1), WithPanicHandler(func(*PanicError) {}), WithErrorHandler(func(err error) { got = append(got, err) }),
		WithState(func(context.Context) (int, error) {
			switch calls++; calls {
			case 1:
				return 0, bad
			case 2:
				panic(bad)
			case 3:
				runtime.Goexit()
			}
			return calls, nil
		}, func(int) { closed++ }))
	for range 6 {
		must(t, p.Submit(bg, func(ctx context.Context) error {
			s, err := StateOf[int](ctx)
			if err == nil && s != 4 && strategy != Elastic {
				t.Errorf("got state %d", s)
			}
			return err
		}))
	}
	must(t, p.Wait(bg))
	if err := p.Close(); !errors.Is(err, bad) {
		t.Errorf("Close: got %v", err)
	}
	if len(got) != 3 || !errors.Is(got[0], bad) || !errors.Is(got[1], bad) || !errors.Is(got[2], ErrGoexit) {
		t.Errorf("got %v", got)
	}
	if closed != 1 && strategy != Elastic {
		t.Errorf("%d closed", closed)
	}
}

// A state that is closed with a panic or Goexit harms nobody.
func TestStateCloserMisbehaves(t *testing.T) {
	for _, bad := range []func(int){func(int) { panic("bad") }, func(int) { runtime.Goexit() }} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(3), WithPanicHandler(func(*PanicError) {}),
				WithState(func(context.Context) (int, error) { return 1, nil }, bad))
			for range 9 {
				must(t, p.Submit(bg, func(ctx context.Context) error {
					time.Sleep(time.Second)
					_, err := StateOf[int](ctx)
					return err
				}))
			}
			p.Close()
			checkRest(t, p.Stats())
		})
	}
}

// All goroutines of a task get the same state.
func TestStateOfManyGoroutines(t *testing.T) {
	l := new(ledger)
	p := mustNew(t, WithWorkers(2), l.option())
	for range 20 {
		must(t, p.Submit(bg, func(ctx context.Context) error {
			var wg sync.WaitGroup
			want, _ := StateOf[*resource](ctx)
			for range 4 {
				wg.Go(func() {
					if r, err := StateOf[*resource](ctx); err != nil || r != want {
						t.Errorf("got %p, %v, want %p", r, err, want)
					}
				})
			}
			wg.Wait()
			return nil
		}))
	}
	must(t, p.Close())
	l.check(t)
}

func TestStateOfStrangers(t *testing.T) {
	if _, err := StateOf[int](bg); err == nil {
		t.Error("a context of no pool has a state")
	}
	p := mustNew(t, WithState(func(context.Context) (int, error) { return 1, nil }, nil))
	q := mustNew(t)
	must(t, q.Submit(bg, func(ctx context.Context) error {
		if _, err := StateOf[int](ctx); err == nil {
			t.Error("a pool without state has one")
		}
		return nil
	}))
	must(t, p.Submit(bg, func(ctx context.Context) error {
		if _, err := StateOf[string](ctx); err == nil {
			t.Error("an int is a string")
		}
		return nil
	}))
	must(t, p.Close())
	must(t, q.Close())
}

func TestScratch(t *testing.T) {
	made := 0
	s := NewScratch(func() *bytes.Buffer { made++; return new(bytes.Buffer) }, (*bytes.Buffer).Reset)
	for range 100 {
		b := s.Get()
		if b.Len() != 0 {
			t.Fatal("a used buffer came out")
		}
		b.WriteString("dirt")
		s.Put(b)
	}
	s.Put(nil)
	if made == 100 && !raceBuild {
		t.Error("nothing was used again")
	}
	z := NewScratch[[4]int](nil, nil)
	a := z.Get()
	a[2] = 7
	z.Put(a)
	if b := z.Get(); *b != [4]int{} {
		t.Errorf("got %v", *b)
	}
}

// The pool has not ended while the last state is being closed.
func TestDoneComesAfterTheLastState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p := mustNew(t, WithWorkers(1), WithState(func(context.Context) (int, error) { return 1, nil }, func(int) { <-gate }))
		must(t, p.Submit(bg, func(ctx context.Context) error { _, err := StateOf[int](ctx); return err }))
		synctest.Wait()
		go p.Close()
		synctest.Wait()
		select {
		case <-p.Done():
			t.Error("it has ended")
		default:
		}
		close(gate)
		<-p.Done()
	})
}

// Closing inside the close function of a state does not wait for it.
func TestCloseInsideOfAStateThatCloses(t *testing.T) {
	for name, end := range map[string]func(p *Pool) error{
		"Close":    func(p *Pool) error { return p.Close() },
		"Shutdown": func(p *Pool) error { return p.Shutdown(bg) },
	} {
		for _, lazy := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var p *Pool
				var inside error
				opts := []Option{WithWorkers(2), WithState(func(context.Context) (int, error) { return 1, nil }, func(int) { inside = end(p) })}
				if lazy && strategy != Elastic {
					opts = append(opts, WithLazy(time.Second))
				}
				p = mustNew(t, opts...)
				must(t, p.Submit(bg, func(ctx context.Context) error { _, err := StateOf[int](ctx); return err }))
				if lazy && strategy != Elastic {
					time.Sleep(time.Minute)
				} else {
					must(t, end(p))
				}
				<-p.Done()
				if inside != ErrInTask {
					t.Errorf("%s, lazy %v: %v", name, lazy, inside)
				}
			})
		}
	}
}

// StateOf without a context is an error, and the error of create names the option.
func TestStateErrors(t *testing.T) {
	_, err := StateOf[int](noContext)
	wantIs(t, err, errNilContext)
	p := mustNew(t, WithState(func(context.Context) (int, error) { return 0, errTest }, nil))
	_, err = Do(bg, p, func(ctx context.Context) (int, error) { return StateOf[int](ctx) })
	if wantIs(t, err, errTest); !strings.Contains(err.Error(), "WithState") {
		t.Error(err)
	}
	must(t, p.Close())
}
