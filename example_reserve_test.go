package pool_test

import (
	"context"
	"fmt"

	"github.com/headrace-go/pool"
)

// A consumer of another queue asks for as many messages as the pool has free slots: no message
// waits here that another process could run.
func ExamplePool_Reserve() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p, err := pool.New(pool.WithWorkers(2), pool.WithBuffer(1))
	if err != nil {
		panic(err)
	}
	queue := []string{"a", "b", "c", "d", "e"}
	fetch := func(most int) (messages []string) { // from a broker, or a table
		n := min(most, len(queue))
		messages, queue = queue[:n], queue[n:]
		return messages
	}
	for len(queue) > 0 {
		slots, err := p.Reserve(ctx, 100)
		if err != nil {
			break // the pool was closed, or ctx has ended
		}
		for range fetch(slots.Len()) {
			if err := slots.Submit(func(context.Context) error { return nil }); err != nil {
				break // hand the message back
			}
		}
		slots.Release() // what the queue had nothing for
	}
	err = p.Close()
	fmt.Println(p.Stats().Completed, "messages", err)
	// Output: 5 messages <nil>
}

func ExampleTyped_Reserve() {
	p, err := pool.NewTyped(func(_ context.Context, n int) error {
		fmt.Println(n)
		return nil
	}, pool.WithWorkers(1), pool.WithBuffer(3))
	if err != nil {
		panic(err)
	}
	slots, err := p.Reserve(context.Background(), 2)
	if err != nil {
		panic(err)
	}
	fmt.Println(slots.Len(), "slots")
	_ = slots.Submit(1)
	_ = slots.SubmitAs(pool.Attrs{Key: 7}, 2)
	slots.Release()
	_ = p.Close()
	// Output:
	// 2 slots
	// 1
	// 2
}
