package main

// taskBugs are about what becomes of a task: once, in time, counted, and forgotten.
var taskBugs = []bug{{
	name: "owner-takes-without-a-swap", class: twice, file: "internal/span/span.go",
	old:   "\t\tif l.word.CompareAndSwap(w, w+1<<posShift-1) {\n\t\t\treturn widen(w>>posShift, near), true\n\t\t}\n",
	new:   "\t\tl.word.Store(w + 1<<posShift - 1)\n\t\treturn widen(w>>posShift, near), true\n",
	tests: "TestStress", pkg: "./internal/span",
}, {
	name: "batch-cursor-is-stored", class: twice, file: "workerqueue.go",
	old:   "\t\tif !q.cursor.CompareAndSwap(c, c+1<<8) {\n\t\t\tcontinue\n\t\t}\n",
	new:   "\t\tq.cursor.Store(c + 1<<8)\n",
	tests: "TestStress", seams: true,
}, {
	name: "two-begin-a-call", class: twice, file: "call.go",
	old:   "\treturn c.state.CompareAndSwap(callPending, callBegun)\n",
	new:   "\tc.state.Store(callBegun)\n\treturn true\n",
	tests: "TestStressGroups|TestFuture", seams: true,
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
	name: "one-takes-off-the-end-unseen", class: twice, file: "workerqueue.go",
	old:   "\t\tif q.cursor.CompareAndSwap(c, c-1) {\n",
	new:   "\t\tif q.cursor.Store(c - 1); true {\n",
	tests: "TestStress", seams: true,
}, {
	name: "done-before-the-last-state-is-closed", class: early, file: "shutdown.go",
	old:   "e.live == 0 && e.leaving == 0 && e.dropping == 0",
	new:   "e.live == 0 && e.dropping == 0",
	tests: "TestStateIsClosedOnce|TestStateCloserMisbehaves",
}, {
	name: "done-before-the-drop-handler-returned", class: early, file: "shutdown.go",
	old:   "e.leaving == 0 && e.dropping == 0 && !e.finished",
	new:   "e.leaving == 0 && !e.finished",
	tests: "TestDropOldest",
}, {
	name: "done-before-inline-tasks-ended", class: early, file: "shutdown.go",
	old:   "if _, inline := e.inlineCounts(); inline == 0 && e.live == 0",
	new:   "if _, inline := e.inlineCounts(); inline >= 0 && e.live == 0",
	tests: "TestCallerRuns|TestStressOperations",
}, {
	name: "drain-forgets-batchers", class: early, file: "shutdown.go",
	old:   "e.sorter.seatsEmpty() && !e.unsentLocked()",
	new:   "e.sorter.seatsEmpty()",
	tests: "TestBatcherAtTheEnd|TestRaceBatcherWithTheEnd",
}, {
	name: "drain-forgets-ready-keys", class: early, file: "shutdown.go",
	old:   "e.lanes.Empty() && e.sorter.turns.Load() == 0 &&",
	new:   "e.lanes.Empty() &&",
	tests: "TestKeyedOrder|TestStressKeyed|TestStressOperations",
}, {
	name: "drain-forgets-children", class: early, file: "shutdown.go",
	old:   "\t\te.listed.Load() == 0 && !e.handsLeft()",
	new:   "\t\t!e.handsLeft()",
	tests: "TestNoChildIsOverlooked|TestEveryIdleWorkerSteals|TestStressTrees|TestStressOperations",
}, {
	name: "wait-forgets-inline-tasks", class: early, file: "wait.go",
	old:   "n := e.left[ep.tag].left.Load() + int64(e.callers[ep.tag])",
	new:   "n := e.left[ep.tag].left.Load()",
	tests: "TestCallerRuns|TestWait|TestStressOperations",
}, {
	name: "wait-inside-ignores-younger-waits", class: early, file: "wait.go",
	old:   "older, _ := slices.BinarySearch(e.left[ep.tag].inside, wt.sit.age+1)",
	new:   "older := len(e.left[ep.tag].inside)",
	tests: "TestNestedWaitChain|TestRepeatedNestedWait|TestStressOperations",
}, {
	name: "wait-counts-a-chunk-as-one", class: early, file: "chunk.go",
	old:   "\t\tc.epoch[tag] += uint64(n - 1)\n",
	new:   "",
	tests: "TestSubmitBatch|TestWaitIsExact|TestStressWait|TestStressOperations",
}, {
	name: "slot-keeps-its-value", class: retained, file: "internal/ring/ring.go",
	old:   "\ts.val = zero\n\ts.seq.Store(free(pos + r.size))\n\treturn v, seq",
	new:   "\ts.seq.Store(free(pos + r.size))\n\treturn v, seq",
	tests: "TestNothingIsRetained",
}, {
	name: "batch-keeps-what-was-run", class: retained, file: "workerqueue.go",
	old:   "\t\tv := *p\n\t\t*p = zero\n",
	new:   "\t\tv := *p\n",
	tests: "TestNothingIsRetained",
}, {
	name: "typed-batch-keeps-its-jobs", class: retained, file: "collect.go",
	old:   "\tclear(w.slice)\n",
	new:   "",
	tests: "TestNothingIsRetained|TestTypedBatch",
}, {
	name: "chunk-keeps-its-tasks", class: retained, file: "chunk.go",
	old:   "\tcopy(h.jobs, jobs)\n\tclear(jobs)\n",
	new:   "\tcopy(h.jobs, jobs)\n",
	tests: "TestNothingIsRetained",
}, {
	name: "group-keeps-its-functions", class: retained, file: "group.go",
	old:   "\tc.f = nil // the queue may still hold c\n",
	new:   "",
	tests: "TestNothingIsRetained|TestHelpedIsNotRetained",
}, {
	name: "batcher-keeps-what-it-sent", class: retained, file: "batch.go",
	old:   "\tclear(b.buf[first : first+n])\n",
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
	name: "goexit-is-not-reported", class: capacity, file: "worker.go",
	old:   "\t\tif !w.owned {\n\t\t\tw.carry = ErrGoexit\n\t\t}\n",
	new:   "",
	tests: "TestFailures",
}, {
	name: "panic-ends-the-batch-of-a-locked-thread", class: capacity, file: "worker.go",
	old:   "\t\t\tif w.e.locked {\n\t\t\t\treturn false\n\t\t\t}\n",
	new:   "\t\t\tif w.e.locked {\n\t\t\t\tw.mark.Store(0)\n\t\t\t\treturn false\n\t\t\t}\n",
	tests: "TestLockedThread|TestFailures",
}, {
	name: "thief-moves-tasks-after-the-stop", class: leftover, file: "steal.go",
	old:   "\tif w.e.ctl.Load()&ctlStop == 0 {\n\t\tl.moveHalf(own)\n\t\tw.stolen = own.jobs.Len()\n\t}\n",
	new:   "\tl.moveHalf(own)\n\tw.stolen = own.jobs.Len()\n",
	tests: "TestStress|TestAbortHandsChildrenBack", seams: true,
}, {
	name: "keys-are-sorted-after-the-stop", class: leftover, file: "keyed.go",
	old:   "\tif e.ctl.Load()&ctlStop != 0 { // nothing may be put behind its key any more\n\t\td.mu.Unlock()\n\t\treturn false\n\t}\n",
	new:   "",
	tests: "TestStressOperations|TestStressSubmitRacingTheEnd", seams: true,
}, {
	name: "leftover-is-returned-again", class: leftover, file: "shutdown.go",
	old:   "\te.leftover = nil\n",
	new:   "",
	tests: "TestStressLeftoverAfterDone|TestShutdownTable",
}, {
	name: "claimed-task-starts-after-abort", class: leftover, file: "worker.go",
	old:   "\tcase c&ctlStop != 0:\n\t\tw.e.giveBack(w.pos, v)\n\t\treturn\n\tcase c&(ctlRoom",
	new:   "\tcase c&(ctlRoom",
	tests: "TestStress", seams: true,
}, {
	name: "abort-hands-back-one-of-a-chunk", class: leftover, file: "chunk.go",
	old:   "\te.leftover = append(e.leftover, vs...)\n",
	new:   "\te.leftover = append(e.leftover, vs[0])\n",
	tests: "TestShutdownTable|TestStressOperations",
}, {
	name: "task-added-late-is-there-twice", class: leftover, file: "batch.go",
	old:   "\t\tb.buf[b.at] = zero\n\t\tb.count--\n\t\tb.added.Store(b.count)\n",
	new:   "\t\tb.buf[b.at] = zero\n",
	tests: "TestRaceBatcherWithTheEnd|TestBatcherAtTheEnd",
}, {
	name: "failures-leave-with-their-worker", class: counters, file: "places.go",
	old:   "\te.gone.failed += w.failed.Load()\n",
	new:   "",
	tests: "TestFailures|TestStressOperations|TestStressResize",
}, {
	name: "rejected-batch-counts-one-too-many", class: counters, file: "engine.go",
	old:   "return n, e.rejectAll(len(vs)-n-1, err)",
	new:   "return n, e.rejectAll(len(vs)-n, err)",
	tests: "TestSubmitBatch|TestReject|TestStatsAreExactWhenBlocked",
}, {
	name: "kept-task-counts-as-rejected", class: counters, file: "batch.go",
	old:   "\t\t\tb.e.rejected.Add(^uint64(0)) // it is still here\n",
	new:   "",
	tests: "TestBatcherOverflow|TestBatcherWaitsForAWorker|TestBatcherFlushesWhenFull",
}, {
	name: "chunk-counts-as-one", class: counters, file: "chunk.go",
	old:   "\t\tc.accepted += uint64(n - 1)\n",
	new:   "",
	tests: "TestSubmitBatch|TestStressOperations",
}, {
	name: "lent-worker-does-not-run", class: counters, file: "stats.go",
	old:   "return n + uint64(max(0, begun-1)), uint64(min(1, begun))",
	new:   "return n + uint64(max(0, begun-1)), uint64(min(1, max(0, begun-1)))",
	tests: "TestStatsAreExactWhenBlocked|TestStressOperations",
}}
