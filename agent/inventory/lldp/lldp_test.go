package lldp

import (
	"bytes"
	"errors"
	"testing"
)

func tlv(kind int, value string) []byte {
	head := kind<<9 | len(value)
	return append([]byte{byte(head >> 8), byte(head)}, value...)
}

func frame(tlvs ...[]byte) []byte {
	header := append(bytes.Repeat([]byte{2}, 12), 0x88, 0xcc)
	return append(header, bytes.Join(tlvs, nil)...)
}

var (
	mac  = tlv(1, "\x04\x52\x54\x00\xaa\xbb\xcc")
	port = tlv(2, "\x05Eth1/7")
	ttl  = tlv(3, "\x00\x78")
	end  = tlv(0, "")
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame []byte
		want  Neighbor
	}{
		{
			"all", frame(mac, port, ttl, tlv(4, "to server 7"), tlv(5, "leaf-01"), tlv(127, "\x00\x12\x0f\x01"), end),
			Neighbor{"52:54:00:aa:bb:cc", "Eth1/7", "to server 7", "leaf-01"},
		},
		{"local names", frame(tlv(1, "\x07leaf"), tlv(2, "\x07501"), ttl, end), Neighbor{ChassisID: "leaf", PortID: "501"}},
		{"port is a MAC", frame(mac, tlv(2, "\x03\x02\x00\x00\x00\x00\x01"), ttl), Neighbor{ChassisID: "52:54:00:aa:bb:cc", PortID: "02:00:00:00:00:01"}},
		{"chassis is an address", frame(tlv(1, "\x05\x01\x0a\x00\x00\x01"), port, ttl, end), Neighbor{ChassisID: "10.0.0.1", PortID: "Eth1/7"}},
		{"odd lengths are shown as hexadecimal", frame(tlv(1, "\x04\x01\x02"), tlv(2, "\x04\x01\x0a\x00"), ttl), Neighbor{ChassisID: "0102", PortID: "010a00"}},
	} {
		got, err := Parse(c.frame)
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := frame(mac, port, ttl, end)
	if _, err := Parse(good); err != nil {
		t.Fatalf("the control is refused: %v", err)
	}
	other := bytes.Clone(good)
	other[13] = 0
	for name, b := range map[string][]byte{
		"empty": nil, "another protocol": other, "port first": frame(port, mac, ttl), "no port": frame(mac, ttl, end),
		"cut": good[:len(good)-4], "empty chassis": frame(tlv(1, "\x04"), port, ttl), "short time to live": frame(mac, port, tlv(3, "\x00")),
		"nothing": frame(),
	} {
		if _, err := Parse(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(frame(mac, port, ttl, tlv(5, "leaf"), end))
	f.Add(frame(tlv(1, "\x05"), port))
	f.Add(bytes.Repeat([]byte{0x88, 0xcc, 0}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := Parse(b); err == nil && (n.ChassisID == "" || n.PortID == "") {
			t.Errorf("a frame without chassis or port was taken: %+v", n)
		}
	})
}
