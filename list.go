package pool

// list is a doubly linked list of elements that embed their link.
type list[E any, P linked[E]] struct {
	first, last *E
	len         int
}

// link is an element's place in a list.
type link[E any] struct {
	next, prev *E
	queued     bool // it is in the list
}

type linked[E any] interface {
	*E
	links() *link[E]
}

func (k *link[E]) links() *link[E] { return k }

// push adds e, which is in no list.
func (l *list[E, P]) push(e *E, front bool) {
	k := P(e).links()
	k.queued = true
	l.len++
	switch {
	case l.first == nil:
		l.first, l.last = e, e
	case front:
		k.next, P(l.first).links().prev = l.first, e
		l.first = e
	default:
		k.prev, P(l.last).links().next = l.last, e
		l.last = e
	}
}

// remove takes e out, if it is in.
func (l *list[E, P]) remove(e *E) {
	k := P(e).links()
	if !k.queued {
		return
	}
	l.len--
	if k.prev != nil {
		P(k.prev).links().next = k.next
	} else {
		l.first = k.next
	}
	if k.next != nil {
		P(k.next).links().prev = k.prev
	} else {
		l.last = k.prev
	}
	*k = link[E]{}
}
