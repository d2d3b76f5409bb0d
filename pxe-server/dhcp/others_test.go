package dhcp

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/net/bpf"

	"ingot.dev/ingot/sfyra-tests/island"
)

// TestOthersJudge: what is wrong, by mode and by what was heard, and that it passes again.
func TestOthersJudge(t *testing.T) {
	two, three, four := ip("10.0.0.2"), ip("10.0.0.3"), ip("10.0.0.4")
	lends := func(servers ...netip.Addr) func(*others) {
		return func(o *others) {
			for _, s := range servers {
				o.saw(epoch, s, true)
			}
		}
	}
	for name, c := range map[string]struct {
		mode  Mode
		heard func(*others)
		after time.Duration
		want  Trouble
		about []netip.Addr
	}{
		"nobody":                         {Full, lends(), time.Hour, "", nil},
		"another":                        {Full, lends(three, two), 0, OtherDHCPServer, []netip.Addr{two, three}},
		"another, long ago":              {Full, lends(two), otherTime, "", nil},
		"ourselves":                      {Full, lends(ip("10.0.0.1")), 0, "", nil},
		"a peer":                         {Full, lends(ip("10.0.0.8")), 0, "", nil},
		"a peer's proxy":                 {Proxy, func(o *others) { lends(two)(o); o.saw(epoch, ip("10.0.0.8"), false) }, 0, "", nil},
		"nobody with a name":             {Full, lends(netip.Addr{}), 0, "", nil},
		"a proxy":                        {Full, func(o *others) { o.saw(epoch, two, false) }, 0, OtherBootServer, []netip.Addr{two}},
		"beside one":                     {Proxy, lends(two), time.Minute, "", nil},
		"beside two":                     {Proxy, lends(two, three), time.Minute, SeveralDHCPServers, []netip.Addr{two, three}},
		"beside none, asked":             {Proxy, func(o *others) { o.asked = epoch }, answerTime, NoDHCPServer, nil},
		"beside none, asked just now":    {Proxy, func(o *others) { o.asked = epoch }, answerTime - 1, "", nil},
		"beside none, not asked":         {Proxy, lends(), time.Hour, "", nil},
		"beside one that went":           {Proxy, func(o *others) { o.asked = epoch; lends(two)(o) }, otherTime, NoDHCPServer, nil},
		"beside one and another proxy":   {Proxy, func(o *others) { lends(two)(o); o.saw(epoch, four, false) }, 0, OtherBootServer, []netip.Addr{four}},
		"beside one that is both":        {Proxy, func(o *others) { lends(two)(o); o.saw(epoch, two, false) }, 0, "", nil},
		"a flood of made-up servers":     {Full, func(o *others) { crowd(o) }, 0, OtherDHCPServer, made(maxOthers)},
		"a flood, and all of it is past": {Full, func(o *others) { crowd(o) }, otherTime, "", nil},
	} {
		o := newOthers(c.mode, ip("10.0.0.1"), ip("10.0.0.8"))
		c.heard(o)
		if got := o.judge(epoch.Add(c.after)); got.Trouble != c.want || !slices.Equal(got.Servers, c.about) {
			t.Errorf("%s: %+v, want %q about %v", name, got, c.want, c.about)
		}
	}
}

func made(n int) (list []netip.Addr) {
	for i := range n {
		list = append(list, fromUint(0x0a010000+uint32(i)))
	}
	return list
}

func crowd(o *others) {
	for _, s := range made(1000) {
		o.saw(epoch, s, true)
	}
}

// TestChosen: a client that takes another server's offer gives that server away, in both modes.
func TestChosen(t *testing.T) {
	take := func(more ...dhcpv4.Modifier) []byte {
		return msg(request_, 1, append(more, optIP(54, "10.0.0.9"), optIP(50, "10.0.0.200"))...).ToBytes()
	}
	full, proxy := newBench(t), proxyCore(t, proxyConfig())
	for name, c := range map[string]struct {
		packet []byte
		want   netip.Addr
	}{
		"takes another's":          {take(), ip("10.0.0.9")},
		"takes another's, relayed": {take(giaddr("10.9.0.1")), netip.Addr{}},
		"boots, takes another's":   {take(pxe(pxeClass, 7)...), ip("10.0.0.9")},
		"discovers":                {msg(discover, 1, optIP(54, "10.0.0.9")).ToBytes(), netip.Addr{}},
		"garbage":                  {make([]byte, 300), netip.Addr{}},
	} {
		if got := full.raw(c.packet).other; got != c.want {
			t.Errorf("full, %s: %v, want %v", name, got, c.want)
		}
		if got := proxy.proxy(epoch, c.packet, netip.AddrPort{}, serverPort).other; got != c.want {
			t.Errorf("proxy, %s: %v, want %v", name, got, c.want)
		}
	}
	if got := full.raw(msg(request_, 1, optIP(54, "10.0.0.1"), optIP(50, "10.0.0.2")).ToBytes()).other; got.IsValid() {
		t.Errorf("who takes ours gives %v away", got)
	}
}

// answerOf is an answer of a server at 10.0.0.9, in its UDP and IPv4 packet.
func answerOf(typ dhcpv4.MessageType, yiaddr string, from, to uint16) []byte {
	p := msg(typ, 1, optIP(54, "10.0.0.9"))
	p.OpCode = dhcpv4.OpcodeBootReply
	if yiaddr != "" {
		p.YourIPAddr = net.IP(ip(yiaddr).AsSlice())
	}
	return datagram(netip.AddrPortFrom(ip("10.0.0.9"), from), netip.AddrPortFrom(broadcast, to), p.ToBytes())
}

// TestAnswering reads what is heard, and the kernel's filter lets just that through.
func TestAnswering(t *testing.T) {
	vm, err := bpf.NewVM(fromServers)
	check0(t, err)
	long := answerOf(dhcpv4.MessageTypeOffer, "10.0.0.200", 67, 68)
	options := append(append([]byte{0x46}, long[1:20]...), append([]byte{1, 1, 1, 1}, long[20:]...)...)
	fragment := slices.Clone(long)
	fragment[7] = 1
	tcp := slices.Clone(long)
	tcp[9] = 6
	for name, c := range map[string]struct {
		packet []byte
		server netip.Addr
		lends  bool
	}{
		"OFFER":               {long, ip("10.0.0.9"), true},
		"OFFER, IP options":   {options, ip("10.0.0.9"), true},
		"OFFER of a proxy":    {answerOf(dhcpv4.MessageTypeOffer, "", 67, 68), ip("10.0.0.9"), false},
		"ACK":                 {answerOf(dhcpv4.MessageTypeAck, "10.0.0.200", 67, 68), ip("10.0.0.9"), true},
		"NAK":                 {answerOf(dhcpv4.MessageTypeNak, "", 67, 68), ip("10.0.0.9"), true},
		"DISCOVER":            {answerOf(discover, "", 67, 68), netip.Addr{}, false},
		"client to server":    {answerOf(dhcpv4.MessageTypeOffer, "10.0.0.200", 68, 67), netip.Addr{}, false},
		"from elsewhere":      {answerOf(dhcpv4.MessageTypeOffer, "10.0.0.200", 4011, 68), netip.Addr{}, false},
		"later fragment":      {fragment, netip.Addr{}, false},
		"TCP":                 {tcp, netip.Addr{}, false},
		"cut":                 {long[:27], netip.Addr{}, false},
		"nothing":             {nil, netip.Addr{}, false},
		"header of too much":  {append([]byte{0x4f}, long[1:40]...), netip.Addr{}, false},
		"header of too few":   {append([]byte{0x41}, long[1:]...), netip.Addr{}, false},
		"another IP version":  {append([]byte{0x65}, long[1:]...), netip.Addr{}, false},
		"no DHCP in it":       {datagram(netip.MustParseAddrPort("10.0.0.9:67"), netip.MustParseAddrPort("10.0.0.1:68"), make([]byte, 300)), netip.Addr{}, false},
		"request in disguise": {datagram(netip.MustParseAddrPort("10.0.0.9:67"), netip.MustParseAddrPort("10.0.0.1:68"), msg(dhcpv4.MessageTypeOffer, 1).ToBytes()), netip.Addr{}, false},
	} {
		if server, lends := answering(payload(c.packet)); server != c.server || lends != c.lends {
			t.Errorf("%s: %v, %v; want %v, %v", name, server, lends, c.server, c.lends)
		}
		if n, err := vm.Run(c.packet); c.server.IsValid() && (err != nil || n == 0) {
			t.Errorf("%s: the kernel's filter drops it: %d, %v", name, n, err)
		}
	}
	for name, drop := range map[string][]byte{"TCP": tcp, "fragment": fragment, "to a server": answerOf(discover, "", 68, 67)} {
		if n, err := vm.Run(drop); err != nil || n != 0 {
			t.Errorf("%s: the kernel's filter keeps %d, %v", name, n, err)
		}
	}
}

// FuzzAnswering: no bytes on the wire end the listener.
func FuzzAnswering(f *testing.F) {
	f.Add(answerOf(dhcpv4.MessageTypeOffer, "10.0.0.200", 67, 68))
	f.Add(answerOf(dhcpv4.MessageTypeNak, "", 67, 68))
	f.Add([]byte{0x4f, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if server, _ := answering(payload(b)); server.IsValid() && !server.Is4() {
			t.Fatalf("a server at %v", server)
		}
	})
}

// voice is an air in memory.
type voice struct {
	say   chan []byte
	asked chan [4]byte
	end   chan struct{}
	once  sync.Once
}

func newVoice() *voice {
	return &voice{say: make(chan []byte), asked: make(chan [4]byte, 16), end: make(chan struct{})}
}

func (v *voice) hear([]byte) ([]byte, error) {
	select {
	case b := <-v.say:
		return payload(b), nil
	case <-v.end:
		return nil, net.ErrClosed
	}
}

func (v *voice) ask(id [4]byte) error { v.asked <- id; return nil }

func (v *voice) close() error { v.once.Do(func() { close(v.end) }); return nil }

// TestWatcherTells: a change is told once, at most once a minute, and the log says what to do.
func TestWatcherTells(t *testing.T) {
	var log strings.Builder
	now, told := epoch, make(chan Neighbors, 16)
	cfg := testConfig()
	cfg.Now, cfg.Log = func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil))
	cfg.Neighbors = func(n Neighbors) { told <- n }
	v := newVoice()
	w := newWatcher(cfg.withDefaults(), v)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	<-v.asked
	offer := answerOf(dhcpv4.MessageTypeOffer, "10.0.0.200", 67, 68)
	for range 3 {
		v.say <- offer
	}
	if n := <-told; n.Trouble != OtherDHCPServer || n.list() != "10.0.0.9" {
		t.Errorf("told %+v", n)
	}
	cancel()
	<-done
	for i := range 100 { // made-up servers within the minute
		w.saw(made(100)[i], true)
	}
	if len(told) != 0 {
		t.Errorf("told %d times within a minute", len(told))
	}
	now = epoch.Add(warnEvery)
	w.saw(ip("10.0.0.9"), true)
	if n := <-told; len(n.Servers) != maxOthers {
		t.Errorf("after the minute: %+v", n)
	}
	now = now.Add(otherTime)
	w.judge()
	if n := <-told; n.Trouble != "" {
		t.Errorf("after they went: %+v", n)
	}
	if text := log.String(); strings.Count(text, "level=WARN") != 2 || !strings.Contains(text, "reason=OtherDHCPServer") || !strings.Contains(text, "--proxy-dhcp") || strings.Count(text, "as they should be") != 1 {
		t.Errorf("the log is\n%s", text)
	}
}

func TestTroubleHasWords(t *testing.T) {
	seen := map[string]bool{}
	for _, trouble := range []Trouble{OtherDHCPServer, SeveralDHCPServers, NoDHCPServer, OtherBootServer} {
		if text := trouble.text(); seen[text] || !strings.Contains(text, ":") {
			t.Errorf("%s: %q says nothing of its own", trouble, text)
		}
		seen[trouble.text()] = true
	}
}

// TestOtherServersOnTheWire: a server of another code base is heard with and without a client that asks it, and so is a proxy; alone on the wire nothing is.
func TestOtherServersOnTheWire(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	l := newLab(t, "10.77.0.1/24")
	h := l.host(2, "10.77.0.2/24")
	told := make(chan Neighbors, 16)
	cfg := labConfig(t)
	cfg.Neighbors = func(n Neighbors) { told <- n }
	alone := start(t, cfg)
	client := l.host(3, "").client()
	if _, err := client.Request(t.Context()); err != nil { // control: it is served, and nothing is told
		t.Fatal(err)
	}
	client.Close()
	if len(told) != 0 || alone.Stats().Acks != 1 {
		t.Fatalf("alone: told %+v; %+v", <-told, alone.Stats())
	}
	h.serve(t, "10.77.0.2")
	alone.watcher.ask()
	want := func(what string, trouble Trouble, servers string) {
		t.Helper()
		select {
		case n := <-told:
			if n.Trouble != trouble || n.list() != servers {
				t.Errorf("%s: told %+v", what, n)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: nothing was told", what)
		}
	}
	want("asked", OtherDHCPServer, "10.77.0.2")
	if st := alone.Stats(); st.Received != 2 { // our own question did not come back to us
		t.Errorf("%+v, want the client's two packets", st)
	}
}

// serve runs a DHCP server of another code base that gives everybody one address.
func (h host) serve(t *testing.T, self string) {
	t.Helper()
	var conn *net.UDPConn
	h.do(func() { conn = must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{Port: serverPort})) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 2000); ; {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			m, err := dhcpv4.FromBytes(b[:n])
			if err != nil || m.MessageType() != dhcpv4.MessageTypeDiscover {
				continue
			}
			o, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer), dhcpv4.WithYourIP(net.IPv4(10, 77, 0, 200)), optIP(54, self))
			if err == nil {
				_, _ = conn.WriteToUDP(o.ToBytes(), &net.UDPAddr{IP: net.IPv4(10, 77, 0, 255), Port: clientPort})
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
}
