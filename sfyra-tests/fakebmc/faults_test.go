package fakebmc_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net/http"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/fakebmc"
)

func TestFaults(t *testing.T) {
	faults := &fakebmc.Faults{}
	c := start(t, func(config *fakebmc.Config) { config.Faults = faults })
	faults.Set(fakebmc.Fault{IgnorePower: true, IgnoreBoot: true})
	c.want(204, "POST", reset, `{"ResetType":"On"}`)
	c.want(204, "PATCH", system, `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}`)
	if orders := c.machine.Orders(); len(orders) != 0 {
		t.Errorf("ignored orders reached the machine: %v", orders)
	}
	faults.Set(fakebmc.Fault{Status: 500})
	c.want(500, "POST", reset, `{"ResetType":"On"}`)
	c.want(500, "GET", system, "")
	c.auth = anonymous
	c.want(200, "GET", "/redfish/v1/", "")
	c.auth = basic(user, password)
	faults.Set(fakebmc.Fault{Latency: 20 * time.Millisecond})
	before := time.Now()
	c.want(200, "GET", system, "")
	if time.Since(before) < 20*time.Millisecond {
		t.Error("it was not slow")
	}
	faults.Set(fakebmc.Fault{})
	c.want(204, "POST", reset, `{"ResetType":"On"}`)
	if c.power() != "On" {
		t.Error("the fault stayed")
	}
}

// TestDead: neither an open connection nor a new one gets an answer, and Close still ends.
func TestDead(t *testing.T) {
	faults := &fakebmc.Faults{}
	c := start(t, func(config *fakebmc.Config) { config.Faults = faults })
	c.want(200, "GET", system, "")
	faults.Set(fakebmc.Fault{Dead: true})
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		r, err := http.NewRequestWithContext(ctx, "GET", "https://"+c.bmc.Addr()+system, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.auth(r)
		if answer, err := c.http.Do(r); err == nil {
			_ = answer.Body.Close()
			t.Errorf("a dead BMC answered %d", answer.StatusCode)
		}
		cancel()
	}
	go func() { // hangs until Close
		r, _ := http.NewRequest("GET", "https://"+c.bmc.Addr()+system, nil)
		if answer, err := c.http.Do(r); err == nil {
			_ = answer.Body.Close()
		}
	}()
	if err := c.bmc.Close(); err != nil {
		t.Error(err)
	}
	if err := c.bmc.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestSwappedCertificate(t *testing.T) {
	c := start(t, nil)
	c.want(200, "GET", system, "")
	first := c.bmc.Fingerprint()
	if got := shown(t, c.bmc.Addr()); got != first {
		t.Errorf("it shows %s and says %s", got, first)
	}
	if err := c.bmc.SwapCertificate(); err != nil {
		t.Fatal(err)
	}
	if got := shown(t, c.bmc.Addr()); got == first || got != c.bmc.Fingerprint() {
		t.Errorf("after the swap it shows %s and says %s", got, c.bmc.Fingerprint())
	}
	c.want(200, "GET", system, "")
}

func shown(t *testing.T, addr string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) // it signs its own certificate
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].Raw)
	return hex.EncodeToString(sum[:])
}

func TestLargeBodyIsRefused(t *testing.T) {
	c := start(t, nil)
	c.want(400, "PATCH", system, `{"AssetTag":"`+string(bytes.Repeat([]byte("x"), 70<<10))+`"}`)
	c.want(204, "PATCH", system, `{"AssetTag":"`+string(bytes.Repeat([]byte("x"), 60<<10))+`"}`)
}
