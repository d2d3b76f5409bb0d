//go:build bench

package storm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Stretches that the wire shows.
const (
	offered  = "DHCP offer"
	acked    = "DHCP ack"
	scripted = "script"
)

// niceness of the machines: about a tenth of the program's share where both want the processor.
const niceness = 10

// tap listens at the program's end of the cable and takes the kernel's time of each packet: how long Ingot itself took, without the time in which the machines, which
// share its processor, waited to read the answer.
type tap struct {
	file *os.File

	mu      sync.Mutex
	asked   map[string]time.Time // by stretch and who asked
	answers map[string][]time.Duration
}

// tapOn opens a tap on an interface of this namespace.
func tapOn(t testing.TB, name string) *tap {
	t.Helper()
	link, err := net.InterfaceByName(name)
	check(t, err)
	all := uint16(unix.ETH_P_ALL)<<8 | unix.ETH_P_ALL>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	filter, err := bpf.Assemble(questionsAndAnswers)
	check(t, err)
	program := make([]unix.SockFilter, len(filter))
	for i, f := range filter {
		program[i] = unix.SockFilter{Code: f.Op, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	check(t, errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Index}),
	))
	w := &tap{file: os.NewFile(uintptr(fd), "tap"), asked: map[string]time.Time{}, answers: map[string][]time.Duration{}}
	t.Cleanup(func() { w.file.Close() })
	go w.read()
	return w
}

// questionsAndAnswers lets through DHCP, and of TCP what begins with "GET " or "HTTP": all else, gigabytes of it, ends in the kernel.
var questionsAndAnswers = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x0800, SkipTrue: 16},
	bpf.LoadMemShift{Off: 14}, // X is the length of the IP header
	bpf.LoadAbsolute{Off: 23, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_TCP, SkipTrue: 4},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 12},
	bpf.LoadIndirect{Off: 16, Size: 2}, // destination port
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 67, SkipTrue: 9},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 68, SkipTrue: 8, SkipFalse: 9},
	bpf.LoadIndirect{Off: 26, Size: 1}, // TCP's data offset, in its upper half, in words
	bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0},
	bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 2},
	bpf.ALUOpX{Op: bpf.ALUOpAdd},
	bpf.TAX{},
	bpf.LoadIndirect{Off: 14, Size: 4},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x47455420, SkipTrue: 1},    // "GET "
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x48545450, SkipTrue: 1}, // "HTTP"
	bpf.RetConstant{Val: 2048},
	bpf.RetConstant{Val: 0},
}

func (w *tap) read() {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	packet, control := make([]byte, 2048), make([]byte, 128)
	for {
		var n, controls int
		var got error
		if err := raw.Read(func(fd uintptr) bool {
			n, controls, _, _, got = unix.Recvmsg(int(fd), packet, control, 0)
			return !errors.Is(got, unix.EAGAIN)
		}); err != nil {
			return
		}
		if at, ok := stamp(control[:controls]); ok && got == nil {
			w.see(at, packet[:n])
		}
	}
}

// stamp is when the kernel saw the packet. Without its word a packet is not counted, which report notices: any other clock would time the test itself.
func stamp(control []byte) (at time.Time, ok bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:]))), err == nil
		}
	}
	return time.Time{}, false
}

// see takes one packet, from its Ethernet header on.
func (w *tap) see(at time.Time, b []byte) {
	const ethernet, udp = 14, 8
	if len(b) < ethernet+20 {
		return
	}
	ip := b[ethernet:]
	payload := ip[min(len(ip), int(ip[0]&0xf)*4):]
	from, to := netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	w.mu.Lock()
	defer w.mu.Unlock()
	if ip[9] == unix.IPPROTO_UDP && len(payload) > udp {
		if m, err := dhcpv4.FromBytes(payload[udp:]); err == nil {
			w.dhcp(at, m)
		}
		return
	}
	if len(payload) < 20 {
		return
	}
	source, destination := binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
	switch text := payload[min(len(payload), int(payload[12]>>4)*4):]; {
	case bytes.HasPrefix(text, []byte("GET /boot/v1/script")):
		w.asks(at, scripted, netip.AddrPortFrom(from, source))
	case bytes.HasPrefix(text, []byte("HTTP")):
		w.answered(at, scripted, netip.AddrPortFrom(to, destination))
	}
}

func (w *tap) dhcp(at time.Time, m *dhcpv4.DHCPv4) {
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		w.asks(at, offered, m.TransactionID)
	case dhcpv4.MessageTypeRequest:
		w.asks(at, acked, m.TransactionID)
	case dhcpv4.MessageTypeOffer:
		w.answered(at, offered, m.TransactionID)
	case dhcpv4.MessageTypeAck:
		w.answered(at, acked, m.TransactionID)
	}
}

// asks notes the first time of a question: a repetition does not begin anew.
func (w *tap) asks(at time.Time, what string, who fmt.Stringer) {
	key := what + who.String()
	if _, known := w.asked[key]; !known {
		w.asked[key] = at
	}
}

func (w *tap) answered(at time.Time, what string, who fmt.Stringer) {
	key := what + who.String()
	if began, known := w.asked[key]; known {
		w.answers[what] = append(w.answers[what], at.Sub(began))
		delete(w.asked, key)
	}
}

// report prints a row for each stretch. Fewer answers than machines are a fault of the tap, for the machines have theirs.
func (w *tap) report(t *testing.T, machines int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range []string{offered, acked, scripted} {
		all := w.answers[what]
		slices.Sort(all)
		if len(all) < machines {
			t.Errorf("on the wire: %d answers of %s for %d machines", len(all), what, machines)
		}
		if len(all) > 0 {
			fmt.Printf("on the wire: %-15s p50 %10v  p99 %10v  max %10v\n", what, at(all, 50), at(all, 99), at(all, 100))
		}
	}
}

// stepBack gives the processor to the program first: real machines have their own. It cannot be taken back.
func stepBack(t testing.TB) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	check(t, err)
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		check(t, err)
		if err := unix.Setpriority(unix.PRIO_PROCESS, id, niceness); !errors.Is(err, unix.ESRCH) {
			check(t, err)
		}
	}
}
