package list

import (
	"math/rand/v2"
	"slices"
	"testing"
)

type item struct {
	Link[item]
	id int
}

// A list has what was put in and not taken out, in the order of a slice that is changed alike.
func TestModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var l List[item, *item]
		var model []*item
		for id := range 200 {
			switch x := &(item{id: id}); r.IntN(3) {
			case 0:
				l.Push(x, true)
				model = slices.Insert(model, 0, x)
			case 1:
				l.Push(x, false)
				model = append(model, x)
			case 2:
				l.Remove(x) // it is in no list
				if len(model) == 0 {
					continue
				}
				i := r.IntN(len(model))
				l.Remove(model[i])
				if model[i].Queued || model[i].Next != nil {
					t.Fatalf("%+v after Remove", model[i])
				}
				model = slices.Delete(model, i, i+1)
			}
			var got []*item
			for x := l.First; x != nil; x = x.Next {
				got = append(got, x)
			}
			var back []*item
			for x := l.Last; x != nil; x = x.prev {
				back = append(back, x)
			}
			slices.Reverse(back)
			if l.Len != len(model) || !slices.Equal(got, model) || !slices.Equal(back, model) {
				t.Fatalf("%d elements, %v, %v, want %v", l.Len, got, back, model)
			}
		}
	}
}
