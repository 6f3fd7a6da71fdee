//go:build !unix

package pool

import "time"

// cpuTime is not known here: the rules that need it abstain.
func cpuTime() time.Duration { return 0 }
