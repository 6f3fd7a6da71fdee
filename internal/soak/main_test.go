package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/headrace-go/pool"
)

func TestNothingIsLost(t *testing.T) {
	args, ran := []string{"-for=100ms", "-seed=11"}, strategies
	if testing.Short() {
		args, ran = append(args, "-for=1ms", "-strategy=WorkStealing"), []pool.Strategy{pool.WorkStealing}
	}
	var out, errOut bytes.Buffer
	if status := run(args, &out, &errOut); status != statusOK {
		t.Fatalf("status %d, printed\n%s%s", status, out.String(), errOut.String())
	}
	for _, st := range ran {
		if !strings.Contains(out.String(), "\n"+st.String()+": ") {
			t.Errorf("nothing about %v in what was printed:\n%s", st, out.String())
		}
	}
	if !strings.HasSuffix(out.String(), "nothing lost\n") {
		t.Errorf("printed\n%s", out.String())
	}
}

func TestBadFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-strategy none", `unknown strategy, got "none"`},
		{"-for 0s", "-for must be positive, got 0s"},
		{"-stall 0s", "-stall must be positive, got 0s"},
		{"x", `takes no arguments, got ["x"]`},
		{"-nonsense", "-nonsense"},
	} {
		var out, errOut bytes.Buffer
		if status := run(strings.Fields(c.args), &out, &errOut); status != statusUsage {
			t.Errorf("%s: status %d, not %d", c.args, status, statusUsage)
		}
		if !strings.Contains(errOut.String(), c.want) {
			t.Errorf("%s: printed %q, not %q", c.args, errOut.String(), c.want)
		}
	}
}

// New accepts every plan.
func TestPlans(t *testing.T) {
	for _, st := range strategies {
		for seed := range uint64(500) {
			l := newLife(new(soak), new(tally), st, seed)
			p, err := pool.New(l.options(t.Context())...)
			if err != nil {
				t.Fatalf("%v, seed %d: %v\n%v", st, seed, err, l.plan)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestGauge(t *testing.T) {
	var g gauge
	g.bound.Store(2)
	check := func(want string, weight, capacity int64) {
		t.Helper()
		if got := g.enter(weight, capacity); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check("", 5, 3) // alone
	check("a weight of 6 run", 1, 3)
	check("3 tasks run, the limit is 2", 0, 10)
	g.leave(0)
	g.excess.Store(1)
	check("", 9, 3)
	check("4 tasks run", 1, 3)
	for _, w := range []int64{1, 9, 1, 5} {
		g.leave(w)
	}
	if n := g.now.Load(); n != 0 {
		t.Errorf("%d is left", n)
	}
}

// What the ledger says of jobs with the fates that there are.
func TestLedger(t *testing.T) {
	for _, c := range []struct {
		verdict                      verdict
		ran, finished, back, dropped int32
		wrong, missing               bool
	}{
		{verdict: accepted, ran: 1, finished: 1},
		{verdict: accepted, back: 1},
		{verdict: accepted, dropped: 1},
		{verdict: refused},
		{verdict: unknown},
		{verdict: unknown, ran: 1, finished: 1},
		{verdict: accepted, missing: true},
		{verdict: accepted, ran: 2, finished: 2, wrong: true},
		{verdict: accepted, ran: 1, finished: 1, back: 1, wrong: true},
		{verdict: accepted, back: 2, wrong: true},
		{verdict: accepted, back: 1, dropped: 1, wrong: true},
		{verdict: accepted, ran: 1, wrong: true},
		{verdict: refused, ran: 1, finished: 1, wrong: true},
		{verdict: refused, back: 1, wrong: true},
		{verdict: unknown, ran: 1, finished: 1, dropped: 1, wrong: true},
	} {
		l := &life{soak: new(soak), tally: new(tally), plan: plan{Load: "tiny"}}
		j := l.newJob(rand.New(rand.NewPCG(1, 1)), bySubmit, 0)
		j.verdict.Store(int32(c.verdict))
		j.ran.Store(c.ran)
		j.finished.Store(c.finished)
		j.back.Store(c.back)
		j.dropped.Store(c.dropped)
		sum, wrong := l.jobs.sumUp()
		if (wrong != "") != c.wrong || (sum.missing > 0) != c.missing {
			t.Errorf("%+v: %q, %+v", c, wrong, sum)
		}
	}
}

// A failure says how to repeat the life, and ends the process with its status.
func TestFailureIsReported(t *testing.T) {
	var errOut bytes.Buffer
	status := -1
	k := &soak{errOut: &errOut, exit: func(s int) { status = s }}
	l := newLife(k, new(tally), pool.PerWorker, 42)
	p, err := pool.New()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l.p = p
	l.at("checks")
	k.current.Store(l)
	j := l.newJob(l.r, bySubmit, 0)
	l.startOf(j)
	if status != -1 {
		t.Fatalf("the first start: status %d, printed\n%s", status, errOut.String())
	}
	l.startOf(j)
	if status != statusFailed {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{"ran twice", "-strategy PerWorker -seed 42", fmt.Sprint(l.plan), "goroutines"} {
		if !strings.Contains(errOut.String(), want) {
			t.Errorf("%q is not in what was printed:\n%s", want, errOut.String())
		}
	}
}
