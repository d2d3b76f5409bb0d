// Package otherdhcp asks which DHCP servers are on a network, for `ingot check`. It takes nothing that they offer.
package otherdhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

// wait is how long other DHCP servers may take to answer; RFC 2131 section 4.1 has clients wait about as long, and some servers look for a user of the
// address first, for three seconds.
const wait = 5 * time.Second

// offerer is a server that answered a question for an address or for a boot file.
type offerer struct{ server, address, file string }

// Check asks for addresses on the interface, and for a boot as firmware does, and says in one line whether what answers is as it should be; proxy says that Ingot is
// to name boot files beside one other server.
func Check(ctx context.Context, name string, proxy bool) (ok bool, text string) {
	all, err := offers(ctx, name)
	if errors.Is(err, os.ErrPermission) {
		return bad("no right to listen; run as root, or with CAP_NET_RAW")
	}
	if err != nil {
		return bad("asking on %s: %v", name, err)
	}
	return judgeOffers(all, proxy)
}

// offers asks twice at once, as an ordinary client and as UEFI firmware, and collects what comes.
func offers(ctx context.Context, name string) ([]offerer, error) {
	c, err := nclient4.New(name, nclient4.WithTimeout(wait), nclient4.WithRetry(1))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	firmware := []dhcpv4.Modifier{
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient:Arch:00007:UNDI:003000")), dhcpv4.WithGeneric(dhcpv4.OptionClientSystemArchitectureType, []byte{0, 7}),
	}
	var mu sync.Mutex
	var all []offerer
	var asking sync.WaitGroup
	for _, mods := range [][]dhcpv4.Modifier{{dhcpv4.WithOption(dhcpv4.OptClassIdentifier("ingot-check"))}, firmware} {
		p, err := dhcpv4.NewDiscovery(c.InterfaceAddr(), append(mods, dhcpv4.WithBroadcast(true))...)
		if err != nil {
			return nil, fmt.Errorf("writing a DISCOVER: %w", err)
		}
		asking.Go(func() {
			// It matches nothing, so that it listens until the time is over: each answer is noted on the way.
			_, _ = c.SendAndRead(ctx, nclient4.DefaultServers, p, func(m *dhcpv4.DHCPv4) bool {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, offererOf(m))
				return false
			})
		})
	}
	asking.Wait()
	return all, nil
}

func offererOf(m *dhcpv4.DHCPv4) offerer {
	o := offerer{server: m.ServerIPAddr.String(), file: m.BootFileNameOption()}
	if id := m.ServerIdentifier(); id != nil {
		o.server = id.String()
	}
	if o.file == "" {
		o.file = m.BootFileName
	}
	if !m.YourIPAddr.Equal(net.IPv4zero) {
		o.address = m.YourIPAddr.String()
	}
	return o
}

// judgeOffers: alone, nobody may answer; as a proxy, one server gives addresses and nobody names boot files.
func judgeOffers(all []offerer, proxy bool) (ok bool, text string) {
	lend, name := map[string]string{}, map[string]string{}
	for _, o := range all {
		if o.address != "" {
			lend[o.server] = o.address
		}
		if o.file != "" {
			name[o.server] = o.file
		}
	}
	switch {
	case !proxy && len(lend) > 0:
		return bad("%s offers an address here; two DHCP servers on one network fight: switch one off, give Ingot a network of its own, or let Ingot only name boot files beside it (--proxy-dhcp)", servers(lend))
	case proxy && len(lend) == 0:
		return bad("no server offered an address within %s; with --proxy-dhcp Ingot gives none: start a DHCP server on this network, or leave the flag out", wait)
	case proxy && len(lend) > 1:
		return bad("%s all offer addresses here; leave one of them", servers(lend))
	case len(name) > 0:
		return bad("%s names boot files here, and machines may take those: remove them there (in DHCP: options 66 and 67, next-server and filename)", servers(name))
	case proxy:
		return good("%s gives addresses, and names no boot file", servers(lend))
	}
	return good("no other DHCP server answered within %s", wait)
}

func good(format string, args ...any) (bool, string) { return true, fmt.Sprintf(format, args...) }
func bad(format string, args ...any) (bool, string)  { return false, fmt.Sprintf(format, args...) }

func servers(of map[string]string) string {
	var all []string
	for s := range of {
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
