package setup_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	agent "ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/pxe-server/protocol"
)

// TestRefusedByHeaders: a stranger's call is refused before its message, which never comes here; so no message of a stranger is kept.
func TestRefusedByHeaders(t *testing.T) {
	c := start(t, func(c *setup.Config) { c.BootListen = "127.0.0.1:0" })
	pin := firstView(t, c.Boot).Agent.Pin
	for name, conn := range map[string]*grpc.ClientConn{
		agent.Agent_ReportInventory_FullMethodName: dial(t, c.AgentAddr, nextSource(), pin, nil),
		agent.Agent_Watch_FullMethodName:           dial(t, c.AgentAddr, nextSource(), pin, nil),
		protocol.Boot_Report_FullMethodName:        dialBoot(t, c.BootAddr, issuerOf(t, "ingot-pxe-ca"), nil),
		protocol.Boot_WatchView_FullMethodName:     dialBoot(t, c.BootAddr, issuerOf(t, "ingot-pxe-ca"), nil),
	} {
		ctx, cancel := context.WithCancel(t.Context()) // no deadline: see the tap of agentserver
		defer cancel()
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(nil); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: %v; want Unauthenticated", name, err)
		}
	}
}

// TestReportFlood: a certificate is easy to get, so what comes with it is limited too; another machine is not touched by it.
func TestReportFlood(t *testing.T) {
	c := start(t, nil)
	evil, err := boots(t, c, "b", &agent.Evidence{Macs: []string{"02:00:00:00:0a:01"}})
	if err != nil {
		t.Fatal(err)
	}
	answers := map[codes.Code]int{}
	for range 60 {
		answers[status.Code(report(t, evil, "02:00:00:00:0a:01"))]++
	}
	if answers[codes.OK] < 10 || answers[codes.ResourceExhausted] == 0 {
		t.Errorf("answers to a flood of reports: %v; want its burst answered and the rest refused as exhausted", answers)
	}
	calm, err := boots(t, c, "b", &agent.Evidence{Macs: []string{"02:00:00:00:0a:02"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := report(t, calm, "02:00:00:00:0a:02"); err != nil {
		t.Errorf("control: another machine: %v", err)
	}
}
