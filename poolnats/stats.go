package poolnats

import "context"

// Stats says what is in a queue, and what this process has done with it.
type Stats struct {
	// Pending is how many jobs wait in the server: not delivered yet, or given back.
	Pending uint64
	// AckPending is how many jobs processes have in hand.
	AckPending int
	// Redelivered is how many jobs in hand were delivered before.
	Redelivered int
	// Requests is how many requests for jobs are open, of all processes: 0 means that all pools are
	// full.
	Requests int
	// Dead is how many jobs are in the stream of dead jobs.
	Dead uint64

	// Taken is how many deliveries this process has got, and Asked how many requests it has made.
	Taken, Asked uint64
	// Failed is how many deliveries failed, HandedBack how many this process has given back unrun,
	// LeaseLost how many leases it has lost, and Unstarted how many of those jobs had not started.
	Failed, HandedBack, LeaseLost, Unstarted uint64
}

// Stats asks the server, once for each partition.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	c := &q.counts
	s := Stats{
		Taken: c.taken.Load(), Asked: c.requests.Load(), Failed: c.failed.Load(), HandedBack: c.handedBack.Load(),
		LeaseLost: c.leaseLost.Load(), Unstarted: c.unstarted.Load(),
	}
	all := q.stream.ListConsumers(ctx)
	for i := range all.Info() {
		s.Pending += i.NumPending
		s.AckPending += i.NumAckPending
		s.Redelivered += i.NumRedelivered
		s.Requests += i.NumWaiting
	}
	if err := all.Err(); err != nil {
		return s, err
	}
	dead, err := q.js.Stream(ctx, q.dead)
	if err != nil {
		return s, err
	}
	s.Dead = dead.CachedInfo().State.Msgs
	return s, nil
}
