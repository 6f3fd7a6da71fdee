package migration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alitto/pond/v2"
	"golang.org/x/sync/errgroup"

	"github.com/headrace-go/pool"
)

// The endings are of programs that a panic ends, or in which everything waits for ever.
const (
	panicked = "panic: boom"
	stuck    = "panic: deadlock: all goroutines in bubble are blocked"
	leftOver = "panic: deadlock: main bubble goroutine has exited but blocked goroutines remain"
)

func boom() error { panic("boom") }

var endings = map[string]struct {
	want string
	run  func(t *testing.T)
}{
	"panic, errgroup": {panicked, func(*testing.T) {
		var g errgroup.Group
		g.Go(boom)
		_ = g.Wait()
	}},
	"panic, channel": {panicked, func(*testing.T) {
		s := newChannelService(func(int) { _ = boom() })
		_ = s.submit(bg, 1)
		s.stop()
	}},
	"panic, pond without recovery": {panicked, func(*testing.T) {
		_ = pond.NewPool(1, pond.WithoutPanicRecovery()).SubmitErr(boom).Wait()
	}},
	"panic, Group": {panicked, func(t *testing.T) {
		g := pool.NewGroup(bg, newPool(t))
		g.Go(func(context.Context) error { return boom() })
		_ = g.Wait()
	}},

	"Go in a task at the limit, errgroup": {stuck, func(*testing.T) {
		var g errgroup.Group
		g.SetLimit(1)
		g.Go(func() error {
			g.Go(func() error { return nil })
			return nil
		})
		_ = g.Wait()
	}},
	"Wait in a task of the only worker, pond": {stuck, func(*testing.T) {
		p := pond.NewPool(1)
		_ = p.SubmitErr(func() error { return p.Submit(func() {}).Wait() }).Wait()
	}},
	"Wait for a task that calls Goexit, pond": {stuck, func(*testing.T) {
		_ = pond.NewPool(1).Submit(runtime.Goexit).Wait()
	}},
	"consumer stops reading, channel": {leftOver, func(*testing.T) {
		defer func() { _ = recover() }()
		eachChannel(bg, urls(10), new(web).fetch, func(page) { _ = boom() })
	}},
	"pool at rest": {stuck, func(t *testing.T) { // no timer will wake anything up
		p := newPool(t)
		_, _ = pool.Do(bg, p, func(context.Context) (int, error) { return 0, nil })
		<-make(chan struct{})
	}},
}

// TestEndings runs each ending in a process of its own, in a bubble, where the runtime finds out that all wait.
func TestEndings(t *testing.T) {
	const env = "MIGRATION_TEST_ENDING"
	if name := os.Getenv(env); name != "" {
		synctest.Test(t, endings[name].run)
		return
	}
	for name, c := range endings {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEndings$")
		cmd.Env = append(os.Environ(), env+"="+name)
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), c.want) || fmt.Sprint(err) != "exit status 2" {
			t.Errorf("%s: %v, want %q in\n%s", name, err, c.want, out)
		}
	}
}
