//go:build seams

// Package seam widens the windows of lock-free code. Here it yields at random.
package seam

import (
	"math/rand/v2"
	"runtime"
)

// Yield stands where two steps of one goroutine have a window between them that others may hit.
// With the build tag seams it gives way to them in one of four calls, sometimes for longer. Without
// the tag it does nothing, and costs nothing.
func Yield() {
	r := rand.Uint32()
	if r&3 != 0 {
		return
	}
	for range 1 + r>>2&r>>4&7 {
		runtime.Gosched()
	}
}
