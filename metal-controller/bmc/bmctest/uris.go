package bmctest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
)

// URIOracle sees what a BMC was told to boot from, beside what an Oracle sees.
type URIOracle interface {
	Oracle
	Boot() Boot
	// Media is the URI of the image in the virtual drive, empty without one.
	Media() string
	// Insert puts an image in, past the driver.
	Insert(uri string)
}

// Opener gives a driver to a fresh host that is off, under a target that was edited.
type Opener func(t *testing.T, edit func(*bmc.Target)) (bmc.Driver, URIOracle)

// RunURIs is the part of the contract for BMCs that can be told what to boot: the first file of UEFI's HTTP boot, and an image as virtual media.
func RunURIs(t *testing.T, open Opener) {
	for name, clause := range map[string]func(t *testing.T, u uris){
		"boots from a URI, and reads it back":                ensuresURI,
		"tells an ignored URI":                               ignoredURI,
		"inserts an image and boots from it once":            ensuresMedia,
		"boots no image always":                              neverAlways,
		"ejects what it inserted":                            ejectsOwn,
		"leaves alone what others inserted":                  leavesOthers,
		"tells an image that was neither inserted nor taken": ignoredMedia,
		"tells a BMC that has no virtual media":              noMedia,
		"knows no media where none is wanted":                wantsNone,
	} {
		t.Run(name, func(t *testing.T) {
			images := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("an image")) }))
			t.Cleanup(images.Close)
			clause(t, uris{open: open, ours: images.URL + "/ingot.iso", theirs: images.URL + "/theirs.iso"})
		})
	}
}

// RunNoURIs is the same part for BMCs whose protocol has no place for either: the order is refused, and nothing else is booted instead.
func RunNoURIs(t *testing.T, open Opener) {
	for name, edit := range map[string]func(*bmc.Target){
		"the first file": func(target *bmc.Target) { target.BootURI = "http://192.0.2.1/boot.efi" },
		"an image":       func(target *bmc.Target) { target.MediaURI = "http://192.0.2.1/ingot.iso" },
	} {
		t.Run(name, func(t *testing.T) {
			d, o := open(t, edit)
			t.Cleanup(func() { _ = d.Close(context.Background()) })
			wantClass(t, d.SetBootNetwork(t.Context(), true), bmc.ErrUnsupported)
			if _, ok := d.(bmc.MediaDriver); ok || o.Orders() != 0 {
				t.Errorf("it has virtual media %v, or ordered something (%d)", ok, o.Orders())
			}
			control, seen := open(t, func(*bmc.Target) {})
			t.Cleanup(func() { _ = control.Close(context.Background()) })
			wantOK(t, control.SetBootNetwork(t.Context(), true))
			if set, _ := seen.BootNetwork(); !set {
				t.Error("control: without a URI nothing was ordered")
			}
		})
	}
}

// uris is what a clause works with.
type uris struct {
	open         Opener
	ours, theirs string
}

func (u uris) boot(t *testing.T) (bmc.Driver, URIOracle) {
	return u.opened(t, func(target *bmc.Target) { target.BootURI = u.ours })
}

func (u uris) media(t *testing.T) (bmc.MediaDriver, URIOracle) {
	d, o := u.opened(t, func(target *bmc.Target) { target.MediaURI = u.ours })
	m, ok := d.(bmc.MediaDriver)
	if !ok {
		t.Fatal("the driver knows no virtual media")
	}
	return m, o
}

func (u uris) opened(t *testing.T, edit func(*bmc.Target)) (bmc.Driver, URIOracle) {
	t.Helper()
	d, o := u.open(t, edit)
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	return d, o
}

func ensuresURI(t *testing.T, u uris) {
	d, o := u.boot(t)
	for i, once := range []bool{true, true, false, false, true} {
		wantOK(t, d.SetBootNetwork(t.Context(), once))
		if got, want := o.Boot(), (Boot{From: FromURI, URI: u.ours, Once: once}); got != want {
			t.Fatalf("step %d: the host boots %+v, want %+v", i, got, want)
		}
	}
	if o.Orders() != 3 || o.Media() != "" {
		t.Errorf("%d orders for three changes, and %q in the drive", o.Orders(), o.Media())
	}
}

func ignoredURI(t *testing.T, u uris) {
	d, o := u.boot(t)
	o.Behave(Behaviour{IgnoreBoot: true})
	wantClass(t, d.SetBootNetwork(t.Context(), true), bmc.ErrLied)
	o.Behave(Behaviour{})
	wantOK(t, d.SetBootNetwork(t.Context(), true))
}

func wantInserted(t *testing.T, d bmc.MediaDriver, want bool) {
	t.Helper()
	if got, err := d.MediaInserted(t.Context()); err != nil || got != want {
		t.Fatalf("MediaInserted: %v, %v; want %v", got, err, want)
	}
}

func ensuresMedia(t *testing.T, u uris) {
	d, o := u.media(t)
	wantInserted(t, d, false)
	for range 3 {
		wantOK(t, d.SetBootNetwork(t.Context(), true))
		if got := o.Boot(); got.From != FromMedia || !got.Once || o.Media() != u.ours {
			t.Fatalf("the host boots %+v, and its drive holds %q", got, o.Media())
		}
		wantInserted(t, d, true)
	}
	if o.Orders() != 2 {
		t.Errorf("%d orders for an image and an override", o.Orders())
	}
}

func neverAlways(t *testing.T, u uris) {
	d, o := u.media(t)
	wantClass(t, d.SetBootNetwork(t.Context(), false), bmc.ErrUnsupported)
	if o.Orders() != 0 || o.Media() != "" {
		t.Errorf("%d orders, and the drive holds %q", o.Orders(), o.Media())
	}
	wantOK(t, d.SetBootNetwork(t.Context(), true))
}

func ejectsOwn(t *testing.T, u uris) {
	d, o := u.media(t)
	wantOK(t, d.EjectMedia(t.Context()))
	if o.Orders() != 0 {
		t.Errorf("an empty drive was ordered something")
	}
	wantOK(t, d.SetBootNetwork(t.Context(), true))
	before := o.Orders()
	for range 2 {
		wantOK(t, d.EjectMedia(t.Context()))
		wantInserted(t, d, false)
	}
	if o.Media() != "" || o.Orders() != before+1 {
		t.Errorf("the drive holds %q after %d orders", o.Media(), o.Orders()-before)
	}
}

func leavesOthers(t *testing.T, u uris) {
	d, o := u.media(t)
	o.Insert(u.theirs)
	before := o.Orders()
	wantInserted(t, d, false)
	wantClass(t, d.SetBootNetwork(t.Context(), true), bmc.ErrUnsupported)
	wantOK(t, d.EjectMedia(t.Context()))
	if o.Media() != u.theirs || o.Orders() != before || o.Boot().From != "" {
		t.Errorf("the drive holds %q after %d orders, and the host boots %+v", o.Media(), o.Orders()-before, o.Boot())
	}
}

func ignoredMedia(t *testing.T, u uris) {
	d, o := u.media(t)
	o.Behave(Behaviour{IgnoreMedia: true})
	wantClass(t, d.SetBootNetwork(t.Context(), true), bmc.ErrLied)
	if o.Boot().From != "" {
		t.Errorf("without an image the host boots %+v", o.Boot())
	}
	o.Behave(Behaviour{})
	wantOK(t, d.SetBootNetwork(t.Context(), true))
	o.Behave(Behaviour{IgnoreMedia: true})
	wantClass(t, d.EjectMedia(t.Context()), bmc.ErrLied)
	wantInserted(t, d, true)
	o.Behave(Behaviour{})
	wantOK(t, d.EjectMedia(t.Context()))
}

func noMedia(t *testing.T, u uris) {
	d, o := u.media(t)
	o.Behave(Behaviour{NoMedia: true})
	err := d.SetBootNetwork(t.Context(), true)
	wantClass(t, err, bmc.ErrUnsupported)
	_, err = d.MediaInserted(t.Context())
	wantClass(t, err, bmc.ErrUnsupported)
	if o.Orders() != 0 {
		t.Errorf("%d orders: it boots another way instead", o.Orders())
	}
	o.Behave(Behaviour{})
	wantOK(t, d.SetBootNetwork(t.Context(), true))
	o.Behave(Behaviour{NoMedia: true}) // that had one before
	wantClass(t, d.SetBootNetwork(t.Context(), true), bmc.ErrUnsupported)
}

func wantsNone(t *testing.T, u uris) {
	d, o := u.opened(t, func(*bmc.Target) {})
	m := d.(bmc.MediaDriver)
	o.Insert(u.theirs)
	wantInserted(t, m, false)
	wantOK(t, m.EjectMedia(t.Context()))
	wantOK(t, d.SetBootNetwork(t.Context(), true))
	if o.Media() != u.theirs {
		t.Errorf("the drive holds %q", o.Media())
	}
	if set, _ := o.BootNetwork(); !set {
		t.Errorf("the host boots %+v", o.Boot())
	}
}
