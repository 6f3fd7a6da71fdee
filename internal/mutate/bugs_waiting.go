package main

// waitingBugs are about who waits and who wakes: parking, room, weights, the life of workers.
var waitingBugs = []bug{{
	name: "park-no-second-look", class: wakeUp, file: "park.go",
	old:   "if ((w.hasWork() || e.bufferedLocked()) && e.stopCause == nil",
	new:   "if (e.bufferedLocked() && e.stopCause == nil",
	tests: "TestExactlyOnce|TestStressOperations|TestStressTrees",
}, {
	name: "claimed-batch-wakes-nobody", class: wakeUp, file: "worker.go",
	old:   "\tw.mark.Store(m)\n\tw.e.wakeMore()\n\treturn true\n}\n\n// run runs",
	new:   "\tw.mark.Store(m)\n\treturn true\n}\n\n// run runs",
	tests: "TestClaimWakesHelp",
}, {
	name: "cancelled-waiter-keeps-the-wake", class: wakeUp, file: "room.go",
	old:   "if others && e.hasRoom() {",
	new:   "if others && b.queued && e.hasRoom() {",
	tests: "TestStressOperations|TestBlockedSubmit|TestCancelledHeavyTaskWakesOthers",
}, {
	name: "batcher-is-forgotten-behind-a-reservation", class: wakeUp, file: "room.go",
	old:   "others := r.first != nil || holder && e.batching.wants.Load()",
	new:   "others := r.first != nil",
	tests: "TestBatcherBehindAReservation",
}, {
	name: "wake-while-trying-is-dropped", class: wakeUp, file: "room.go",
	old:   "\t\t\tr.push(b, true)\n\t\t\tr.waking = false\n",
	new:   "\t\t\tr.push(b, true)\n",
	tests: "TestExactlyOnce|TestBlockedSubmit|TestStressOperations",
}, {
	name: "place-freed-without-queue-wakes-nobody", class: wakeUp, file: "park.go",
	old:   "\tif e.direct() && e.ctl.Load()&ctlRoom != 0 {\n\t\te.roomMade()\n\t}\n\tif !rests {",
	new:   "\tif !rests {",
	tests: "TestExactlyOnce|TestBlockedSubmitOrder",
}, {
	name: "grown-capacity-wakes-nobody", class: wakeUp, file: "weight.go",
	old:   "\td.grantBackLocked()\n\td.blocked.Store(false)\n\td.mu.Unlock()",
	new:   "\td.grantBackLocked()\n\td.mu.Unlock()",
	tests: "TestResizeWithWeights|TestStressOperations",
}, {
	name: "given-back-weight-wakes-nobody", class: wakeUp, file: "keyed.go",
	old:   "\tif blocked || f.n > 1 || ready {\n",
	new:   "\tif _ = blocked; f.n > 1 || ready {\n",
	tests: "TestFreedWeightWakesOthers",
}, {
	name: "busy-pool-sets-no-timer-after-a-search", class: wakeUp, file: "park.go",
	old:   "\tcase g&gateLook != 0 && (e.hasWork() || e.seated() && !e.sorter.seatsEmpty()):\n\t\te.watch()\n",
	new:   "",
	tests: "TestWatchAfterASearch",
}, {
	name: "credit-in-flight-is-missed", class: wakeUp, file: "credit.go",
	old:   "\t\t\tif e.ctl.Load()&ctlRoom != 0 {\n\t\t\t\te.roomMade() // it was nowhere to be found while it was moved\n\t\t\t}\n",
	new:   "",
	tests: "TestStress", seams: true,
}, {
	name: "second-look-at-the-owner-of-a-key-is-stale", class: wakeUp, file: "keyed.go",
	old:   "\t\th.awaited.Or(bit)\n\t\tf.cursor = h.cursor.Load()\n",
	new:   "\t\th.awaited.Or(bit)\n",
	tests: "TestStress", seams: true,
}, {
	name: "wait-inside-is-not-counted-out", class: wakeUp, file: "wait.go",
	old:   "left.Add(-int64(n)) <= e.insideWait.Load() {",
	new:   "left.Add(-int64(n)) == 0 {",
	tests: "TestNestedWait|TestNestedWaitChain|TestWaitOfTwo|TestStressOperations",
}, {
	name: "future-ended-before-its-waiter-locked", class: wakeUp, file: "future.go",
	old:   "\tif u.c.state.Load() == callEnded {\n\t\tu.lock.Unlock()\n\t\treturn nil\n\t}\n",
	new:   "",
	tests: "TestFuture|TestStress", seams: true,
}, {
	name: "runner-leaves-without-a-look", class: wakeUp, file: "loop.go",
	old:   "\t\tif turn = !l.closed.Load() && l.in.Load().Ready() && l.runners.Load() < int64(l.n); turn {\n\t\t\tl.runners.Add(1)\n\t\t}\n",
	new:   "",
	tests: "TestStressLoops|TestMapOrder|TestForEach", seams: true,
}, {
	name: "token-in-flight-survives-a-shrink", class: limit, file: "park.go",
	old:   "if e.finished || e.debt > 0 {",
	new:   "if e.finished {",
	tests: "TestShrinkWithATokenInFlight",
}, {
	name: "lent-place-is-not-taken-back", class: limit, file: "wait.go",
	old:   "\tw := seat.(*worker[T])\n\te.reclaim(ctx)\n",
	new:   "\tw := seat.(*worker[T])\n",
	tests: "TestLentPlacesComeBack|TestStressLimitWithNestedWaits",
}, {
	name: "running-tasks-weigh-nothing", class: limit, file: "weight.go",
	old:   "if sit := w.sit.Load(); !parked[w] && (sit == nil || !sit.lent) {",
	new:   "if sit := w.sit.Load(); !parked[w] && w.searching && (sit == nil || !sit.lent) {",
	tests: "TestWeightsStayWithinCapacity|TestHandOverBesideTheFirstWeight|TestStressOperations",
}, {
	name: "handed-over-beside-the-first-weight", class: limit, file: "handover.go",
	old:   "\t\tif weight == 0 && e.ctl.Load()&ctlWeighs != 0 {\n\t\t\ts = ring.Broke\n\t\t\treturn\n\t\t}\n",
	new:   "",
	tests: "TestHandOverBesideTheFirstWeight", seams: true, count: 3,
}, {
	name: "batch-ignores-credit", class: limit, file: "internal/ring/ring.go",
	old:   "\t\t\tmost = min(most, t&creditMask>>creditShift)\n",
	new:   "",
	tests: "TestPushAllSpendsCredit", pkg: "./internal/ring",
}, {
	name: "light-tasks-overtake-without-queue", class: starved, file: "handover.go",
	old:   "if !first && e.somebodyWaits() || !e.admitDirect(weight) {",
	new:   "if !e.admitDirect(weight) {",
	tests: "TestHeavyTaskIsNotStarved",
}, {
	name: "overtaken-waiter-never-reserves", class: starved, file: "room.go",
	old:   "if again && b.missed == misses {",
	new:   "if again && b.missed < 0 {",
	tests: "TestBlockedSubmitIsNotStarved",
}, {
	name: "children-before-the-ring-for-ever", class: starved, file: "steal.go",
	old:   "if w.children < min(ringAfter, w.limit) && w.claimChildren(false) {",
	new:   "if w.claimChildren(false) {",
	tests: "TestStreamOfChildrenStarvesNobody",
}, {
	name: "cancelled-submission-stays-in-line", class: leak, file: "room.go",
	old:   "\t\t\tcase <-done:\n\t\t\t\te.leave(b, holder)\n",
	new:   "\t\t\tcase <-done:\n",
	tests: "TestBlockedSubmitObeysContext|TestStressOperations",
}, {
	name: "reservation-is-not-ended", class: leak, file: "room.go",
	old:   "\tif holder {\n\t\te.reserve(false)\n\t}\n",
	new:   "",
	tests: "TestBlockedSubmitIsNotStarved|TestReservedSubmitObeysContext",
}, {
	name: "ending-worker-takes-its-credit-along", class: leak, file: "places.go",
	old:   "\tw.deposit()\n",
	new:   "",
	tests: "TestBufferIsExact|TestStressResize|TestStressOperations",
}, {
	name: "next-batch-forgets-the-credit-of-the-last", class: leak, file: "workerqueue.go",
	old:   "\tq.settle()\n\tq.settled = 0\n",
	new:   "\tq.settled = 0\n",
	tests: "TestChildrenAreBounded|TestStressKeyed|TestStressOperations",
}, {
	name: "holder-ignores-its-context", class: uncancel, file: "room.go",
	old:   "if done := ctx.Done(); done == nil {",
	new:   "if done := ctx.Done(); done == nil || holder {",
	tests: "TestReservedSubmitObeysContext",
}, {
	name: "batch-looks-at-its-context-once", class: uncancel, file: "engine.go",
	old:   "if err := e.submitSlow(ctx, vs[n], nil); err != nil {",
	new:   "if err := e.submitSlow(context.WithoutCancel(ctx), vs[n], nil); err != nil {",
	tests: "TestSubmitBatch|TestBlockedSubmitObeysContext|TestStressOperations",
}, {
	name: "closing-refuses-only-the-first-waiter", class: uncancel, file: "room.go",
	old:   "\tfor b := e.room.first; b != nil; b = b.next {\n\t\tb.signal()\n\t}\n",
	new:   "\tif b := e.room.first; b != nil {\n\t\tb.signal()\n\t}\n",
	tests: "TestContract$|TestAbortReleasesEveryone|TestStressOperations",
}, {
	name: "expiry-ignores-the-floor", class: expiry, file: "life.go",
	old:   "for n < len(e.parked) && e.live > e.floor && e.parked[n].restsSince",
	new:   "for n < len(e.parked) && e.parked[n].restsSince",
	tests: "TestLazyFloor",
}, {
	name: "expiry-counts-from-the-last-to-park", class: expiry, file: "life.go",
	old:   "since = e.parked[0].restsSince",
	new:   "since = e.parked[len(e.parked)-1].restsSince",
	tests: "TestExpiryOneByOne",
}}
