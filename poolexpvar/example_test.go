package poolexpvar_test

import (
	"context"
	"encoding/json"
	"expvar"
	"fmt"
	"log"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/poolexpvar"
)

// What is published is read from /debug/vars, or here, in the program itself.
func ExamplePublish() {
	p, err := pool.New(pool.WithName("mail"), pool.WithWorkers(2), pool.WithBuffer(16))
	if err != nil {
		log.Fatal(err)
	}
	unpublish, err := poolexpvar.Publish("pool.mail", p)
	if err != nil {
		log.Fatal(err)
	}
	defer unpublish()

	ctx := context.Background()
	for range 3 {
		if err := p.Submit(ctx, func(context.Context) error { return nil }); err != nil {
			log.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		log.Fatal(err)
	}

	var s pool.Stats
	if err := json.Unmarshal([]byte(expvar.Get("pool.mail").String()), &s); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d workers, room for %d, %d accepted, %d completed\n", s.Name, s.Workers, s.Buffer, s.Accepted, s.Completed)
	// Output:
	// mail: 2 workers, room for 16, 3 accepted, 3 completed
}
