package leases

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The lease file is a log of lines, one per change, the last one of an address counts:
//
//	<kind> 1
//	<crc32> <ip> <mac> <until, unix seconds> <client key, base64>
//
// A crash can tear the last line only; a line whose checksum is wrong is left out and the file rewritten. Rewriting is
// atomic: a new file, fsync, rename, fsync of the folder.
const (
	format      = 1
	maxLine     = 512
	maxFile     = 64 << 20
	maxRecords  = 1 << 17
	keepExpired = 7 * 24 * time.Hour // so long a client gets its old address back
)

// ErrNewer says that a newer program wrote the lease file.
var ErrNewer = errors.New("the lease file has a newer format")

// Kind tells the file of one server from that of another.
type Kind struct {
	// Header begins the file, without the number of its format.
	Header string
	// Fits says whether a record can be one of this server's; others are damaged lines.
	Fits func(Record) bool
}

// Record is one line.
type Record struct {
	IP netip.Addr
	// MAC of the client, all zero when it is not known.
	MAC [6]byte
	// Client is what the client calls itself, at most MaxClient bytes.
	Client string
	Until  time.Time
}

// MaxClient bounds Record.Client, in bytes.
const MaxClient = 160

func (r Record) line() string {
	body := fmt.Sprintf("%s %s %d %s", r.IP, net.HardwareAddr(r.MAC[:]), r.Until.Unix(), base64.RawStdEncoding.EncodeToString([]byte(r.Client)))
	return fmt.Sprintf("%08x %s\n", crc32.ChecksumIEEE([]byte(body)), body)
}

// parse reads one line without its end.
func (k Kind) parse(line string) (r Record, ok bool) {
	sum, body, _ := strings.Cut(line, " ")
	want, err := strconv.ParseUint(sum, 16, 32)
	f := strings.Split(body, " ")
	if err != nil || len(sum) != 8 || len(f) != 4 || uint32(want) != crc32.ChecksumIEEE([]byte(body)) {
		return r, false
	}
	ip, err1 := netip.ParseAddr(f[0])
	hw, err2 := net.ParseMAC(f[1])
	until, err3 := strconv.ParseInt(f[2], 10, 64)
	client, err4 := base64.RawStdEncoding.DecodeString(f[3])
	if errors.Join(err1, err2, err3, err4) != nil || len(hw) != len(r.MAC) || ip.Zone() != "" || len(client) > MaxClient {
		return r, false
	}
	r = Record{IP: ip, MAC: [6]byte(hw), Client: string(client), Until: time.Unix(until, 0)}
	return r, k.Fits(r)
}

// read returns the last record of each address, and how many lines were bad.
func (k Kind) read(in io.Reader) (live map[netip.Addr]Record, bad int, err error) {
	live = map[netip.Addr]Record{}
	s := bufio.NewScanner(io.LimitReader(in, maxFile))
	s.Buffer(make([]byte, 0, maxLine), maxFile)
	if !s.Scan() {
		return live, 0, s.Err() // empty: a crash right after its creation
	}
	text, ok := strings.CutPrefix(s.Text(), k.Header+" ")
	number, err := strconv.Atoi(text)
	switch {
	case !ok || err != nil:
		return nil, 0, errors.New("it is no lease file of ours")
	case number > format:
		return nil, 0, fmt.Errorf("%w (%d, this program knows %d); use the newer program or another file", ErrNewer, number, format)
	}
	for s.Scan() {
		if r, ok := k.parse(s.Text()); ok && len(live) < maxRecords {
			live[r.IP] = r
		} else {
			bad++
		}
	}
	return live, bad, s.Err()
}
