//go:build bench

package storm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	tftp "github.com/pin/tftp/v3"

	"ingot.dev/ingot/agent/boot"
	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/agent/session"
)

// machine is one simulated server.
type machine struct {
	n      int
	cable  *cable
	ip     netip.Addr
	lap    time.Time
	spent  map[string]time.Duration
	client *http.Client
	// again counts repetitions, by what was repeated.
	again map[string]int
	// collects is how long it waits for further offers.
	collects time.Duration
	// stubborn machines survive their boot server; see survivor_test.go.
	stubborn    bool
	drawn, hops int
	mu          sync.Mutex // of server, which the test asks for
	server      string
}

func newMachine(n int, c *cable) *machine {
	return &machine{n: n, cable: c, spent: map[string]time.Duration{}, again: map[string]int{}}
}

func (m *machine) mac() net.HardwareAddr {
	return net.HardwareAddr{0x02, 0x77, 0, 0, byte(m.n >> 8), byte(m.n)}
}

func (m *machine) uuid() string { return fmt.Sprintf("77777777-0000-4000-8000-%012x", m.n) }

func (m *machine) serial() string { return fmt.Sprintf("STORM%05d", m.n) }

// done ends a stretch of the boot.
func (m *machine) done(what string) {
	now := time.Now()
	m.spent[what], m.lap = now.Sub(m.lap), now
}

// boot goes from power-on to the agent's first report, and stays connected until ctx ends.
func (m *machine) boot(ctx context.Context) error {
	m.lap = time.Now()
	file, err := m.address(ctx, firmware, firmwareWaits)
	if err != nil {
		return err
	}
	for _, name := range []string{strings.TrimPrefix(file, "tftp://"+m.server+"/"), "autoexec.ipxe"} {
		if err := m.tftp(name); err != nil {
			return fmt.Errorf("TFTP %s: %w", name, err)
		}
	}
	m.done("TFTP")
	defer func() { m.client.CloseIdleConnections() }()
	script, err := m.load(ctx)
	if err != nil {
		return err
	}
	m.client.CloseIdleConnections()
	m.mu.Lock()
	m.server = "" // it needs no boot server any more
	m.mu.Unlock()
	return m.agent(ctx, script)
}

// load is what iPXE does: it fetches the script, and what that names.
func (m *machine) load(ctx context.Context) (string, error) {
	for {
		script, err := m.script(ctx)
		if err != nil {
			return "", err
		}
		m.done(scripted)
		if err = m.files(ctx, script); err == nil {
			m.done("assets")
			return script, nil
		}
		if err := m.goesOn(ctx, err); err != nil {
			return "", err
		}
	}
}

// Who asks for an address, as DHCP options say it.
var (
	firmware = []dhcpv4.Modifier{
		dhcpv4.WithBroadcast(true), dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient:Arch:00007:UNDI:003016")),
		dhcpv4.WithOption(dhcpv4.OptClientArch(7)), dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionTFTPServerName, dhcpv4.OptionBootfileName),
	}
	ipxe = append(slices.Clone(firmware), dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionUserClassInformation, []byte("iPXE"))))
)

// address takes a lease, and returns the boot file's name.
func (m *machine) address(ctx context.Context, as []dhcpv4.Modifier, waits []time.Duration) (string, error) {
	discover, err := dhcpv4.NewDiscovery(m.mac(), as...)
	if err != nil {
		return "", err
	}
	offers, tries, err := m.cable.offers(ctx, discover, waits, m.collects)
	m.again["DHCP"] += tries
	if err != nil {
		return "", err
	}
	m.done(offered)
	request, err := dhcpv4.NewRequestFromOffer(offers[m.draw(len(offers))], as...)
	if err != nil {
		return "", err
	}
	ack, tries, err := m.cable.ask(ctx, request, dhcpv4.MessageTypeAck, waits)
	m.again["DHCP"] += tries
	if err != nil {
		return "", err
	}
	m.done(acked)
	m.ip, _ = netip.AddrFromSlice(ack.YourIPAddr.To4())
	file := ack.BootFileName
	if o := ack.BootFileNameOption(); o != "" {
		file = o
	}
	if err := m.cable.take(m.ip); err != nil {
		return "", fmt.Errorf("taking %v: %w", m.ip, err)
	}
	m.at(ack.ServerIPAddr.String())
	m.lap = time.Now() // the address is the test's work
	return file, nil
}

// at makes an address the boot server from now on.
func (m *machine) at(server string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.server = server
	m.client = &http.Client{Transport: &http.Transport{DialContext: m.cable.dial(m.ip), MaxConnsPerHost: 2}}
}

// draw chooses one of n, the same in each run; firmware that knows no reason takes any.
func (m *machine) draw(n int) int {
	m.drawn++
	return (m.n/3 + m.drawn) % n
}

func (m *machine) tftp(name string) error {
	c, err := tftp.NewClient(net.JoinHostPort(m.server, "69"))
	if err != nil {
		return err
	}
	c.SetBlockSize(1432)
	c.SetTimeout(4 * time.Second) // these two are EDK2's (PxeBcImpl.h)
	c.SetRetries(6)
	if err := c.SetLocalAddr(m.ip.String()); err != nil {
		return err
	}
	var from io.WriterTo
	if inside := m.cable.host.Run(func() { from, err = c.Receive(name, "octet") }); errors.Join(err, inside) != nil {
		return errors.Join(err, inside)
	}
	_, err = from.WriteTo(io.Discard)
	return err
}

var kernelLine = regexp.MustCompile(`(?m)^.*ingot\.boot=.*$`)

// script asks as iPXE's first stage does: up to three times, five seconds apart; a script that lets the machine wait is asked for again after its pause.
func (m *machine) script(ctx context.Context) (string, error) {
	q := url.Values{
		"uuid": {m.uuid()}, "mac": {strings.ReplaceAll(m.mac().String(), ":", "-")}, "serial": {m.serial()}, "arch": {"x86_64"}, "platform": {"efi"},
	}
	for try, failed := 0, 0; ; try++ {
		text, err := m.get(ctx, "http://"+m.server+":7480/boot/v1/script?"+q.Encode())
		if kernelLine.MatchString(text) {
			return text, nil
		}
		if err != nil {
			failed++
		}
		if try == 20 || failed == 3 {
			return "", errors.Join(err, fmt.Errorf("no script with an agent: %.200q", text))
		}
		m.again["script"]++
		if err := pause(ctx, 5*time.Second); err != nil {
			return "", err
		}
		if err != nil && m.stubborn {
			m.follow(ctx)
		}
	}
}

var fileURL = regexp.MustCompile(`http://[^ \n]+/(vmlinuz|initramfs\.zst)`)

// files fetches kernel and initramfs. A 503 with Retry-After is obeyed, as iPXE does (src/net/tcp/httpcore.c); any other answer ends the boot.
func (m *machine) files(ctx context.Context, script string) error {
	urls := fileURL.FindAllString(script, -1)
	if len(urls) != 2 {
		return fmt.Errorf("%d boot files in the script: %q", len(urls), script)
	}
	for _, u := range urls {
		if _, err := m.get(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) get(ctx context.Context, address string) (string, error) {
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return "", err
		}
		answer, err := m.client.Do(r)
		if err != nil {
			return "", err
		}
		head, err := io.ReadAll(io.LimitReader(answer.Body, 1<<14))
		rest, err2 := io.Copy(io.Discard, answer.Body)
		if err := errors.Join(err, err2, answer.Body.Close()); err != nil {
			return "", fmt.Errorf("%s: after %d bytes: %w", address, int64(len(head))+rest, err)
		}
		if answer.StatusCode == http.StatusOK {
			return string(head), nil
		}
		after, err := strconv.Atoi(answer.Header.Get("Retry-After"))
		if answer.StatusCode != http.StatusServiceUnavailable || err != nil {
			return "", fmt.Errorf("%s: %s: %.100s", address, answer.Status, head)
		}
		m.again["HTTP 503"]++
		if err := pause(ctx, time.Duration(after)*time.Second); err != nil {
			return "", err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// agent is the real session of one boot.
func (m *machine) agent(ctx context.Context, script string) error {
	args, err := boot.ParseArgs(kernelLine.FindString(script))
	if err != nil {
		return err
	}
	pin, err := session.ParsePin(args.Pin)
	if err != nil {
		return err
	}
	evidence := &protocol.Evidence{Uuid: m.uuid(), Serial: m.serial(), Macs: []string{m.mac().String()}, BootMac: m.mac().String()}
	talk, err := session.New(session.Config{
		URL: args.URL, Pin: pin, BootID: args.BootID, AgentVersion: "storm", Inventory: m.inventory, Evidence: func() *protocol.Evidence { return evidence },
		Tasks: idle{}, Accounts: idle{}, NetworkNext: func(context.Context) string { return "it always is" },
		Dial: m.cable.dial(m.ip), Now: time.Now, After: time.After, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	if _, err := talk.Run(ctx); ctx.Err() == nil {
		return fmt.Errorf("the agent's session ended: %w", err)
	}
	return nil
}

func (m *machine) inventory() *protocol.Inventory {
	return &protocol.Inventory{
		Arch: "amd64", System: &protocol.System{Uuid: m.uuid(), Serial: m.serial()}, Firmware: &protocol.Firmware{Mode: "UEFI"},
		Nics:  []*protocol.NIC{{Name: "eth0", Mac: m.mac().String(), PermanentMac: m.mac().String(), PciAddress: "0000:00:01.0"}},
		Disks: []*protocol.Disk{{Name: "sda", Wwid: "naa." + m.serial(), Serial: m.serial(), SizeBytes: 1 << 30, Transport: "sata", PciAddress: "0000:00:02.0", Contents: "Blank"}},
	}
}

// idle is never asked for anything: nobody accepted these machines.
type idle struct{}

func (idle) Wipe(context.Context, *protocol.Wipe, func([]*protocol.DiskProgress)) *protocol.Receipt {
	panic("a machine that nobody accepted is to be wiped")
}

func (idle) Account(context.Context, *protocol.BMCAccount) *protocol.ReportBMCAccountRequest {
	panic("a machine that nobody accepted is to get an account")
}
