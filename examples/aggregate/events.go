package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
)

// checkEvery is how many events are written between two looks at the context.
const checkEvery = 1024

// generate writes a file of events, the same for the same settings.
func generate(ctx context.Context, name string, s settings) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range s.generate {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		user := 0
		if random.Float64() >= s.hot {
			user = random.IntN(s.users)
		}
		fmt.Fprintf(w, "user%d,%d\n", user, random.IntN(10_000)) // Flush returns the error
	}
	return w.Flush()
}

// events calls f for each event of the file, until f fails.
func events(name string, f func(user string, cents int64) error) (err error) {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	r := bufio.NewReader(file)
	for n := 1; ; n++ {
		line, err := r.ReadString('\n')
		if line == "" {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		user, amount, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ",")
		cents, err := strconv.ParseInt(amount, 10, 64)
		if !ok || user == "" || err != nil {
			return fmt.Errorf("%s:%d: want user,cents, got %q", name, n, strings.TrimRight(line, "\r\n"))
		}
		if err := f(user, cents); err != nil {
			return err
		}
	}
}
