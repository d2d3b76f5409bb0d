package dhcp6

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"time"
)

// Config is everything the server needs. New validates it.
type Config struct {
	// Interface on which to serve.
	Interface string
	// ServerIP is our own address in Prefix, which no client gets.
	ServerIP netip.Addr
	// Prefix is what is on the link.
	Prefix netip.Prefix
	// Pool is what clients get addresses of. Unset: none is given, and only questions for other configuration are answered.
	Pool      Range
	DNS       []netip.Addr
	Domain    string
	LeaseTime time.Duration // default one hour
	// LeaseFile keeps leases across restarts. Its folder must exist.
	LeaseFile string
	Boot      Boot
	Limits    Limits

	// Log, Seen and Now may be nil: no logs, no events, the system's clock. Seen must return at once.
	Log  *slog.Logger
	Seen func(Event)
	Now  func() time.Time
}

// Range is inclusive. Both ends agree in their first 64 bits.
type Range struct{ From, To netip.Addr }

// IsZero says whether there is none.
func (r Range) IsZero() bool { return r == Range{} }

func (r Range) contains(a netip.Addr) bool { return !r.IsZero() && !a.Less(r.From) && !r.To.Less(a) }

// Boot says what netbooting clients get, as URLs (RFC 5970 section 3.1). A nil function or an empty field: nothing of that kind.
type Boot struct {
	// TFTPURL is the first stage of a PXE client, HTTPURL that of UEFI HTTP boot.
	TFTPURL, HTTPURL func(Arch) (url string, ok bool)
	// ScriptURL is what iPXE gets.
	ScriptURL string
}

// Limits bound what clients may cost. Zero fields get their default.
type Limits struct {
	// PerSource is for one link-local address; default 10 a second, burst 20.
	PerSourceRate  float64
	PerSourceBurst int
	// Interface is for everything together; default 5000 a second, burst 5000.
	InterfaceRate  float64
	InterfaceBurst int
	// Workers handle packets; default 8, each with a queue of 64.
	Workers int
	// Leases at once; default 65536.
	Leases int
}

const (
	defaultLease = time.Hour
	minLease     = 2 * time.Minute
	maxLease     = 30 * 24 * time.Hour
	maxServers   = 8
)

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Seen == nil {
		c.Seen = func(Event) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.LeaseTime == 0 {
		c.LeaseTime = defaultLease
	}
	c.Limits = c.Limits.withDefaults()
	return c
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if l.PerSourceRate == 0 {
		l.PerSourceRate = 10
	}
	if l.InterfaceRate == 0 {
		l.InterfaceRate = 5000
	}
	set(&l.PerSourceBurst, 20)
	set(&l.InterfaceBurst, 5000)
	set(&l.Workers, 8)
	set(&l.Leases, 1<<16)
	return l
}

func (c Config) validateDNS() error {
	var errs []error
	if len(c.DNS) > maxServers {
		errs = append(errs, fmt.Errorf("dns: %d addresses, at most %d fit", len(c.DNS), maxServers))
	}
	for i, a := range c.DNS {
		if !isIPv6(a) {
			errs = append(errs, fmt.Errorf("dns[%d]: %v is not an IPv6 address", i, a))
		}
	}
	return errors.Join(errs...)
}

// Validate returns every mistake, each with the field it is in.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Interface == "" || len(c.Interface) > 15 {
		bad("interface: %q is not the name of a network interface", c.Interface)
	}
	if !c.Prefix.IsValid() || !isIPv6(c.Prefix.Addr()) || c.Prefix != c.Prefix.Masked() || c.Prefix.Bits() < 16 || c.Prefix.Bits() > 126 {
		bad("prefix: %v is not an IPv6 network of /16 to /126 without host bits", c.Prefix)
		return errors.Join(errs...)
	}
	if !c.Prefix.Contains(c.ServerIP) || c.ServerIP.Zone() != "" {
		bad("serverIP: %v is not an address of %v", c.ServerIP, c.Prefix)
	}
	errs = append(errs, c.Pool.validate(c.Prefix))
	if !c.Pool.IsZero() && c.LeaseFile == "" {
		bad("leaseFile: name the file that keeps the leases")
	}
	errs = append(errs, c.validateDNS())
	if c.Domain != "" && !hostname.MatchString(c.Domain) {
		bad("domain: %q is not a domain name", c.Domain)
	}
	if c.LeaseTime != 0 && (c.LeaseTime < minLease || c.LeaseTime > maxLease) {
		bad("leaseTime: %v is not between %v and %v", c.LeaseTime, minLease, maxLease)
	}
	return errors.Join(errs...)
}

func isIPv6(a netip.Addr) bool { return a.Is6() && !a.Is4In6() && a.Zone() == "" }

func (r Range) validate(on netip.Prefix) error {
	switch {
	case r.IsZero():
		return nil
	case !isIPv6(r.From) || !isIPv6(r.To) || r.To.Less(r.From):
		return fmt.Errorf("pool: %v-%v is not a range from a lower to a higher IPv6 address", r.From, r.To)
	case !on.Contains(r.From) || !on.Contains(r.To):
		return fmt.Errorf("pool: %v-%v is outside %v", r.From, r.To, on)
	case upper(r.From) != upper(r.To):
		return fmt.Errorf("pool: %v-%v spans several networks of /64; take addresses of one", r.From, r.To)
	}
	return nil
}

// RFC 1123 section 2.1, dotted.
var hostname = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?){0,10}$`)
