package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace-go/pool"
)

// leftNothing makes temporary files go to a directory of the test, and fails if any is left at its end.
func leftNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind %v, %v", left, err)
		}
	})
}

func TestRun(t *testing.T) {
	leftNothing(t)
	for _, capacity := range []string{"-capacity=0.03", "-capacity=0.001"} { // with the second, each runs alone
		var out bytes.Buffer
		if err := run(t.Context(), []string{"-images=20", "-side=100", capacity}, &out); err != nil {
			t.Fatalf("%v, printed\n%s", err, &out)
		}
		for _, want := range []string{"20 images made", "\nnumber ", "\nweight ", "\nSo: "} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("nothing about %q:\n%s", want, &out)
			}
		}
	}
}

// Every image gets a thumbnail, and there are no more pixels at work than the capacity.
func TestThumbnails(t *testing.T) {
	s := settings{images: 20, workers: 4, side: 200, capacity: 0.3}
	dir := t.TempDir()
	p, err := pool.New()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	names, err := makeImages(t.Context(), p, s, dir)
	if err != nil || len(names) != s.images {
		t.Fatal(names, err)
	}
	const small, large = 200 * 150, 632 * 474
	for _, weighted := range []bool{false, true} {
		to := filepath.Join(dir, "to")
		r, err := makeThumbnails(t.Context(), s, names, to, weighted, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if r.pixels != 18*small+2*large || r.largest != large || r.peak.pixels < large || r.peak.images > s.workers {
			t.Errorf("weighted %v: %+v", weighted, *r)
		}
		if weighted && r.peak.pixels > s.pixels() {
			t.Errorf("%d pixels at work, the capacity is %d", r.peak.pixels, s.pixels())
		}
		for _, name := range names {
			if n, err := size(filepath.Join(to, filepath.Base(name)+".jpg")); err != nil || n != 96*72 {
				t.Errorf("%s: thumbnail of %d pixels, %v", name, n, err)
			}
		}
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
	}
}

func TestShrink(t *testing.T) {
	img := image.NewRGBA(image.Rect(10, 20, 14, 22)) // four by two
	img.SetRGBA(10, 20, color.RGBA{100, 0, 0, 255})
	img.SetRGBA(11, 21, color.RGBA{100, 40, 0, 255})
	img.SetRGBA(12, 20, color.RGBA{0, 0, 8, 4})
	got := shrink(img, 2)
	if got.Bounds() != image.Rect(0, 0, 2, 1) || got.At(0, 0) != (color.RGBA{50, 10, 0, 127}) || got.At(1, 0) != (color.RGBA{0, 0, 2, 1}) {
		t.Errorf("%v: %v %v", got.Bounds(), got.At(0, 0), got.At(1, 0))
	}
	if shrink(img, 4) != image.Image(img) {
		t.Error("a small image was changed")
	}
	if got := shrink(image.NewRGBA(image.Rect(0, 0, 1000, 1)), 10).Bounds(); got != image.Rect(0, 0, 10, 1) {
		t.Errorf("a line became %v", got)
	}
}

func TestBadImage(t *testing.T) {
	dir := t.TempDir()
	name, err := makeImage(dir, 0, 50, 50)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i, cut := range []int{4, len(b) / 2} { // the head is not enough, and the head is all there is
		if err := os.WriteFile(name, b[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := settings{workers: 1, capacity: 1}
		if _, err := makeThumbnails(t.Context(), s, []string{name}, filepath.Join(dir, string(rune('a'+i))), true, io.Discard); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("first %d of %d bytes: error %v", cut, len(b), err)
		}
	}
}

func TestInterrupt(t *testing.T) {
	leftNothing(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, nil, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"x": `"x"`, "-images=0": "got 0", "-side=3": "got 3", "-capacity=0": "got 0", "-capacity=NaN": "got NaN", "-workers=0": "got 60 and 0",
	} {
		leftNothing(t)
		if err := run(t.Context(), []string{args}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}
