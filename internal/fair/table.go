package fair

import (
	"time"

	"github.com/headrace-go/pool/internal/list"
)

// Attr is what the table knows of a job besides its function.
type Attr struct {
	Key      uint64
	Tenant   uint64
	Units    int64         // of the capacity, 0 is 1
	Deadline time.Duration // before it the job has to start, since the start of the pool; 0: none
	Share    uint32        // the tenant's, 0 is 1
	Limit    uint32        // of the tenant's jobs that run; 0: none
	Class    uint8
	Timeout  bool // Deadline is that of all jobs
	Keyed    bool
}

// Ordered reports whether the job must not run before its turn.
func (a *Attr) Ordered() bool { return a != nil && (a.Keyed || a.Units > 1) }

// alone reports whether the job is claimed alone: what begins later than the job before it may be
// too late.
func (a *Attr) alone() bool { return a.Keyed || a.Units > 1 || a.Limit > 0 || a.Deadline != 0 }

// Job is a job with its tag.
type Job[T any] struct {
	Job T
	Tag int
}

// node is a job that waits.
type node[T any] struct {
	list.Link[node[T]] // in the flow's jobs, or behind its key
	job                T
	attr               Attr
	tag                int
	at                 time.Duration // its stamp, or 0
	flow               *Flow[T]
	held               bool // it stands behind its key
	again              bool // it was claimed before, and returned
	index              int  // in due
}

func (n *node[T]) before(o *node[T]) bool { return n.attr.Deadline < o.attr.Deadline }
func (n *node[T]) place() *int            { return &n.index }

type nodes[T any] = list.List[node[T], *node[T]]

// Flow is the jobs of one tenant and class that wait or run.
type Flow[T any] struct {
	tenant  *tenant[T]
	class   *class[T]
	jobs    nodes[T]
	blocked waiters       // submitters
	waiting int           // jobs, and those behind keys
	running int           // claims that run
	started time.Duration // the sum of the times at which these began
	means   float64       // the sum of what these were expected to take
	charged float64       // for these
	v       float64       // virtual time
	turn    uint64        // orders flows with the same v
	mean    float64       // run time of a job, 0: not known
	index   int           // in class.flows
	debt    int           // index in debts
	line    int           // index in lines
	called  uint64        // orders flows with as many waiting
}

func (f *Flow[T]) before(o *Flow[T]) bool { return f.v < o.v || f.v == o.v && f.turn < o.turn }
func (f *Flow[T]) place() *int            { return &f.index }
func (f *Flow[T]) idle() bool             { return f.waiting == 0 && f.running == 0 }

// debtor is a flow in debts.
type debtor[T any] Flow[T]

func (d *debtor[T]) before(o *debtor[T]) bool { return d.v < o.v }
func (d *debtor[T]) place() *int              { return &d.debt }

// liner is a flow in lines.
type liner[T any] Flow[T]

func (l *liner[T]) before(o *liner[T]) bool {
	return l.waiting < o.waiting || l.waiting == o.waiting && l.called < o.called
}
func (l *liner[T]) place() *int { return &l.line }

type tenant[T any] struct {
	table   *Table[T]
	id      uint64
	share   float64
	limit   uint32
	running uint32 // claims
	busy    time.Duration
	ended   uint64
	flows   []Flow[T] // one for each class
}

func (n *tenant[T]) free() bool { return n.limit == 0 || n.running < n.limit }

type class[T any] struct {
	share   float64
	credit  float64
	last    float64 // what was charged for the last claim
	virtual float64
	flows   heap[Flow[T], *Flow[T]] // from which a job may be claimed
	Counts
}

// Counts is what is counted of a class.
type Counts struct {
	Waiting int
	Started uint64
	Expired uint64
	Busy    time.Duration // of claims that have ended
}

// Table is all jobs that wait.
type Table[T any] struct {
	tenants map[uint64]*tenant[T]
	classes []class[T] // the highest first
	keys    map[uint64]*nodes[T]
	due     heap[node[T], *node[T]]
	debts   heap[debtor[T], *debtor[T]]
	expired []Job[T]
	crowd   waiters                   // submitters whose flows have nothing waiting
	lines   heap[liner[T], *liner[T]] // flows that submitters wait for, or have waited for
	blocked int                       // submitters that wait for these
	called  *Waiter                   // it has not looked yet

	mean    float64 // run time of a job of any flow
	turn    uint64
	waiting int
	running int // claims
	inHand  int // jobs of these, at most
	gone    int // jobs that have expired and still count as accepted
	active  int // flows in which something waits
	peak    int // the most jobs that have waited since Trim

	// Together says that all jobs of a claim begin at once.
	Together bool

	rate    rate
	starved bool // there was no token

	crowdFirst bool
	since      time.Duration
	throttled  time.Duration

	nodes  []*node[T] // for reuse
	spare  []*tenant[T]
	behind []*nodes[T]
}

const (
	maxDebts  = 1024
	maxSpare  = 4096
	maxSettle = 8 // flows whose running jobs are looked at in a claim
	smoothing = 8 // of means: an average over about that many
	tinyMean  = float64(200 * time.Nanosecond)

	fewPlaces  = 16
	morePlaces = 1 << 16
)
