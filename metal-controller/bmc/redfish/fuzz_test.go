package redfish_test

import (
	"errors"
	"net/http"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
)

// FuzzPower gives the driver three answers of a hostile BMC. Whatever they are, it returns a state or a classified error.
func FuzzPower(f *testing.F) {
	f.Add(goodRoot, goodSystems, goodSystem)
	f.Add(`null`, `null`, `null`)
	f.Add(goodRoot, goodSystems, `null`)
	f.Add(goodRoot, `{"Members":[null,{"@odata.id":""}]}`, `{}`)
	f.Add(goodRoot, `{"Members@odata.nextLink":"/redfish/v1/Systems"}`, `{}`)
	f.Add(`{"RedfishVersion":"1","Systems":{"@odata.id":"\u0000"}}`, goodSystems, goodSystem)
	f.Add(`{"RedfishVersion":"1","Systems":{"@odata.id":"/redfish/v1/Systems"},"SessionService":{"@odata.id":"/x"}}`, goodSystems, goodSystem)
	f.Add(goodRoot, goodSystems, `{"PowerState":{"a":[1e999]},"Boot":[],"Actions":null,"Links":{"Chassis":[null]}}`)
	var root, systems, system string
	reply := func(body *string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(*body)) }
	}
	target, _ := serve(f, answers{"/redfish/v1/": reply(&root), "/redfish/v1/Systems": reply(&systems), "/redfish/v1/Systems/1": reply(&system)})
	f.Fuzz(func(t *testing.T, a, b, c string) {
		root, systems, system = a, b, c
		state, err := power(t.Context(), target)
		var failure *bmc.Error
		if err != nil && !errors.As(err, &failure) {
			t.Fatalf("an error without a class: %v", err)
		}
		if err != nil && state != bmc.Unknown {
			t.Fatalf("%s with %v", state, err)
		}
	})
}
