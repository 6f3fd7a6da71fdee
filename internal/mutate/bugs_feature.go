package main

// featureBugs are about keys, groups, futures, loops and batchers.
var featureBugs = []bug{{
	name: "last-error-wins", class: outcome, file: "internal/errlog/first.go",
	old:   "if f.Err == nil || f.weak && !cancelled {",
	new:   "if f.Err == nil || !cancelled {",
	tests: "TestGroupKeepsTheFirstError",
}, {
	name: "errors-in-the-order-of-their-ends", class: outcome, file: "internal/errlog/first.go",
	old:   "\t\tif e.index < i {\n\t\t\treturn -1\n\t\t}\n\t\treturn 1\n",
	new:   "\t\treturn -1\n",
	tests: "TestGroupKeepsGoing",
}, {
	name: "group-at-its-limit-takes-one-more", class: limit, file: "group.go",
	old:   "\tfor g.limit >= 0 && g.active >= g.limit {\n",
	new:   "\tfor g.limit >= 0 && g.active > g.limit {\n",
	tests: "TestGroupLimit",
}, {
	name: "done-context-leaves-its-future-open", class: outcome, file: "future.go",
	old:   "\t\t\t\tu.c.refuse(err)\n\t\t\t}\n\t\t\treturn endOf(ctx)",
	new:   "\t\t\t}\n\t\t\treturn endOf(ctx)",
	tests: "TestFutureEndsWithItsContext",
}, {
	name: "loop-takes-one-more-than-its-window", class: limit, file: "foreach.go",
	old:   "if l.added-l.yielded < l.window() || l.over() {",
	new:   "if l.added-l.yielded <= l.window() || l.over() {",
	tests: "TestLoopWindow",
}, {
	name: "loop-ends-beside-a-runner-in-line", class: early, file: "runner.go",
	old:   "\tl.busy.Add(1) // the loop's context is not used after its end\n\tctx, cancel := context.WithCancel(l.ctx)\n\ts.unstick = cancel\n\tl.mu.Lock()\n\tl.stuck = append(l.stuck, s)\n\tl.mu.Unlock()\n\tseam.Yield()\n\tl.signal()  // the driver may take it over\n\tgo func() { // which is no task, so it must not run one: it waits under any policy\n\t\tdefer l.left()\n",
	new:   "\tctx, cancel := context.WithCancel(l.ctx)\n\ts.unstick = cancel\n\tl.mu.Lock()\n\tl.stuck = append(l.stuck, s)\n\tl.mu.Unlock()\n\tseam.Yield()\n\tl.signal()  // the driver may take it over\n\tgo func() { // which is no task, so it must not run one: it waits under any policy\n",
	tests: "TestStressLoops", seams: true,
}, {
	name: "loop-widens-too-soon", class: early, file: "loop.go",
	old:   "\tfor l.finished.Load() != l.added { // what was yielded is counted a moment later\n\t\truntime.Gosched()\n\t}\n",
	new:   "\truntime.Gosched()\n",
	tests: "TestStressLoopWidens", seams: true,
}, {
	name: "loop-on-the-caller-leaves-all-to-runners", class: wakeUp, file: "inline.go",
	old:   "\tcase *callerRun:\n\t\treturn &taskContext[T]{Context: e.base, e: e, caller: s}\n\t}\n\treturn nil",
	new:   "\tcase *callerRun:\n\t\t_ = s\n\t}\n\treturn nil",
	tests: "TestLoopOnTheCallerBesideAFullQueue",
}, {
	name: "runner-waits-for-room-alone", class: wakeUp, file: "loop.go",
	old:   "func(r *runner[T, R]) bool { return r.begin() }",
	new:   "func(r *runner[T, R]) bool { return false }",
	tests: "TestLoopTakesOverARunnerThatWaits",
}, {
	name: "new-task-overtakes-its-strand", class: keyOrder, file: "internal/strand/strand.go",
	old:   "if s.strand != nil || s.owner != nil && s.owner != b && !s.free() {",
	new:   "if s.owner != nil && s.owner != b && !s.free() {",
	tests: "TestKeyedOrder|TestStressKeyed",
}, {
	name: "running-task-is-taken-for-over", class: keyOrder, file: "internal/batch/batch.go",
	old:   "int64((a-b-1)<<shift) >= 0",
	new:   "int64((a-b)<<shift) >= 0",
	tests: "TestKeyedOrder|TestStressKeyed|TestStressOperations",
}, {
	name: "batcher-lingers-once", class: batching, file: "batch.go",
	old:   "\tb.armed = false\n\tn := b.moveLocked(flushLinger)\n",
	new:   "\tn := b.moveLocked(flushLinger)\n",
	tests: "TestBatcherLinger|TestBatcherFullAtItsLinger",
}, {
	name: "batcher-gives-up-when-there-is-no-room", class: batching, file: "batch.go",
	old:   "\tif len(b.buf) > 0 && !b.e.main.queue.IsClosed() { // no room\n\t\tb.armed = true\n\t\tb.timer.Reset(b.e.linger.after)\n\t}\n",
	new:   "",
	tests: "TestBatcherLingersAgainWithoutRoom",
}, {
	name: "batcher-adds-to-a-closed-pool", class: batching, file: "batch.go",
	old:   "\tif e.main.queue.IsClosed() {\n\t\tb.mu.Unlock()\n\t\treturn e.reject(e.errClosed())\n\t}\n",
	new:   "",
	tests: "TestRaceBatcherWithTheEnd|TestBatcherAtTheEnd",
}, {
	name: "batcher-leaves-with-tasks-in-it", class: batching, file: "batch.go",
	old:   "\tif !empty {\n",
	new:   "\tif false && !empty {\n",
	tests: "TestRaceBatcherWithTheEnd|TestStressOperations",
}}
