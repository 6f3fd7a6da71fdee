package pool_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/headrace-go/pool"
)

// A report says whether the pool is the bottleneck, and which option to change. Here the tasks wait
// for a database, and there are too few workers.
func ExamplePool_Report() {
	p, err := pool.New(pool.WithWorkers(2), pool.WithSampling(1))
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	for range 400 {
		_ = p.Submit(ctx, func(ctx context.Context) error {
			select { // asks a database
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
			return nil
		})
	}
	report, err := p.Report(ctx, 300*time.Millisecond)
	if err != nil {
		panic(err)
	}
	text := report.String() // a few lines, such as: too few workers, tasks wait: Resize(8)
	fmt.Println("the first one has the throughput:", strings.Contains(text, "tasks/s"))
	fmt.Println("watched for 300 ms:", report.Window >= 300*time.Millisecond)
	p.Abort()
	_ = p.Close()
	// Output:
	// the first one has the throughput: true
	// watched for 300 ms: true
}

// A program can keep snapshots, and compare them later.
func ExampleDiagnose() {
	p, err := pool.New(pool.WithName("mail"))
	if err != nil {
		panic(err)
	}
	before := p.Observe()
	_ = p.Submit(context.Background(), func(context.Context) error { return nil })
	_ = p.Wait(context.Background())
	after := p.Observe()
	fmt.Println("something was done:", pool.Diagnose(before, after).Throughput > 0)
	fmt.Println(pool.Diagnose(after, before))
	_ = p.Close()
	// Output:
	// something was done: true
	// pool "mail": no report: the snapshots are in the wrong order
}

// Reports watches several pools in the same window.
func ExampleReports() {
	var pools []pool.Source
	for _, name := range []string{"mail", "thumbnails"} {
		p, err := pool.New(pool.WithName(name))
		if err != nil {
			panic(err)
		}
		defer p.Close()
		pools = append(pools, p)
	}
	reports, err := pool.Reports(context.Background(), 10*time.Millisecond, pools...)
	if err != nil {
		panic(err)
	}
	for _, r := range reports {
		fmt.Println(r.Name, r.Throughput)
	}
	// Output:
	// mail 0
	// thumbnails 0
}

// Which tasks run, and for how long.
func ExampleTyped_RunningTasks() {
	begun, release := make(chan struct{}), make(chan struct{})
	p, err := pool.NewTyped(func(context.Context, string) error {
		close(begun)
		<-release
		return nil
	})
	if err != nil {
		panic(err)
	}
	_ = p.SubmitKeyed(context.Background(), 42, "ada")
	<-begun
	for _, t := range p.RunningTasks(10, false) {
		fmt.Println("key", t.Key, t.Age > 0)
	}
	close(release)
	_ = p.Close()
	// Output:
	// key 42 true
}

// A snapshot of the whole process.
func ExampleReadProcess() {
	p := pool.ReadProcess()
	fmt.Println(p.Procs > 0, p.Running > 0)
	// Output: true true
}
