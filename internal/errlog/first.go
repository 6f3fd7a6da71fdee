package errlog

import (
	"errors"
	"fmt"
	"slices"
)

// First keeps the first error. It is not safe for concurrent use.
//
// The error of a context that came after the end of that context is a consequence, so the first
// error of another kind replaces it.
type First struct {
	Err  error
	weak bool // another error takes its place
}

// Add notes an error. cancelled says that it is the error of a context, and late that the context
// had ended before.
func (f *First) Add(err error, cancelled, late bool) {
	if f.Err == nil || f.weak && !cancelled {
		f.Err, f.weak = err, cancelled && late
	}
}

// Ordered keeps errors in the order of their index, the first Limit of them, and counts the others.
// It is not safe for concurrent use.
type Ordered struct {
	Limit int
	kept  []indexed
	more  int
}

type indexed struct {
	index uint64
	err   error
}

// Add notes an error.
func (o *Ordered) Add(index uint64, err error) {
	i, _ := slices.BinarySearchFunc(o.kept, index, func(e indexed, i uint64) int {
		if e.index < i {
			return -1
		}
		return 1
	})
	o.kept = slices.Insert(o.kept, i, indexed{index, err})
	if len(o.kept) > o.Limit {
		o.kept[o.Limit].err = nil
		o.kept = o.kept[:o.Limit]
		o.more++
	}
}

// Err returns what was kept, joined, with the number of the others, or nil.
func (o *Ordered) Err() error {
	errs := make([]error, 0, len(o.kept)+1)
	for _, e := range o.kept {
		errs = append(errs, e.err)
	}
	if o.more > 0 {
		errs = append(errs, fmt.Errorf("pool: and %d more errors", o.more))
	}
	return errors.Join(errs...)
}
