package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/headrace-go/pool"
)

// result is what became of the rows.
type result struct {
	started int           // jobs
	written int           // rows, as the jobs know
	inFile  int           // rows, as the file says
	cutOff  int           // jobs that were interrupted: their rows may be in the file
	wasted  int           // jobs that started after one had failed
	inVain  time.Duration // the time of these
	took    time.Duration
	err     error // of the group
}

// A writer writes rows until its database goes down.
type writer struct {
	store *store
	after int

	mu     sync.Mutex
	failed bool
	result result
}

// shownErrors is how many errors of a group are kept.
const shownErrors = 2

// writeAll writes the rows into a new database, and returns an error if what
// happened is not what has to happen.
func writeAll(ctx context.Context, p *pool.Pool, file string, mode pool.ErrorMode, s settings) (*result, error) {
	st, err := open(ctx, file)
	if err != nil {
		return nil, err
	}
	w := &writer{store: st, after: s.after}
	begin := time.Now()
	g := pool.NewGroup(ctx, p)
	g.SetErrorMode(mode)
	g.SetErrorLimit(shownErrors)
	for id := range s.rows {
		if g.Context().Err() != nil {
			break // nothing that is submitted now would run
		}
		g.Go(func(ctx context.Context) error { return w.job(ctx, id) })
	}
	w.result.err = g.Wait()
	w.result.took = time.Since(begin)
	if err := errors.Join(st.db.Close(), ctx.Err()); err != nil {
		return nil, err
	}
	w.result.inFile, err = count(ctx, file)
	if err != nil {
		return nil, err
	}
	return &w.result, w.result.wrong()
}

// wrong returns an error unless the outage was noticed and the file has what was written.
func (r *result) wrong() error {
	switch {
	case r.err == nil:
		return errors.New("the outage was not noticed")
	case r.inFile < r.written || r.inFile > r.written+r.cutOff:
		return fmt.Errorf("%d rows in the file, but %d were written and %d cut off", r.inFile, r.written, r.cutOff)
	}
	return nil
}

// job makes a document and writes a row about it.
func (w *writer) job(ctx context.Context, id int) error {
	w.mu.Lock()
	w.result.started++
	late := w.failed
	w.mu.Unlock()
	begin := time.Now()
	sum := document(id)
	err := w.store.insert(ctx, id, sum[:])

	w.mu.Lock()
	defer w.mu.Unlock()
	if late {
		w.result.wasted++
		w.result.inVain += time.Since(begin)
	}
	switch {
	case err == nil:
		w.result.written++
		if w.result.written == w.after {
			return w.store.goDown() // the lock is held: every other job writes one row more at most
		}
	case ctx.Err() != nil:
		w.result.cutOff++
	default:
		w.failed = true
		err = fmt.Errorf("row %d: %w", id, err)
	}
	return err
}

// document makes the document with the id, and returns its sum.
func document(id int) [sha256.Size]byte {
	b := make([]byte, 0, 64<<10)
	for i := 0; len(b) < cap(b); i++ {
		b = binary.LittleEndian.AppendUint64(b, uint64(id)*uint64(i))
	}
	return sha256.Sum256(b)
}
