package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// summary is the answer: what a log says.
type summary struct {
	lines, bad int
	bytes      int64
	status     map[int]int
	paths      map[string]int
}

func newSummary() *summary {
	return &summary{status: map[int]int{}, paths: map[string]int{}}
}

// add counts a line, and computes for the time work.
func (s *summary) add(line string, work time.Duration) {
	if work > 0 {
		for begin := time.Now(); time.Since(begin) < work; {
		}
	}
	s.lines++
	path, status, size, ok := parse(line)
	if !ok {
		s.bad++
		return
	}
	s.bytes += size
	s.status[status]++
	s.paths[path]++
}

// parse takes a line apart: host ident user [time] "method path protocol" status bytes.
func parse(line string) (path string, status int, size int64, ok bool) {
	_, rest, ok := strings.Cut(line, `] "`)
	if !ok {
		return "", 0, 0, false
	}
	request, rest, ok := strings.Cut(rest, `" `)
	if !ok {
		return "", 0, 0, false
	}
	_, path, ok = strings.Cut(request, " ")
	if !ok {
		return "", 0, 0, false
	}
	path, _, _ = strings.Cut(path, " ")
	path, _, _ = strings.Cut(path, "?")
	code, rest, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil {
		return "", 0, 0, false
	}
	count, _, _ := strings.Cut(rest, " ")
	if count == "-" {
		return path, status, 0, true
	}
	size, err = strconv.ParseInt(count, 10, 64)
	return path, status, size, err == nil
}

// total adds up the parts.
func total(parts []*summary) *summary {
	sum := newSummary()
	for _, p := range parts {
		sum.lines += p.lines
		sum.bad += p.bad
		sum.bytes += p.bytes
		for status, n := range p.status {
			sum.status[status] += n
		}
		for path, n := range p.paths {
			sum.paths[path] += n
		}
	}
	return sum
}

func (s *summary) equal(o *summary) bool {
	return s.lines == o.lines && s.bad == o.bad && s.bytes == o.bytes &&
		maps.Equal(s.status, o.status) && maps.Equal(s.paths, o.paths)
}

const topPaths = 5

func (s *summary) print(out io.Writer) {
	fmt.Fprintf(out, "\n%d lines, %d not understood, %d bytes\n", s.lines, s.bad, s.bytes)
	for _, status := range slices.Sorted(maps.Keys(s.status)) {
		fmt.Fprintf(out, "%9d  status %d\n", s.status[status], status)
	}
	paths := slices.SortedFunc(maps.Keys(s.paths), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.paths[b], s.paths[a]), cmp.Compare(a, b))
	})
	for _, path := range paths[:min(topPaths, len(paths))] {
		fmt.Fprintf(out, "%9d  %s\n", s.paths[path], path)
	}
}

// generate makes a log of n lines, the same each time.
func generate(ctx context.Context, n int) ([]string, error) {
	r := rand.New(rand.NewPCG(1, 2))
	statuses := []int{200, 200, 200, 200, 200, 200, 301, 304, 404, 500}
	lines := make([]string, n)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range lines {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		at = at.Add(time.Duration(r.IntN(50)) * time.Millisecond)
		page := int(r.ExpFloat64() * 20) // a few pages have most of the requests
		lines[i] = fmt.Sprintf(`10.%d.%d.%d - - [%s] "GET /articles/%d?session=%d HTTP/1.1" %d %d "-" "Mozilla/5.0 (X11; Linux x86_64)"`,
			r.IntN(256), r.IntN(256), r.IntN(256), at.Format("02/Jan/2006:15:04:05 -0700"), page, r.IntN(1000), statuses[r.IntN(len(statuses))], r.IntN(50_000))
	}
	return lines, nil
}
