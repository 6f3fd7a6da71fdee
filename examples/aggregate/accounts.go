package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/headrace-go/pool"
)

// An account has what the events of a user add up to. It has no lock: the events of a user never overlap.
type account struct {
	user   string
	events int
	cents  int64
	chain  [sha256.Size]byte // of all events, in their order
}

// accounts has the accounts by user. The goroutine that reads the file owns the map; the tasks
// of a user own the user's account.
type accounts map[string]*account

// of returns the user's account.
func (a accounts) of(user string) *account {
	acc := a[user]
	if acc == nil {
		acc = &account{user: user}
		a[user] = acc
	}
	return acc
}

// apply is the work of an event: it adds the amount, and the event to the chain of sums.
func (a *account) apply(cents int64, hashes int) {
	a.events++
	a.cents += cents
	var link [sha256.Size + 8]byte
	binary.LittleEndian.PutUint64(link[sha256.Size:], uint64(cents))
	for range hashes {
		copy(link[:], a.chain[:])
		a.chain = sha256.Sum256(link[:])
	}
}

// sequential is the plain loop.
func sequential(ctx context.Context, name string, s settings) (accounts, error) {
	all := accounts{}
	err := events(name, func(user string, cents int64) error {
		all.of(user).apply(cents, s.hashes)
		return ctx.Err()
	})
	return all, err
}

// An event is a job of the pool.
type event struct {
	account *account
	cents   int64
}

// pooled makes a task of each event, with the user as its key.
func pooled(ctx context.Context, name string, s settings) (accounts, error) {
	p, err := pool.NewTyped(func(_ context.Context, e event) error {
		e.account.apply(e.cents, s.hashes)
		return nil
	}, pool.WithWorkers(s.workers), pool.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	all := accounts{}
	err = events(name, func(user string, cents int64) error {
		return p.SubmitKeyed(ctx, pool.KeyOf(user), event{all.of(user), cents})
	})
	if err != nil {
		p.Abort()
	}
	// The end of each task synchronizes before the return of Close: the accounts may be read.
	return all, errors.Join(err, p.Close())
}

// equal returns an error unless both are the same.
func equal(got, want accounts) error {
	if len(got) != len(want) {
		return fmt.Errorf("got %d users, want %d", len(got), len(want))
	}
	for user, w := range want {
		if g := got[user]; g == nil || *g != *w {
			return fmt.Errorf("%s: got %+v, want %+v", user, g, *w)
		}
	}
	return nil
}

// totals is the sum of all accounts, and the one with the most events.
type totals struct {
	events int
	cents  int64
	hot    account
}

func total(all accounts) (t totals) {
	for _, a := range all {
		t.events += a.events
		t.cents += a.cents
		if a.events > t.hot.events {
			t.hot = *a
		}
	}
	return t
}
