package dhcp

import (
	"testing"
	"time"

	"ingot.dev/ingot/pxe-server/leases"
)

func TestRestore(t *testing.T) {
	b := newBench(t)
	first := b.dora(1)
	b.dora(77)
	after := newBench(t)
	after.now = b.now.Add(time.Minute)
	for _, r := range b.saved {
		after.c.restore(r)
	}
	after.c.restore(leases.Record{IP: ip("10.0.0.99"), MAC: macAddr(hostMAC(5)), Client: "123456", Until: epoch.Add(time.Hour)})  // no pool has it
	after.c.restore(leases.Record{IP: ip("172.16.0.1"), MAC: macAddr(hostMAC(5)), Client: "123456", Until: epoch.Add(time.Hour)}) // no subnet has it
	if a := after.dora(2); a == first {
		t.Errorf("after a restart host 2 got host 1's address %v", a)
	}
	if m, s := after.do(msg(request_, 1, ciaddr(first.String()))); outcome(m, s) != "ACK "+first.String() {
		t.Errorf("renewing after a restart: %s", outcome(m, s))
	}
	if n := len(after.c.leases(after.now)); n != 3 {
		t.Errorf("%d leases, want 3", n)
	}
}
