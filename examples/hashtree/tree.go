package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/headrace-go/pool"
)

// A file is one file on its way from the walker through a worker to the
// printer. Each belongs to one of them at a time.
type file struct {
	path string
	sum  [sha256.Size]byte
	size int64         // bytes read
	err  error         // why there is no sum
	done chan struct{} // has a token once the fields above are settled
}

// errNotHashed is the err of a file that no worker has finished.
var errNotHashed = errors.New("not hashed")

// A tree is the walk and the hashing: files come out of order, in order, and go
// back to free.
type tree struct {
	open  func(name string) (io.ReadCloser, error)
	pool  *pool.Typed[*file]
	free  chan *file
	order chan *file
	kits  sync.Pool    // of *kit
	read  atomic.Int64 // bytes so far, for the progress bar
}

// A kit is what a worker needs to hash a file, whatever the file.
type kit struct {
	hash hash.Hash
	buf  []byte
}

func newTree(open func(string) (io.ReadCloser, error)) *tree {
	t := &tree{open: open}
	t.kits.New = func() any { return &kit{sha256.New(), make([]byte, 128<<10)} }
	return t
}

// start sets the pool that runs t.hash, and the number of files to have in
// flight at most.
func (t *tree) start(p *pool.Typed[*file], window int) {
	t.pool = p
	t.free = make(chan *file, window)
	t.order = make(chan *file, window)
	for range window {
		t.free <- &file{done: make(chan struct{}, 1)}
	}
}

// walk submits every regular file below the roots, and closes t.order.
func (t *tree) walk(ctx context.Context, roots []string) {
	defer close(t.order)
	for _, root := range roots {
		if root == "-" {
			root = "./-" // sha256sum --check would take "-" for its input
		}
		info, err := os.Stat(root)
		switch {
		case err == nil && info.IsDir():
			err = t.walkDir(ctx, root)
		case err == nil && info.Mode().IsRegular():
			err = t.add(ctx, root, nil)
		case err == nil:
			err = t.add(ctx, root, errors.New("neither a directory nor a regular file"))
		default:
			err = t.add(ctx, root, err)
		}
		if err != nil {
			return
		}
	}
}

// walkDir is walk for one directory. Unlike filepath.WalkDir it leaves the
// front of the path as it was given, as find does.
func (t *tree) walkDir(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		// There may be entries even so.
		if err := t.add(ctx, dir, err); err != nil {
			return err
		}
	}
	if !strings.HasSuffix(dir, "/") {
		dir += "/"
	}
	for _, entry := range entries {
		// Type comes with the listing; Info would be a system call per file.
		switch mode := entry.Type(); {
		case mode.IsDir():
			err = t.walkDir(ctx, dir+entry.Name())
		case mode.IsRegular():
			err = t.add(ctx, dir+entry.Name(), nil)
		default:
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// add waits for room in the window and puts path into the order. Unless
// failure says that there is nothing to hash, it submits it to the pool. An
// error means that the walk is over.
func (t *tree) add(ctx context.Context, path string, failure error) error {
	var f *file
	select {
	case f = <-t.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.path, f.size, f.err = path, 0, errNotHashed
	if failure != nil {
		f.err = failure
		f.done <- struct{}{}
	}
	t.order <- f // has room for the whole window
	if failure != nil {
		return nil
	}
	return t.pool.Submit(ctx, f)
}

// hash is what the pool does with a file. A file that cannot be read is no
// failure of the pool's: the printer will report it in its place.
func (t *tree) hash(ctx context.Context, f *file) error {
	defer func() { f.done <- struct{}{} }()
	r, err := t.open(f.path)
	if err != nil {
		f.err = err
		return nil
	}
	defer r.Close()
	k := t.kits.Get().(*kit)
	defer t.kits.Put(k)
	k.hash.Reset()
	for ctx.Err() == nil { // an abort is noticed between two reads
		n, err := r.Read(k.buf)
		k.hash.Write(k.buf[:n])
		f.size += int64(n)
		t.read.Add(int64(n))
		switch err {
		case nil:
		case io.EOF:
			k.hash.Sum(f.sum[:0])
			f.err = nil
			return nil
		default:
			f.err = err
			return nil
		}
	}
	return ctx.Err()
}
