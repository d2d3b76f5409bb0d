package redfish

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
)

// bodies answers requests in process, without a connection: fast, and the same each time.
type bodies map[string]string

func (b bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	body, ok := b[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
	}
	_, _ = w.WriteString(body)
	return w.Result(), nil
}

func (bodies) CloseIdleConnections() {}

const (
	rootBody    = `{"RedfishVersion":"1.8.0","Systems":{"@odata.id":"/redfish/v1/Systems"}}`
	systemsBody = `{"Members":[{"@odata.id":"/redfish/v1/Systems/1"}]}`
	systemBody  = `{"@odata.id":"/redfish/v1/Systems/1","PowerState":"On","Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}`
)

// use opens a driver on the bodies and calls everything that reads them.
func use(t *testing.T, b bodies) (bmc.PowerState, []error) {
	d := newDriver(bmc.Target{Host: "bmc", Username: "u", Password: bmc.NewSecret("p")})
	d.wire.base = b
	if err := d.open(t.Context()); err != nil {
		return bmc.Unknown, []error{err}
	}
	state, err := d.Power(t.Context())
	if err != nil && state != bmc.Unknown {
		t.Fatalf("%s with %v", state, err)
	}
	return state, []error{err, d.SetPower(t.Context(), bmc.Off), d.Shutdown(t.Context()), d.SetBootNetwork(t.Context(), true), d.Close(t.Context())}
}

// FuzzAnswers gives the driver three answers of a hostile BMC. Whatever they are, it returns a state or a classified error.
func FuzzAnswers(f *testing.F) {
	f.Add(rootBody, systemsBody, systemBody)
	f.Add(`null`, `null`, `null`)
	f.Add(rootBody, systemsBody, `null`)
	f.Add(rootBody, `{"Members":[null,{"@odata.id":""}]}`, `{}`)
	f.Add(rootBody, `{"Members@odata.nextLink":"/redfish/v1/Systems"}`, `{}`)
	f.Add(`{"RedfishVersion":"1","Systems":{"@odata.id":"\u0000"}}`, systemsBody, systemBody)
	f.Add(`{"RedfishVersion":"1","Systems":{"@odata.id":"/redfish/v1/Systems"},"SessionService":{"@odata.id":"/x"}}`, systemsBody, systemBody)
	f.Add(rootBody, systemsBody, `{"PowerState":{"a":[1e999]},"Boot":[],"Actions":null,"Links":{"Chassis":[null]}}`)
	f.Add(rootBody, systemsBody, `{"PowerState":"On","Boot":{"BootSourceOverrideTarget@Redfish.AllowableValues":["Hdd"]}}`)
	f.Add(rootBody, systemsBody, `{"PowerState":"On","Actions":{"#ComputerSystem.Reset":{"target":"/r","@Redfish.ActionInfo":"/redfish/v1/Systems/1"}},"Parameters":[{"Name":"ResetType"}]}`)
	f.Add(rootBody, systemsBody, `{"@odata.id":"@elsewhere","Actions":{"#ComputerSystem.Reset":{"target":"//elsewhere/x"}}}`)
	f.Fuzz(func(t *testing.T, root, systems, system string) {
		_, errs := use(t, bodies{"/redfish/v1/": root, "/redfish/v1/Systems": systems, "/redfish/v1/Systems/1": system})
		for _, err := range errs {
			var failure *bmc.Error
			if err != nil && !errors.As(err, &failure) {
				t.Fatalf("an error without a class: %v", err)
			}
		}
	})
}

// TestFuzzControl: the honest answers read On, so that the fuzzing starts from answers that get through.
func TestFuzzControl(t *testing.T) {
	state, errs := use(t, bodies{"/redfish/v1/": rootBody, "/redfish/v1/Systems": systemsBody, "/redfish/v1/Systems/1": systemBody})
	if state != bmc.On || errs[0] != nil || errs[3] != nil {
		t.Errorf("%s %v", state, errs)
	}
}
