package boot

import "strings"

// placeholders are serial numbers and manufacturers that board makers leave in SMBIOS type 1 instead of a value, lower case.
// They are on many machines at once and so say nothing about which one it is.
var placeholders = []string{
	"to be filled by o.e.m.", "to be filled by o.e.m", "to be filled by oem", "default string", "default", "not specified",
	"not applicable", "not available", "not provided", "n/a", "none", "null", "unknown", "empty", "invalid", "oem", "o.e.m.", "tbd", "test",
	"system serial number", "system manufacturer", "chassis serial number", "serial number", "manufacturer", "filled by oem",
	"123456789", "1234567890", "12345678", "0987654321",
}

// badUUIDs are UUIDs seen on whole product lines, lower case: AMI's sample value in both byte orders, and Dell's with a blank service tag.
// Values whose bytes are all the same (zero and all-F among them) are bad as well.
var badUUIDs = []string{
	"03000200-0400-0500-0006-000700080009",
	"00020003-0004-0005-0006-000700080009",
	"12345678-1234-5678-90ab-cddeefaabbcc",
	"01234567-89ab-cdef-0123-456789abcdef",
	"4c4c4544-0000-2010-8020-80c04f202020",
}

// goodMACs keeps what can tell machines apart: six octets, unicast, not zero; lower case with colons, each once.
func goodMACs(macs []string) map[string]bool {
	good := make(map[string]bool, len(macs))
	for _, m := range macs {
		m = strings.ToLower(m)
		if isMAC(m) && m != "00:00:00:00:00:00" && !multicast(m) {
			good[m] = true
		}
	}
	return good
}

func isMAC(s string) bool {
	if len(s) != 17 {
		return false
	}
	for i := range len(s) {
		if i%3 == 2 && s[i] != ':' || i%3 != 2 && !isHex(s[i]) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

// multicast reads the lowest bit of the first octet (IEEE 802), which the second digit of a MAC shows.
func multicast(mac string) bool { return strings.IndexByte("13579bdf", mac[1]) >= 0 }

// goodSerial gives the pair as one comparable value, or "" when either half is missing or a placeholder.
func goodSerial(manufacturer, serial string) string {
	m, s := norm(manufacturer), norm(serial)
	if placeholder(m) || placeholder(s) || strings.HasPrefix(s, "0123456789") {
		return ""
	}
	return m + "\x00" + s
}

func norm(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

func placeholder(s string) bool {
	if len(s) < 2 || oneByte(s) {
		return true
	}
	for _, p := range placeholders {
		if s == p {
			return true
		}
	}
	return false
}

// oneByte is true for "00000000", "........" and their like.
func oneByte(s string) bool { return strings.Count(s, s[:1]) == len(s) }

// goodUUID gives the UUID in lower case, or "" when it tells nothing.
func goodUUID(uuid string) string {
	u := strings.ToLower(uuid)
	if !isUUID(u) || sameOctets(strings.ReplaceAll(u, "-", "")) {
		return ""
	}
	for _, b := range badUUIDs {
		if u == b {
			return ""
		}
	}
	return u
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash && s[i] != '-' || !dash && !isHex(s[i]) {
			return false
		}
	}
	return true
}

func sameOctets(hex string) bool { return strings.Count(hex, hex[:2]) == len(hex)/2 }
