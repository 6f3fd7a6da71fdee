package pool

import "testing"

func TestForkSum(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		p := mustNew(t, WithWorkers(n))
		tree := newTree(18)
		fork := NewFork(p, forkSum)
		for range 5 {
			got, err := fork.Run(bg, tree)
			must(t, err)
			if want := tree.sum(); got != want {
				t.Errorf("%d, want %d", got, want)
			}
		}
		must(t, p.Close())
	}
}
