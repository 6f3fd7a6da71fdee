package errgroup

import (
	"context"
	"errors"
	"sync"
	"testing"
)

var errFirst = errors.New("first")

// What is started after the first error runs: programs wait for what it does.
func TestAfterTheFirstError(t *testing.T) {
	failed := func(limit int) (*Group, context.Context) {
		g, ctx := WithContext(context.Background())
		g.SetLimit(limit)
		g.Go(func() error { return errFirst })
		<-ctx.Done()
		return g, ctx
	}
	for name, program := range map[string]func(*Group, context.Context){
		"a producer waits for a result": func(g *Group, _ context.Context) {
			result := make(chan int)
			g.Go(func() error { result <- 1; return nil })
			<-result
		},
		"a task gives up its place in a region and takes it again": func(g *Group, ctx context.Context) {
			region := make(chan struct{}, 1)
			region <- struct{}{}
			g.Go(func() error {
				<-region // others may enter
				entered := make(chan struct{})
				g.Go(func() error {
					region <- struct{}{}
					<-region
					close(entered)
					return nil
				})
				<-entered
				region <- struct{}{}
				return ctx.Err()
			})
		},
		"a tracker is done when each task is": func(g *Group, ctx context.Context) {
			var tracker sync.WaitGroup
			for range 10 {
				tracker.Add(1)
				g.Go(func() error { defer tracker.Done(); return ctx.Err() })
			}
			tracker.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, ctx := failed(3)
			program(g, ctx)
			if err := g.Wait(); err != errFirst {
				t.Errorf("Wait: %v", err)
			}
			if cause := context.Cause(ctx); cause != errFirst {
				t.Errorf("cause: %v", cause)
			}
		})
	}
}

// A parent that ends is no error of Wait.
func TestParentEnds(t *testing.T) {
	parent, cancel := context.WithCancel(context.Background())
	cancel()
	g, ctx := WithContext(parent)
	ran := false
	g.Go(func() error { ran = true; return nil })
	if err := g.Wait(); err != nil || !ran || ctx.Err() == nil {
		t.Errorf("Wait: %v, ran %t, %v", err, ran, ctx.Err())
	}
}
