package main

// measureBugs are about what is measured, and what reports make of it.
var measureBugs = []bug{{
	name: "next-stamp-is-one-job-late", class: measured, file: "worker.go",
	old:   "w.until = int32(w.stamps[w.stamp].Index - m.Index - 1)",
	new:   "w.until = int32(w.stamps[w.stamp].Index - m.Index)",
	tests: "TestEachTaskIsSampled|TestStampsInABatch",
}, {
	name: "thief-gets-no-stamps", class: measured, file: "internal/batch/batch.go",
	old:   "if m.Index -= at; 0 <= m.Index && m.Index < k {",
	new:   "if m.Index -= at; 0 < m.Index && m.Index < k {",
	tests: "TestMarks", pkg: "./internal/batch",
}, {
	name: "key-loses-its-stamp", class: measured, file: "internal/strand/strand.go",
	old:   "queue.Attr{Key: st.key, Keyed: true, At: it.At}",
	new:   "queue.Attr{Key: st.key, Keyed: true}",
	tests: "TestEachTaskIsSampled",
}, {
	name: "stamp-of-another-position", class: measured, file: "internal/queue/stamp.go",
	old:   "if s := q.stampOf(r, p); s.pos == p+1 {",
	new:   "if s := q.stampOf(r, p); s.pos != 0 {",
	tests: "TestModel", pkg: "./internal/queue",
}, {
	name: "idle-time-counts-as-busy", class: measured, file: "sample.go",
	old:   "\tw.idle.Add(now - w.since.Load())\n",
	new:   "",
	tests: "TestBusy",
}, {
	name: "ended-worker-was-never-busy", class: measured, file: "places.go",
	old:   "\te.busy += w.busyFor(e.now())\n",
	new:   "",
	tests: "TestBusy",
}, {
	name: "wait-for-units-is-work", class: measured, file: "worker.go",
	old:   "\t\tw.began() // the wait for units was none of work\n",
	new:   "",
	tests: "TestBusyWithWeights",
}, {
	name: "quantile-rounds-down", class: measured, file: "internal/hist/hist.go",
	old:   "rank := uint64(math.Ceil(",
	new:   "rank := uint64(math.Floor(",
	tests: "TestQuantile|TestQuantileOfFew", pkg: "./internal/hist",
}, {
	name: "runner-of-a-loop-is-a-task", class: measured, file: "runner.go",
	old:   "r.owner, r.parts = r, true",
	new:   "r.owner = r",
	tests: "TestEachTaskIsSampled",
}, {
	name: "too-few-workers-though-they-compute", class: measured, file: "diagnose.go",
	old:   "v.f > .5 || v.cores > .8*v.procs || v.locked",
	new:   "v.cores > .99*v.procs || v.locked",
	tests: "TestDiagnose",
}}
