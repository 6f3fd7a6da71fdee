//go:build unix

package pool

import (
	"syscall"
	"time"
)

// cpuTime returns how much processor time the process has used, or 0.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
