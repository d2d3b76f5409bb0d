package redfish_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/redfish"
)

const (
	resetPath = "/redfish/v1/Systems/1/Reset"
	infoPath  = "/redfish/v1/Systems/1/ResetInfo"
)

// shuttable serves a system that is on, whose reset action has the members, until an order changes its state.
func shuttable(members, info string, status int, after string) (answers, *atomic.Value) {
	var state, sent atomic.Value
	state.Store("On")
	sent.Store("")
	return answers{
		"/redfish/v1/Systems/1": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"@odata.id":"/redfish/v1/Systems/1","PowerState":"` + state.Load().(string) +
				`","Actions":{"#ComputerSystem.Reset":{"target":"` + resetPath + `"` + members + `}}}`))
		},
		infoPath: text(200, info),
		resetPath: func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			sent.Store(string(body))
			state.Store(after)
			w.WriteHeader(status)
		},
	}, &sent
}

// TestShutdownNeedsTheWord: the order goes out only to a BMC that lists it, in the action or in what it links to; some that list nothing switch off hard.
func TestShutdownNeedsTheWord(t *testing.T) {
	const (
		link   = `,"@Redfish.ActionInfo":"` + infoPath + `"`
		listed = `,"ResetType@Redfish.AllowableValues":["On","GracefulShutdown"]`
		info   = `{"Parameters":[{"Name":"Other","AllowableValues":["A"]},{"Name":"ResetType","AllowableValues":["On","GracefulShutdown"]}]}`
	)
	for name, c := range map[string]struct {
		members, info string
		status        int
		after         string
		sent          bool
		want          error
	}{
		"listed":                       {listed, "{}", 204, "On", true, nil},
		"listed by its info":           {link, info, 204, "On", true, nil},
		"not listed":                   {`,"ResetType@Redfish.AllowableValues":["On","ForceOff"]`, info, 204, "On", false, bmc.ErrUnsupported},
		"lists nothing":                {"", info, 204, "On", false, bmc.ErrUnsupported},
		"not listed by its info":       {link, strings.ReplaceAll(info, "Graceful", "Other"), 204, "On", false, bmc.ErrUnsupported},
		"its info lacks the type":      {link, `{"Parameters":[null,{}]}`, 204, "On", false, bmc.ErrUnsupported},
		"its info makes no sense":      {link, `{"Parameters":7}`, 204, "On", false, bmc.ErrUnsupported},
		"its info is elsewhere":        {`,"@Redfish.ActionInfo":"https://192.0.2.9/info"`, info, 204, "On", false, bmc.ErrUnsupported},
		"refused, and it stays on":     {listed, "{}", 409, "On", true, bmc.ErrUnsupported},
		"refused, and it went off":     {listed, "{}", 409, "Off", true, nil},
		"refused, for it goes already": {listed, "{}", 409, "PoweringOff", true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			service, sent := shuttable(c.members, c.info, c.status, c.after)
			target, _ := serve(t, service)
			d, err := redfish.Open(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = d.Close(t.Context()) }()
			if err := d.Shutdown(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if order := sent.Load().(string); strings.Contains(order, "GracefulShutdown") != c.sent || !c.sent && order != "" {
				t.Errorf("it was sent %q", order)
			}
		})
	}
}
