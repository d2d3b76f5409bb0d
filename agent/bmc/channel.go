package bmc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Channel is a LAN channel of the BMC.
type Channel struct {
	Number uint8
	// Address is empty while the BMC has none there.
	Address string
	// Port is 0 where the BMC does not say, or says 623.
	Port uint16
}

const (
	lastChannel = 0x0b // channels 1 to Bh have an assignment of the maker's (6.3)
	mediumLAN   = 0x04 // 802.3 LAN (table 6-3)

	// Parameters of the LAN configuration (table 23-4).
	paramAddress, paramPort = 3, 8
	defaultPort             = 623

	// Bits of Get Channel Access (22.23).
	activeSettings             = 0x80
	accessAlways, accessShared = 2, 3
)

// Privilege levels (22.23, 22.26).
const (
	operator = 3
	noAccess = 0x0f
)

var errNoChannel = errors.New("the BMC has no LAN channel")

// lanChannel finds the first LAN channel with an address; without any, the first one (22.24, 23.2).
func lanChannel(ctx context.Context, p Port) (Channel, error) {
	first, found := Channel{}, false
	for n := uint8(1); n <= lastChannel; n++ {
		info, err := ask(ctx, p, netApp, getChannelInfo, 2, n)
		switch {
		case err != nil && codeOf(err) == 0: // no answer at all: others would not be answered either
			return Channel{}, err
		case err != nil || info[1]&0x7f != mediumLAN:
			continue
		}
		c := Channel{Number: n, Address: lanAddress(ctx, p, n), Port: lanPort(ctx, p, n)}
		if c.Address != "" {
			return c, nil
		}
		if !found {
			first, found = c, true
		}
	}
	if !found {
		return Channel{}, errNoChannel
	}
	return first, nil
}

// lanAddress is the IPv4 address; empty without one.
func lanAddress(ctx context.Context, p Port, channel uint8) string {
	b, err := ask(ctx, p, netTransport, getLANConfig, 5, channel, paramAddress, 0, 0)
	if err != nil {
		return ""
	}
	if ip := netip.AddrFrom4([4]byte(b[1:5])); !ip.IsUnspecified() {
		return ip.String()
	}
	return ""
}

// lanPort is the primary RMCP port; BMCs without that parameter have the default one.
func lanPort(ctx context.Context, p Port, channel uint8) uint16 {
	b, err := ask(ctx, p, netTransport, getLANConfig, 3, channel, paramPort, 0, 0)
	if err != nil {
		return 0
	}
	if port := binary.LittleEndian.Uint16(b[1:]); port != defaultPort {
		return port
	}
	return 0
}

// open wants IPMI over the channel while the host runs, for operators. A BMC that does not tell is seen at the login.
func (c Channel) open(ctx context.Context, p Port) error {
	b, err := ask(ctx, p, netApp, getChannelAccess, 2, c.Number, activeSettings)
	if err != nil {
		return known(err)
	}
	if mode := b[0] & 7; mode != accessAlways && mode != accessShared {
		return fmt.Errorf("IPMI over LAN is switched off on channel %d of the BMC; a person has to allow it there", c.Number)
	}
	if b[1]&0x0f < operator {
		return fmt.Errorf("channel %d of the BMC lets nobody be an operator; a person has to allow it there", c.Number)
	}
	return nil
}
