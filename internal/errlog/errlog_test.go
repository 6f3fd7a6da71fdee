package errlog

import (
	"errors"
	"sync"
	"testing"
)

// The first errors are kept in their order, and the others counted.
func TestLog(t *testing.T) {
	a, b, c := errors.New("a"), errors.New("b"), errors.New("c")
	for _, test := range []struct {
		limit int
		want  string
		is    []error
	}{
		{0, "", nil},
		{1, "a (and 2 more task errors)", []error{a}},
		{2, "a\nb (and 1 more task errors)", []error{a, b}},
		{3, "a\nb\nc", []error{a, b, c}},
	} {
		l := Log{Limit: test.limit}
		if err := l.Err(); err != nil {
			t.Errorf("limit %d: %v before there was any", test.limit, err)
		}
		if test.limit == 0 {
			continue
		}
		for _, err := range []error{a, b, c} {
			l.Add(err)
		}
		err := l.Err()
		if err == nil || err.Error() != test.want {
			t.Errorf("limit %d: got %q, want %q", test.limit, err, test.want)
		}
		for _, want := range test.is {
			if !errors.Is(err, want) {
				t.Errorf("limit %d: %v is not %v", test.limit, err, want)
			}
		}
	}
}

// Any number of goroutines may add.
func TestStressLog(t *testing.T) {
	l := Log{Limit: 1}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				l.Add(errors.ErrUnsupported)
				_ = l.Err()
			}
		})
	}
	wg.Wait()
	if l.count != 800 || len(l.kept) != 1 {
		t.Errorf("%d, of which %d are kept", l.count, len(l.kept))
	}
}
