package limits

import (
	"container/list"
	"sync"
	"time"
)

// Buckets holds one token bucket for each of the most recent sources.
type Buckets[K comparable] struct {
	rate Rate
	max  int
	now  func() time.Time

	mu    sync.Mutex
	byKey map[K]*list.Element
	lru   *list.List // of *bucket[K], most recent first
}

type bucket[K comparable] struct {
	key    K
	tokens float64
	at     time.Time
}

// NewBuckets remembers up to sources sources (at least one). A rate of zero refuses everything after the burst.
func NewBuckets[K comparable](rate Rate, sources int, now func() time.Time) *Buckets[K] {
	return &Buckets[K]{rate: rate, max: max(sources, 1), now: now, byKey: map[K]*list.Element{}, lru: list.New()}
}

// Allow takes a token of key's bucket and says whether there was one.
func (b *Buckets[K]) Allow(key K) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.get(key)
	if k.tokens < 1 {
		return false
	}
	k.tokens--
	return true
}

// Len is the number of sources that are remembered.
func (b *Buckets[K]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lru.Len()
}

func (b *Buckets[K]) get(key K) *bucket[K] {
	now := b.now()
	if e, ok := b.byKey[key]; ok {
		b.lru.MoveToFront(e)
		k := e.Value.(*bucket[K])
		b.refill(k, now)
		return k
	}
	for b.lru.Len() >= b.max {
		old := b.lru.Remove(b.lru.Back()).(*bucket[K])
		delete(b.byKey, old.key)
	}
	k := &bucket[K]{key: key, tokens: float64(b.rate.Burst), at: now}
	b.byKey[key] = b.lru.PushFront(k)
	return k
}

func (b *Buckets[K]) refill(k *bucket[K], now time.Time) {
	// A clock that steps back must not take tokens away, nor give the same seconds twice.
	if d := now.Sub(k.at); d > 0 {
		k.tokens = min(k.tokens+d.Seconds()*b.rate.PerSecond, float64(b.rate.Burst))
		k.at = now
	}
}
