// Package pooldebug shows pools on a web page: what they do, how long tasks wait and run, whether a
// pool is the bottleneck and which option to change, and which tasks have run longest. It needs
// only net/http, has no files beside the program, and registers nothing by itself:
//
//	mux.Handle("/debug/pool", pooldebug.Handler(p))
//
// It backfires on a port that everybody can reach: the page shows the names of pools and functions,
// keys, and stack traces.
package pooldebug

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"
	"weak"

	"github.com/headrace-go/pool"
)

// Source is what the page shows: a [pool.Pool], or a [pool.Typed] of any type. If a source has
// their method Tenants, the page shows its tenants too.
type Source interface {
	pool.Source
	RunningTasks(n int, stacks bool) []pool.RunningTask
	Done() <-chan struct{}
}

const (
	every       = time.Second // between two snapshots, at least
	kept        = 300         // snapshots
	mostTasks   = 10          // that are listed for a pool
	mostTenants = 10          // of these too
	// reported is how far back the snapshot is that a report compares with.
	reported = 10 * time.Second
)

// Handler returns a handler that shows pools, in the order of the arguments. It answers GET:
//
//	(nothing)      an HTML page that follows the pools: once a second, as long as it is open
//	?format=json   a JSON array with an object for each pool: Stats, Report, Running and more, see [View]
//	?format=text   a few lines for each pool
//	&stacks=1      in all formats: the stack traces of the tasks that have run longest
//
// Rates and findings are about the time since the latest snapshot that is at least ten seconds old
// or, if there is none, since Handler was called. Histograms and counters are about the time since
// the pool was made. The lines show up to five minutes. The handler takes snapshots only while
// somebody looks: no goroutine and no timer runs in between.
//
// An open page keeps [http.Server.Shutdown] waiting, as any open request does.
//
// Handler keeps no pool alive: a pool that has ended is shown with its last figures, and can be
// collected as garbage. Handler panics if a pool is nil, or if there is none. Any number of
// goroutines may use the handler.
func Handler(pools ...Source) http.Handler {
	if len(pools) == 0 {
		panic("pooldebug: Handler: no pool is given")
	}
	h := &handler{}
	for i, p := range pools {
		v := reflect.ValueOf(p)
		if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			panic(fmt.Sprintf("pooldebug: Handler: pool is nil, at index %d", i))
		}
		w := watch(p)
		w.past, w.at = []pool.Stats{p.Observe()}, []time.Time{time.Now()} // what the first look is compared with
		h.watched = append(h.watched, w)
	}
	return h
}

type handler struct {
	mu      sync.Mutex // guards the rest
	watched []*watched
}

// watched is a pool and its history.
type watched struct {
	get  func() Source // nil once the pool is no more
	past []pool.Stats  // the oldest first
	at   []time.Time   // when they were taken
	long []named       // tasks that have run for long
}

// named is a task that has run for longer than longTask, and its name.
type named struct {
	begun time.Time
	name  string
}

const (
	// longTask is how long a task has to run before the page shows its name. The handler learns the
	// name once: that takes a look at all goroutines, which stops the program, see
	// pool.RunningTasks.
	longTask = time.Second
	// sameTask is how far apart two estimates of the start of a task may be.
	sameTask = 5 * time.Millisecond
)

// watch returns a watched that does not keep p alive, if p is a pool and not a type of the user's
// own.
func watch(p Source) *watched {
	v := reflect.ValueOf(p)
	if v.Kind() != reflect.Pointer || v.Type().Elem().PkgPath() != reflect.TypeFor[pool.Stats]().PkgPath() {
		return &watched{get: func() Source { return p }}
	}
	t, w := v.Type().Elem(), weak.Make((*byte)(v.UnsafePointer()))
	return &watched{get: func() Source {
		at := w.Value()
		if at == nil {
			return nil
		}
		return reflect.NewAt(t, unsafe.Pointer(at)).Interface().(Source)
	}}
}

// View is what a look shows of a pool.
type View struct {
	Stats   pool.Stats
	Report  pool.Report
	Running []pool.RunningTask
	// Classes are the classes of the pool, the highest first.
	Classes []Class `json:",omitempty"`
	// Tenants are those that have used most run time, of those that have tasks in the pool.
	Tenants []pool.TenantStats `json:",omitempty"`
	// Ended says that nothing of the pool runs any more.
	Ended bool
	// Resizes are the last changes of the number of workers, the latest first.
	Resizes []Resize `json:",omitempty"`

	past []pool.Stats
}

// Resize is a change of the number of workers between two snapshots.
type Resize struct {
	At       time.Time
	From, To int
}

// views returns a view of each pool. It takes new snapshots unless the last ones are newer than
// every.
func (h *handler) views(stacks bool) []View {
	h.mu.Lock()
	defer h.mu.Unlock()
	views := make([]View, len(h.watched))
	for i, w := range h.watched {
		views[i] = w.view(stacks)
	}
	return views
}

func (w *watched) view(stacks bool) (v View) {
	p := w.get()
	now := time.Now()
	if n := len(w.past); p != nil && (n == 1 || now.Sub(w.at[n-1]) >= every*9/10) {
		if n == kept {
			w.past, w.at = slices.Clone(w.past[1:]), slices.Clone(w.at[1:]) // somebody may still be drawing the old ones
		}
		w.past, w.at = append(w.past, p.Observe()), append(w.at, now)
	}
	n := len(w.past)
	v.past = w.past[:n:n]
	v.Stats = w.past[n-1]
	from := max(0, n-2)
	for from > 0 && w.at[n-1].Sub(w.at[from]) < reported {
		from--
	}
	v.Report = pool.Diagnose(w.past[from], v.Stats)
	v.Classes = classes(w.past[from], v.Stats)
	for i := n - 1; i > 0 && len(v.Resizes) < 5; i-- {
		if a, b := w.past[i-1].Workers, w.past[i].Workers; a != b {
			v.Resizes = append(v.Resizes, Resize{w.at[i], a, b})
		}
	}
	if p == nil {
		v.Ended = true
		return v
	}
	select {
	case <-p.Done():
		v.Ended = true
	default:
		v.Running, v.Tenants = w.running(p, stacks), tenants(p)
	}
	return v
}

// running returns the tasks that have run longest, with the names of those that have run for longer
// than longTask.
func (w *watched) running(p Source, stacks bool) []pool.RunningTask {
	if stacks {
		return p.RunningTasks(mostTasks, true)
	}
	tasks, now := p.RunningTasks(mostTasks, false), time.Now()
	if w.name(tasks, now) {
		return tasks
	}
	tasks, now, w.long = p.RunningTasks(mostTasks, true), time.Now(), nil
	for i := range tasks {
		t := &tasks[i]
		if t.Stack = ""; t.Age >= longTask {
			w.long = append(w.long, named{now.Add(-t.Age), t.Name})
		}
	}
	return tasks
}

// name gives the tasks that have run for longer than longTask their names. It reports false if it
// does not know one.
func (w *watched) name(tasks []pool.RunningTask, now time.Time) bool {
	for i := range tasks {
		t := &tasks[i]
		if t.Age < longTask {
			break // they are in the order of their ages
		}
		at := slices.IndexFunc(w.long, func(n named) bool { return now.Add(-t.Age).Sub(n.begun).Abs() < sameTask })
		if at < 0 {
			return false
		}
		t.Name = w.long[at].name
	}
	return true
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	q := r.URL.Query()
	stacks := q.Get("stacks") == "1"
	w.Header().Set("Cache-Control", "no-store")
	switch format := q.Get("format"); format {
	case "":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		render(w, "page", h.views(stacks))
	case "json":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(h.views(stacks)) // only the client can fail
	case "text":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for _, v := range h.views(stacks) {
			fmt.Fprint(w, v.text())
		}
	case "stream":
		h.stream(w, r, stacks)
	default:
		http.Error(w, fmt.Sprintf("format=%q: there are json and text", format), http.StatusBadRequest)
	}
}

// stream sends the page's content each second, as server-sent events, until the client goes away.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, stacks bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Time{}) // it lasts as long as the page is open; not every server has one
	t := time.NewTicker(every)
	defer t.Stop()
	var b bytes.Buffer
	for {
		b.Reset()
		render(&b, "pools", h.views(stacks))
		for line := range strings.Lines(b.String()) {
			fmt.Fprintf(w, "data: %s\n", strings.TrimRight(line, "\n"))
		}
		fmt.Fprint(w, "\n")
		if c.Flush() != nil {
			return
		}
		select {
		case <-t.C:
		case <-r.Context().Done():
			return
		}
	}
}

// text returns the view as a few lines.
func (v View) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n%v\n", v.Stats, v.Report)
	v.writeShares(&b)
	for _, t := range v.Running {
		fmt.Fprintf(&b, "running for %v%s%s\n", t.Age.Round(time.Millisecond), label(" key ", t.Key), label(" ", t.Name))
		if t.Stack != "" {
			fmt.Fprintf(&b, "%s\n", t.Stack)
		}
	}
	b.WriteString("\n")
	return b.String()
}

// label returns what followed by v, or nothing if v is zero.
func label[V comparable](what string, v V) string {
	var zero V
	if v == zero {
		return ""
	}
	if k, ok := any(v).(uint64); ok {
		return fmt.Sprintf("%s%#x", what, k)
	}
	return fmt.Sprint(what, v)
}
