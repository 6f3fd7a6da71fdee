package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// header prints what a reader needs in order to judge the figures.
func header(h *harness) {
	fmt.Fprintf(h.out, "%s  %s %s/%s  GOMAXPROCS=%d  %d CPUs\n", time.Now().Format("2006-01-02 15:04"),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), runtime.NumCPU())
	if m := field("/proc/cpuinfo", "model name"); m != "" {
		kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
		load, _ := os.ReadFile("/proc/loadavg")
		fmt.Fprintf(h.out, "%s, Linux %s, load average %s\n", m,
			strings.TrimSpace(string(kernel)), strings.Join(strings.Fields(string(load))[:3], " "))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		var deps []string
		for _, d := range info.Deps {
			if d.Replace == nil {
				deps = append(deps, d.Path+" "+d.Version)
			}
		}
		fmt.Fprintf(h.out, "%s\n", strings.Join(deps, ", "))
	}
	count := "a striped counter in every task"
	if h.ownCount {
		count = "each contender's own wait"
	}
	fmt.Fprintf(h.out, "%d rounds, queue bound %d, completion by %s, one spin %.2f ns\n",
		h.rounds, h.buffer, count, h.nsPerIter)
	if h.divide > 1 {
		fmt.Fprintf(h.out, "1/%d of the usual time for each measurement: the figures are rougher\n", h.divide)
	}
}

// field returns the value of the first "key : value" line of a file, or "".
func field(file, key string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// machineBusy returns the CPU time that the whole machine has used, with what the
// hypervisor took away.
func machineBusy() (time.Duration, bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(b), "\n")
	// cpu user nice system idle iowait irq softirq steal guest guest_nice
	f := strings.Fields(line)
	if len(f) < 9 {
		return 0, false
	}
	var ticks int64
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, true
}
