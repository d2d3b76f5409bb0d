package dhcp

import (
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Config is everything the server needs. New validates it.
type Config struct {
	// Interface on which to serve; it must carry ServerIP.
	Interface string
	// ServerIP is the server identifier (option 54) and the source of every reply.
	ServerIP netip.Addr
	Mode     Mode
	Subnets  []Subnet
	// Reservations need no pool; they win over pools.
	Reservations []Reservation
	// LeaseFile keeps leases across restarts. Its folder must exist. Proxy mode has none, no pools and no reservations.
	LeaseFile string
	Boot      Boot
	// Peers are servers beside this one that are meant to be: further pxe-servers of the same site. They are no trouble.
	Peers  []netip.Addr
	Limits Limits

	// Log, Seen, Prober and Now may be nil: no logs, no events, ARP on Interface, the system's clock.
	Log *slog.Logger
	// Seen is called for every netbooting client that got an address. It must return at once.
	Seen func(Event)
	// Boots is called for every DISCOVER of a machine that netboots, before it is answered; nil for nobody. It must return at once.
	Boots func(net.HardwareAddr)
	// Neighbors is called when it changes which other DHCP servers are on the network; nil for nobody. It must return at once.
	Neighbors func(Neighbors)
	Prober    Prober
	Now       func() time.Time
}

// Subnet is one network: the one ServerIP is in, or one behind a relay.
type Subnet struct {
	Prefix netip.Prefix
	// Pools are inclusive. ServerIP, routers, reserved, network and broadcast addresses in them are left out.
	Pools     []Range
	Router    netip.Addr
	DNS, NTP  []netip.Addr
	Domain    string
	LeaseTime time.Duration // default one hour
}

// Range is inclusive.
type Range struct{ From, To netip.Addr }

// Reservation gives a MAC always the same address.
type Reservation struct {
	MAC      net.HardwareAddr
	IP       netip.Addr
	Hostname string
}

// Boot says what netbooting clients get. A nil function or an empty field: nothing of that kind.
type Boot struct {
	// TFTPServer is the next server; ServerIP when unset.
	TFTPServer netip.Addr
	// NBP names the first stage that TFTP serves for an architecture.
	NBP func(Arch) (file string, ok bool)
	// HTTPURL is the first stage's URL for UEFI HTTP boot.
	HTTPURL func(Arch) (url string, ok bool)
	// ScriptURL is what iPXE gets.
	ScriptURL string
}

// Limits bound what clients may cost. Zero fields get their default.
type Limits struct {
	// PerMAC is for one client; default 10 a second, burst 20.
	PerMACRate  float64
	PerMACBurst int
	// Interface is for everything together; default 20000 a second, burst 20000.
	InterfaceRate  float64
	InterfaceBurst int
	// Workers handle packets; default 16, each with a queue of 64.
	Workers int
	// Probes run at once; default 32.
	Probes int
	// Ahead is how many addresses are kept probed before anybody asks for them; default 1024, negative: none.
	Ahead int
}

const (
	defaultLease = time.Hour
	minLease     = 2 * time.Minute
	maxLease     = 30 * 24 * time.Hour
	maxPool      = 1 << 16
)

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Seen == nil {
		c.Seen = func(Event) {}
	}
	if c.Boots == nil {
		c.Boots = func(net.HardwareAddr) {}
	}
	if c.Neighbors == nil {
		c.Neighbors = func(Neighbors) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if !c.Boot.TFTPServer.IsValid() {
		c.Boot.TFTPServer = c.ServerIP
	}
	c.Limits = c.Limits.withDefaults()
	subnets := make([]Subnet, len(c.Subnets))
	for i, s := range c.Subnets {
		if s.LeaseTime == 0 {
			s.LeaseTime = defaultLease
		}
		subnets[i] = s
	}
	c.Subnets = subnets
	return c
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if l.PerMACRate == 0 {
		l.PerMACRate = 10
	}
	if l.InterfaceRate == 0 {
		l.InterfaceRate = 20_000
	}
	set(&l.PerMACBurst, 20)
	set(&l.InterfaceBurst, 20_000)
	set(&l.Workers, 16)
	set(&l.Probes, 32)
	set(&l.Ahead, 1024)
	return l
}
