package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
)

// Validate returns every mistake, each with the field it is in.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Interface == "" || len(c.Interface) > 15 {
		bad("interface: %q is not the name of a network interface", c.Interface)
	}
	if !c.ServerIP.Is4() {
		bad("serverIP: %v is not an IPv4 address", c.ServerIP)
	}
	errs = append(errs, c.validateMode())
	errs = append(errs, onlyIPv4("peers", c.Peers)...)
	if len(c.Subnets) == 0 {
		bad("subnets: give at least one")
	}
	for i, s := range c.Subnets {
		errs = append(errs, s.validate(fmt.Sprintf("subnets[%d]", i))...)
		for j, o := range c.Subnets[:i] {
			if s.Prefix.IsValid() && s.Prefix.Overlaps(o.Prefix) {
				bad("subnets[%d].prefix: %v overlaps subnets[%d].prefix %v", i, s.Prefix, j, o.Prefix)
			}
		}
	}
	errs = append(errs, c.validateReservations()...)
	if n := c.poolSize(); n > maxPool {
		bad("subnets: the pools hold %d addresses, more than %d; shrink them", n, maxPool)
	}
	return errors.Join(errs...)
}

func (c Config) validateMode() error {
	switch {
	case c.Mode == Full && c.LeaseFile == "":
		return errors.New("leaseFile: name the file that keeps the leases")
	case c.Mode == Proxy && (c.poolSize() > 0 || len(c.Reservations) > 0):
		return errors.New("mode: a proxy gives no addresses; remove pools and reservations")
	case c.Mode != Full && c.Mode != Proxy:
		return fmt.Errorf("mode: %d is unknown; use Full or Proxy", c.Mode)
	}
	return nil
}

func (s Subnet) validate(at string) (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(at+format, args...)) }
	if !s.Prefix.IsValid() || !s.Prefix.Addr().Is4() || s.Prefix != s.Prefix.Masked() || s.Prefix.Bits() == 0 || s.Prefix.Bits() > 30 {
		bad(".prefix: %v is not an IPv4 network of /1 to /30 without host bits", s.Prefix)
		return errs
	}
	for i := range s.Pools {
		errs = append(errs, s.validatePool(fmt.Sprintf("%s.pools[%d]", at, i), i)...)
	}
	if s.Router.IsValid() && !s.Prefix.Contains(s.Router) {
		bad(".router: %v is outside %v", s.Router, s.Prefix)
	}
	errs = append(errs, onlyIPv4(at+".dns", s.DNS)...)
	errs = append(errs, onlyIPv4(at+".ntp", s.NTP)...)
	if s.Domain != "" && !hostname.MatchString(s.Domain) {
		bad(".domain: %q is not a domain name", s.Domain)
	}
	if s.LeaseTime != 0 && (s.LeaseTime < minLease || s.LeaseTime > maxLease) {
		bad(".leaseTime: %v is not between %v and %v", s.LeaseTime, minLease, maxLease)
	}
	return errs
}

func (s Subnet) validatePool(at string, i int) (errs []error) {
	p := s.Pools[i]
	switch {
	case !p.From.Is4() || !p.To.Is4() || p.To.Less(p.From):
		return []error{fmt.Errorf("%s: %v-%v is not a range from a lower to a higher IPv4 address", at, p.From, p.To)}
	case !s.Prefix.Contains(p.From) || !s.Prefix.Contains(p.To):
		return []error{fmt.Errorf("%s: %v-%v is outside %v", at, p.From, p.To, s.Prefix)}
	}
	for j, o := range s.Pools[:i] {
		if !p.To.Less(o.From) && !o.To.Less(p.From) {
			errs = append(errs, fmt.Errorf("%s: %v-%v overlaps pools[%d] %v-%v", at, p.From, p.To, j, o.From, o.To))
		}
	}
	return errs
}

// Eight addresses fill 34 bytes; more would crowd the boot options out of a 576-byte reply.
const maxServers = 8

func onlyIPv4(at string, list []netip.Addr) (errs []error) {
	if len(list) > maxServers {
		errs = append(errs, fmt.Errorf("%s: %d addresses, at most %d fit", at, len(list), maxServers))
	}
	for i, a := range list {
		if !a.Is4() {
			errs = append(errs, fmt.Errorf("%s[%d]: %v is not an IPv4 address", at, i, a))
		}
	}
	return errs
}

// RFC 1123 section 2.1, dotted.
var hostname = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?){0,10}$`)

func (c Config) validateReservations() (errs []error) {
	macs, ips := map[macAddr]int{}, map[netip.Addr]int{}
	for i, r := range c.Reservations {
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("reservations[%d]"+format, append([]any{i}, args...)...))
		}
		m, ok := toMAC(r.MAC)
		if !ok {
			bad(".mac: %q is not a unicast Ethernet address", r.MAC)
		} else if j, dup := macs[m]; dup {
			bad(".mac: %v is also in reservations[%d]", r.MAC, j)
		}
		if j, dup := ips[r.IP]; dup {
			bad(".ip: %v is also in reservations[%d]", r.IP, j)
		}
		if !c.usable(r.IP) {
			bad(".ip: %v is no host address of a configured subnet, or the server's own", r.IP)
		}
		if r.Hostname != "" && (!hostname.MatchString(r.Hostname) || len(r.Hostname) > 63) {
			bad(".hostname: %q is not a host name", r.Hostname)
		}
		macs[m], ips[r.IP] = i, i
	}
	return errs
}

func (c Config) usable(ip netip.Addr) bool {
	for _, s := range c.Subnets {
		if s.Prefix.IsValid() && s.Prefix.Contains(ip) {
			return s.host(ip) && ip != c.ServerIP
		}
	}
	return false
}

// host says whether a client could have ip: neither network, broadcast nor router address.
func (s Subnet) host(ip netip.Addr) bool {
	return s.Prefix.Contains(ip) && ip != s.Prefix.Masked().Addr() && ip != s.broadcast() && ip != s.Router
}

func (s Subnet) broadcast() netip.Addr {
	a := s.Prefix.Masked().Addr().As4()
	for bit := s.Prefix.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

func (c Config) poolSize() (n uint64) {
	for _, s := range c.Subnets {
		for _, p := range s.Pools {
			if p.From.Is4() && p.To.Is4() && !p.To.Less(p.From) {
				n += uint64(toUint(p.To)) - uint64(toUint(p.From)) + 1
			}
		}
	}
	return n
}
