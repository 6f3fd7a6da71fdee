package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace-go/pool"
)

// In virtual time no timer is late, and the makespans are exact.
func TestMakespans(t *testing.T) {
	for _, outside := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := settings{tasks: 500, workers: 8, factor: 10, every: 10, short: time.Millisecond, outside: outside}
			durations, long := s.durations()
			if long < 10 || long > 150 {
				t.Fatalf("%d of %d tasks are long", long, s.tasks)
			}
			var sum time.Duration
			for _, d := range durations {
				sum += d
			}
			ideal := sum / time.Duration(s.workers)
			makespan := map[pool.Strategy]time.Duration{}
			for _, strategy := range []pool.Strategy{pool.WorkStealing, pool.Shared, pool.PerWorker} {
				c := &contender{strategy: strategy}
				c.run(t.Context(), s, durations)
				if c.err != nil {
					t.Fatal(strategy, c.err)
				}
				makespan[strategy] = c.makespan
				if c.makespan < ideal {
					t.Errorf("%v: %v, which is less than the ideal %v", strategy, c.makespan, ideal)
				}
			}
			// Nobody is idle before the last task has begun.
			worst := ideal + s.short*time.Duration(s.factor)
			if makespan[pool.WorkStealing] > worst || makespan[pool.Shared] > worst || makespan[pool.PerWorker] <= makespan[pool.Shared] {
				t.Errorf("outside %v: ideal %v, worst %v, got %v", outside, ideal, worst, makespan)
			}
		})
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		if err := run(t.Context(), strings.Fields("-tasks 100 -workers 4 -short 1ms"), &out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"\nWorkStealing    100 tasks    0.", "\nShared ", "\nPerWorker ", "x ideal\n", "\nSo: "} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("nothing about %q:\n%s", want, &out)
			}
		}
	})
}

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var out bytes.Buffer
		err := run(ctx, []string{"-short=1h"}, &out)
		if err == nil || time.Since(begin) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(begin))
		}
	})
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"x": `"x"`, "-tasks=0": "-tasks", "-factor=0": "-factor", "-every=0": "-every",
		"-short=0": "got 0s", "-workers=0": "-workers",
	} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{args}, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}

// On a terminal the bars are drawn over the earlier ones, and each has its final time.
func TestBars(t *testing.T) {
	var out bytes.Buffer
	c := &contender{strategy: pool.PerWorker}
	b := newBoard(&out, []*contender{c, {strategy: pool.Shared}}, 10, time.Second)
	if b.terminal {
		t.Error("a buffer is no terminal")
	}
	b.terminal = true
	c.finished.Store(5)
	b.draw()
	if want := "PerWorker    [###############               ]      5\n"; !strings.Contains(out.String(), want) {
		t.Errorf("drew %q, want %q", &out, want)
	}
	out.Reset()
	c.finished.Store(10)
	c.makespan = 1500 * time.Millisecond
	c.ended.Store(true)
	b.draw()
	if got := out.String(); !strings.HasPrefix(got, "\x1b[2A\r\x1b[K") || !strings.Contains(got, "#]     10    1.50 s   1.50x ideal\n") {
		t.Errorf("drew %q", got)
	}
}
