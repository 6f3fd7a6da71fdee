package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A site is a web server with generated pages.
type site struct {
	s      settings
	base   *url.URL
	server *http.Server
	served chan error

	asked atomic.Int64
	until atomic.Int64 // the number of requests that it answers before it answers 503; negative: all
}

func newSite(s settings) *site {
	t := &site{s: s}
	t.until.Store(-1)
	return t
}

// start makes the site answer at base.
func (t *site) start() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	t.base = &url.URL{Scheme: "http", Host: l.Addr().String()}
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: time.Minute}
	t.served = make(chan error, 1)
	go func() { t.served <- t.server.Serve(l) }()
	return nil
}

// stop ends the server and all it has started.
func (t *site) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := t.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, t.server.Close())
	}
	if e := <-t.served; e != http.ErrServerClosed {
		err = errors.Join(err, e)
	}
	return err
}

// set makes the site answer the next n requests, and then 503; all of them if n is negative.
func (t *site) set(n int) {
	t.asked.Store(0)
	t.until.Store(int64(n))
}

func pagePath(i int) string { return "/page/" + strconv.Itoa(i) }

// A page is what there is to know about one.
type page struct {
	links   []int
	fails   bool // it answers 500
	latency time.Duration
}

// seed is that of the site. Another one is another site.
const seed = 3

// page returns page i, the same each time.
func (t *site) page(i int) page {
	r := rand.New(rand.NewPCG(seed, uint64(i)))
	_, spread := math.Modf(float64(i) * math.Phi) // of pages in a row evenly from 0 to 1, so any sample has the mean
	p := page{
		fails:   r.Float64() < t.s.errors && i > 0,
		latency: t.s.latency/2 + time.Duration(spread*float64(t.s.latency)),
		links:   make([]int, 2+r.IntN(7)),
	}
	for k := range p.links {
		p.links[k] = r.IntN(t.s.pages)
	}
	return p
}

// reachable returns how many pages there are to find from the first one, and how many of them
// answer 500, which hides their links.
func (t *site) reachable() (pages, failing int) {
	known := make([]bool, t.s.pages)
	known[0] = true
	for open := []int{0}; len(open) > 0; {
		p := t.page(open[len(open)-1])
		open = open[:len(open)-1]
		pages++
		if p.fails {
			failing++
			continue
		}
		for _, l := range p.links {
			if !known[l] {
				known[l] = true
				open = append(open, l)
			}
		}
	}
	return pages, failing
}

// ServeHTTP answers a request after the latency of its page.
func (t *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	until := t.until.Load()
	down := t.asked.Add(1) > until && until >= 0
	i, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/page/"))
	if err != nil || i < 0 || i >= t.s.pages || r.URL.Path != pagePath(i) {
		http.NotFound(w, r)
		return
	}
	p := t.page(i)
	timer := time.NewTimer(p.latency)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done(): // the client has gone
		return
	}
	switch {
	case down:
		http.Error(w, "the server is down", http.StatusServiceUnavailable)
		return
	case p.fails:
		http.Error(w, "the page is broken", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<!DOCTYPE html>\n<title>Page %d</title>\n<p>Back to the <a href=\"/page/0#top\">first page</a>, or on to:\n<ul>\n", i)
	for _, l := range p.links {
		fmt.Fprintf(w, "<li><a href=\"%d\">page %d</a>\n", l, l)
	}
	fmt.Fprint(w, "</ul>\n<p>Made like <a href=\"https://example.com/\">many others</a>.\n")
}
