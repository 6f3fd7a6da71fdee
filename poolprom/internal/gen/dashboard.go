package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// object is one of JSON.
type object = map[string]any

// panel is a graph over time.
type panel struct {
	title, description string
	unit               string // of Grafana
	stacked            bool
	queries            []query
}

type query struct{ expr, legend string }

// The variables of the dashboard are in the matchers.
const (
	selected = `{pool=~"$pool"}`
	window   = "$__rate_interval"
)

var panels = []panel{
	{
		title:       "Wait",
		description: "How long tasks wait from their acceptance to their start. Of a sample of the tasks.",
		unit:        "s",
		queries: []query{
			{quantile(0.5, "workerpool_wait_seconds", selected, window, "pool"), "{{pool}} p50"},
			{quantile(0.99, "workerpool_wait_seconds", selected, window, "pool"), "{{pool}} p99"},
		},
	},
	{
		title:       "Busy share of the workers",
		description: "100 %: all workers have had tasks in hand all the time.",
		unit:        "percentunit",
		queries: []query{
			{sum("pool", rate("workerpool_busy_seconds_total")) + " / " + sum("pool", "workerpool_workers"+selected), "{{pool}}"},
		},
	},
	{
		title:       "Throughput by outcome",
		description: "How many tasks are over a second, by what became of them.",
		unit:        "ops",
		stacked:     true,
		queries:     []query{{sum("pool, outcome", rate("workerpool_tasks_total")), "{{pool}} {{outcome}}"}},
	},
	{
		title:       "Rejected by reason",
		description: "How many tasks a second were not accepted.",
		unit:        "ops",
		stacked:     true,
		queries:     []query{{sum("pool, reason", rate("workerpool_rejected_total")), "{{pool}} {{reason}}"}},
	},
	{
		title:       "Longest running task",
		description: "For how long the task runs that has run for longest, of those that run now.",
		unit:        "s",
		queries:     []query{{"max by (pool) (workerpool_longest_running_seconds" + selected + ")", "{{pool}}"}},
	},
	{
		title:       "Queue and buffer",
		description: "How many tasks are queued, and how many may wait.",
		unit:        "short",
		queries: []query{
			{sum("pool", "workerpool_queued"+selected), "{{pool}} queued"},
			{sum("pool", "workerpool_buffer"+selected), "{{pool}} buffer"},
		},
	},
	{
		title:       "Run time by class",
		description: "How many workers the tasks of each class have kept busy, counted when a task ends. Only of pools with classes.",
		unit:        "short",
		stacked:     true,
		queries:     []query{{sum("pool, class", rate("workerpool_class_busy_seconds_total")), "{{pool}} {{class}}"}},
	},
	{
		title:       "Queued and expired by class",
		description: "How many tasks of each class wait, and how many a second were not started before their deadline. Only of pools with classes.",
		unit:        "short",
		queries: []query{
			{sum("pool, class", "workerpool_class_queued"+selected), "{{pool}} {{class}} queued"},
			{sum("pool, class", rate("workerpool_class_expired_total")), "{{pool}} {{class}} expired/s"},
		},
	},
}

func rate(name string) string { return fmt.Sprintf("rate(%s%s[%s])", name, selected, window) }

func sum(by, expr string) string { return fmt.Sprintf("sum by (%s) (%s)", by, expr) }

// dashboard returns the model of a dashboard: two panels beside each other, in four rows.
func dashboard() []byte {
	const width, height = 12, 8
	source := object{"type": "prometheus", "uid": "${datasource}"}
	var graphs []object
	for i, p := range panels {
		var targets []object
		for j, q := range p.queries {
			targets = append(targets, object{
				"datasource": source, "refId": string(rune('A' + j)), "expr": q.expr, "legendFormat": q.legend,
			})
		}
		stacking := "none"
		if p.stacked {
			stacking = "normal"
		}
		graphs = append(graphs, object{
			"id": i + 1, "type": "timeseries", "title": p.title, "description": p.description,
			"datasource": source, "targets": targets,
			"gridPos": object{"x": i % 2 * width, "y": i / 2 * height, "w": width, "h": height},
			"fieldConfig": object{
				"defaults": object{
					"unit": p.unit, "min": 0,
					"custom": object{"fillOpacity": 10, "stacking": object{"mode": stacking}},
				},
				"overrides": []object{},
			},
			"options": object{
				"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
				"tooltip": object{"mode": "multi"},
			},
		})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(object{
		"title": "Worker pools", "uid": "workerpool", "tags": []string{"workerpool"}, "schemaVersion": 39,
		"editable": true, "refresh": "30s", "timezone": "browser", "time": object{"from": "now-1h", "to": "now"},
		"templating": object{"list": []object{
			{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
			{
				"name": "pool", "label": "Pool", "type": "query", "datasource": source,
				"query":   object{"query": "label_values(workerpool_workers, pool)", "refId": "pool"},
				"refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
				"current": object{"text": "All", "value": "$__all"},
			},
		}},
		"panels": graphs,
	})
	if err != nil {
		panic(err) // all of it is known here
	}
	return b.Bytes()
}
