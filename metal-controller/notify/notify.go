// Package notify tells streams that an object changed, without saying how: who is told reads the cache again. Signals are coalesced and never block.
//
// It is layer 2, standard library only.
package notify

import "sync"

// Hub is safe for concurrent use. The zero value is ready.
type Hub struct {
	mu   sync.Mutex
	keys map[string]map[chan struct{}]struct{}
}

// All is the key that every change signals.
const All = ""

// Subscribe returns a channel that gets a signal after each change of key, and a function that ends the subscription.
func (h *Hub) Subscribe(key string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keys == nil {
		h.keys = map[string]map[chan struct{}]struct{}{}
	}
	if h.keys[key] == nil {
		h.keys[key] = map[chan struct{}]struct{}{}
	}
	h.keys[key][c] = struct{}{}
	return c, func() { h.drop(key, c) }
}

func (h *Hub) drop(key string, c chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.keys[key], c)
	if len(h.keys[key]) == 0 {
		delete(h.keys, key)
	}
}

// Changed signals those who watch key and those who watch All.
func (h *Hub) Changed(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range []string{key, All} {
		for c := range h.keys[k] {
			select {
			case c <- struct{}{}:
			default:
			}
		}
		if key == All {
			return
		}
	}
}
