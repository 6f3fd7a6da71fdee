package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"go.yaml.in/yaml/v2"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/poolprom"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The files are what gen makes.
func TestFiles(t *testing.T) {
	for name, text := range files {
		got, err := os.ReadFile(filepath.Join("..", "..", name))
		must(t, err)
		if !bytes.Equal(got, text()) {
			t.Errorf("%s is not what gen makes: run go run ./internal/gen", name)
		}
	}
}

// ruleFile is the form that Prometheus has for rules.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

func readAlerts(t *testing.T) ruleFile {
	t.Helper()
	var f ruleFile
	must(t, yaml.UnmarshalStrict(alerts(), &f))
	return f
}

// The YAML has the rules, unchanged.
func TestAlerts(t *testing.T) {
	f := readAlerts(t)
	if len(f.Groups) != 1 || len(f.Groups[0].Rules) != 4 {
		t.Fatalf("%+v", f)
	}
	for i, r := range f.Groups[0].Rules {
		want := rules[i]
		if r.Alert != want.name || r.Expr != want.expr || r.For != want.hold ||
			r.Annotations["summary"] != want.summary || r.Annotations["description"] != want.description {
			t.Errorf("%+v, want %+v", r, want)
		}
		if d, err := time.ParseDuration(r.For); err != nil || d <= 0 || r.Labels["severity"] == "" {
			t.Errorf("%s: for %s, labels %v", r.Alert, r.For, r.Labels)
		}
	}
}

// grafana is the part of a dashboard that the tests look at.
type grafana struct {
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, LegendFormat, RefID string }
	}
	Templating struct {
		List []struct {
			Name  string
			Query any
		}
	}
}

func readDashboard(t *testing.T) grafana {
	t.Helper()
	var g grafana
	must(t, json.Unmarshal(dashboard(), &g))
	return g
}

// There are eight panels, none on another, and they use the variables that there are.
func TestDashboard(t *testing.T) {
	g := readDashboard(t)
	if len(g.Panels) != 8 {
		t.Fatalf("%d panels", len(g.Panels))
	}
	for i, p := range g.Panels {
		a := p.GridPos
		for _, q := range g.Panels[:i] {
			b := q.GridPos
			if p.ID == q.ID || a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s and %s are at the same place or have the same number", p.Title, q.Title)
			}
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
	}
	var names []string
	for _, v := range g.Templating.List {
		names = append(names, v.Name)
	}
	for _, m := range regexp.MustCompile(`\$\{?(\w+)`).FindAllSubmatch(dashboard(), -1) {
		if name := string(m[1]); !slices.Contains(names, name) && !strings.HasPrefix(name, "__") {
			t.Errorf("there is no variable %s", name)
		}
	}
}

// known is what a scrape in the text format has: the labels of each series, and their values.
type known map[string]map[string][]string

// scraped returns what a scrape of a pool with weights and classes has.
func scraped(t *testing.T) known {
	t.Helper()
	p, err := pool.New(pool.WithName("mail"), pool.WithCapacity(3), pool.WithClasses(pool.Class{Name: "high"}, pool.Class{Name: "low"}))
	must(t, err)
	defer p.Close()
	reg := prometheus.NewRegistry()
	must(t, reg.Register(poolprom.NewCollector(p)))
	families, err := reg.Gather()
	must(t, err)
	var text strings.Builder
	all := make(known)
	for _, f := range families {
		_, err := expfmt.MetricFamilyToText(&text, f)
		must(t, err)
		if f.GetMetric()[0].GetHistogram() != nil { // the native one has no suffix
			all[f.GetName()] = map[string][]string{"pool": {"mail"}}
		}
	}
	for line := range strings.Lines(text.String()) {
		name, labels, ok := strings.Cut(line, "{")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if all[name] == nil {
			all[name] = make(map[string][]string)
		}
		for _, m := range matcher.FindAllStringSubmatch(labels, -1) {
			all[name][m[1]] = append(all[name][m[1]], m[3])
		}
	}
	return all
}

var (
	// selector is a metric, perhaps with matchers.
	selector = regexp.MustCompile(`\b(workerpool_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)(=~|=|!=|!~)"([^"]*)"`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
	shown    = regexp.MustCompile(`\{\{ ?(?:\$labels\.)?(\w+) ?\}\}`)
	values   = regexp.MustCompile(`\blabel_values\((\w+), (\w+)\)`)
)

// unknown returns what an expression, and texts that show its labels, name that a scrape does not have.
func (k known) unknown(expr string, texts ...string) (bad []string) {
	labels := make(map[string]bool)
	metrics := selector.FindAllStringSubmatch(expr, -1)
	if len(metrics) == 0 {
		bad = append(bad, "no metric in "+expr)
	}
	for _, m := range metrics {
		has := k[m[1]]
		if has == nil {
			bad = append(bad, m[1])
		}
		for label := range has {
			labels[label] = true
		}
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			switch all, ok := has[l[1]]; {
			case !ok:
				bad = append(bad, m[1]+"{"+l[1]+"}")
			case !strings.HasPrefix(l[3], "$") && !slices.Contains(all, l[3]):
				bad = append(bad, m[1]+"{"+l[0]+"}")
			}
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, label := range strings.Split(m[1], ", ") {
			if !labels[label] {
				bad = append(bad, "by ("+label+")")
			}
		}
	}
	for _, text := range texts {
		for _, m := range shown.FindAllStringSubmatch(text, -1) {
			if !labels[m[1]] {
				bad = append(bad, m[0])
			}
		}
	}
	return bad
}

// The files name metrics, labels and values that a scrape has.
func TestNames(t *testing.T) {
	k := scraped(t)
	for _, r := range readAlerts(t).Groups[0].Rules {
		if bad := k.unknown(r.Expr, r.Annotations["summary"], r.Annotations["description"]); bad != nil {
			t.Errorf("%s: there is no %q", r.Alert, bad)
		}
	}
	g := readDashboard(t)
	for _, p := range g.Panels {
		for _, q := range p.Targets {
			if bad := k.unknown(q.Expr, q.LegendFormat); bad != nil {
				t.Errorf("%s: there is no %q", p.Title, bad)
			}
		}
	}
	m := values.FindSubmatch(dashboard())
	if m == nil || k[string(m[1])][string(m[2])] == nil {
		t.Errorf("the variable pool is of %q, which a scrape does not have", m)
	}
}

// The check itself.
func TestUnknown(t *testing.T) {
	k := scraped(t)
	for expr, want := range map[string][]string{
		`sum by (pool, le) (rate(workerpool_wait_seconds_bucket{pool=~"$pool"}[5m]))`: nil,
		`workerpool_rejected_total{reason="full"} > 0`:                                nil,
		`rate(workerpool_wait_seconds[5m])`:                                           nil,
		`workerpool_wait_bucket`:                                                      {"workerpool_wait_bucket"},
		`workerpool_queued{reason="full"}`:                                            {"workerpool_queued{reason}"},
		`workerpool_rejected_total{reason="tired"}`:                                   {`workerpool_rejected_total{reason="tired"}`},
		`sum by (pool, key) (workerpool_queued)`:                                      {"by (key)"},
		`sum by (le) (workerpool_wait_seconds)`:                                       {"by (le)"},
		`up`:                                                                          {"no metric in up"},
	} {
		if got := k.unknown(expr); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
	if got := k.unknown("workerpool_queued", "{{ $labels.pool }} {{reason}} {{ $value | humanize }}"); !slices.Equal(got, []string{"{{reason}}"}) {
		t.Errorf("%q", got)
	}
}
