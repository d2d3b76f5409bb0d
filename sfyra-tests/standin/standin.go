// Package standin is a server without a machine: power of its own, a fake BMC over IPMI, and, while it is on, the agent's real session and its real client of
// the BMC, whose way to the BMC leads into the fake. It shows nothing of firmware, kernel and drivers; it is for what happens between agent, controller and BMC
// again and again, faster than a machine boots.
//
// Layer 2. Its disk is a word: it is blank, and every wipe of it succeeds.
package standin

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	agentbmc "ingot.dev/ingot/agent/bmc"
	"ingot.dev/ingot/agent/boot"
	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/agent/session"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// Config of a stand-in. All fields are required.
type Config struct {
	// MAC of its network card, UUID and Serial of its board.
	MAC, UUID, Serial string
	// Boot is where the boot server answers, as http://host:port.
	Boot string
	Log  *slog.Logger
}

// Server is one stand-in. It starts switched off.
type Server struct {
	*memory.Machine
	config Config
	// ended holds when the test is over.
	ended context.Context

	mu   sync.Mutex
	bmc  *rmcp.BMC
	stop context.CancelFunc
	work sync.WaitGroup
}

var _ machine.Machine = (*Server)(nil)

// New makes one; it ends with ctx.
func New(ctx context.Context, c Config) *Server {
	return &Server{Machine: memory.New(machine.Identity{UUID: c.UUID, Serial: c.Serial}), config: c, ended: ctx}
}

// Wire puts a BMC in front of it, whose system interface its agent uses.
func (s *Server) Wire(b *rmcp.BMC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bmc = b
}

// PowerOn starts it, and its agent as soon as a boot script says so.
func (s *Server) PowerOn(ctx context.Context) error {
	err := s.Machine.PowerOn(ctx)
	if err == nil {
		s.run()
	}
	return err
}

// ForceOff ends it at once.
func (s *Server) ForceOff(ctx context.Context) error {
	s.mu.Lock()
	if s.stop != nil {
		s.stop()
	}
	s.mu.Unlock()
	return s.Machine.ForceOff(ctx)
}

// Reset starts its agent anew.
func (s *Server) Reset(ctx context.Context) error {
	err := s.Machine.Reset(ctx)
	if err == nil {
		s.run()
	}
	return err
}

// Wait returns when nothing of it runs any more.
func (s *Server) Wait() { s.work.Wait() }

func (s *Server) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
	}
	ctx, stop := context.WithCancel(s.ended)
	s.stop = stop
	s.work.Go(func() { s.live(ctx) })
}

// live boots again and again until it is switched off.
func (s *Server) live(ctx context.Context) {
	for ctx.Err() == nil {
		args, ok := s.netboot(ctx)
		if !ok {
			return
		}
		leave, err := s.agent(ctx, args)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.config.Log.Warn("the stand-in's agent ended", "error", err)
		} else if leave.PowerOff {
			select {
			case <-ctx.Done():
			case <-time.After(shutDown):
				_ = s.Machine.ForceOff(ctx)
			}
			return
		}
	}
}

// kernelLine is the line of a boot script with the arguments of the agent.
var kernelLine = regexp.MustCompile(`(?m)^.*ingot\.boot=.*$`)

// selfTest is how long its firmware takes: no machine asks in the moment in which it is switched on.
const selfTest = 3 * time.Second

// shutDown is how long its kernel takes to switch it off.
const shutDown = 3 * time.Second

// netboot asks for its script, as iPXE does, until one names an agent.
func (s *Server) netboot(ctx context.Context) (boot.Args, bool) {
	tick := time.NewTicker(selfTest)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return boot.Args{}, false
		case <-tick.C:
		}
		if args, err := boot.ParseArgs(string(kernelLine.Find(s.script(ctx)))); err == nil {
			return args, true
		}
	}
}

func (s *Server) script(ctx context.Context) []byte {
	q := url.Values{"uuid": {s.config.UUID}, "mac": {strings.ReplaceAll(s.config.MAC, ":", "-")}, "serial": {s.config.Serial}, "arch": {"x86_64"}, "platform": {"efi"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.config.Boot+"/boot/v1/script?"+q.Encode(), nil)
	if err != nil {
		return nil
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	return text
}

// agent is the real session of one boot.
func (s *Server) agent(ctx context.Context, args boot.Args) (session.Leave, error) {
	pin, err := session.ParsePin(args.Pin)
	if err != nil {
		return session.Leave{}, err
	}
	talk, err := session.New(session.Config{
		URL: args.URL, Pin: pin, BootID: args.BootID, AgentVersion: "stand-in", Inventory: s.inventory,
		Evidence: func() *protocol.Evidence {
			return &protocol.Evidence{Uuid: s.config.UUID, Serial: s.config.Serial, Macs: []string{s.config.MAC}, BootMac: s.config.MAC}
		},
		Tasks: eraser{}, Accounts: s, NetworkNext: func(context.Context) string { return "it always is" },
		Dial: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, Now: time.Now, After: time.After, Random: rand.Reader, Log: s.config.Log,
	})
	if err != nil {
		return session.Leave{}, err
	}
	return talk.Run(ctx)
}

func (s *Server) inventory() *protocol.Inventory {
	return &protocol.Inventory{
		Arch: "amd64", Ipmi: true, System: &protocol.System{Uuid: s.config.UUID, Serial: s.config.Serial}, Firmware: &protocol.Firmware{Mode: "UEFI"},
		Nics:  []*protocol.NIC{{Name: "eth0", Mac: s.config.MAC, PermanentMac: s.config.MAC, PciAddress: "0000:00:01.0"}},
		Disks: []*protocol.Disk{{Name: "sda", Wwid: "naa." + s.config.Serial, Serial: s.config.Serial, SizeBytes: 1 << 30, Transport: "sata", PciAddress: "0000:00:02.0", Contents: "Blank"}},
	}
}

// Send is the way to the BMC: what /dev/ipmi0 is on a machine.
func (s *Server) Send(_ context.Context, netFn, command uint8, data []byte) ([]byte, error) {
	s.mu.Lock()
	b := s.bmc
	s.mu.Unlock()
	return b.InBand(netFn, command, data), nil
}

// Account does what the agent's own wiring does.
func (s *Server) Account(ctx context.Context, order *protocol.BMCAccount) *protocol.ReportBMCAccountRequest {
	report := &protocol.ReportBMCAccountRequest{}
	err := agentbmc.Drop(ctx, s, order.GetDrop())
	if err == nil && order.GetUsername() != "" {
		var got agentbmc.Account
		got, err = agentbmc.Ensure(ctx, s, order.GetUsername(), order.GetPassword())
		report.Slot, report.Channel, report.Address, report.Port = int32(got.Slot), int32(got.Channel.Number), got.Channel.Address, int32(got.Channel.Port)
	}
	if err != nil {
		report.Error = err.Error()
	}
	return report
}

// eraser erases disks that are words.
type eraser struct{}

// Wipe succeeds.
func (eraser) Wipe(_ context.Context, w *protocol.Wipe, _ func([]*protocol.DiskProgress)) *protocol.Receipt {
	r := &protocol.Receipt{}
	for _, d := range w.GetDisks() {
		r.Disks = append(r.Disks, &protocol.DiskReceipt{
			Wwid: d.GetWwid(), Serial: d.GetSerial(), SizeBytes: 1 << 30, Methods: []string{"ZeroOut", "Overwrite"}, Reached: w.GetLevel(), BlocksRead: 1000, Seconds: 1,
		})
	}
	return r
}
