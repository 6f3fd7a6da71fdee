// Package poolexpvar publishes the statistics of pools with [expvar], as JSON.
//
// It is apart from package pool because importing expvar has an effect: it brings in net/http and
// registers the handler of /debug/vars in [net/http.DefaultServeMux].
//
// When not to use it: where a program has another system for metrics, read Stats from there. A
// published pool shows its numbers to everyone who may get /debug/vars.
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

// A Source has statistics: a [pool.Pool], a [pool.Typed] of any type, or what adds up several of
// them. Stats is called by any number of goroutines at once.
type Source interface{ Stats() pool.Stats }

// A variable is what expvar has under a name, for ever, since nothing can be taken out of it.
type variable struct {
	shown atomic.Pointer[publication] // nil: nothing; written under naming
	last  uint64                      // the number of the last publication, guarded by naming
}

// A publication is one call of Publish. Who may end it keeps the number alone, and so no pool alive.
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

// naming makes the look at what has a name and its change one step. Names belong to the program, and so
// does their lock.
var naming sync.Mutex

// Publish shows p's statistics under name in expvar, and so in /debug/vars: a JSON object with the
// fields of [pool.Stats], by their names, made anew each time that it is read. With what Publish has
// shown under the name before it does not panic, as [expvar.Publish] does, but replaces it. It may be
// called by any number of goroutines.
//
// On success unpublish takes p away again: the name, which expvar cannot forget, then shows null.
// It does nothing after the first call, and nothing to what has replaced p. On failure nothing has
// changed: p is nil, or the name belongs to a variable of somebody else. Who publishes the same name
// with expvar at the same time gets, or causes, the panic of expvar.Publish.
//
// A pool that has ended is still shown, with its last statistics, and what is shown is not collected as
// garbage: unpublish pools that are not there for as long as the program is.
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
