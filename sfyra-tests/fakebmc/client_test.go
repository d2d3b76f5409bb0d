package fakebmc_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user     = "admin"
	password = "correct horse"
	system   = "/redfish/v1/Systems/1"
	reset    = system + "/Actions/ComputerSystem.Reset"
	sessions = "/redfish/v1/SessionService/Sessions"
)

var identity = machine.Identity{
	UUID: "4c4c4544-0000-1000-8000-000000000001", Manufacturer: "QEMU", Product: "Lab", Serial: "SN1",
	AssetTag: "tag", CPUs: 2, MemoryMiB: 3072, UEFI: true,
}

// client is a second Redfish client: net/http and nothing else.
type client struct {
	t       *testing.T
	bmc     *fakebmc.BMC
	machine *memory.Machine
	http    *http.Client
	auth    func(*http.Request)
}

func start(t *testing.T, edit func(*fakebmc.Config)) *client {
	t.Helper()
	m := memory.New(identity)
	config := fakebmc.Config{Machine: m, Username: user, Password: password}
	if edit != nil {
		edit(&config)
	}
	b, err := fakebmc.Start(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // it signs its own certificate
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = b.Close()
	})
	return &client{t: t, bmc: b, machine: m, http: &http.Client{Transport: transport}, auth: basic(user, password)}
}

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func token(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("X-Auth-Token", token) }
}

func anonymous(*http.Request) {}

// do sends a request and gives status, header and the JSON object of the answer, if it is one.
func (c *client) do(method, path, body string) (int, http.Header, map[string]any) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, "https://"+c.bmc.Addr()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	c.auth(r)
	answer, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var object map[string]any
	_ = json.Unmarshal(content, &object) // not all answers have one
	return answer.StatusCode, answer.Header, object
}

// want sends a request and checks the status.
func (c *client) want(status int, method, path, body string) map[string]any {
	c.t.Helper()
	got, _, object := c.do(method, path, body)
	if got != status {
		c.t.Errorf("%s %s %s: status %d, want %d: %v", method, path, body, got, status, object)
	}
	return object
}

func (c *client) power() any { return c.want(200, "GET", system, "")["PowerState"] }

func (c *client) override() (enabled, target any) {
	boot, _ := c.want(200, "GET", system, "")["Boot"].(map[string]any)
	return boot["BootSourceOverrideEnabled"], boot["BootSourceOverrideTarget"]
}
