package claim

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// takenFor is how long a note counts that the cache does not confirm.
const takenFor = time.Minute

// taken are notes of which servers this process takes for which claims, until the cache shows it. They keep claims that come together from running for
// the same server and spread them; they permit nothing. The zero value is ready.
type taken struct {
	// choosing is held from the list of servers to the note.
	choosing sync.Mutex

	mu    sync.Mutex
	notes map[string]note // by server
}

type note struct {
	claim types.NamespacedName
	at    time.Time
}

func (t *taken) put(server string, claim types.NamespacedName, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.notes == nil {
		t.notes = map[string]note{}
	}
	t.notes[server] = note{claim, now}
}

// drop takes the claim's note of a server back.
func (t *taken) drop(server string, claim types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.notes[server].claim == claim {
		delete(t.notes, server)
	}
}

// forget drops the notes of a claim that is gone.
func (t *taken) forget(claim types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for server, n := range t.notes {
		if n.claim == claim {
			delete(t.notes, server)
		}
	}
}

// by is the claim that a server is being taken for. What the server itself shows, and what is old, needs no note any more.
func (t *taken) by(server *metal.Server, now time.Time) (types.NamespacedName, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.notes[server.Name]
	if !ok {
		return types.NamespacedName{}, false
	}
	if sideOf(server) != nil || now.Sub(n.at).Abs() > takenFor {
		delete(t.notes, server.Name)
		return types.NamespacedName{}, false
	}
	return n.claim, true
}

// of are the servers that are being taken for a claim.
func (t *taken) of(claim types.NamespacedName) (servers []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for server, n := range t.notes {
		if n.claim == claim {
			servers = append(servers, server)
		}
	}
	return servers
}
