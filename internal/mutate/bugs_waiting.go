package main

// waitingBugs are about which goroutine waits and which wakes it: parking, room, weights, the life
// of workers.
var waitingBugs = []bug{{
	name: "wake-while-trying-is-dropped", class: wakeUp, file: "room.go",
	old:   "\t\tr.Push(b, true)\n\t\tr.waking = false\n",
	new:   "\t\tr.Push(b, true)\n",
	tests: "TestExactlyOnce|TestBlockedSubmit|TestStressOperations",
}, {
	name: "future-ended-before-its-waiter-locked", class: wakeUp, file: "future.go",
	old:   "\tif u.over() {\n\t\tu.lock.Unlock()\n\t\treturn nil\n\t}\n",
	new:   "",
	tests: "TestFuture|TestStress", seams: true,
}, {
	name: "overtaken-waiter-never-reserves", class: starved, file: "room.go",
	old:   "if b.missed == misses {",
	new:   "if b.missed < 0 {",
	tests: "TestBlockedSubmitIsNotStarved",
}, {
	name: "park-no-second-look", class: wakeUp, file: "park.go",
	old:   "if (w.hasWork() || e.buffered()) && e.stopCause == nil || e.endedLocked() {",
	new:   "if e.buffered() && e.stopCause == nil || e.endedLocked() {",
	tests: "TestStressOperations|TestStressTrees|TestStressWait", seams: true,
}, {
	name: "claimed-batch-wakes-nobody", class: wakeUp, file: "worker.go",
	old:   "\t\t\t\te.wakeMore() // others can help, or the task behind the heavy one would be admitted\n",
	new:   "",
	tests: "TestClaimWakesHelp",
}, {
	name: "cancelled-waiter-keeps-the-wake", class: wakeUp, file: "room.go",
	old:   "\t} else {\n\t\tr.waking = false\n\t\tselect {",
	new:   "\t} else {\n\t\tselect {",
	tests: "TestStressOperations|TestBlockedSubmit",
}, {
	name: "batcher-is-forgotten-behind-a-reservation", class: wakeUp, file: "room.go",
	old:   "if held && c.e.idle.Load().Idle() > 0 {",
	new:   "if held && c.e.batchers.wants.Load() && c.e.idle.Load().Idle() < 0 {",
	tests: "TestBatcherBehindAReservation|TestStressOperations",
}, {
	name: "grown-capacity-wakes-nobody", class: wakeUp, file: "internal/units/units.go",
	old:   "\tu.change()\n\tu.now, u.change = context.WithCancel(base)\n}",
	new:   "\t_ = base\n}",
	tests: "TestResizeWithWeights|TestStressOperations",
}, {
	name: "busy-pool-sets-no-timer-after-a-search", class: wakeUp, file: "park.go",
	old:   "\tcase g.Looks() && (e.flags.word.Load() >= flagRoom || e.hasWork(but)):\n\t\te.lookAfter()\n",
	new:   "",
	tests: "TestWatchAfterASearch",
}, {
	name: "runner-leaves-without-a-look", class: wakeUp, file: "runner.go",
	old:   "\t\tif turn = !l.closed.Load() && l.in.Ready() && l.runners.Load() < int64(l.n); turn {\n\t\t\tl.runners.Add(1)\n\t\t}\n",
	new:   "",
	tests: "TestStressLoops|TestMapOrder|TestForEach", seams: true,
}, {
	name: "ended-goroutine-is-not-counted", class: wakeUp, file: "worker.go",
	old:   "if w.b.Load().Running() > 0 { // the task",
	new:   "if b := w.b.Load(); b.Running() > 0 && b.Left() == 0 { // the task",
	tests: "TestStressWait|TestWait",
}, {
	name: "lent-place-is-not-taken-back", class: limit, file: "places.go",
	old:   "\te.reclaimPlace(ended)\n",
	new:   "",
	tests: "TestLentPlacesComeBack|TestStressLimitWithNestedWaits",
}, {
	name: "running-tasks-weigh-nothing", class: limit, file: "weight.go",
	old:   "\t\t\tw.units.Store(1)\n\t\t\tused++\n",
	new:   "\t\t\tw.units.Store(1)\n",
	tests: "TestWeightsStayWithinCapacity|TestStressOperations",
}, {
	name: "one-waits-too-many", class: limit, file: "cell.go",
	old:   "room := int64(c.buffer) - int64(unfinished-waiting)",
	new:   "room := int64(c.buffer) + 1 - int64(unfinished-waiting)",
	tests: "TestBufferIsExact|TestContract$",
}, {
	name: "children-before-the-queue-for-ever", class: starved, file: "steal.go",
	old:   "if int(w.children) < min(ringAfter, w.limit) && w.takeKids(false) {",
	new:   "if w.takeKids(false) {",
	tests: "TestStreamOfChildrenStarvesNobody",
}, {
	name: "cancelled-submission-stays-in-line", class: leak, file: "room.go",
	old:   "\t\t\tc.leaveRoom(b)\n\t\t\treturn nil, endOf(ctx)\n",
	new:   "\t\t\treturn nil, endOf(ctx)\n",
	tests: "TestBlockedSubmitObeysContext|TestStressOperations",
}, {
	name: "reservation-is-not-ended", class: leak, file: "room.go",
	old:   "\tif held {\n\t\tc.queue.Release()\n\t}\n",
	new:   "",
	tests: "TestBlockedSubmitIsNotStarved|TestReservedSubmitObeysContext",
}, {
	name: "holder-ignores-its-context", class: uncancel, file: "room.go",
	old:   "case done == nil:",
	new:   "case done == nil || b.held:",
	tests: "TestReservedSubmitObeysContext",
}, {
	name: "batch-looks-at-its-context-once", class: uncancel, file: "batch.go",
	old:   "if err := e.submitSlow(ctx, &e.main, vs[n], nil); err != nil {",
	new:   "if err := e.submitSlow(context.WithoutCancel(ctx), &e.main, vs[n], nil); err != nil {",
	tests: "TestSubmitBatch|TestBlockedSubmitObeysContext|TestStressOperations",
}, {
	name: "closing-refuses-only-the-first-waiter", class: uncancel, file: "room.go",
	old:   "\tfor b := c.room.First; b != nil; b = b.Next {\n\t\tb.signal()\n\t}\n",
	new:   "\tif b := c.room.First; b != nil {\n\t\tb.signal()\n\t}\n",
	tests: "TestContract$|TestAbortReleasesEveryone|TestStressOperations",
}, {
	name: "expiry-ignores-the-floor", class: expiry, file: "life.go",
	old:   "w != nil && e.live > e.floor && w.restsSince",
	new:   "w != nil && w.restsSince",
	tests: "TestLazyFloor",
}, {
	name: "expiry-counts-from-the-last-to-park", class: expiry, file: "life.go",
	old:   "since = e.parked.First.restsSince",
	new:   "since = e.parked.Last.restsSince",
	tests: "TestExpiryOneByOne",
}, {
	name: "reserved-room-is-used-too", class: limit, file: "internal/queue/reserve.go",
	old:   "\t\tif int64(q.limit.Load()) <= int64(bound)-reserved-n {\n",
	new:   "\t\tif true {\n",
	tests: "TestReserveTakesRoomAway",
}, {
	name: "reserved-place-is-released-twice", class: twice, file: "reserve.go",
	old:   "\tif n := s.left.Swap(0); n > 0 {\n",
	new:   "\tif n := s.left.Load(); n > 0 {\n",
	tests: "TestReserveTakesWhatIsFree",
}, {
	name: "place-comes-back-in-silence", class: wakeUp, file: "reserve.go",
	old:   "\tif e.flags.word.Load() >= flagRoom && c.hasRoom() {\n",
	new:   "\tif false {\n",
	tests: "TestReserveWaits",
}, {
	name: "place-outlives-its-context", class: leak, file: "reserve.go",
	old:   "\t\ts.stop = context.AfterFunc(ctx, s.giveBack)\n",
	new:   "",
	tests: "TestReserveWaits",
}, {
	name: "home-ends-a-job-unseen", class: wakeUp, file: "room.go",
	old:   "\t\tif c.home != nil {\n\t\t\tc.e.roomAtHome()\n\t\t}\n",
	new:   "",
	tests: "TestReserveKeysAndWeights",
}}
