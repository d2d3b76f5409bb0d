package signals_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/siderolabs/siderolink/api/events"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"ingot.dev/ingot/metal-controller/signals"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what is waited for on a loaded machine.
const patience = time.Minute

// world hears what a receiver tells, and knows whose addresses are.
type world struct {
	*signals.Receiver

	mu    sync.Mutex
	known map[string]signals.Speaker // by address
	now   time.Time
	heard []string
	looks int
	news  chan struct{}
}

func newWorld() *world {
	w := &world{known: map[string]signals.Speaker{}, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), news: make(chan struct{}, 1)}
	w.Receiver = signals.New(signals.Config{Whose: w.whose, Ear: w, Now: w.clock, Log: logr.Discard()})
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) knows(address, server, boot string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[address] = signals.Speaker{Server: server, Boot: boot}
}

func (w *world) whose(_ context.Context, from netip.Addr) (signals.Speaker, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	w.signal()
	s, ok := w.known[from.String()]
	return s, ok
}

// looked is how often it was asked whose an address is.
func (w *world) looked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looks
}

func (w *world) signal() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, fmt.Sprintf(format, args...))
	w.signal()
}

func (w *world) Hint(s signals.Speaker, stage string) {
	w.note("hint %s %s %s", s.Server, s.Boot, stage)
}
func (w *world) Kernel(server, line string)   { w.note("kernel %s %s", server, line) }
func (w *world) Talos(server, line string)    { w.note("talos %s %s", server, line) }
func (w *world) Doubt(server, message string) { w.note("doubt %s %s", server, message) }

// all is what was heard so far.
func (w *world) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.heard...)
}

// until waits until something holds of what was heard.
func (w *world) until(t *testing.T, what string, holds func(heard []string) bool) {
	t.Helper()
	over := time.NewTimer(patience)
	defer over.Stop()
	for !holds(w.all()) {
		select {
		case <-w.news:
		case <-over.C:
			t.Fatalf("%s did not come; heard %d, the last %q", what, len(w.all()), last(w.all()))
		}
	}
}

func last(heard []string) string {
	if len(heard) == 0 {
		return ""
	}
	return heard[len(heard)-1]
}

// listen opens a port on all addresses of this machine.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dial connects from an address of this machine.
func dial(t *testing.T, source, to string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}).Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// serveKernel serves kernel logs until the test ends.
func (w *world) serveKernel(t *testing.T) string {
	t.Helper()
	l, k := listen(t), w.KernelLog()
	ended := make(chan error, 1)
	go func() { ended <- k.Serve(l) }()
	t.Cleanup(func() {
		k.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// serveEvents serves events until the test ends.
func (w *world) serveEvents(t *testing.T) string {
	t.Helper()
	l, g := listen(t), w.Events()
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// sender is the client that Talos uses, from an address of this machine.
func sender(t *testing.T, source, to string) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(to, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}).DialContext(ctx, "tcp", addr)
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func pack(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	data, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func publish(t *testing.T, c *grpc.ClientConn, m proto.Message) error {
	t.Helper()
	_, err := events.NewEventSinkServiceClient(c).Publish(t.Context(), &events.EventRequest{Data: pack(t, m), Id: "x"})
	return err
}
