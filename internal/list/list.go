// Package list is a doubly linked list of elements that embed their link, so adding and removing
// one takes no allocation.
package list

// List is a list of elements E, which embed Link[E]. The zero value is empty.
type List[E any, P linked[E]] struct {
	First, Last *E
	Len         int
}

// Link is an element's place in a list.
type Link[E any] struct {
	Next, prev *E
	Queued     bool // it is in a list
}

type linked[E any] interface {
	*E
	links() *Link[E]
}

func (k *Link[E]) links() *Link[E] { return k }

// Push adds e, which is in no list.
func (l *List[E, P]) Push(e *E, front bool) {
	k := P(e).links()
	k.Queued = true
	l.Len++
	switch {
	case l.First == nil:
		l.First, l.Last = e, e
	case front:
		k.Next, P(l.First).links().prev = l.First, e
		l.First = e
	default:
		k.prev, P(l.Last).links().Next = l.Last, e
		l.Last = e
	}
}

// Remove takes e out, if it is in.
func (l *List[E, P]) Remove(e *E) {
	k := P(e).links()
	if !k.Queued {
		return
	}
	l.Len--
	if k.prev != nil {
		P(k.prev).links().Next = k.Next
	} else {
		l.First = k.Next
	}
	if k.Next != nil {
		P(k.Next).links().prev = k.prev
	} else {
		l.Last = k.prev
	}
	*k = Link[E]{}
}
