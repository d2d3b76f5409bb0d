// Package claims turns what a machine says of itself into data that is safe to match, store and show. All of it may be forged: this package
// makes it well-formed and bounded, never true.
//
// It is pure (layer 1): messages in, API types out.
package claims

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/pxe-server/boot"
)

// Bounds of evidence; those of the API are the same.
const (
	maxMACs = 32
	maxText = 128
)

// BootID says whether a boot id has the form that ours have.
func BootID(s string) bool { return bootIDForm.MatchString(s) }

var (
	macForm    = regexp.MustCompile(`^([0-9a-f]{2}:){5}[0-9a-f]{2}$`)
	uuidForm   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	bootIDForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)
)

// Text makes one line of printable text out of what firmware or a stranger wrote, of at most limit characters.
func Text(s string, limit int) string {
	if len(s) > limit*utf8.UTFMax*2 {
		s = s[:limit*utf8.UTFMax*2] // a bound on the work; the character cut in two is dropped below
	}
	var b strings.Builder
	n, blank := 0, false
	for _, r := range strings.ToValidUTF8(s, "") {
		if !unicode.IsPrint(r) || unicode.IsSpace(r) {
			blank = n > 0
			continue
		}
		if need := 1; n+need > limit || blank && n+need+1 > limit {
			break
		}
		if blank {
			b.WriteByte(' ')
			n, blank = n+1, false
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// cleanMAC is the address in lower case with colons; empty unless it is a unicast address other than zero.
func cleanMAC(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if !macForm.MatchString(s) || s == "00:00:00:00:00:00" || strings.IndexByte("13579bdf", s[1]) >= 0 {
		return ""
	}
	return s
}

// cleanUUID is the UUID in lower case, or empty.
func cleanUUID(s string) string {
	if s = strings.ToLower(strings.TrimSpace(s)); uuidForm.MatchString(s) {
		return s
	}
	return ""
}

// cleanMACs keeps the good ones, each once, in order.
func cleanMACs(in []string) []string {
	var out []string
	for _, m := range in[:min(len(in), 4*maxMACs)] {
		if m = cleanMAC(m); m != "" && !slices.Contains(out, m) && len(out) < maxMACs {
			out = append(out, m)
		}
	}
	return out
}

// Identity is what a machine says of itself in the form that is matched and stored. The MAC that it booted from counts only when the
// machine names no other: it may be an adapter that moves between machines.
func Identity(e *protocol.Evidence) boot.Identity {
	id := boot.Identity{
		MACs:         cleanMACs(e.GetMacs()),
		Manufacturer: Text(e.GetManufacturer(), maxText),
		Serial:       Text(e.GetSerial(), maxText),
		UUID:         cleanUUID(e.GetUuid()),
	}
	if len(id.MACs) == 0 {
		id.MACs = cleanMACs([]string{e.GetBootMac()})
	}
	return id
}

// Recognisable says that a machine with this evidence could be told apart at its next boot: it must at least match itself.
func Recognisable(id boot.Identity) bool {
	return boot.Resolve(id, []boot.Server{{Name: "self", Identity: id}}).Server == "self"
}
