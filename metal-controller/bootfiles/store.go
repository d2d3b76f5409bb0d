package bootfiles

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// States of a file, as pxe-servers tell them and the API shows them.
const (
	Cached   = "Cached"
	Fetching = "Fetching"
	Failed   = "Failed"
	Unknown  = "Unknown"
)

// Limits of the memory, and of what is news.
const (
	maxSites   = 256
	maxMessage = 400
	maxName    = 63
	// step is how many percent a file must have gone on: each piece of news costs a write of status.
	step = 5
	// freshFor is how long a site's word counts. A pxe-server tells all of it every five minutes.
	freshFor = 15 * time.Minute
)

// Report is how one file fares at one site.
type Report struct {
	Site, State string
	// Percent that was fetched, in steps of five.
	Percent int32
	Message string
	// OtherBytes: it failed because the source has another file than the digest names.
	OtherBytes bool
}

// Store keeps the last word of every site. It is safe for concurrent use.
type Store struct {
	now func() time.Time

	mu     sync.Mutex
	sites  map[string]*site
	signal chan struct{}
}

type site struct {
	heard time.Time
	files map[string]Report // by digest
}

// NewStore is an empty store.
func NewStore(now func() time.Time) *Store {
	return &Store{now: now, sites: map[string]*site{}, signal: make(chan struct{}, 1)}
}

// Signal gets a value after news.
func (s *Store) Signal() <-chan struct{} { return s.signal }

// Told replaces what is known of a site's files, by digest.
func (s *Store) Told(name string, files map[string]Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = name[:min(len(name), maxName)]
	old := s.sites[name]
	if old == nil {
		if len(s.sites) >= maxSites && !s.forgetStale() {
			return
		}
		old = &site{}
	}
	kept := make(map[string]Report, len(files))
	for digest, r := range files {
		r.Site, r.Percent, r.Message = name, min(max(r.Percent, 0), 100)/step*step, short(r.Message)
		kept[digest] = r
	}
	news := !s.fresh(old) || !maps.Equal(old.files, kept)
	s.sites[name] = &site{heard: s.now(), files: kept}
	if news {
		select {
		case s.signal <- struct{}{}:
		default:
		}
	}
}

// Of is what the sites that were heard of lately say of a file: the worst first. known says whether a site was ever heard of here.
func (s *Store) Of(digest string) (reports []Report, known func(site string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make(map[string]bool, len(s.sites))
	for name, site := range s.sites {
		names[name] = true
		if r, ok := site.files[digest]; ok && s.fresh(site) {
			reports = append(reports, r)
		}
	}
	slices.SortFunc(reports, Worse)
	return reports, func(site string) bool { return names[site] }
}

// Worse sorts reports, the worst first: failed, unknown, fetching with the least first, cached; then by site.
func Worse(a, b Report) int {
	order := []string{Failed, Unknown, Fetching, Cached}
	return cmp.Or(
		cmp.Compare(slices.Index(order, a.State), slices.Index(order, b.State)),
		cmp.Compare(a.Percent, b.Percent),
		strings.Compare(a.Site, b.Site))
}

func (s *Store) fresh(x *site) bool { return s.now().Sub(x.heard) <= freshFor }

// forgetStale makes room; it is false when every site was heard of lately. The lock is held.
func (s *Store) forgetStale() bool {
	before := len(s.sites)
	maps.DeleteFunc(s.sites, func(_ string, x *site) bool { return !s.fresh(x) })
	return len(s.sites) < before
}

// short keeps one line of plain text that fits into a status.
func short(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}
