package main

// featureBugs are about keys, groups, futures, loops and batchers.
var featureBugs = []bug{{
	name: "taken-over-tasks-go-to-the-back", class: keyOrder, file: "hand.go",
	old:   "\t\td.strandLocked(key, it.key).jobs.PushFront(it)\n\t\tif i := key.claim",
	new:   "\t\td.strandLocked(key, it.key).jobs.PushBack(it)\n\t\tif i := key.claim",
	tests: "TestKeyedOrder|TestStressKeyed",
}, {
	name: "new-task-overtakes-its-strand", class: keyOrder, file: "keyed.go",
	old:   "if k.strand != nil || k.owner != nil && !(k.owner == q",
	new:   "if k.owner != nil && !(k.owner == q",
	tests: "TestKeyedOrder|TestStressKeyed",
}, {
	name: "running-task-is-taken-for-over", class: keyOrder, file: "keyed.go",
	old:   "claim&255+1 < c>>8&255 }",
	new:   "claim&255+1 <= c>>8&255 }",
	tests: "TestKeyedOrder|TestStressKeyed|TestStressOperations",
}, {
	name: "waiting-task-gives-its-key-up", class: keyOrder, file: "hand.go",
	old:   "if !running || w.has.Load() != &h.workerQueue {",
	new:   "if !running || h.left() == 0 {",
	tests: "TestKeyedOrder|TestStressOperations",
}, {
	name: "last-error-wins", class: outcome, file: "group.go",
	old:   "if g.err == nil || g.parent.Err() != nil && cancellation(g.err) && !cancellation(err) {",
	new:   "if g.err == nil || !cancellation(err) {",
	tests: "TestGroupKeepsTheFirstError",
}, {
	name: "errors-in-the-order-of-their-ends", class: outcome, file: "group.go",
	old:   "\t\t\tif e.index < i {\n\t\t\t\treturn -1\n\t\t\t}\n\t\t\treturn 1\n",
	new:   "\t\t\treturn -1\n",
	tests: "TestGroupKeepsGoing",
}, {
	name: "group-at-its-limit-takes-one-more", class: limit, file: "group.go",
	old:   "\tfor g.limit >= 0 && g.active >= g.limit {\n",
	new:   "\tfor g.limit >= 0 && g.active > g.limit {\n",
	tests: "TestGroupLimit",
}, {
	name: "done-context-leaves-its-future-open", class: outcome, file: "future.go",
	old:   "\t\tif ctx.Err() != nil {\n\t\t\tu.cancelled()\n\t\t\treturn ctx.Err() // and not the cause of a stop, which looks like an outcome\n\t\t}\n",
	new:   "\t\tif ctx.Err() != nil {\n\t\t\treturn ctx.Err()\n\t\t}\n",
	tests: "TestFutureEndsWithItsContext",
}, {
	name: "loop-takes-one-more-than-its-window", class: limit, file: "foreach.go",
	old:   "if l.added-l.yielded < l.window() || l.over() {",
	new:   "if l.added-l.yielded <= l.window() || l.over() {",
	tests: "TestLoopWindow",
}, {
	name: "loop-ends-beside-a-runner-in-line", class: early, file: "loop.go",
	old:   "\tl.busy.Add(1) // the loop's context is not used after its end\n\tctx, cancel := context.WithCancel(l.ctx)\n\ts.unstick = cancel\n\tl.mu.Lock()\n\tl.stuck = append(l.stuck, s)\n\tl.mu.Unlock()\n\tseam.Yield()\n\tl.signal()  // the driver may take it over\n\tgo func() { // which is no task, so it must not run one: it waits under any policy\n\t\tdefer l.left()\n",
	new:   "\tctx, cancel := context.WithCancel(l.ctx)\n\ts.unstick = cancel\n\tl.mu.Lock()\n\tl.stuck = append(l.stuck, s)\n\tl.mu.Unlock()\n\tseam.Yield()\n\tl.signal()  // the driver may take it over\n\tgo func() { // which is no task, so it must not run one: it waits under any policy\n",
	tests: "TestStressLoops", seams: true,
}, {
	name: "loop-widens-too-soon", class: early, file: "loop.go",
	old:   "\tfor l.finished.Load() != l.added { // what was yielded is counted a moment later\n\t\truntime.Gosched()\n\t}\n",
	new:   "",
	tests: "TestStressLoopWidens", seams: true,
}, {
	name: "loop-on-the-caller-leaves-all-to-runners", class: wakeUp, file: "loop.go",
	old:   "\tcase *callerRun:\n\t\tl.within = ctx\n",
	new:   "",
	tests: "TestLoopOnTheCallerBesideAFullQueue",
}, {
	name: "runner-waits-for-room-alone", class: wakeUp, file: "loop.go",
	old:   "\t\tif r.begin() {\n\t\t\tr.unstick()",
	new:   "\t\tif false {\n\t\t\tr.unstick()",
	tests: "TestLoopTakesOverARunnerThatWaits",
}, {
	name: "batcher-lingers-once", class: batching, file: "batch.go",
	old:   "func (b *batcher[T]) lingered() {\n\tb.armed.Store(false)\n",
	new:   "func (b *batcher[T]) lingered() {\n",
	tests: "TestBatcherLinger|TestBatcherFullAtItsLinger",
}, {
	name: "batcher-gives-up-when-there-is-no-room", class: batching, file: "batch.go",
	old:   "\tif b.pending() { // no room\n\t\tb.arm()\n\t}\n",
	new:   "",
	tests: "TestBatcherLingersAgainWithoutRoom",
}, {
	name: "batcher-adds-to-a-closed-pool", class: batching, file: "batch.go",
	old:   "\tif e.ctl.Load()&ctlClosed != 0 {\n\t\treturn b.late()\n\t}\n",
	new:   "",
	tests: "TestRaceBatcherWithTheEnd|TestBatcherAtTheEnd",
}, {
	name: "batcher-closes-with-tasks-in-it", class: batching, file: "batch.go",
	old:   "\tif err := b.flush(context.Background(), flushAsked); err != nil {\n\t\treturn err\n\t}\n\tb.closed = true\n",
	new:   "\tb.move(flushAsked)\n\tb.closed = true\n",
	tests: "TestBatcherCloseWaitsForRoom",
}, {
	name: "chunk-takes-credit-without-a-slot", class: batching, file: "chunk.go",
	old:   "!r.Room() || r.IsReserved()",
	new:   "!r.Room() && r.IsReserved()",
	tests: "TestBatcherAsksForASlotOnce",
}, {
	name: "slice-of-two-epochs", class: starved, file: "internal/ring/ring.go",
	old:   " || tagIn(seq) != tagIn(first)",
	new:   " || tagIn(seq) > tagIn(first)+Tags",
	tests: "TestSliceOfTwoEpochs",
}, {
	name: "slice-has-the-age-of-its-last-job", class: starved, file: "wait.go",
	old:   "\t\t\tsit.age = max(sit.age, age) //",
	new:   "\t\t\t_ = max(sit.age, age) //",
	tests: "TestKeyedSliceWaitedForItself",
}, {
	name: "claim-lets-what-it-leaves-linger-for-ever", class: starved, file: "worker.go",
	old:   "\tif w.e.collects {\n\t\tw.e.lingers() // what is left behind\n\t}\n",
	new:   "",
	tests: "TestClaimLeavesSomethingToLinger",
}, {
	name: "expiry-leaves-a-token", class: expiry, file: "life.go",
	old:   "\t\tif e.unborn() == before && !e.dropToken() {\n\t\t\te.debt++\n\t\t}\n",
	new:   "\t\t_ = before\n",
	tests: "TestExpiryOfTooManyLeavesNoToken",
}, {
	name: "search-that-ends-with-work-forgets-batchers", class: batching, file: "park.go",
	old:   "\t\tif e.gate.Load()&gateSearch == 0 { // else who searches does it\n\t\t\te.pull(flushIdle)\n\t\t}\n",
	new:   "",
	tests: "TestStressOperations",
}}
