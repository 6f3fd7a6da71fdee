package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/headrace-go/pool"
)

// large is how many times as long the sides of a large image are: it has ten times the pixels.
const large = 3.162

// makeImages makes the images and returns their names.
func makeImages(ctx context.Context, p *pool.Pool, s settings, dir string) (names []string, err error) {
	for name, err := range pool.Map(ctx, p, numbers(s.images), func(_ context.Context, i int) (string, error) {
		w := s.side
		if i >= s.images-s.images/10 {
			w = int(float64(w) * large)
		}
		return makeImage(dir, i, w, w*3/4)
	}) {
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// numbers yields 0 to n-1.
func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// makeImage makes an image, one in two as PNG and the others as JPEG.
func makeImage(dir string, i, w, h int) (name string, err error) {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(255 * x / w), uint8(255 * y / h), uint8(x*y/(i+1)) & 0x3F, 255})
		}
	}
	if i%2 == 0 {
		name = filepath.Join(dir, fmt.Sprintf("%04d.png", i))
		encoder := png.Encoder{CompressionLevel: png.BestSpeed}
		return name, write(name, func(w io.Writer) error { return encoder.Encode(w, img) })
	}
	name = filepath.Join(dir, fmt.Sprintf("%04d.jpg", i))
	return name, write(name, func(w io.Writer) error { return jpeg.Encode(w, img, nil) })
}

// write makes a file of what f writes.
func write(name string, f func(io.Writer) error) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return f(file)
}

// size returns the number of pixels of an image. It reads the head of the file only.
func size(name string) (pixels int64, err error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	c, _, err := image.DecodeConfig(file)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return int64(c.Width) * int64(c.Height), nil
}

// thumbnailSide is the longer side of a thumbnail, in pixels.
const thumbnailSide = 96

// thumbnail makes the thumbnail to of the image from.
func thumbnail(from, to string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	img, _, err := image.Decode(file)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return write(to, func(w io.Writer) error { return jpeg.Encode(w, shrink(img, thumbnailSide), nil) })
}

// shrink returns the image with the longer side cut down to side. Each of its pixels is the
// mean of those that it stands for. A smaller image stays as it is.
func shrink(img image.Image, side int) image.Image {
	b := img.Bounds()
	longer := max(b.Dx(), b.Dy())
	if longer <= side {
		return img
	}
	w, h := max(1, b.Dx()*side/longer), max(1, b.Dy()*side/longer)
	full := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(full, full.Bounds(), img, b.Min, draw.Src)
	small := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			part := image.Rect(x*b.Dx()/w, y*b.Dy()/h, (x+1)*b.Dx()/w, (y+1)*b.Dy()/h)
			small.SetRGBA(x, y, mean(full, part))
		}
	}
	return small
}

// mean returns the mean colour of a part of the image.
func mean(img *image.RGBA, part image.Rectangle) color.RGBA {
	var r, g, b, a int
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			c := img.RGBAAt(x, y)
			r, g, b, a = r+int(c.R), g+int(c.G), b+int(c.B), a+int(c.A)
		}
	}
	n := part.Dx() * part.Dy()
	return color.RGBA{uint8(r / n), uint8(g / n), uint8(b / n), uint8(a / n)}
}
