package redfish

import (
	"errors"
	"strings"
	"testing"

	schema "github.com/stmcginnis/gofish/redfish"

	"ingot.dev/ingot/metal-controller/bmc"
)

const imageURI = "http://192.0.2.1/ingot.iso"

func holding(id, image string, actions bool) drive {
	v := drive{ID: id, Types: []string{"CD"}, Image: image, Inserted: image != ""}
	if actions {
		v.Actions.Insert.Target, v.Actions.Eject.Target = id+"/insert", id+"/eject"
	}
	return v
}

// TestChoose: the drive that has our image, or else the first that is empty; never one with somebody's image.
func TestChoose(t *testing.T) {
	onlyEjects := holding("e", "", true)
	onlyEjects.Actions.Insert.Target = ""
	for name, c := range map[string]struct {
		drives []drive
		want   string
		says   string
	}{
		"the first empty one":         {[]drive{holding("a", "http://x", true), holding("b", "", true), holding("c", "", true)}, "b", ""},
		"where it is already":         {[]drive{holding("a", "", true), holding("b", imageURI, true)}, "b", ""},
		"one without actions":         {[]drive{holding("a", "", false)}, "a", ""},
		"all in use":                  {[]drive{holding("a", "http://x/theirs.iso", true)}, "", "theirs.iso"},
		"none that takes an image":    {[]drive{onlyEjects}, "", "licence"},
		"a console's, without an URI": {[]drive{{ID: "a", Inserted: true}}, "", "in use"},
		"no drive":                    {nil, "", "in use"},
	} {
		got, err := choose(c.drives, imageURI)
		switch {
		case got.ID != c.want, (err == nil) != (c.says == ""):
			t.Errorf("%s: %q, %v", name, got.ID, err)
		case err != nil && !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMediaTarget: Cd, or what some call it.
func TestMediaTarget(t *testing.T) {
	targets := []schema.BootSourceOverrideTarget{byCD, usbCD}
	for want, listed := range map[schema.BootSourceOverrideTarget][]schema.BootSourceOverrideTarget{byCD: {byPXE, usbCD, byCD}, usbCD: {byPXE, usbCD}, "": {byPXE}} {
		if got, ok := (override{Allowed: listed}).first(targets); got != want || ok != (want != "") {
			t.Errorf("of %v: %q, %v", listed, got, ok)
		}
	}
	if got, _ := (override{}).first(targets); got != byCD {
		t.Errorf("of none listed: %q", got)
	}
}

const (
	mediaSystem = `{"@odata.id":"/redfish/v1/Systems/1","PowerState":"On","Boot":{},"Links":{"ManagedBy":[{"@odata.id":"/m"}]}}`
	mediaDrive  = `{"MediaTypes":["CD"],"Image":"http://192.0.2.1/ingot.iso","Inserted":true,"Actions":{"#VirtualMedia.EjectMedia":{"target":"/d/eject"},"#VirtualMedia.InsertMedia":{"target":"/d/insert"}}}`
)

// useMedia calls everything that reads virtual media.
func useMedia(t *testing.T, b bodies) (bool, []error) {
	d := newDriver(bmc.Target{Host: "bmc", Username: "u", Password: bmc.NewSecret("p"), MediaURI: imageURI})
	d.wire.base = b
	if err := d.open(t.Context()); err != nil {
		return false, []error{err}
	}
	inserted, err := d.MediaInserted(t.Context())
	return inserted, []error{err, d.SetBootNetwork(t.Context(), true), d.EjectMedia(t.Context())}
}

func mediaBodies(system, manager, list, drive string) bodies {
	return bodies{"/redfish/v1/": rootBody, "/redfish/v1/Systems": systemsBody, "/redfish/v1/Systems/1": system, "/m": manager, "/l": list, "/d": drive, "/d/insert": "", "/d/eject": ""}
}

// FuzzMedia gives the driver a hostile BMC's virtual media. Whatever they are, errors have a class.
func FuzzMedia(f *testing.F) {
	f.Add(mediaSystem, `{"VirtualMedia":{"@odata.id":"/l"}}`, `{"Members":[{"@odata.id":"/d"}]}`, mediaDrive)
	f.Add(`{"VirtualMedia":{"@odata.id":"/l"}}`, `{}`, `{"Members":[{"@odata.id":"/d"},{"@odata.id":"/d"}]}`, `{"Image":null,"Inserted":null}`)
	f.Add(mediaSystem, `{"VirtualMedia":{"@odata.id":"@elsewhere"}}`, `{"Members":[null]}`, `{"Image":[1]}`)
	f.Add(`{"Links":{"ManagedBy":[{"@odata.id":""}]}}`, `null`, `{"Members":[{"@odata.id":"/l"}]}`, `{"Actions":{"#VirtualMedia.InsertMedia":{"target":"//elsewhere/x"}}}`)
	f.Fuzz(func(t *testing.T, system, manager, list, drive string) {
		_, errs := useMedia(t, mediaBodies(system, manager, list, drive))
		for _, err := range errs {
			var failure *bmc.Error
			if err != nil && !errors.As(err, &failure) {
				t.Fatalf("an error without a class: %v", err)
			}
		}
	})
}

// TestFuzzMediaControl: the first of these answers gets through: the image is read, and one that stays after ejecting is a lie.
func TestFuzzMediaControl(t *testing.T) {
	inserted, errs := useMedia(t, mediaBodies(mediaSystem, `{"VirtualMedia":{"@odata.id":"/l"}}`, `{"Members":[{"@odata.id":"/d"}]}`, mediaDrive))
	if !inserted || errs[0] != nil || !errors.Is(errs[2], bmc.ErrLied) {
		t.Errorf("%v %v", inserted, errs)
	}
}
