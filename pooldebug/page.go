package pooldebug

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/headrace-go/pool"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("").Funcs(template.FuncMap{
	"brief": brief, "percent": percent,
	"count": count, "rate": func(x float64) string { return count(uint64(math.Round(x))) },
	"spark": spark, "bars": bars, "key": func(k uint64) string { return label("", k) },
	"clock": func(t time.Time) string { return t.Format(time.TimeOnly) },
	"gain":  gain, "counters": counters,
	"short": func(name string) string { return name[strings.LastIndexByte(name, '/')+1:] },
}).Parse(pageText))

// render executes a template. It fails only if its writer does, whose reader has then gone away.
func render(w io.Writer, name string, views []View) { _ = page.ExecuteTemplate(w, name, views) }

// percent prints a part of 1.
func percent(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }

// brief prints d with three digits at most.
func brief(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

// count prints n with a blank between thousands.
func count(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// counter is a number of tasks and what became of them, or how long they had to wait.
type counter struct{ What, Text string }

func counters(s pool.Stats) (all []counter) {
	for _, c := range []struct {
		what string
		n    uint64
	}{
		{"accepted", s.Accepted}, {"completed", s.Completed}, {"failed", s.Failed}, {"panicked", s.Panicked}, {"goexited", s.Goexited},
		{"skipped", s.Skipped}, {"dropped", s.Dropped}, {"expired", s.Expired}, {"handed back", s.Unrun},
		{"rejected: full", s.Reject.Full}, {"closed", s.Reject.Closed}, {"context", s.Reject.Context}, {"invalid", s.Reject.Invalid},
	} {
		all = append(all, counter{c.what, count(c.n)})
	}
	return append(all, counter{"throttled", brief(s.Throttled)})
}

// gain returns what a finding promises, or nothing.
func gain(f pool.Finding) string {
	if f.Gain[1] <= 1 {
		return ""
	}
	return fmt.Sprintf("%s %.1f to %.1f times better", f.Of, f.Gain[0], f.Gain[1])
}

// spark draws a quantity over the snapshots: throughput, busy or queued.
func (v View) spark(what string) (points []float64) {
	for i := 1; i < len(v.past); i++ {
		a, b := v.past[i-1], v.past[i]
		s := (b.Uptime - a.Uptime).Seconds()
		if s <= 0 {
			continue
		}
		switch what {
		case "throughput":
			over := func(s pool.Stats) uint64 { return s.Completed + s.Failed + s.Panicked + s.Goexited + s.Skipped }
			points = append(points, float64(over(b)-min(over(a), over(b)))/s)
		case "busy":
			points = append(points, (b.Busy-a.Busy).Seconds()/s/float64(max(1, b.Workers)))
		default:
			points = append(points, float64(b.Queued))
		}
	}
	return points
}

const (
	width, height = 240, 48
)

// spark returns a line over the last minutes as SVG.
func spark(v View, what string) template.HTML {
	points := v.spark(what)
	top := 1e-9
	for _, y := range points {
		top = max(top, y)
	}
	if what == "busy" {
		top = 1
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="spark" viewBox="0 0 %d %d" role="img" aria-label="%s over the last minutes"><polyline points="`, width, height, what)
	for i, y := range points {
		x := float64(width)
		if len(points) > 1 {
			x = float64(width) * float64(i) / float64(len(points)-1)
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", x, height-1-(height-2)*min(1, max(0, y/top)))
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()) // made of numbers, and of a name from the template
}

// bars returns a histogram as SVG, with a bar for each power of two.
func bars(h pool.Histogram, what string) template.HTML {
	const first, last = 7, 36 // 128 ns to 64 s
	var counts [last - first + 1]uint64
	most := uint64(1)
	for upper, n := range h.Buckets() {
		i := min(max(int(math.Log2(float64(upper-1)))-first, 0), last-first)
		counts[i] += n
		most = max(most, counts[i])
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="bars" viewBox="0 0 %d %d" role="img" aria-label="%s: %v">`, width, height+14, what, h)
	step := float64(width) / float64(len(counts))
	for i, n := range counts {
		tall := float64(n) / float64(most) * height
		if n > 0 {
			tall = max(tall, 1)
		}
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>up to %s: %d</title></rect>`,
			float64(i)*step, height-tall, step-1, tall, brief(time.Duration(1)<<(first+i+1)), n)
	}
	for _, d := range []time.Duration{time.Microsecond, time.Millisecond, time.Second} {
		x := (math.Log2(float64(d)) - first) * step
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text x="%.1f" y="%d">%v</text>`, x, x, height, height+3, x, height+13, d)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // made of numbers, and of a name from the template
}
