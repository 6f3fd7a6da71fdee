// Package poolexpvar publishes the statistics of pools with [expvar], as JSON.
//
// It is separate from package pool because importing expvar has an effect: it brings in net/http
// and registers the handler of /debug/vars in [net/http.DefaultServeMux].
//
// When not to use it: if a program has another system for metrics, read Stats from there. Everyone
// who may get /debug/vars sees the figures of a published pool.
package poolexpvar

import (
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/headrace-go/pool"
)

// Source has statistics: a [pool.Pool], a [pool.Typed] of any type, or a type that adds up several
// of them. Any number of goroutines may call Stats at once.
type Source interface{ Stats() pool.Stats }

// A variable is what expvar keeps under a name, for ever: expvar cannot remove a name.
type variable struct {
	shown atomic.Pointer[publication] // nil: nothing; written under naming
	last  uint64                      // the number of the last publication, guarded by naming
}

// A publication is one call of Publish. The function that ends it keeps only the number, and so
// keeps no pool alive.
type publication struct {
	source Source
	number uint64
}

// String implements [expvar.Var]. Nothing in Stats can fail to be JSON.
func (v *variable) String() string {
	p := v.shown.Load()
	if p == nil {
		return "null"
	}
	b, err := json.Marshal(p.source.Stats())
	if err != nil {
		panic(err)
	}
	return string(b)
}

// naming makes looking up a name and changing it one step. Names belong to the program, and so does
// their lock.
var naming sync.Mutex

// Publish shows p's statistics under name in expvar, and so in /debug/vars: a JSON object with the
// fields of [pool.Stats], by their names, made anew for each read. Publish replaces what an earlier
// call of Publish shows under the name, where [expvar.Publish] panics. Any number of goroutines may
// call it.
//
// On success unpublish takes p away again: the name, which expvar cannot forget, then shows null.
// unpublish does nothing after the first call, and nothing to what has replaced p. On failure
// nothing has changed: p is nil, or the name belongs to a variable of another package. If the
// program publishes the same name with expvar at the same time, expvar.Publish panics.
//
// A pool that has ended is still shown, with its last statistics, and a pool that is shown is not
// collected as garbage: unpublish pools that do not live as long as the program.
func Publish(name string, p Source) (unpublish func(), err error) {
	if p == nil {
		return nil, errors.New("poolexpvar: Publish: pool is nil")
	}
	naming.Lock()
	defer naming.Unlock()
	v := new(variable)
	switch old := expvar.Get(name).(type) {
	case nil:
		expvar.Publish(name, v)
	case *variable:
		v = old
	default:
		return nil, fmt.Errorf("poolexpvar: Publish: the name %q is in use by another variable, a %T", name, old)
	}
	v.last++
	number := v.last
	v.shown.Store(&publication{p, number})
	return func() { v.end(number) }, nil
}

// end ends the publication with the number, if it has not ended.
func (v *variable) end(number uint64) {
	naming.Lock()
	defer naming.Unlock()
	if p := v.shown.Load(); p != nil && p.number == number {
		v.shown.Store(nil)
	}
}
