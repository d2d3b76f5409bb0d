package session

import (
	"context"
	"sync"

	"ingot.dev/ingot/agent/protocol"
)

// Tasks does what takes long. There is one at a time.
type Tasks interface {
	// Wipe erases the disks that w names and says in the receipt what became of each; it has no other way to fail. It calls progress, as
	// often as it likes and from one goroutine, with the state of all disks; what it passes must not change afterwards. It returns soon after
	// ctx has ended, which happens only when the agent ends.
	Wipe(ctx context.Context, w *protocol.Wipe, progress func([]*protocol.DiskProgress)) *protocol.Receipt
}

// maxWipes bounds the wipes of one boot, since the ledger keeps a receipt of each. The controller orders one, after a quarantine was lifted another boot.
const maxWipes = 16

// pair names a grant. It is carried out at most once in the life of this process.
type pair struct {
	id         string
	generation int64
}

// entry is a wipe that was begun.
type entry struct {
	pair
	progress []*protocol.DiskProgress
	// receipt is nil while the wipe runs.
	receipt *protocol.Receipt
	// asked counts how often the server is to get the receipt, answered how often it answered for it.
	asked, answered int
}

// owed says that the server has not answered for the receipt yet.
func (e *entry) owed() bool { return e != nil && e.answered < e.asked }

// dispatch is what the server has not heard yet.
type dispatch struct {
	*protocol.ReportTaskRequest
	entry *entry
	asked int
}

// verdict is what the ledger says to a wipe that the server orders.
type verdict int

const (
	// begin: nobody ran it before and nothing else runs. It is running from now on.
	begin verdict = iota
	// goesOn: this one runs.
	goesOn
	// again: this one has ended; its receipt is owed once more.
	again
	// busy: another one runs.
	busy
	// stale: a later generation of the same id was begun.
	stale
	// closed: the agent is about to end, or has begun as many as it may.
	closed
)

// ledger knows every wipe that this boot has begun. It is safe for concurrent use.
type ledger struct {
	mu      sync.Mutex
	entries map[pair]*entry
	newest  map[string]int64
	running *entry
	// latest is the wipe that ended last; only its receipt is of interest.
	latest *entry
	ending bool
	// news has a token when there is something else to tell the server, free when a wipe has ended and the server answered for its receipt.
	news, free chan struct{}
}

func newLedger() *ledger {
	return &ledger{
		entries: map[pair]*entry{}, newest: map[string]int64{},
		news: make(chan struct{}, 1), free: make(chan struct{}, 1),
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// order judges a wipe that the server wants.
func (l *ledger) order(p pair) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[p]
	switch {
	case e != nil && e == l.running:
		return goesOn
	case e != nil:
		l.latest = e
		e.asked++
		signal(l.news)
		return again
	case p.generation < l.newest[p.id]:
		return stale
	case l.running != nil:
		return busy
	case l.ending || len(l.entries) >= maxWipes:
		return closed
	}
	l.running = &entry{pair: p}
	l.entries[p], l.newest[p.id] = l.running, p.generation
	// The server wants another one: it waits no more for an earlier receipt.
	l.latest = nil
	return begin
}

// progress notes how the running wipe fares.
func (l *ledger) progress(disks []*protocol.DiskProgress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == nil {
		return
	}
	if l.running.progress == nil {
		signal(l.news)
	}
	l.running.progress = disks
}

// end closes the running wipe. Its receipt is owed from now on.
func (l *ledger) end(receipt *protocol.Receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if receipt == nil {
		// A receipt that covers no disk proves nothing, which is the truth about such a wipe.
		receipt = &protocol.Receipt{}
	}
	l.latest, l.running = l.running, nil
	l.latest.receipt, l.latest.progress, l.latest.asked = receipt, nil, 1
	signal(l.news)
}

// settle says that the server has answered for a receipt, well or not. An order that came meanwhile asks for it once more.
func (l *ledger) settle(d dispatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.entry.answered = d.asked
	signal(l.free)
}

// due is what the server has not heard yet: a receipt, or how the running wipe fares; false when there is nothing.
func (l *ledger) due() (dispatch, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.latest.owed():
		return l.latest.dispatch(), true
	case l.running != nil && l.running.progress != nil:
		return l.running.dispatch(), true
	}
	return dispatch{}, false
}

func (e *entry) dispatch() dispatch {
	r := &protocol.ReportTaskRequest{Id: e.id, Generation: e.generation, Progress: e.progress, Receipt: e.receipt}
	return dispatch{ReportTaskRequest: r, entry: e, asked: e.asked}
}

// unsettled says whether a wipe runs, or its receipt is owed.
func (l *ledger) unsettled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running != nil || l.latest.owed()
}

// close lets no wipe begin any more, unless one runs: then it changes nothing and returns false.
func (l *ledger) close() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running != nil {
		return false
	}
	l.ending = true
	return true
}
