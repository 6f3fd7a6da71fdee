package poolnats

import (
	"time"

	"github.com/nats-io/nats.go"
)

// Leases. The server counts a lease from when it sends the job, and again from each extension that
// it gets. This process counts it from before it sends the extension, and only if the server has
// answered a ping that was sent after it. So the lease ends here before it ends at the server,
// except for the time that the job takes from the server to here, for which there is a margin.
//
// An extension is sent every third of a lease, for all jobs in hand together. A lease that has a
// sixth left, the margin, is lost: the job's context ends, or the job never starts. So its handler
// has a sixth of a lease to return before another process can have the job.

// margin is how long before its end a lease is lost.
func (q *Queue) margin() time.Duration { return q.lease / 6 }

// confirmEvery bounds how many acknowledgments are sent again after a reconnect, beside those of a
// round trip.
const confirmEvery = 4096

// keep extends leases, and makes sure that acknowledgments arrive.
func (s *Server[T]) keep() {
	nc := s.q.nc
	changed := nc.StatusChanged(nats.CONNECTED)
	defer nc.RemoveStatusListener(changed)
	tick := time.NewTicker(s.q.lease / 12)
	defer tick.Stop()
	link := nc.Stats().Reconnects
	for n := 0; ; n++ {
		ended := false
		select {
		case <-s.quit:
			ended = true
		case <-changed:
		case <-s.full:
		case now := <-tick.C:
			s.mu.Lock()
			s.lapseLocked(now)
			s.mu.Unlock()
		}
		if l := nc.Stats().Reconnects; l != link {
			link = l
			s.reconnected()
			n = 0
		}
		if n%4 == 0 {
			s.extend(link)
		} else {
			s.confirm(link)
		}
		if ended {
			return
		}
	}
}

// extend extends the leases of all jobs in hand. link tells which connection it is.
func (s *Server[T]) extend(link uint64) {
	now := time.Now()
	s.mu.Lock()
	jobs := make([]*Job[T], 0, len(s.inHand))
	for j := range s.inHand {
		jobs = append(jobs, j)
	}
	s.mu.Unlock()
	if !s.q.nc.IsConnected() {
		return
	}
	for _, j := range jobs {
		_ = s.q.nc.Publish(j.reply, []byte("+WPI"))
	}
	if !s.confirm(link) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range jobs {
		if !j.over {
			j.lease = now.Add(s.q.lease)
		}
	}
}

// confirm waits until the server has got all that was sent, if anything has to arrive, and reports
// whether it has, by the same connection.
func (s *Server[T]) confirm(link uint64) bool {
	s.mu.Lock()
	n, idle := len(s.acks), len(s.acks)+len(s.inHand) == 0
	s.mu.Unlock()
	if idle {
		return true
	}
	if !s.flush(s.q.lease/12) || s.q.nc.Stats().Reconnects != link {
		return false
	}
	s.mu.Lock()
	s.acks = append([]string(nil), s.acks[n:]...)
	s.mu.Unlock()
	return true
}

// reconnected is called when there is another connection. What was sent over the old one may be
// lost: acknowledgments are sent again, and requests are made anew. If a request was not lost, its
// jobs take other slots, or are handed back.
func (s *Server[T]) reconnected() {
	s.mu.Lock()
	acks := append([]string(nil), s.acks...)
	s.link++
	for i := range s.sources {
		s.endLocked(i, s.sources[i].asked)
	}
	s.mu.Unlock()
	for _, reply := range acks {
		_ = s.q.nc.Publish(reply, []byte("+ACK"))
	}
	s.signal()
}

// lapseLocked finds leases that are lost.
func (s *Server[T]) lapseLocked(now time.Time) {
	for j := range s.inHand {
		if now.After(j.lease.Add(-s.q.margin())) {
			s.loseLocked(j)
		}
	}
}

// loseLocked notes that the lease of j is lost.
func (s *Server[T]) loseLocked(j *Job[T]) {
	j.over, j.lost = true, true
	delete(s.inHand, j)
	s.q.counts.leaseLost.Add(1)
	if j.running {
		j.cancel(ErrLeaseLost)
	} else {
		s.q.counts.unstarted.Add(1)
	}
}
