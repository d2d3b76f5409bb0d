package fakebmc

import "sync"

// maxRequests bounds the request log; maxPath one path in it.
const (
	maxRequests = 20000
	maxPath     = 256
)

// Request is one line of the request log.
type Request struct {
	Method string
	// Path without the query, cut to 256 bytes.
	Path string
	// User is the authenticated user, "" without valid credentials.
	User string
	// Presented says that the request brought credentials of any kind, valid or not.
	Presented bool
	Status    int
}

type requestLog struct {
	mu      sync.Mutex
	entries []Request
}

func (l *requestLog) add(r Request) {
	if len(r.Path) > maxPath {
		r.Path = r.Path[:maxPath]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == maxRequests {
		l.entries = append(l.entries[:0], l.entries[maxRequests/2:]...)
	}
	l.entries = append(l.entries, r)
}

func (l *requestLog) list() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Request(nil), l.entries...)
}
