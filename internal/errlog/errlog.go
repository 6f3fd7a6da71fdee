// Package errlog keeps some of many errors.
package errlog

import (
	"errors"
	"fmt"
	"sync"
)

// Log keeps the first Limit errors and counts the others.
type Log struct {
	Limit int

	mu    sync.Mutex
	kept  []error
	count uint64
}

// Add notes an error.
func (l *Log) Add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if len(l.kept) < l.Limit {
		l.kept = append(l.kept, err)
	}
}

// Err returns what was kept, joined, with the number of the others, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		return nil
	}
	err := l.kept[0]
	if len(l.kept) > 1 {
		err = errors.Join(l.kept...)
	}
	if more := l.count - uint64(len(l.kept)); more > 0 {
		return &moreError{err, more}
	}
	return err
}

// moreError is the first of several errors, with the number of the others.
type moreError struct {
	error
	more uint64
}

func (e *moreError) Error() string {
	return fmt.Sprintf("%v (and %d more task errors)", e.error, e.more)
}
func (e *moreError) Unwrap() error { return e.error }
