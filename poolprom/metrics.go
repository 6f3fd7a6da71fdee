package poolprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace-go/pool"
)

const (
	prefix     = "workerpool_"
	poolLabel  = "pool"
	classLabel = "class"

	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// family is the series of one name.
type family struct {
	name  string
	kind  prometheus.ValueType
	help  string
	label string // that tells the parts apart; "": there is one part, without a value
	parts []part
}

// part is one series of a family.
type part struct {
	value string // of the label
	of    func(*pool.Stats) float64
}

func one(of func(*pool.Stats) float64) []part { return []part{{"", of}} }

// counts are shown for each pool.
var counts = []family{
	{"workers", gauge, "How many tasks may run at a time.", "",
		one(func(s *pool.Stats) float64 { return float64(s.Workers) })},
	{"goroutines", gauge, "How many workers there are now, running or parked.", "",
		one(func(s *pool.Stats) float64 { return float64(s.Goroutines) })},
	{"worker_starts_total", counter, "How many workers were started.", "",
		one(func(s *pool.Stats) float64 { return float64(s.Starts) })},
	{"busy_seconds_total", counter, "For how long workers have had tasks in hand, all workers together.", "",
		one(func(s *pool.Stats) float64 { return s.Busy.Seconds() })},
	{"buffer", gauge, "How many tasks may wait in the queue.", "",
		one(func(s *pool.Stats) float64 { return float64(s.Buffer) })},
	{"queued", gauge, "How many accepted tasks have not started.", "",
		one(func(s *pool.Stats) float64 { return float64(s.Queued) })},
	{"reserved", gauge, "How many slots are reserved for tasks of a queue outside the process, and not used yet.", "",
		one(func(s *pool.Stats) float64 { return float64(s.Reserved) })},
	{"running", gauge, "How many tasks have started and not ended.", "",
		one(func(s *pool.Stats) float64 { return float64(s.Running) })},
	{"throttled_seconds_total", counter, "For how long tasks have waited for nothing but the rate (WithRate).", "",
		one(func(s *pool.Stats) float64 { return s.Throttled.Seconds() })},
	{"longest_running_seconds", gauge, "For how long the task runs that has run for longest, of those that run now.", "",
		one(func(s *pool.Stats) float64 { return s.Longest.Seconds() })},
	{"accepted_total", counter, "How many tasks were accepted.", "",
		one(func(s *pool.Stats) float64 { return float64(s.Accepted) })},
	{"rejected_total", counter, "How many tasks were not accepted, by the reason: the pool was full or closed, the context was done, or the submission was invalid.", "reason",
		[]part{
			{"full", func(s *pool.Stats) float64 { return float64(s.Reject.Full) }},
			{"closed", func(s *pool.Stats) float64 { return float64(s.Reject.Closed) }},
			{"context", func(s *pool.Stats) float64 { return float64(s.Reject.Context) }},
			{"invalid", func(s *pool.Stats) float64 { return float64(s.Reject.Invalid) }},
		}},
	{"tasks_total", counter, "How many accepted tasks are over, by what became of them.", "outcome",
		[]part{
			{"completed", func(s *pool.Stats) float64 { return float64(s.Completed) }},
			{"failed", func(s *pool.Stats) float64 { return float64(s.Failed) }},
			{"panicked", func(s *pool.Stats) float64 { return float64(s.Panicked) }},
			{"goexited", func(s *pool.Stats) float64 { return float64(s.Goexited) }},
			{"skipped", func(s *pool.Stats) float64 { return float64(s.Skipped) }},
			{"dropped", func(s *pool.Stats) float64 { return float64(s.Dropped) }},
			{"expired", func(s *pool.Stats) float64 { return float64(s.Expired) }},
			{"unrun", func(s *pool.Stats) float64 { return float64(s.Unrun) }},
		}},
}

// weights are shown for a pool with a capacity.
var weights = []family{
	{"capacity", gauge, "What the weights of running tasks may add up to. Only for a pool with weights.", "",
		one(func(s *pool.Stats) float64 { return float64(s.Capacity) })},
	{"units", gauge, "What the weights of running tasks add up to. Only for a pool with weights.", "",
		one(func(s *pool.Stats) float64 { return float64(s.Units) })},
}

// classes are shown for each class of a pool. Tenants are too many for labels.
var classes = []struct {
	name string
	kind prometheus.ValueType
	help string
	of   func(*pool.ClassStats) float64
}{
	{"class_queued", gauge, "How many tasks of the class wait. Only for a pool with classes.",
		func(s *pool.ClassStats) float64 { return float64(s.Queued) }},
	{"class_started_total", counter, "How many tasks of the class were started. Only for a pool with classes.",
		func(s *pool.ClassStats) float64 { return float64(s.Started) }},
	{"class_expired_total", counter, "How many tasks of the class were not started before their deadline. Only for a pool with classes.",
		func(s *pool.ClassStats) float64 { return float64(s.Expired) }},
	{"class_busy_seconds_total", counter, "For how long tasks of the class have run that have ended. Only for a pool with classes.",
		func(s *pool.ClassStats) float64 { return s.Busy.Seconds() }},
}

// histograms are shown for each pool.
var histograms = []struct {
	name, help string
	of         func(*pool.Stats) pool.Histogram
}{
	{"room_seconds", "For how long submissions were blocked for want of room: each of them, unless sampling is off (WithSampling(0)).",
		func(s *pool.Stats) pool.Histogram { return s.Room }},
	{"wait_seconds", "How long tasks waited from their acceptance to their start: a sample of the tasks (WithSampling), by default one in 64, so the count is not the number of tasks.",
		func(s *pool.Stats) pool.Histogram { return s.Wait }},
	{"run_seconds", "How long tasks ran: a sample of the tasks (WithSampling), by default one in 64, so the count is not the number of tasks.",
		func(s *pool.Stats) pool.Histogram { return s.Run }},
}
