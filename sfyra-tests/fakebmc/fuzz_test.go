package fakebmc_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
)

// FuzzBodies sends any body to every request that takes one. None may panic or answer 5xx, and what was refused may not
// have reached the machine.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `{"ResetType":"On"}`, `{"ResetType":["On"]}`, `{"AssetTag":null,"Boot":null}`,
		`{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}`, `{"Boot":{"HttpBootUri":7}}`,
		`{"UserName":"admin","Password":"correct horse"}`, `{"UserName":{"a":1}}`, "{\"AssetTag\":\"\xff\"}",
	} {
		f.Add(seed)
	}
	m := memory.New(identity)
	b, err := fakebmc.Start(f.Context(), fakebmc.Config{Machine: m, Username: user, Password: password})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = b.Close() })
	f.Fuzz(func(t *testing.T, body string) {
		b.DropSessions()
		for path, method := range map[string]string{reset: "POST", system: "PATCH", sessions: "POST"} {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.SetBasicAuth(user, password)
			before := len(m.Orders())
			w := httptest.NewRecorder()
			b.Handler().ServeHTTP(w, r)
			if w.Code >= http.StatusInternalServerError {
				t.Fatalf("%s %s %q: status %d", method, path, body, w.Code)
			}
			if w.Code == http.StatusBadRequest && len(m.Orders()) != before {
				t.Fatalf("%s %s %q: refused and done", method, path, body)
			}
		}
	})
}
