package dhcp

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
//	ingot-dhcp-leases 1
//	<crc32> <ip> <mac> <until, unix seconds> <client key, base64>
//
// A crash can tear the last line only; a line whose checksum is wrong is left out and the file rewritten. Rewriting is
// atomic: a new file, fsync, rename, fsync of the folder.
const (
	leaseHeader = "ingot-dhcp-leases "
	leaseFormat = 1
	maxLine     = 256
	maxFile     = 64 << 20
	keepExpired = 7 * 24 * time.Hour // so long a client gets its old address back
)

// ErrNewer says that a newer program wrote the lease file.
var ErrNewer = errors.New("the lease file has a newer format")

// record is one line.
type record struct {
	IP     netip.Addr
	MAC    macAddr
	Client string
	Until  time.Time
}

func (r record) line() string {
	body := fmt.Sprintf("%s %s %d %s", r.IP, r.MAC, r.Until.Unix(), base64.RawStdEncoding.EncodeToString([]byte(r.Client)))
	return fmt.Sprintf("%08x %s\n", crc32.ChecksumIEEE([]byte(body)), body)
}

// parseRecord reads one line without its end.
func parseRecord(line string) (r record, ok bool) {
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
	mac, okMAC := toMAC(hw)
	if errors.Join(err1, err2, err3, err4) != nil || !okMAC || !ip.Is4() || len(client) < 6 || len(client) > 6+maxClientID {
		return r, false
	}
	return record{IP: ip, MAC: mac, Client: string(client), Until: time.Unix(until, 0)}, true
}

// readRecords returns the last record of each address, and how many lines were bad.
func readRecords(in io.Reader) (live map[netip.Addr]record, bad int, err error) {
	live = map[netip.Addr]record{}
	s := bufio.NewScanner(io.LimitReader(in, maxFile))
	s.Buffer(make([]byte, 0, maxLine), maxFile)
	if !s.Scan() {
		return live, 0, s.Err() // empty: a crash right after its creation
	}
	text, ok := strings.CutPrefix(s.Text(), leaseHeader)
	format, err := strconv.Atoi(text)
	switch {
	case !ok || err != nil:
		return nil, 0, errors.New("it is no lease file of ours")
	case format > leaseFormat:
		return nil, 0, fmt.Errorf("%w (%d, this program knows %d); use the newer program or another file", ErrNewer, format, leaseFormat)
	}
	for s.Scan() {
		if r, ok := parseRecord(s.Text()); ok && len(live) < 2*maxPool {
			live[r.IP] = r
		} else {
			bad++
		}
	}
	return live, bad, s.Err()
}
