package errlog

import (
	"errors"
	"testing"
)

// The first error stands, unless it only followed from the end of a context.
func TestFirst(t *testing.T) {
	a, b, c := errors.New("a"), errors.New("b"), errors.New("c")
	type add struct {
		err             error
		cancelled, late bool
	}
	for name, test := range map[string]struct {
		adds []add
		want error
	}{
		"none":                    {nil, nil},
		"two":                     {[]add{{a, false, false}, {b, false, true}}, a},
		"after a consequence":     {[]add{{a, true, true}, {b, false, true}, {c, false, true}}, b},
		"consequences":            {[]add{{a, true, true}, {b, true, true}, {c, false, true}}, c},
		"after a cancelled task":  {[]add{{a, true, false}, {b, false, true}}, a},
		"late, and of its own":    {[]add{{a, false, true}, {b, false, true}}, a},
		"consequences and no end": {[]add{{a, true, true}, {b, true, true}}, a},
	} {
		var f First
		for _, x := range test.adds {
			f.Add(x.err, x.cancelled, x.late)
		}
		if f.Err != test.want {
			t.Errorf("%s: %v, want %v", name, f.Err, test.want)
		}
	}
}

// Errors are told in the order of their index, and the last ones are counted.
func TestOrdered(t *testing.T) {
	a, b, c := errors.New("a"), errors.New("b"), errors.New("c")
	for _, test := range []struct {
		limit int
		adds  []int
		want  string
	}{
		{3, nil, ""},
		{3, []int{2, 0, 1}, "a\nb\nc"},
		{2, []int{2, 0, 1}, "a\nb\npool: and 1 more errors"},
		{1, []int{0, 1, 2}, "a\npool: and 2 more errors"},
	} {
		o := Ordered{Limit: test.limit}
		for _, i := range test.adds {
			o.Add(uint64(i), []error{a, b, c}[i])
		}
		got := ""
		if err := o.Err(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("limit %d, %v: got %q, want %q", test.limit, test.adds, got, test.want)
		}
	}
}
