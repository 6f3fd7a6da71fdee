package main

// taskBugs are about what becomes of a task: once, in time, counted, and forgotten.
var taskBugs = []bug{{
	name: "two-begin-a-call", class: twice, file: "call.go",
	old:   "\treturn c.state.CompareAndSwap(0, state)\n",
	new:   "\tc.state.Store(state)\n\treturn true\n",
	tests: "TestStressGroups|TestStressFutures", seams: true,
}, {
	name: "done-before-the-last-state-is-closed", class: early, file: "shutdown.go",
	old:   "e.live == 0 && e.leaving.Len == 0 && e.dropping == 0",
	new:   "e.live == 0 && e.dropping == 0",
	tests: "TestDoneComesAfterTheLastState",
}, {
	name: "goexit-is-no-outcome-of-a-call", class: capacity, file: "call.go",
	old:   "\t\tc.owner.ended(ErrGoexit)\n",
	new:   "",
	tests: "TestGroupPanicAndGoexit|TestFutureEndings",
}, {
	name: "leftover-is-returned-again", class: leftover, file: "shutdown.go",
	old:   "\te.leftover = nil\n",
	new:   "",
	tests: "TestStressLeftoverAfterDone|TestContract$",
}, {
	name: "owner-takes-without-a-swap", class: twice, file: "internal/batch/batch.go",
	old:   "if b.word.CompareAndSwap(w, (w|running)+one-1) {",
	new:   "if b.word.Store((w | running) + one - 1); true {",
	tests: "TestStress", seams: true,
}, {
	name: "drain-forgets-batchers", class: early, file: "shutdown.go",
	old:   "if e.closeErr == nil || e.emptying {",
	new:   "if e.closeErr == nil {",
	tests: "TestEndWaitsForBatchers",
}, {
	name: "wait-ignores-what-tasks-submit", class: early, file: "wait.go",
	old:   "\t\ttag = int(s.tag.Load())\n",
	new:   "\t\t_ = s\n",
	tests: "TestWait",
}, {
	name: "slot-keeps-its-value", class: retained, file: "internal/queue/queue.go",
	old:   "\t\t\tvals[n+int(i)] = s.val\n\t\t\ts.val = zero\n",
	new:   "\t\t\tvals[n+int(i)] = s.val\n\t\t\t_ = zero\n",
	tests: "TestNothingIsRetained",
}, {
	name: "batch-keeps-what-was-run", class: retained, file: "internal/batch/batch.go",
	old:   "\t\t\tjob, *p = *p, zero\n",
	new:   "\t\t\tjob, _ = *p, zero\n",
	tests: "TestNothingIsRetained",
}, {
	name: "typed-batch-keeps-its-jobs", class: retained, file: "worker.go",
	old:   "\t\tclear(w.slice)\n",
	new:   "",
	tests: "TestNothingIsRetained",
}, {
	name: "goexit-in-a-handler-ends-the-worker", class: capacity, file: "outcome.go",
	old:   "\tcase w.inHook:\n\t\tw.inHook = false\n\tdefault:",
	new:   "\tcase w.inHook:\n\t\tw.inHook = false\n\t\treturn\n\tdefault:",
	tests: "TestFailuresInHandlers",
}, {
	name: "abort-hands-back-nothing-of-strands", class: leftover, file: "cell.go",
	old:   "\t\tc.keys.Drain(func(it strand.Item[T]) { give(it.Job, it.Tag) })\n",
	new:   "\t\tc.keys.Drain(func(strand.Item[T]) {})\n",
	tests: "TestContract$|TestStressOperations|TestKeyed",
}, {
	name: "rejected-batch-counts-one-too-many", class: counters, file: "batch.go",
	old:   "vs[n], nil); err != nil {\n\t\t\treturn n, e.rejectAll(len(vs)-n-1, err)",
	new:   "vs[n], nil); err != nil {\n\t\t\treturn n, e.rejectAll(len(vs)-n, err)",
	tests: "TestSubmitBatch|TestReject|TestStatsAreExactWhenBlocked",
}}
