package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// How often the network is asked who gives addresses there, and how often it is judged what was heard. A proxy asks less often: beside it another server
// is meant to be, and each question takes an address of that one for a moment.
const (
	askEvery      = 45 * time.Second
	askEveryProxy = 2 * time.Minute
	judgeEvery    = 5 * time.Second
	// warnEvery is the least time between two warnings in the log.
	warnEvery = time.Minute
)

// air is where other servers are heard; the real one is in others_linux.go.
type air interface {
	hear(b []byte) ([]byte, error)
	ask(id [4]byte) error
	close() error
}

// watcher listens for other DHCP servers on the network of one Server.
type watcher struct {
	cfg Config
	air air

	mu     sync.Mutex // guards what is below
	others *others
	told   Neighbors
	warned time.Time
}

func newWatcher(cfg Config, a air) *watcher {
	return &watcher{cfg: cfg, air: a, others: newOthers(cfg.Mode, append([]netip.Addr{cfg.ServerIP}, cfg.Peers...)...)}
}

// run listens and asks until ctx ends.
func (w *watcher) run(ctx context.Context) {
	var listening sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { w.air.close() })
	defer stop()
	defer w.air.close()
	listening.Go(func() { w.listen(ctx) })
	w.keepAsking(ctx)
	listening.Wait()
}

func (w *watcher) listen(ctx context.Context) {
	b := make([]byte, 2048)
	for failures := 0; ctx.Err() == nil; {
		answer, err := w.air.hear(b)
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed) || failures > 100:
			return
		case err != nil:
			failures++ // such as "network is down"; the next one blocks again
			continue
		}
		failures = 0
		w.saw(answering(answer))
	}
}

func (w *watcher) saw(server netip.Addr, lends bool) {
	if !server.IsValid() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.others.saw(w.cfg.Now(), server, lends)
	w.judge()
}

func (w *watcher) keepAsking(ctx context.Context) {
	every := askEvery
	if w.cfg.Mode == Proxy {
		every = askEveryProxy
	}
	judge := time.NewTicker(judgeEvery)
	defer judge.Stop()
	again := time.NewTicker(every)
	defer again.Stop()
	for w.ask(); ; {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			w.ask()
		case <-judge.C:
			if w.look() == NoDHCPServer {
				w.ask() // there is nobody whom it could bother
			}
		}
	}
}

func (w *watcher) look() Trouble {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judge()
	return w.told.Trouble
}

func (w *watcher) ask() {
	now := w.cfg.Now()
	id := [4]byte{'i', 'n', byte(now.Unix() >> 8), byte(now.Unix())}
	if err := w.air.ask(id); err != nil {
		w.cfg.Log.Debug("Asking for other DHCP servers", "error", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.others.asked.IsZero() {
		w.others.asked = now
	}
}

// judge tells what changed. The lock is held.
func (w *watcher) judge() {
	now := w.cfg.Now()
	n := w.others.judge(now)
	if n.equal(w.told) {
		return
	}
	if d := now.Sub(w.warned); n.Trouble != "" && !w.warned.IsZero() && d >= 0 && d < warnEvery {
		return // whoever forges servers changes the picture with each packet; it is told with the next judgement after the pause
	}
	w.told = n
	if n.Trouble == "" {
		w.cfg.Log.Info("The DHCP servers on the network are as they should be", "interface", w.cfg.Interface)
	} else {
		w.warned = now
		w.cfg.Log.Warn(n.Trouble.text(), "reason", string(n.Trouble), "interface", w.cfg.Interface, "servers", n.list())
	}
	w.cfg.Neighbors(n)
}

func (n Neighbors) list() string {
	var all []string
	for _, s := range n.Servers {
		all = append(all, s.String())
	}
	return strings.Join(all, " ")
}

// text says it to a person, with what to do.
func (t Trouble) text() string {
	switch t {
	case OtherDHCPServer:
		return "Another DHCP server gives addresses on this network, so machines may boot what it says: switch it off, or let Ingot only name boot files beside it (--proxy-dhcp)"
	case SeveralDHCPServers:
		return "More than one DHCP server gives addresses on this network: leave one"
	case NoDHCPServer:
		return "Ingot only names boot files here (--proxy-dhcp), and nobody gives addresses: start a DHCP server on this network, or let Ingot give them"
	case OtherBootServer:
		return "Another server on this network names boot files, too: machines take either answer; switch it off"
	}
	return ""
}
