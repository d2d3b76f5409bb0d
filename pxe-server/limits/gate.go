package limits

import "sync"

// Gate bounds how much runs at once, in total and per source.
type Gate[K comparable] struct {
	total, each int

	mu   sync.Mutex
	busy int
	held map[K]int
}

// NewGate lets total run at once and each of one source.
func NewGate[K comparable](total, each int) *Gate[K] {
	return &Gate[K]{total: total, each: each, held: map[K]int{}}
}

// Enter takes a slot, never waits. The caller calls leave once it is done; further calls of leave do nothing.
func (g *Gate[K]) Enter(key K) (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy >= g.total || g.held[key] >= g.each {
		return nil, false
	}
	g.busy++
	g.held[key]++
	return sync.OnceFunc(func() { g.leave(key) }), true
}

// Busy is the number of slots taken.
func (g *Gate[K]) Busy() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy
}

// Held is the number of slots that key holds.
func (g *Gate[K]) Held(key K) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held[key]
}

func (g *Gate[K]) leave(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	if g.held[key]--; g.held[key] == 0 {
		delete(g.held, key)
	}
}
