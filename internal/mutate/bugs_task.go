package main

// taskBugs are about what becomes of a task: once, in time, counted, and forgotten.
var taskBugs = []bug{{
	name: "owner-takes-without-a-swap", class: twice, file: "internal/span/span.go",
	old:   "\t\tif l.word.CompareAndSwap(w, w+1<<posShift-1) {\n\t\t\treturn widen(w>>posShift, near), true\n\t\t}\n",
	new:   "\t\tl.word.Store(w + 1<<posShift - 1)\n\t\treturn widen(w>>posShift, near), true\n",
	tests: "TestStress", pkg: "./internal/span", race: true, count: 20,
}, {
	name: "batch-cursor-is-stored", class: twice, file: "workerqueue.go",
	old:   "\t\tif !q.cursor.CompareAndSwap(c, c+1<<8) {\n\t\t\tcontinue\n\t\t}\n",
	new:   "\t\tq.cursor.Store(c + 1<<8)\n",
	tests: "TestStress", seams: true,
}, {
	name: "two-begin-a-call", class: twice, file: "call.go",
	old:   "\treturn c.state.CompareAndSwap(callPending, callBegun)\n",
	new:   "\tc.state.Store(callBegun)\n\treturn true\n",
	tests: "TestStressGroups|TestStressFutures", seams: true,
}, {
	name: "two-claim-a-slot", class: twice, file: "internal/ring/ring.go",
	old:   "\t\tif r.head.CompareAndSwap(h, h+uint64(n)) {\n\t\t\tif n >= ownMin {\n\t\t\t\tr.own(h, n)\n\t\t\t}\n\t\t\treturn h, n\n\t\t}\n",
	new:   "\t\tr.head.Store(h + uint64(n))\n\t\treturn h, n\n",
	tests: "TestStress", pkg: "./internal/ring",
}, {
	name: "thief-copies-what-it-leaves", class: twice, file: "internal/deque/chunked.go",
	old:   "\t\te, _ := q.PopFront(chunks)\n\t\tto.PushBack(e, chunks)\n",
	new:   "\t\te := *q.Front()\n\t\tto.PushBack(e, chunks)\n",
	tests: "FuzzChunked", pkg: "./internal/deque",
}, {
	name: "done-before-the-last-state-is-closed", class: early, file: "shutdown.go",
	old:   "e.live == 0 && e.leaving == 0 && e.dropping == 0",
	new:   "e.live == 0 && e.dropping == 0",
	tests: "TestStateIsClosedOnce|TestStateCloserMisbehaves",
}, {
	name: "drain-forgets-batchers", class: early, file: "shutdown.go",
	old:   "e.closeErr != nil && !e.unsentLocked() &&",
	new:   "e.closeErr != nil &&",
	tests: "TestBatcherAtTheEnd|TestRaceBatcherWithTheEnd",
}, {
	name: "wait-inside-ignores-younger-waits", class: early, file: "wait.go",
	old:   "older, _ := slices.BinarySearch(e.left[ep.tag].inside, wt.sit.age+1)",
	new:   "older := len(e.left[ep.tag].inside)",
	tests: "TestNestedWaitChain|TestRepeatedNestedWait|TestStressOperations",
}, {
	name: "wait-counts-a-chunk-as-one", class: early, file: "chunk.go",
	old:   "\t\tc.epoch[tag] += uint64(n - 1)\n",
	new:   "\t\tc.epoch[tag]++\n",
	tests: "TestWaitCoversBatches",
}, {
	name: "slot-keeps-its-value", class: retained, file: "internal/ring/ring.go",
	old:   "\tvar zero T\n\ts.val = zero\n\ts.seq.Store(free(pos + r.size))\n\treturn v, tagIn(seq)",
	new:   "\ts.seq.Store(free(pos + r.size))\n\treturn v, tagIn(seq)",
	tests: "TestNothingIsRetained",
}, {
	name: "batch-keeps-what-was-run", class: retained, file: "workerqueue.go",
	old:   "\t\tv := *p\n\t\t*p = zero\n",
	new:   "\t\tv := *p\n\t\tif w.jobs != nil {\n\t\t\t*p = zero\n\t\t}\n",
	tests: "TestNothingIsRetained",
}, {
	name: "typed-batch-keeps-its-jobs", class: retained, file: "collect.go",
	old:   "\tclear(w.slice)\n",
	new:   "",
	tests: "TestNothingIsRetained",
}, {
	name: "goexit-in-a-handler-ends-the-worker", class: capacity, file: "worker.go",
	old:   "\tcase w.inHook:\n\t\tw.inHook = false\n\tdefault:",
	new:   "\tcase w.inHook:\n\t\tw.inHook = false\n\t\treturn\n\tdefault:",
	tests: "TestFailuresInHandlers",
}, {
	name: "inline-panic-is-never-over", class: capacity, file: "inline.go",
	old:   "\t\tdefer e.endInline(run)\n\t\tvar owned bool\n",
	new:   "\t\tif returned {\n\t\t\tdefer e.endInline(run)\n\t\t}\n\t\tvar owned bool\n",
	tests: "TestCallerRunsFailures|TestStressOperations",
}, {
	name: "goexit-is-no-outcome-of-a-call", class: capacity, file: "call.go",
	old:   "\t\tc.owner.ended(ErrGoexit)\n",
	new:   "",
	tests: "TestGroupPanicAndGoexit|TestFutureEndings",
}, {
	name: "task-added-late-is-not-taken-back", class: leftover, file: "batch.go",
	old:   "\t\tb.buf[b.at] = zero\n\t\tb.count--\n\t\tb.limit = min(b.limit, b.count)\n\t\tb.added.Store(b.count)\n",
	new:   "\t\tb.buf[b.at] = zero\n",
	tests: "TestBatcherAtTheEnd|TestRaceBatcherWithTheEnd",
}, {
	name: "batcher-moves-what-came-after-the-end", class: early, file: "batch.go",
	old:   "\treturn min(added, b.limit)\n",
	new:   "\treturn added\n",
	tests: "TestBatcherLateTaskIsLeftAlone",
}, {
	name: "leftover-is-returned-again", class: leftover, file: "shutdown.go",
	old:   "\te.leftover = nil\n",
	new:   "",
	tests: "TestStressLeftoverAfterDone|TestContract$",
}, {
	name: "abort-hands-back-one-of-a-chunk", class: leftover, file: "chunk.go",
	old:   "\te.leftover = append(e.leftover, vs...)\n",
	new:   "\te.leftover = append(e.leftover, vs[0])\n",
	tests: "TestContract$|TestStressOperations",
}, {
	name: "failures-leave-with-their-worker", class: counters, file: "places.go",
	old:   "\te.gone.failed += w.failed.Load()\n",
	new:   "",
	tests: "TestFailures|TestStressOperations|TestStressResize",
}, {
	name: "rejected-batch-counts-one-too-many", class: counters, file: "engine.go",
	old:   "vs[n], nil); err != nil {\n\t\t\treturn n, e.rejectAll(len(vs)-n, err)",
	new:   "vs[n], nil); err != nil {\n\t\t\treturn n, e.rejectAll(len(vs)-n+1, err)",
	tests: "TestSubmitBatch|TestReject|TestStatsAreExactWhenBlocked",
}, {
	name: "chunk-counts-as-one", class: counters, file: "chunk.go",
	old:   "\t\tc.accepted += uint64(n - 1)\n",
	new:   "",
	tests: "TestSubmitBatch|TestStressOperations",
}}
