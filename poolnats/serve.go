package poolnats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/headrace-go/pool"
)

// Server runs the jobs of a queue in a pool. [Serve] makes it.
//
// Three goroutines work for it, besides that of the subscription, which calls receive for each
// message: pull makes requests, reserve waits for slots of the pool, and keep extends leases. mu
// guards what they share.
//
// A slot goes round: reserve gets it from the pool and adds it to spare; pull takes it off and
// promises it in a request to the server; a message takes it off what was asked, and Submit gives
// it back to the pool together with the job. What a request has left when it ends is spare again.
// So the open requests never ask for more jobs than there are slots reserved.
type Server[T any] struct {
	q     *Queue
	p     *pool.Typed[*Job[T]]
	inbox string
	sub   *nats.Subscription
	ctx   context.Context // ends when no more jobs are wanted
	end   context.CancelFunc
	wake  chan struct{} // of pull
	need  chan int      // of reserve: how many slots
	full  chan struct{} // of keep: there are many acknowledgments
	quit  chan struct{} // closed when nothing is in hand any more
	work  sync.WaitGroup

	mu       sync.Mutex
	stopping bool
	sources  []source
	next     int    // the source that is the first to get slots
	link     uint64 // counts connections
	slots    []*pool.TypedSlots[*Job[T]]
	spare    int // slots that are not asked for
	inHand   map[*Job[T]]struct{}
	acks     []string // sent, and perhaps not received

	once   sync.Once
	closed error
}

// source is a consumer of the queue. A message does not tell which request it answers, so one
// number says what is asked in all of them. When a request ends the server says how many jobs it
// was short of.
type source struct {
	asked int       // jobs in open requests
	until time.Time // after it these are lost
	after time.Time // no request before that: the last one was rejected
}

const (
	wantPlain = 1024 // the most that is asked of the first source
	wantKeyed = 16   // and of a partition, which gives one at a time
	grace     = 2 * time.Second

	afterRefusal = 250 * time.Millisecond
)

// Serve runs the jobs of q in p until Shutdown. [Handler] makes the handler of p. Serve obeys all
// options of the pool, and others may submit to the pool too. Slots that wait for jobs of the queue
// count as taken for all others, see [pool.Typed.Reserve].
//
// When ctx ends, Serve stops as Shutdown does with a context that has ended.
//
// It backfires with [pool.DropOldest] if others submit to the pool: a dropped job of the queue is
// kept from all processes until this one ends. A large [pool.WithBuffer] keeps jobs waiting in this
// process while another one may be free. Set it to 0 for long jobs.
func Serve[T any](ctx context.Context, q *Queue, p *pool.Typed[*Job[T]]) (*Server[T], error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Server[T]{
		q: q, p: p, inbox: q.nc.NewInbox(), wake: make(chan struct{}, 1), need: make(chan int, 1), full: make(chan struct{}, 1), quit: make(chan struct{}),
		sources: make([]source, q.sources()), inHand: make(map[*Job[T]]struct{}),
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	sub, err := q.nc.Subscribe(s.inbox+".>", s.receive)
	if err != nil {
		return nil, fmt.Errorf("poolnats: Serve: %w", err)
	}
	s.sub = sub
	_ = sub.SetPendingLimits(-1, -1) // requests bound it
	s.work.Go(s.pull)
	s.work.Go(s.reserve)
	go s.keep()
	context.AfterFunc(ctx, func() { _ = s.Shutdown(ctx) })
	return s, nil
}

// signal makes pull look again.
func (s *Server[T]) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// reserve waits for slots when pull wants some.
func (s *Server[T]) reserve() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case n := <-s.need:
			slots, err := s.p.Reserve(s.ctx, n)
			switch {
			case s.ctx.Err() != nil:
				return
			case err != nil: // the pool was closed, or is one that reserves nothing
				go func() { _ = s.Shutdown(context.Background()) }()
				return
			}
			s.mu.Lock()
			s.slots = append(s.slots, slots)
			s.spare += slots.Len()
			s.mu.Unlock()
			s.signal()
		}
	}
}

// pull makes requests.
func (s *Server[T]) pull() {
	for s.ctx.Err() == nil {
		wait := s.ask(time.Now())
		t := time.NewTimer(wait)
		select {
		case <-s.ctx.Done():
		case <-s.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// want returns how many jobs may be asked of a source at a time.
func want(i int) int {
	if i == 0 {
		return wantPlain
	}
	return wantKeyed
}

// ask makes requests for what is spare, and wants more slots if these are too few. It returns when
// to look again.
//
// A source that has an open request gets another one only for at least as many jobs, so that short
// jobs cause a request for many of them and not one for each.
func (s *Server[T]) ask(now time.Time) (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return time.Hour
	}
	wait = s.q.expiry
	var hungry []int
	places := 0
	for k := range s.sources {
		i := (s.next + k) % len(s.sources)
		c := &s.sources[i]
		if c.asked > 0 {
			if now.After(c.until) {
				s.endLocked(i, c.asked)
			} else {
				wait = min(wait, c.until.Sub(now))
			}
		}
		switch {
		case now.Before(c.after):
			wait = min(wait, c.after.Sub(now))
		case c.asked*2 <= want(i):
			hungry = append(hungry, i)
			places += want(i) - c.asked
		}
	}
	expiry := s.q.expiry
	if s.spare < len(hungry) { // others want a turn
		expiry = max(100*time.Millisecond, expiry/10)
	}
	for k, i := range hungry {
		c := &s.sources[i]
		n := min((s.spare+len(hungry)-k-1)/(len(hungry)-k), want(i)-c.asked)
		if n == 0 || n < min(c.asked, want(i)/2) {
			continue
		}
		s.spare -= n
		c.asked += n
		c.until = now.Add(expiry + grace)
		s.next = i + 1
		s.q.counts.requests.Add(1)
		s.publish(i, n, expiry)
		places -= n
	}
	if places > 0 && len(hungry) > 0 {
		select {
		case s.need <- min(places, wantPlain):
		default:
		}
	}
	return max(wait, time.Millisecond)
}

// publish sends a request. Its reply subject says what was asked, for when it ends.
func (s *Server[T]) publish(source, n int, expiry time.Duration) {
	q := s.q
	subject := q.api() + "CONSUMER.MSG.NEXT." + q.name + "." + q.consumer(source)
	reply := fmt.Sprintf("%s.%d.%d.%d", s.inbox, s.link, source, n)
	data := fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, n, expiry)
	_ = q.nc.PublishRequest(subject, reply, data) // if it is lost, its time passes
}

// endLocked ends requests for n jobs.
func (s *Server[T]) endLocked(source, n int) {
	c := &s.sources[source]
	n = min(n, c.asked)
	c.asked -= n
	s.spare += n
}

// receive is called with each message, one after the other.
func (s *Server[T]) receive(m *nats.Msg) {
	if status := m.Header.Get("Status"); status != "" && len(m.Data) == 0 {
		s.refused(m, status)
		return
	}
	j, err := s.jobOf(m)
	if err != nil {
		return // it has no place to answer to
	}
	s.mu.Lock()
	placed := s.placeLocked(&s.sources[j.source])
	stopping := s.stopping
	if placed && !stopping {
		s.inHand[j] = struct{}{}
	}
	hungry := s.sources[j.source].asked*2 <= want(j.source)
	s.mu.Unlock()
	if !placed || stopping {
		s.handBack(j)
		return
	}
	s.q.counts.taken.Add(1)
	if hungry {
		s.signal()
	}
	if err := s.q.codec.Decode(m.Data, &j.value); err != nil {
		s.work.Go(func() {
			s.bury(j, fmt.Errorf("cannot be decoded: %w", err))
			s.forget(j)
			s.mu.Lock()
			s.spare++
			s.mu.Unlock()
			s.signal()
		})
		return
	}
	if err := s.submit(j); err != nil && s.forget(j) {
		s.handBack(j)
	}
}

// refused is called when the server has ended a request, with the rest of what was asked.
func (s *Server[T]) refused(m *nats.Msg, status string) {
	var link uint64
	var source, n int
	if _, err := fmt.Sscanf(m.Subject[len(s.inbox):], ".%d.%d.%d", &link, &source, &n); err != nil || status == "100" {
		return // it is a heartbeat
	}
	if left, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages")); err == nil {
		n = left
	}
	s.mu.Lock()
	if link == s.link {
		if status != "408" && status != "404" { // not its time, and not that there is nothing
			s.sources[source].after = time.Now().Add(afterRefusal)
		}
		s.endLocked(source, n)
	}
	s.mu.Unlock()
	s.signal()
}

// placeLocked takes the slot of a job: off what was asked of its source or, if these requests were
// given up, off what is spare.
func (s *Server[T]) placeLocked(c *source) bool {
	switch {
	case c.asked > 0:
		c.asked--
	case s.spare > 0:
		s.spare--
	default:
		return false
	}
	return true
}

// submit puts a job into one of the slots. Only receive calls it.
func (s *Server[T]) submit(j *Job[T]) error {
	var a pool.Attrs
	if j.source > 0 { // if its lease was lost here, and it runs here still, it comes after itself
		a.Key = uint64(j.source)
	}
	for {
		s.mu.Lock()
		if len(s.slots) == 0 {
			s.mu.Unlock()
			return pool.ErrFull
		}
		first := s.slots[0]
		if first.Len() == 0 {
			s.slots = s.slots[1:]
			s.mu.Unlock()
			continue
		}
		s.mu.Unlock()
		return first.SubmitAs(a, j)
	}
}

// Shutdown takes no more jobs, gives back those that have not started, so that another process
// starts them at once, and lets the others end. It shuts the pool down with ctx: when ctx ends, the
// contexts of running jobs end, and those that then return an error are given back too. It returns
// what [pool.Typed.Shutdown] returns, when everything for the server has been sent. A job that
// continues after that runs again in another process when its lease has expired. A second call
// waits for the first.
func (s *Server[T]) Shutdown(ctx context.Context) error {
	s.once.Do(func() { s.closed = s.shutdown(ctx) })
	return s.closed
}

func (s *Server[T]) shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	var waiting []*Job[T]
	for j := range s.inHand {
		if !j.running {
			waiting = append(waiting, j)
			j.over = true // handed back
			delete(s.inHand, j)
		}
	}
	s.mu.Unlock()
	s.end()
	for _, j := range waiting {
		s.handBack(j)
	}
	s.unsubscribe(ctx)
	s.mu.Lock()
	slots := s.slots
	s.slots, s.spare = nil, 0
	s.mu.Unlock()
	for _, l := range slots {
		l.Release()
	}
	err := s.p.Shutdown(ctx)
	for _, j := range s.p.Leftover() {
		if s.forget(j) {
			s.handBack(j)
		}
	}
	s.flush(grace)
	go func() {
		<-s.p.Done() // keep extends the leases of what still runs until then
		s.work.Wait()
		close(s.quit)
	}()
	if errors.Is(err, pool.ErrClosed) {
		err = nil // somebody else has closed it
	}
	return err
}

// unsubscribe ends the open requests: the server answers none of them any more when it has seen
// that nobody listens. What it has sent before comes to receive, which hands it back.
func (s *Server[T]) unsubscribe(ctx context.Context) {
	done := make(chan struct{})
	s.sub.SetClosedHandler(func(string) { close(done) })
	if s.sub.Drain() != nil {
		return // there is no connection any more
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-done:
	case <-ctx.Done():
		select { // it takes a round trip
		case <-done:
		case <-t.C:
		}
	case <-t.C:
	}
}

// flush waits until the server has got what was sent, and reports whether it has.
func (s *Server[T]) flush(d time.Duration) bool {
	return s.q.nc.IsConnected() && s.q.nc.FlushTimeout(d) == nil
}
