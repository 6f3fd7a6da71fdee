package main

// fairBugs are about which task is next: tenants, classes, deadlines, limits, rates, and the places
// in which tasks wait.
var fairBugs = []bug{{
	name: "run-time-does-not-count", class: fairness, file: "internal/fair/fair.go",
	old:   "\tf.v += took / f.tenant.share\n",
	new:   "\tf.v += 1 / f.tenant.share\n",
	tests: "TestTenantsShareRunTime",
}, {
	name: "weight-does-not-count", class: fairness, file: "internal/fair/fair.go",
	old:   "\tf.v += took / f.tenant.share\n",
	new:   "\tf.v += took\n",
	tests: "TestTenantsShareRunTime",
}, {
	name: "estimate-is-not-corrected", class: fairness, file: "internal/fair/grant.go",
	old:   "\tt.charge(f, real-(f.charged-left))\n",
	new:   "",
	tests: "TestRealRunTimeCounts", pkg: "./internal/fair",
}, {
	name: "debt-is-forgotten", class: fairness, file: "internal/fair/tenants.go",
	old:   "\tcase f.v > f.class.virtual && f.debt == 0:\n",
	new:   "\tcase f.v > f.class.virtual && f.debt == 1:\n",
	tests: "TestTenantsOneAtATime",
}, {
	name: "tenant-is-spared-twice", class: fairness, file: "internal/fair/tenants.go",
	old:   "if t.tenants[n.id] != n {",
	new:   "if t.tenants == nil {",
	tests: "TestStressFairness",
}, {
	name: "credit-without-share", class: fairness, file: "internal/fair/fair.go",
	old:   "\t\t\tc.credit += c.share * took\n",
	new:   "",
	tests: "TestClasses",
}, {
	name: "credit-stands-still-at-a-limit", class: fairness, file: "internal/fair/fair.go",
	old:   "\t\t\tc.credit = min(c.last, c.credit+c.share*took)\n",
	new:   "",
	tests: "TestClassKeepsCredit",
}, {
	name: "credit-is-not-used-up", class: fairness, file: "internal/fair/fair.go",
	old:   "\t\tc.last = g.est\n\t\tif g.owed {\n",
	new:   "\t\tc.last = g.est\n\t\tif g.owed && n == 0 {\n",
	tests: "TestClasses",
}, {
	name: "limit-is-one-too-many", class: fairness, file: "internal/fair/table.go",
	old:   "return n.limit == 0 || n.running < n.limit",
	new:   "return n.limit == 0 || n.running <= n.limit",
	tests: "TestTenantLimit",
}, {
	name: "end-at-the-limit-wakes-nobody", class: fairness, file: "internal/fair/grant.go",
	old:   "\tif f.tenant.limit > 0 {\n\t\tt.placeAll(f.tenant)\n",
	new:   "\tif f.tenant.limit > 0 && d > 0 {\n\t\tt.placeAll(f.tenant)\n",
	tests: "TestTenantLimit|TestComposition",
}, {
	name: "key-is-not-released", class: fairness, file: "internal/fair/grant.go",
	old:   "\tif g.attr.Keyed {\n\t\tt.release(g.attr.Key)\n",
	new:   "\tif g.attr.Keyed && g.attr.Key == 0 {\n\t\tt.release(g.attr.Key)\n",
	tests: "TestComposition|TestDeadlines",
}, {
	name: "expired-task-keeps-its-key", class: fairness, file: "internal/fair/fair.go",
	old:   "if a.Keyed && !held {",
	new:   "if a.Keyed && held {",
	tests: "TestDeadlines|TestComposition|TestStressFairness",
}, {
	name: "deadline-without-timer", class: fairness, file: "fair.go",
	old:   "\tcase ok && at != x.at:\n",
	new:   "\tcase ok && at < x.at:\n",
	tests: "TestDeadlines|TestRate",
}, {
	name: "expired-is-not-handed-over", class: fairness, file: "batch.go",
	old:   "\tif late {\n\t\te.tellExpired(&e.main)\n\t}\n",
	new:   "\t_ = late\n",
	tests: "TestExpiredMakeRoomForBatcher",
}, {
	name: "late-task-starts", class: fairness, file: "worker.go",
	old:   "\t\tif w.expired() {\n",
	new:   "\t\tif w.expired() && w.weight == 0 {\n",
	tests: "TestStressFairness|TestComposition|TestExpiresAtItsUnits",
}, {
	name: "tokens-beyond-burst", class: fairness, file: "internal/fair/rate.go",
	old:   "r.tokens = min(r.burst, r.tokens+",
	new:   "r.tokens = min(2*r.burst, r.tokens+",
	tests: "TestTokens", pkg: "./internal/fair",
}, {
	name: "called-submitter-calls-nobody", class: fairness, file: "fair.go",
	old:   "\tc.announceFair()\n\tc.fair.Call(c.places())\n",
	new:   "\tc.announceFair()\n",
	tests: "TestStressFairness",
}, {
	name: "called-in-vain-calls-nobody", class: fairness, file: "fair.go",
	old:   "\tc.fair.Call(c.places()) // also of w itself",
	new:   "\t// also of w itself",
	tests: "TestStressFairness", seams: true,
}, {
	name: "call-stays-when-who-was-called-leaves", class: fairness, file: "internal/fair/room.go",
	old:   "\tif t.called == w {\n\t\tt.called = nil\n\t}\n\tw.missed = 0\n",
	new:   "\tw.missed = 0\n",
	tests: "TestStressFairness",
}, {
	name: "overtaken-for-ever", class: fairness, file: "internal/fair/room.go",
	old:   "\t\tw.missed++\n",
	new:   "",
	tests: "TestOvertaken", pkg: "./internal/fair",
}, {
	name: "flood-keeps-others-out", class: fairness, file: "internal/fair/room.go",
	old:   "return t.waiting < 2*places+morePlaces",
	new:   "return t.waiting < places",
	tests: "TestLightTenant",
}, {
	name: "table-changes-and-turns-do-not", class: fairness, file: "fair.go",
	old:   "\t\tc.fair.Look(c.e.now())\n\t\tc.turnsLocked()\n",
	new:   "\t\tc.fair.Look(c.e.now())\n",
	tests: "TestStressFairness",
}, {
	name: "grant-is-taken-over-twice", class: fairness, file: "cell.go",
	old:   " || l.grant.Alone() {",
	new:   " {",
	tests: "TestStressFairness", seams: true,
}}
