package redfish_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/redfish"
)

// A small honest service without sessions, whose answers the cases below replace.
const (
	goodRoot    = `{"RedfishVersion":"1.8.0","Systems":{"@odata.id":"/redfish/v1/Systems"}}`
	goodSystems = `{"Members":[{"@odata.id":"/redfish/v1/Systems/1"}]}`
	goodSystem  = `{"@odata.id":"/redfish/v1/Systems/1","PowerState":"On"}`
	marker      = "SECRET-OF-THE-BODY"
)

type answers map[string]http.HandlerFunc

func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// serve starts a service of good answers, some of them replaced, and counts its requests.
func serve(t testing.TB, replaced answers) (bmc.Target, *atomic.Int64) {
	var count atomic.Int64
	good := answers{"/redfish/v1/": text(200, goodRoot), "/redfish/v1/Systems": text(200, goodSystems), "/redfish/v1/Systems/1": text(200, goodSystem)}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		handler := replaced[r.URL.Path]
		if handler == nil {
			handler = good[r.URL.Path]
		}
		if handler == nil {
			handler = text(404, "{}")
		}
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return targetOf(t, s.Listener.Addr().String()), &count
}

// power opens, reads and closes.
func power(ctx context.Context, target bmc.Target) (bmc.PowerState, error) {
	d, err := redfish.Open(ctx, target)
	if err != nil {
		return bmc.Unknown, err
	}
	state, err := d.Power(ctx)
	_ = d.Close(ctx)
	return state, err
}

func TestHonestServiceReadsOn(t *testing.T) {
	target, _ := serve(t, nil)
	if state, err := power(t.Context(), target); state != bmc.On || err != nil {
		t.Fatalf("the control: %s %v", state, err)
	}
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	system := func(body string) answers { return answers{"/redfish/v1/Systems/1": text(200, body)} }
	status := func(code int) answers { return answers{"/redfish/v1/Systems": text(code, `{"error":"`+marker+`"}`)} }
	cases := map[string]struct {
		answers answers
		want    error
	}{
		"no root":             {answers{"/redfish/v1/": text(404, marker)}, bmc.ErrUnsupported},
		"a web page":          {answers{"/redfish/v1/": text(200, "<html>"+marker)}, bmc.ErrUnsupported},
		"another JSON":        {answers{"/redfish/v1/": text(200, `{"hello":"world"}`)}, bmc.ErrUnsupported},
		"null root":           {answers{"/redfish/v1/": text(200, `null`)}, bmc.ErrUnsupported},
		"null system":         {system(`null`), bmc.ErrUnsupported},
		"system is a list":    {system(`[{}]`), bmc.ErrUnsupported},
		"half a system":       {system(`{"PowerState":"On"`), bmc.ErrUnsupported},
		"empty system":        {system(``), bmc.ErrUnsupported},
		"no power state":      {system(`{}`), bmc.ErrUnsupported},
		"odd power state":     {system(`{"PowerState":"` + marker + `"}`), bmc.ErrUnsupported},
		"numeric power state": {system(`{"PowerState":1}`), bmc.ErrUnsupported},
		"no system":           {answers{"/redfish/v1/Systems": text(200, `{"Members":[]}`)}, bmc.ErrUnsupported},
		"pages without end": {answers{"/redfish/v1/Systems": text(200,
			`{"Members":[],"Members@odata.nextLink":"/redfish/v1/Systems"}`)}, bmc.ErrUnsupported},
		"members without end": {answers{"/redfish/v1/Systems": text(200,
			`{"Members":[`+strings.Repeat(`{"@odata.id":"/redfish/v1/Systems/1"},`, 10000)+`{}]}`)}, bmc.ErrUnsupported},
		"refuses":     {status(401), bmc.ErrUnauthorized},
		"forbids":     {status(403), bmc.ErrUnauthorized},
		"busy":        {status(503), bmc.ErrUnreachable},
		"broken":      {status(500), bmc.ErrUnreachable},
		"throttles":   {status(429), bmc.ErrUnreachable},
		"cannot":      {status(501), bmc.ErrUnsupported},
		"is a teapot": {status(418), bmc.ErrUnsupported},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			target, count := serve(t, c.answers)
			state, err := power(t.Context(), target)
			var failure *bmc.Error
			if !errors.Is(err, c.want) || !errors.As(err, &failure) || state != bmc.Unknown {
				t.Fatalf("%s, %v; want %v", state, err, c.want)
			}
			if strings.Contains(err.Error(), marker) || strings.Contains(err.Error(), "pass word") || len(err.Error()) > 600 {
				t.Errorf("the error repeats what it should not: %.200s", err)
			}
			if n := count.Load(); n > 64 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestStatesBetween(t *testing.T) {
	for text1, want := range map[string]bmc.PowerState{"On": bmc.On, "Off": bmc.Off, "PoweringOn": bmc.Unknown, "PoweringOff": bmc.Unknown} {
		target, _ := serve(t, answers{"/redfish/v1/Systems/1": text(200, `{"PowerState":"`+text1+`"}`)})
		if state, err := power(t.Context(), target); state != want || err != nil {
			t.Errorf("%s reads %s, %v", text1, state, err)
		}
	}
}

// TestOrderWhileTheHostChanges: a BMC that refuses an order with 409 is not a failure where the state explains it.
func TestOrderWhileTheHostChanges(t *testing.T) {
	const order = "/redfish/v1/Systems/1/Reset"
	body := func(state string) string {
		return `{"@odata.id":"/redfish/v1/Systems/1","PowerState":"` + state + `","Actions":{"#ComputerSystem.Reset":{"target":"` + order + `"}}}`
	}
	for _, c := range []struct {
		before, after string
		want          error
	}{
		{"PoweringOn", "PoweringOn", nil},
		{"Off", "On", nil},
		{"Off", "Off", bmc.ErrUnsupported},
	} {
		var state atomic.Value
		var refused atomic.Int64
		state.Store(c.before)
		target, _ := serve(t, answers{
			"/redfish/v1/Systems/1": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body(state.Load().(string)))) },
			order: func(w http.ResponseWriter, _ *http.Request) {
				state.Store(c.after)
				refused.Add(1)
				w.WriteHeader(409)
			},
		})
		d, err := redfish.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.SetPower(t.Context(), bmc.On); !errors.Is(err, c.want) || refused.Load() != 1 {
			t.Errorf("%s, then %s: %v after %d orders", c.before, c.after, err, refused.Load())
		}
		_ = d.Close(t.Context())
	}
}

// TestNobodyElseIsAsked: redirects and links that lead to another host are refused, and no credentials go there.
func TestNobodyElseIsAsked(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		_, _ = w.Write([]byte(goodSystem))
	}))
	t.Cleanup(other.Close)
	host := strings.TrimPrefix(other.URL, "https://")
	redirect := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/redfish/v1/Systems/1", code)
		}
	}
	members := func(link string) http.HandlerFunc {
		return text(200, fmt.Sprintf(`{"Members":[{"@odata.id":%q}]}`, link))
	}
	cases := map[string]answers{
		"redirected root":     {"/redfish/v1/": redirect(302)},
		"redirected system":   {"/redfish/v1/Systems/1": redirect(307)},
		"redirected for good": {"/redfish/v1/Systems": redirect(308)},
		"link with user":      {"/redfish/v1/Systems": members("@" + host + "/redfish/v1/Systems/1")},
		"link with port":      {"/redfish/v1/Systems": members("." + host + "/x")},
		"link to a host":      {"/redfish/v1/Systems": members(other.URL + "/redfish/v1/Systems/1")},
		"login elsewhere": {"/redfish/v1/": text(200, fmt.Sprintf(
			`{"RedfishVersion":"1.8.0","Systems":{"@odata.id":"/x"},"Links":{"Sessions":{"@odata.id":"@%s/login"}}}`, host))},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			target, _ := serve(t, c)
			state, err := power(t.Context(), target)
			if !errors.Is(err, bmc.ErrUnsupported) && !errors.Is(err, bmc.ErrUnreachable) || state != bmc.Unknown {
				t.Errorf("%s %v", state, err)
			}
			if elsewhere.Load() != 0 {
				t.Fatal("another host was asked")
			}
		})
	}
	direct := targetOf(t, host)
	_, _ = power(t.Context(), direct)
	if elsewhere.Load() == 0 {
		t.Error("the control: the other host does not count")
	}
}

// TestHugeBody: no more than the limit is read of an endless answer (T16).
func TestHugeBody(t *testing.T) {
	var sent atomic.Int64
	endless := func(w http.ResponseWriter, r *http.Request) {
		chunk := []byte(strings.Repeat(" ", 64<<10))
		for r.Context().Err() == nil {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
	target, _ := serve(t, answers{"/redfish/v1/Systems/1": endless})
	if _, err := power(t.Context(), target); !errors.Is(err, bmc.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	const slack = 16 << 20 // buffers of TLS and of the kernel
	if n := sent.Load(); n < 4<<20 || n > 4<<20+slack {
		t.Errorf("%d bytes left the BMC", n)
	}
	big, _ := serve(t, answers{"/redfish/v1/Systems/1": text(200, strings.Repeat(" ", 3<<20)+goodSystem)})
	if state, err := power(t.Context(), big); state != bmc.On || err != nil {
		t.Errorf("the control: an answer below the limit reads %s, %v", state, err)
	}
}

// TestSlowBody: a body that drips ends with the context, although bytes keep coming (T16).
func TestSlowBody(t *testing.T) {
	drip := func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
			}
		}
	}
	target, _ := serve(t, answers{"/redfish/v1/Systems/1": drip})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := power(ctx, target); !errors.Is(err, bmc.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}
