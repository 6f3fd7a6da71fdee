package main

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A chart shows a metric of several rows, which lie on a line, for every contender.
type chart struct {
	file, title, x, y string
	prefix, suffix    string // of the rows' names, around what the x axis shows
	metric            string
	log               bool // y
}

var charts = []chart{
	{"throughput", "Empty tasks, as many workers as processors: less is better", "producers", "ns per task", "procs={n}/N={n}/P=", "", "ns/task", true},
	{"efficiency", "Efficiency against the ideal, one producer: more is better", "work in each task", "efficiency", "work=", "/N={n}/P=1", "efficiency", false},
	{"latency-p50", "From arrival to start, 8 workers, tasks of 2 µs: median", "load", "µs", "load=", "/N=8", "p50 us", true},
	{"latency-p99", "From arrival to start, 8 workers, tasks of 2 µs: 99th percentile", "load", "µs", "load=", "/N=8", "p99 us", true},
}

// drawCharts writes those charts as SVG of which at least two rows were measured, and none of
// the others. It is an error if there is none.
func drawCharts(dir string, measured []*results) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	drawn := 0
	for _, c := range charts {
		ok, err := c.draw(dir, measured)
		if err != nil {
			return fmt.Errorf("-plots: %s: %w", c.file, err)
		}
		if ok {
			drawn++
		}
	}
	if drawn == 0 {
		return fmt.Errorf("-plots: no two rows of throughput, grain or latency were measured")
	}
	return nil
}

// rows returns the rows of the chart, all of which have its metric at m, and what stands for each on the x axis.
func (c chart) rows(measured []*results) (rs []*results, labels []string, m int) {
	for _, r := range measured {
		x, begins := strings.CutPrefix(r.row, here(c.prefix))
		x, ends := strings.CutSuffix(x, here(c.suffix))
		i := slices.IndexFunc(r.metrics, func(m metric) bool { return m.name == c.metric })
		if begins && ends && i >= 0 && x != "0s" && x != "1%" && !slices.Contains(labels, x) {
			rs, labels, m = append(rs, r), append(labels, x), i
		}
	}
	return rs, labels, m
}

func (c chart) draw(dir string, measured []*results) (bool, error) {
	rs, labels, m := c.rows(measured)
	if len(rs) < 2 {
		return false, nil
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	p.NominalX(labels...)
	p.Legend.Top, p.Legend.Left = true, false
	p.Legend.XOffs = vg.Points(110)
	p.Add(plotter.NewGrid())
	least, most := math.Inf(1), math.Inf(-1)
	for k, name := range rs[0].names {
		var points plotter.XYs
		for x, r := range rs {
			y := median(r.series(k, m))
			if math.IsNaN(y) || math.IsInf(y, 0) || c.log && y <= 0 {
				continue
			}
			points = append(points, plotter.XY{X: float64(x), Y: y})
			least, most = min(least, y), max(most, y)
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return false, err
		}
		line.Color, dots.Color, dots.Shape = shade(k, name), shade(k, name), plotutil.Shape(k)
		if ours(name) {
			line.Width, dots.Radius = vg.Points(3), vg.Points(3)
		} else {
			line.Width, dots.Radius = vg.Points(1), vg.Points(2)
			line.Dashes = []vg.Length{vg.Points(float64(2 + k%4)), vg.Points(2)}
		}
		p.Add(line, dots)
		p.Legend.Add(name, line, dots)
	}
	if c.log {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, decades{}
		p.Y.Min, p.Y.Max = least/1.3, most*1.3
	} else {
		p.Y.Min, p.Y.Max = 0, 1.02
	}
	// The legend stands beside the data.
	p.X.Max = float64(len(rs)-1) + 0.05
	return true, save(p, filepath.Join(dir, c.file+".svg"))
}

func save(p *plot.Plot, file string) error {
	const width, height, legend = 7 * vg.Inch, 5 * vg.Inch, 1.7 * vg.Inch
	w, err := draw.NewFormattedCanvas(width+legend, height, "svg")
	if err != nil {
		return err
	}
	c := draw.New(w)
	p.Draw(draw.Crop(c, 0, -legend, 0, 0))
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := w.WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func ours(name string) bool { return strings.HasPrefix(name, "pool") }

// shade returns a colour: red ones for this project's contenders, and for the others those of M. Okabe and
// K. Ito, "Color Universal Design", 2008, which people who are colour-blind can tell apart too.
func shade(k int, name string) color.Color {
	if ours(name) {
		return color.RGBA{230, uint8(40 + k*37%80), 30, 255}
	}
	return peers[k%len(peers)]
}

var peers = []color.RGBA{
	{0, 0, 0, 255}, {86, 180, 233, 255}, {0, 158, 115, 255}, {0, 114, 178, 255},
	{204, 121, 167, 255}, {153, 153, 153, 255}, {120, 94, 0, 255}, {90, 60, 160, 255},
}

// decades ticks a logarithmic axis at 1, 2 and 5 times the powers of ten.
type decades struct{}

func (decades) Ticks(least, most float64) []plot.Tick {
	var ticks []plot.Tick
	for d := math.Pow(10, math.Floor(math.Log10(least))); d <= most; d *= 10 {
		for _, f := range []float64{1, 2, 5} {
			if v := f * d; v >= least && v <= most {
				ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 6, 64)})
			}
		}
	}
	return ticks
}
