package main

import (
	"fmt"
	"strconv"
	"strings"
)

// alert is a rule of Prometheus.
type alert struct {
	name, why   string
	expr        string
	hold        string // for how long expr has to hold
	summary     string
	description string
}

var rules = []alert{
	{
		name: "WorkerPoolWaitHigh",
		why:  "Tasks wait long for a worker. Set the bound, 1 s, to what your service can bear.",
		expr: "(" + quantile(0.99, "workerpool_wait_seconds", "", "5m", "") + ") > 1",
		hold: "10m",

		summary:     "Tasks of pool {{ $labels.pool }} wait too long",
		description: "One in a hundred tasks waits for {{ $value | humanizeDuration }} or longer before it starts.",
	},
	{
		name: "WorkerPoolSaturated",
		why:  "The pool is the bottleneck: all workers are busy all the time, and tasks are always queued.",
		expr: "rate(workerpool_busy_seconds_total[5m]) / workerpool_workers > 0.95 and min_over_time(workerpool_queued[5m]) > 0",
		hold: "10m",

		summary:     "Pool {{ $labels.pool }} is always busy, and tasks are queued",
		description: "Workers are busy for {{ $value | humanizePercentage }} of the time. Add workers if the machine has processors to spare, or submit less.",
	},
	{
		name: "WorkerPoolTaskStuck",
		why:  "A task has run for much longer than tasks should. Set the bound, 5 minutes, above your longest task.",
		expr: "workerpool_longest_running_seconds > 300",
		hold: "1m",

		summary:     "A task of pool {{ $labels.pool }} does not end",
		description: "A task has run for {{ $value | humanizeDuration }}, and keeps its worker from other tasks.",
	},
	{
		name: "WorkerPoolRejecting",
		why:  "Tasks are not accepted. A closed pool is left out: a program that ends closes its pools.",
		expr: `rate(workerpool_rejected_total{reason!="closed"}[5m]) > 0`,
		hold: "5m",

		summary:     "Pool {{ $labels.pool }} does not accept all tasks",
		description: "{{ $value | humanize }} tasks a second are not accepted, for the reason {{ $labels.reason }}.",
	},
}

// alerts returns a file of rules. A quoted string is the same in Go and in YAML here: all of it is
// ASCII.
func alerts() []byte {
	var b strings.Builder
	b.WriteString("# Made by internal/gen. Change the rules there, or copy this file and change the copy.\n")
	b.WriteString("groups:\n  - name: workerpool\n    rules:\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "      # %s\n", r.why)
		fmt.Fprintf(&b, "      - alert: %s\n", r.name)
		fmt.Fprintf(&b, "        expr: %s\n", strconv.Quote(r.expr))
		fmt.Fprintf(&b, "        for: %s\n", r.hold)
		fmt.Fprintf(&b, "        labels:\n          severity: warning\n")
		fmt.Fprintf(&b, "        annotations:\n          summary: %s\n", strconv.Quote(r.summary))
		fmt.Fprintf(&b, "          description: %s\n", strconv.Quote(r.description))
	}
	return []byte(b.String())
}
