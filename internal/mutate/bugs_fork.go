package main

// forkBugs are about lazy fork-join: which goroutine begins a part, which waits for it, and how a
// run ends.
var forkBugs = []bug{{
	name: "newest-part-is-offered", class: starved, file: "fork.go",
	old:   "arg: k.frames[k.given]}",
	new:   "arg: k.frames[k.top-1]}",
	tests: "TestForkOldest|TestForkPrograms",
}, {
	name: "part-taken-back-is-forgotten", class: outcome, file: "part.go",
	old:   "\treturn p.state.Load()&callUnrun == 0\n}\n",
	new:   "\treturn true\n}\n",
	tests: "TestForkUnrun",
}, {
	name: "panic-does-not-wait-for-parts", class: early, file: "fork.go",
	old:   "\t\tx.reclaim(k.s.seat)\n\t\tx.forget()\n",
	new:   "\t\tx.begin()\n\t\tx.forget()\n",
	tests: "TestForkFailure|TestForkPrograms",
}, {
	name: "range-does-not-wait-for-parts", class: early, file: "forkrange.go",
	old:   "\t\t\ty.reclaim(x.seat)\n",
	new:   "\t\t\ty.begin()\n",
	tests: "TestForkFailure|TestForRangeError|TestForkPrograms",
}, {
	name: "ranges-are-merged-in-the-wrong-order", class: outcome, file: "forkrange.go",
	old:   "x.all.merge(x.acc, acc)",
	new:   "x.all.merge(acc, x.acc)",
	tests: "TestForkLimit",
}, {
	name: "stopped-run-goes-on", class: early, file: "part.go",
	old:   "s = s.Next {\n\t\ts.look.Store(&h.ended)\n",
	new:   "s = s.Next {\n",
	tests: "TestForkFailure",
}, {
	name: "end-of-a-part-wakes-nobody", class: wakeUp, file: "part.go",
	old:   "\tif p.done != nil {\n\t\tclose(p.done)\n",
	new:   "\tif p.done != nil && p.above == nil {\n\t\tclose(p.done)\n",
	tests: "TestForkLimit",
}, {
	name: "parts-of-a-recovered-panic-are-mixed-up", class: outcome, file: "fork.go",
	old:   "\tfor k.given > k.top {",
	new:   "\tfor range 1 {",
	tests: "TestForkRecovered|TestForkPrograms",
}, {
	name: "result-is-kept", class: retained, file: "fork.go",
	old:   "\tx.arg, x.out = arg, none\n",
	new:   "\tx.arg = arg\n\t_ = none\n",
	tests: "TestForkKeepsNothing",
}, {
	name: "join-keeps-no-error", class: outcome, file: "join.go",
	old:   "\tj.first.Add(err, cancelled, late)\n",
	new:   "\t_, _ = cancelled, late\n",
	tests: "TestJoinError",
}}
