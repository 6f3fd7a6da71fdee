package pooldebug

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/headrace-go/pool"
)

// What the page shows of classes, tenants and the rate.

// Class is a class of tasks, see [pool.WithClasses].
type Class struct {
	pool.ClassStats
	// BusyShare is the class's part of the run time of all classes, from 0 to 1, over the time of
	// the report. It counts tasks that have ended in that time.
	BusyShare float64
}

// classes returns the classes of a pool, as they have changed between two snapshots.
func classes(before, now pool.Stats) []Class {
	var all []Class
	var sum time.Duration
	busy := make([]time.Duration, len(now.Classes))
	for i, k := range now.Classes {
		busy[i] = k.Busy
		if i < len(before.Classes) {
			busy[i] -= before.Classes[i].Busy
		}
		sum += busy[i]
	}
	for i, k := range now.Classes {
		all = append(all, Class{k, busy[i].Seconds() / cmp.Or(sum.Seconds(), 1)})
	}
	return all
}

// tenanted is a [Source] that knows its tenants, as pools do.
type tenanted interface {
	Tenants(n int) []pool.TenantStats
}

// tenants returns the largest tenants of p. It returns none for a pool whose tasks are all of
// tenant 0.
func tenants(p Source) []pool.TenantStats {
	q, ok := p.(tenanted)
	if !ok {
		return nil
	}
	all := q.Tenants(mostTenants)
	if len(all) == 1 && all[0].Tenant == 0 {
		return nil
	}
	return all
}

// writeShares writes a line for each class and tenant, and one for the rate.
func (v View) writeShares(w io.Writer) {
	if d := v.Stats.Throttled; d > 0 {
		fmt.Fprintf(w, "throttled for %v\n", brief(d))
	}
	for _, k := range v.Classes {
		fmt.Fprintf(w, "class %q: share %s, %d queued, %d started, busy share %s\n", k.Name, percent(k.Share), k.Queued, k.Started, percent(k.BusyShare))
	}
	for _, n := range v.Tenants {
		fmt.Fprintf(w, "tenant %d: run time %v, %d queued, %d running, %d ended\n", n.Tenant, brief(n.Busy), n.Queued, n.Running, n.Ended)
	}
}
