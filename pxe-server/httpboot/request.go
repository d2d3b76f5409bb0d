package httpboot

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"ingot.dev/ingot/pxe-server/boot"
)

// Limits of what a machine may say of itself. SMBIOS strings have at most 64 characters by habit and no limit by specification.
const (
	maxQuery = 2048
	maxPairs = 16
	maxValue = 128
)

// errQuery is returned for a request that no first stage of ours sends.
var errQuery = errors.New("this is not the request of a boot script")

// cutQuery splits a request line at its first "?".
func cutQuery(uri string) (path, query string, found bool) { return strings.Cut(uri, "?") }

// asked is what one machine says.
type asked struct {
	boot.Request
	mac, product string
}

// parseQuery reads the query of a script request.
func parseQuery(query string) (asked, error) {
	v, err := values(query)
	if err != nil {
		return asked{}, err
	}
	mac := strings.ToLower(strings.ReplaceAll(v["mac"], "-", ":"))
	if !isMAC(mac) {
		return asked{}, fmt.Errorf("%w: mac is missing or malformed", errQuery)
	}
	a := asked{mac: mac, product: v["product"]}
	a.Identity = boot.Identity{
		MACs: []string{mac}, Manufacturer: v["manufacturer"], Serial: v["serial"], UUID: strings.ToLower(v["uuid"]),
	}
	a.Arch, a.Firmware = machine(v["arch"], v["platform"])
	return a, nil
}

// values splits a query. Unlike net/url it leaves "+" alone, since iPXE escapes blanks as %20 and serial numbers may hold a plus.
func values(query string) (map[string]string, error) {
	if len(query) > maxQuery {
		return nil, fmt.Errorf("%w: the query has %d bytes, at most %d", errQuery, len(query), maxQuery)
	}
	pairs := strings.Split(query, "&")
	if len(pairs) > maxPairs {
		return nil, fmt.Errorf("%w: %d parameters, at most %d", errQuery, len(pairs), maxPairs)
	}
	v := make(map[string]string, len(pairs))
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		text, err := url.PathUnescape(value)
		if err != nil {
			return nil, fmt.Errorf("%w: %s has a broken escape", errQuery, clean(name))
		}
		if _, twice := v[name]; twice {
			return nil, fmt.Errorf("%w: %s is there twice", errQuery, clean(name))
		}
		v[name] = clean(text)
	}
	return v, nil
}

// clean drops what does not print, and cuts at a whole character.
func clean(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s[:min(len(s), 4*maxValue)]))
	for len(s) > maxValue {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// machine turns iPXE's words into ours. The BIOS loader is a 32-bit program on every processor, so there "i386" says nothing; the servers
// that Ingot is for have been 64-bit for two decades.
func machine(buildarch, platform string) (arch, firmware string) {
	firmware = boot.UEFIPXE
	if platform == "pcbios" {
		firmware = boot.BIOSPXE
	}
	switch {
	case buildarch == "x86_64", buildarch == "i386" && firmware == boot.BIOSPXE:
		return boot.AMD64, firmware
	case buildarch == "arm64":
		return boot.ARM64, firmware
	}
	return "", firmware
}

func isMAC(s string) bool {
	if len(s) != 17 {
		return false
	}
	for i := range len(s) {
		if i%3 == 2 {
			if s[i] != ':' {
				return false
			}
		} else if !strings.Contains("0123456789abcdef", s[i:i+1]) {
			return false
		}
	}
	return true
}
