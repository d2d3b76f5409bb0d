package limits

import (
	"slices"
	"sync"
	"time"
)

// maxWaiting bounds who is remembered as waiting; beyond it a source has to be lucky.
const maxWaiting = 8192

// TurnLimits bounds Turns. All fields are required.
type TurnLimits struct {
	// Budget is how many bytes may be under way.
	Budget int64
	// PerSource is how many transfers of one source may be.
	PerSource int
	// Hold is how long a transfer counts. One that takes longer goes on: its line is slow and not in the others' way, or its reader wants to be.
	Hold time.Duration
	// Stay is how long somebody who waits keeps its place without asking again.
	Stay time.Duration
}

// Turns lets transfers begin while those under way have fewer than so many bytes, and the others in the order in which they first asked. Who is told to wait asks
// again by itself; nothing is kept open for it.
type Turns[K comparable] struct {
	TurnLimits
	now func() time.Time

	mu      sync.Mutex
	under   []*turn[K]
	waiting []*turn[K]
}

// turn is one transfer: under way since a time, or last asked for then.
type turn[K comparable] struct {
	key  K
	size int64
	at   time.Time
}

// NewTurns lets the first in.
func NewTurns[K comparable](l TurnLimits, now func() time.Time) *Turns[K] {
	return &Turns[K]{TurnLimits: l, now: now}
}

// Enter asks for a transfer of so many bytes. When it may begin, leave is to be called at its end, once or more often; otherwise leave is nil, and ahead is how many
// bytes go first. A transfer larger than the whole budget begins when it is first and nothing else is under way.
func (t *Turns[K]) Enter(key K, size int64) (leave func(), ahead int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.under = slices.DeleteFunc(t.under, func(u *turn[K]) bool { return now.Sub(u.at) > t.Hold })
	t.waiting = slices.DeleteFunc(t.waiting, func(w *turn[K]) bool { return now.Sub(w.at) > t.Stay })
	place := slices.IndexFunc(t.waiting, func(w *turn[K]) bool { return w.key == key })
	one := &turn[K]{key, size, now}
	ahead = sum(t.under) + t.before(place)
	if ahead > 0 && (ahead+size > t.Budget || t.has(key) >= t.PerSource) {
		t.wait(place, one)
		return nil, ahead
	}
	if place >= 0 {
		t.waiting = slices.Delete(t.waiting, place, place+1)
	}
	t.under = append(t.under, one)
	return func() { t.left(one) }, 0
}

// before is how many bytes are waited for ahead of a place; -1 is behind all.
func (t *Turns[K]) before(place int) int64 {
	if place < 0 {
		place = len(t.waiting)
	}
	return sum(t.waiting[:place])
}

func sum[K comparable](turns []*turn[K]) int64 {
	n := int64(0)
	for _, u := range turns {
		n += u.size
	}
	return n
}

// has counts a source's transfers under way.
func (t *Turns[K]) has(key K) int {
	n := 0
	for _, u := range t.under {
		if u.key == key {
			n++
		}
	}
	return n
}

func (t *Turns[K]) wait(place int, w *turn[K]) {
	switch {
	case place >= 0:
		t.waiting[place] = w
	case len(t.waiting) < maxWaiting:
		t.waiting = append(t.waiting, w)
	}
}

func (t *Turns[K]) left(one *turn[K]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.under = slices.DeleteFunc(t.under, func(u *turn[K]) bool { return u == one })
}

// Waiting is how many sources wait for their turn.
func (t *Turns[K]) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}
