package tftp

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"strconv"
	"strings"
)

// Operation codes (RFC 1350, section 5; OACK: RFC 2347).
const (
	opRRQ = iota + 1
	opWRQ
	opDATA
	opACK
	opERROR
	opOACK
)

// Error codes (RFC 1350, appendix; 8: RFC 2347).
const (
	errNotFound = 1
	errAccess   = 2
	errIllegal  = 4
)

const (
	maxRequest   = 1024
	maxName      = 255
	maxOptions   = 16
	minBlock     = 8
	defaultBlock = 512
	maxBlock     = 1468 // an Ethernet frame without fragments
	maxWindow    = 16
)

// request is a read request. Options that were not sent, or not understood, are zero; then they are not acknowledged.
type request struct {
	name   string
	block  int
	window int
	tsize  bool
}

// refusal is answered with an error packet.
type refusal struct {
	code uint16
	text string
}

// parseRequest reads an RRQ. ok is false for what gets no answer at all.
func parseRequest(b []byte) (r request, no *refusal, ok bool) {
	if len(b) < 4 || len(b) > maxRequest {
		return r, nil, false
	}
	switch binary.BigEndian.Uint16(b) {
	case opWRQ:
		return r, &refusal{errAccess, "read-only server"}, true
	case opRRQ:
	default:
		return r, nil, false // a stray packet, perhaps of an old transfer; answering could make two servers talk for ever
	}
	fields := strings.Split(string(b[2:]), "\x00")
	// Firmware that takes the name from a DHCP option with a trailing NUL sends that NUL, too.
	if len(fields) > 2 && fields[1] == "" {
		fields = append(fields[:1], fields[2:]...)
	}
	if len(fields) < 3 || len(fields) > 3+2*maxOptions {
		return r, &refusal{errIllegal, "malformed request"}, true
	}
	name, good := cleanName(fields[0])
	if !good {
		return r, &refusal{errNotFound, "no such file"}, true
	}
	if !strings.EqualFold(fields[1], "octet") {
		return r, &refusal{errIllegal, "only octet mode"}, true
	}
	r.name = name
	r.options(fields[2 : len(fields)-1])
	return r, nil, true
}

// options reads pairs of name and value; RFC 2347 wants unknown ones to be ignored.
func (r *request) options(f []string) {
	for ; len(f) > 1; f = f[2:] {
		n, err := strconv.Atoi(f[1])
		if err != nil {
			continue
		}
		switch strings.ToLower(f[0]) {
		case "blksize":
			if n >= minBlock && n <= 65464 {
				r.block = min(n, maxBlock)
			}
		case "windowsize":
			if n >= 1 && n <= 65535 {
				r.window = min(n, maxWindow)
			}
		case "tsize":
			r.tsize = n == 0
		}
	}
}

// cleanName returns the catalogue's name for what a client asked. Firmware adds a leading slash, or a trailing 0xff when it
// copies the end mark of the DHCP options; nothing else is repaired.
func cleanName(s string) (name string, ok bool) {
	s = strings.TrimSuffix(s, "\xff")
	s = strings.TrimPrefix(s, "/")
	if len(s) > maxName || !fs.ValidPath(s) || s == "." {
		return "", false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '%' || c == ':' {
			return "", false
		}
	}
	return s, true
}

// oack acknowledges the options that are used (RFC 2347), nil when there are none.
func (r request) oack(size int64) []byte {
	var o bytes.Buffer
	add := func(name string, v int64) { o.WriteString(name + "\x00" + strconv.FormatInt(v, 10) + "\x00") }
	if r.block > 0 {
		add("blksize", int64(r.block))
	}
	if r.tsize {
		add("tsize", size)
	}
	if r.window > 0 {
		add("windowsize", int64(r.window))
	}
	if o.Len() == 0 {
		return nil
	}
	return append([]byte{0, opOACK}, o.Bytes()...)
}

func (e *refusal) packet() []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, opERROR}, e.code)
	return append(append(b, e.text...), 0)
}
