package setup_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"testing"
	"time"

	agent "ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/agent/session"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/setup"
)

// TestRealAgent: the agent's own session code enrols, reports and is told to leave; with a blank disk it is told to wait.
func TestRealAgent(t *testing.T) {
	c := start(t, func(c *setup.Config) { c.AgentURL = "https://127.0.0.1:8443" })
	inventory := func(mac, contents string) *agent.Inventory {
		return &agent.Inventory{
			Arch:  "amd64",
			Nics:  []*agent.NIC{{Name: "eth0", Mac: mac, PermanentMac: mac, PciAddress: "0000:00:03.0"}},
			Disks: []*agent.Disk{{Name: "sda", SizeBytes: 1 << 30, Contents: contents}},
		}
	}
	run := func(ctx context.Context, mac, contents string) (session.Leave, error) {
		pin, err := session.ParsePin(firstView(t, c.Boot).Agent.Pin)
		if err != nil {
			t.Fatal(err)
		}
		s, err := session.New(session.Config{
			URL: "https://" + c.AgentAddr, Pin: pin, BootID: "boot-real",
			Inventory: func() *agent.Inventory { return inventory(mac, contents) },
			Evidence:  func() *agent.Evidence { return &agent.Evidence{Macs: []string{mac}} },
			Dial:      (&net.Dialer{}).DialContext, Now: time.Now, After: time.After, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		return s.Run(ctx)
	}
	leave, err := run(t.Context(), "02:00:00:00:0a:01", "Bootable")
	if err != nil || leave.Reason != reasons.LocalDiskPreferred {
		t.Errorf("with an operating system: %+v, %v", leave, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := run(ctx, "02:00:00:00:0a:02", "Blank"); ended <- err }()
	eventuallyAny(t, func(s *metal.Server) bool {
		return s.Status.Boot != nil && s.Status.Boot.Target == metal.BootTargetAgent && hasReason(s, reasons.Registered, reasons.InventoryReported)
	})
	cancel()
	if err := <-ended; err == nil {
		t.Error("with a blank disk the agent left")
	}
}
