package httpboot

import (
	"net/netip"
	"sync"
	"time"
)

// Limits of what is remembered of expected boots. Their ids come from the controller alone, so strangers cannot push any out.
const (
	rememberExpected = 16384
	expectedAge      = time.Hour // an expected boot's deadline is minutes away
)

// sources remembers the address that fetched the script of each expected boot. The script names the boot, and whoever knows its name may claim it;
// so it is handed to one address only. A machine may ask again from the same one: iPXE does after every failure.
type sources struct {
	mu     sync.Mutex
	max    int
	now    func() time.Time
	byBoot map[string]*asker
}

// asker is who fetched the script of one boot.
type asker struct {
	first     netip.Addr
	last      time.Time
	contested bool // a second address asked: nobody gets the script any more
}

func newSources(size int, now func() time.Time) *sources {
	return &sources{max: size, now: now, byBoot: map[string]*asker{}}
}

// sole says whether the address is the only one that asked for the boot's script so far.
func (s *sources) sole(bootID string, from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	b, ok := s.byBoot[bootID]
	if !ok || now.Sub(b.last) > expectedAge {
		s.forgetOldest()
		b = &asker{first: from}
		s.byBoot[bootID] = b
	}
	b.last = now
	b.contested = b.contested || b.first != from
	return !b.contested
}

func (s *sources) forgetOldest() {
	if len(s.byBoot) < s.max {
		return
	}
	var oldest string
	for id, b := range s.byBoot {
		if oldest == "" || b.last.Before(s.byBoot[oldest].last) {
			oldest = id
		}
	}
	delete(s.byBoot, oldest)
}
