package pool

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// MatchCPUQuota can be undone, whoever had set GOMAXPROCS before.
func TestMatchCPUQuota(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.SetDefaultGOMAXPROCS()
	for _, byHand := range []int{0, before + 3} {
		want := before
		if byHand > 0 {
			runtime.GOMAXPROCS(byHand)
			want = byHand
		}
		var said int
		undo, err := MatchCPUQuota(func(string, ...any) { said++ })
		must(t, err)
		undo()
		if n := runtime.GOMAXPROCS(0); n != want || said == 0 {
			t.Errorf("GOMAXPROCS is %d after undo, want %d; %d lines were logged", n, want, said)
		}
	}
	undo, err := MatchCPUQuota(nil)
	must(t, err)
	undo()
}

// D19, P13: a pool at rest has no timer, and its workers are parked.
func TestNoTimerAtRest(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		for range 3 * (workers + buffer) { // more than fit: a timer is set
			go p.Submit(bg, sleep(time.Second))
		}
		synctest.Wait()
		if p.idle.Load().Looks() {
			t.Fatal("nothing looks after a busy pool")
		}
		must(t, p.Wait(bg))
		time.Sleep(time.Hour)
		must(t, p.Wait(bg))
		time.Sleep(365 * 24 * time.Hour)
		synctest.Wait()
		if !p.idle.Load().Looks() {
			t.Fatal("a timer is set")
		}
		checkGate(t, p)
		must(t, p.Close())
	})
}
