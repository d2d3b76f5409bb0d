package fakebmc_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/clock"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
)

func TestEverythingNeedsCredentials(t *testing.T) {
	c := start(t, nil)
	for name, auth := range map[string]func(*http.Request){
		"nobody": anonymous, "wrong password": basic(user, "wrong"), "wrong user": basic("root", password),
		"no password": basic(user, ""), "wrong token": token("0123"), "joined": basic(user+"\x00", password),
	} {
		c.auth = auth
		for _, path := range []string{
			system, sessions, "/redfish/v1/odata", "/redfish/v1/$metadata", "/redfish/v1/Managers", "/console0",
			"/redfish/v1/Nothing", "/", "/redfish/v1/../v1/Systems/1",
		} {
			if status, header, _ := c.do("GET", path, ""); status != 401 || header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: GET %s: %d", name, path, status)
			}
		}
		c.want(401, "POST", reset, `{"ResetType":"On"}`)
		c.want(401, "PATCH", system, `{"AssetTag":"x"}`)
		c.want(401, "DELETE", sessions+"/1", "")
		c.want(200, "GET", "/redfish/v1/", "")
		c.want(200, "GET", "/redfish", "")
	}
	if orders := c.machine.Orders(); len(orders) != 0 {
		t.Errorf("the machine got %v", orders)
	}
	c.auth = basic(user, password)
	c.want(200, "GET", system, "")
	c.want(204, "POST", reset, `{"ResetType":"On"}`)
}

func login(password string) string {
	return fmt.Sprintf(`{"UserName":%q,"Password":%q}`, user, password)
}

func TestSessions(t *testing.T) {
	clock := clock.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	c := start(t, func(config *fakebmc.Config) { config.Now = clock.Now })
	c.auth = anonymous
	c.want(401, "POST", sessions, login("wrong"))
	c.want(400, "POST", sessions, `"a"`)
	var tokens, paths []string
	for range fakebmc.DefaultSessionLimit {
		status, header, body := c.do("POST", sessions, login(password))
		if status != 201 || header.Get("X-Auth-Token") == "" || body["@odata.id"] != header.Get("Location") {
			t.Fatalf("login: %d %v %v", status, header, body)
		}
		tokens, paths = append(tokens, header.Get("X-Auth-Token")), append(paths, header.Get("Location"))
	}
	c.want(503, "POST", sessions, login(password))
	c.auth = token(tokens[0])
	c.want(200, "GET", system, "")
	if got := c.want(200, "GET", sessions, "")["Members@odata.count"]; got != float64(4) {
		t.Errorf("%v sessions are listed", got)
	}
	c.want(204, "DELETE", paths[0], "")
	c.want(401, "GET", system, "")
	c.auth = token(tokens[1])
	c.want(404, "DELETE", paths[0], "")
	clock.Pass(fakebmc.SessionTimeout - time.Second)
	c.want(200, "GET", system, "")
	clock.Pass(2 * time.Second)
	if n := c.bmc.Sessions(); n != 1 {
		t.Errorf("%d sessions after the idle time of all but one", n)
	}
	c.want(200, "GET", system, "")
	c.bmc.DropSessions()
	c.want(401, "GET", system, "")
	if got, want := c.bmc.Tally(), (fakebmc.Tally{Opened: 4, Refused: 1, Most: 4}); got != want {
		t.Errorf("it counted %+v, want %+v", got, want)
	}
}

func TestWithoutSessionService(t *testing.T) {
	c := start(t, func(config *fakebmc.Config) { config.SessionLimit = -1 })
	if root := c.want(200, "GET", "/redfish/v1/", ""); root["SessionService"] != nil {
		t.Error("the root names a session service")
	}
	c.want(404, "POST", sessions, login(password))
	c.want(200, "GET", system, "")
}

// TestLogsHoldNoSecret looks for what a client sends and gets that nobody else may see.
func TestLogsHoldNoSecret(t *testing.T) {
	var out strings.Builder
	var mu sync.Mutex
	c := start(t, func(config *fakebmc.Config) {
		config.Log = slog.New(slog.NewTextHandler(writer(func(p []byte) { mu.Lock(); out.Write(p); mu.Unlock() }), nil))
	})
	_, header, _ := c.do("POST", sessions, login(password))
	c.auth = token(header.Get("X-Auth-Token"))
	c.want(200, "GET", system+"?password="+strings.ReplaceAll(password, " ", "+"), "")
	c.auth = basic(user, password)
	c.want(200, "GET", system, "")
	mu.Lock()
	defer mu.Unlock()
	text := out.String() + fmt.Sprintf("%+v", c.bmc.Requests())
	for _, secret := range []string{password, "correct", header.Get("X-Auth-Token")} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the log:\n%s", secret, text)
		}
	}
	if requests := c.bmc.Requests(); len(requests) != 3 || requests[0].User != user || requests[1].User != user || requests[1].Path != system ||
		!requests[0].Presented || requests[2].Status != 200 {
		t.Errorf("the log is %+v", requests)
	}
}

func TestConfigIsChecked(t *testing.T) {
	m := memory.New(identity)
	for _, config := range []fakebmc.Config{
		{Username: user, Password: password},
		{Machine: m, Password: password},
		{Machine: m, Username: user},
		{Machine: m, Username: user, Password: password, Addr: "nowhere:x"},
	} {
		if b, err := fakebmc.Start(context.Background(), config); err == nil {
			_ = b.Close()
			t.Errorf("%+v was taken", config.Addr)
		}
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }
