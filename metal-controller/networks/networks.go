// Package networks is what pxe-servers tell of the other DHCP servers on their networks: kept in memory, counted for the metrics, and told when it changes.
//
// It is an adapter (layer 2). Nothing rests on what is in it: whoever is on such a network can forge it. Invariants: memory is bounded; one network is told of at
// most four times a minute; the metric has one series for each reason, whatever sites say.
package networks

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ingot.dev/ingot/crds/reasons"
)

// Limits of the memory, and of what is told.
const (
	maxSites    = 256
	maxNetworks = 64
	maxServers  = 16
	maxName     = 63
	// freshFor is how long a site's word counts. A pxe-server tells all of it every five minutes.
	freshFor = 15 * time.Minute
	// wordsEach is how often one network is told of within the time of pause. A pxe-server of ours changes its mind twice a minute at the most.
	wordsEach = 4
	pause     = time.Minute
)

// interfaceForm is the name of a network interface: Linux takes up to 15 bytes.
var interfaceForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,14}$`)

// troubles are the words for what can be wrong, and what to do.
var troubles = map[string]string{
	reasons.OtherDHCPServer:    "gives addresses, too, so machines may boot what it says: switch it off, or let Ingot only name boot files beside it (--proxy-dhcp)",
	reasons.SeveralDHCPServers: "all give addresses, while Ingot only names boot files: leave one of them",
	reasons.NoDHCPServer:       "nobody gives addresses, while Ingot only names boot files (--proxy-dhcp): start a DHCP server there, or let Ingot give them",
	reasons.OtherBootServer:    "names boot files, too, and machines take either answer: switch it off",
}

// Network is one of a site's. Trouble is one of the four reasons, or empty.
type Network struct {
	Interface, Trouble string
	// Servers are the addresses that the trouble is about.
	Servers []string
}

// Change is a network that fares differently from before.
type Change struct {
	Site string
	Network
}

// Message says it in one line.
func (c Change) Message() string {
	at := fmt.Sprintf("Site %s, interface %s: ", c.Site, c.Interface)
	switch {
	case c.Trouble == "":
		return at + "the DHCP servers are as they should be"
	case len(c.Servers) == 0:
		return at + troubles[c.Trouble]
	}
	return at + "the DHCP server " + strings.Join(c.Servers, " and ") + " " + troubles[c.Trouble]
}

// Store keeps the last word about every network. It is safe for concurrent use, and a collector of metrics.
type Store struct {
	now  func() time.Time
	tell func(Change)

	mu    sync.Mutex
	sites map[string]*site
}

type site struct {
	heard    time.Time
	networks map[string]*network // by interface
}

type network struct {
	now, told Network
	since     time.Time // the start of the present minute, and the words that are left in it
	left      int
}

// NewStore is an empty store. Tell is called for every change; it must not call the store.
func NewStore(now func() time.Time, tell func(Change)) *Store {
	return &Store{now: now, tell: tell, sites: map[string]*site{}}
}

// Told replaces what is known of a site's networks. What has no form is left out.
func (s *Store) Told(name string, list []Network) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = name[:min(len(name), maxName)]
	at := s.sites[name]
	if at == nil {
		if len(s.sites) >= maxSites && !s.forgetStale() {
			return
		}
		at = &site{networks: map[string]*network{}}
		s.sites[name] = at
	}
	at.heard = s.now()
	for _, n := range list[:min(len(list), maxNetworks)] {
		if n, ok := checked(n); ok {
			s.one(name, at, n)
		}
	}
}

func (s *Store) one(name string, at *site, n Network) {
	known := at.networks[n.Interface]
	if known == nil {
		if len(at.networks) >= maxNetworks {
			return
		}
		known = &network{told: Network{Interface: n.Interface}}
		at.networks[n.Interface] = known
	}
	known.now = n
	if d := at.heard.Sub(known.since); d < 0 || d >= pause {
		known.since, known.left = at.heard, wordsEach
	}
	same := known.told.Trouble == n.Trouble && slices.Equal(known.told.Servers, n.Servers)
	if same || known.left == 0 {
		return // what is one change too many is told with a later report
	}
	known.told = n
	known.left--
	s.tell(Change{Site: name, Network: n})
}

func checked(n Network) (Network, bool) {
	if _, known := troubles[n.Trouble]; !interfaceForm.MatchString(n.Interface) || n.Trouble != "" && !known || len(n.Servers) > maxServers {
		return n, false
	}
	for _, server := range n.Servers {
		if a, err := netip.ParseAddr(server); err != nil || a.Zone() != "" {
			return n, false
		}
	}
	return n, true
}

func (s *Store) forgetStale() bool {
	before := len(s.sites)
	maps.DeleteFunc(s.sites, func(_ string, at *site) bool { return s.now().Sub(at.heard) > freshFor })
	return len(s.sites) < before
}

var description = prometheus.NewDesc("metal_dhcp_trouble", "Networks of pxe-servers that reported to this replica in the last 15 minutes, on which other DHCP servers are not as they should be, by reason.", []string{"reason"}, nil)

// Describe tells the metric's name.
func (s *Store) Describe(to chan<- *prometheus.Desc) { to <- description }

// Collect counts, zeros included: an alert needs a series to look at.
func (s *Store) Collect(to chan<- prometheus.Metric) {
	count := map[string]int{}
	s.mu.Lock()
	for _, at := range s.sites {
		if s.now().Sub(at.heard) <= freshFor {
			for _, n := range at.networks {
				count[n.now.Trouble]++
			}
		}
	}
	s.mu.Unlock()
	for reason := range troubles {
		to <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, float64(count[reason]), reason)
	}
}
