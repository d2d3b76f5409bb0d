package lldp

import (
	"bytes"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"
)

func neighbor() Neighbor {
	return Neighbor{
		Chassis: net.HardwareAddr{0x52, 0x54, 0, 0xff, 0xff, 0xff}, Port: "Eth1/7",
		System: "leaf-01", Lifetime: 2 * time.Minute,
	}
}

// The bytes are written from IEEE 802.1AB by hand, not by this package.
func TestEncode(t *testing.T) {
	got, err := Encode(neighbor())
	if err != nil {
		t.Fatal(err)
	}
	want := "0180c200000e" + "525400ffffff" + "88cc" +
		"0207" + "04" + "525400ffffff" +
		"0407" + "05" + hex.EncodeToString([]byte("Eth1/7")) +
		"0602" + "0078" +
		"0a07" + hex.EncodeToString([]byte("leaf-01")) +
		"0000"
	want += strings.Repeat("00", 60-len(want)/2)
	if hex.EncodeToString(got) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
}

func TestEncodeDescriptions(t *testing.T) {
	n := neighbor()
	n.PortDescription, n.Description = "to server 7", strings.Repeat("d", longestID)
	frame, err := Encode(n)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"\x08\x0bto server 7", "\x0c\xff" + n.Description} {
		if !bytes.Contains(frame, []byte(part)) {
			t.Errorf("%q is missing", part)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Neighbor){
		"no chassis":    func(n *Neighbor) { n.Chassis = nil },
		"long chassis":  func(n *Neighbor) { n.Chassis = make(net.HardwareAddr, 8) },
		"no port":       func(n *Neighbor) { n.Port = "" },
		"long port":     func(n *Neighbor) { n.Port = strings.Repeat("p", longestID+1) },
		"long system":   func(n *Neighbor) { n.System = strings.Repeat("s", longestID+1) },
		"negative time": func(n *Neighbor) { n.Lifetime = -1 },
		"long time":     func(n *Neighbor) { n.Lifetime = longestLifetime + 1 },
	} {
		n := neighbor()
		spoil(&n)
		if _, err := Encode(n); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
