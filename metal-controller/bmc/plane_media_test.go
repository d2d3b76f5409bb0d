package bmc_test

import (
	"errors"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/bmctest"
)

const image, others = "http://192.0.2.1/ingot.iso", "http://192.0.2.66/theirs.iso"

// withMedia is right with an image.
func withMedia() bmc.Target {
	target := right
	target.MediaURI = image
	return target
}

// TestMediaGoesWithTheBoot: an order to boot from the network inserts the image and shows it; a wish ejects it, and so does a plain power on; an image of others stays.
func TestMediaGoesWithTheBoot(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.plane.Ensure(server, withMedia())
		want := func(step string, inserted bool, media string) {
			t.Helper()
			pass(90 * time.Second)
			if r := b.latest(); r.Media != inserted || b.Media() != media || r.Err != nil {
				t.Fatalf("%s: the drive holds %q, reading %+v", step, b.Media(), r)
			}
		}
		want("at first", false, "")
		b.plane.Submit(server, bmc.Action{ID: "a", Verb: bmc.PowerOnFromNetwork})
		want("booted", true, image)
		if boot := b.Boot(); boot.From != bmctest.FromMedia || !boot.Once || !b.On() {
			t.Errorf("it boots %+v, on %v", boot, b.On())
		}
		b.plane.EjectMedia(server)
		want("ejected", false, "")
		b.SetOn(false)
		b.Insert(image)
		want("left by one that was killed", true, image)
		b.plane.Submit(server, bmc.Action{ID: "b", Verb: bmc.PowerOn})
		want("plain power on", false, "")
		b.Insert(others)
		b.plane.EjectMedia(server)
		want("of others", false, others)
	})
}

// TestEjectingYieldsToAnOrder: a wish that was not carried out yet does not empty the drive for the boot that was ordered after it.
func TestEjectingYieldsToAnOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.Insert(image)
		b.Behave(bmctest.Behaviour{Dead: true})
		b.plane.Ensure(server, withMedia())
		pass(time.Second)
		b.plane.EjectMedia(server)
		b.plane.Submit(server, bmc.Action{ID: "a", Verb: bmc.PowerOnFromNetwork})
		b.plane.EjectMedia(server)
		b.Behave(bmctest.Behaviour{})
		pass(5 * time.Minute)
		if b.Media() != image || !b.On() || b.latest().ActionID != "a" {
			t.Errorf("the drive holds %q, reading %+v", b.Media(), b.latest())
		}
		b.plane.EjectMedia(server)
		pass(time.Second)
		if b.Media() != "" {
			t.Error("control: a wish without an order is not carried out")
		}
	})
}

// TestNoMedia: a BMC without virtual media is told as such, and is no reason to leave the host off.
func TestNoMedia(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.Behave(bmctest.Behaviour{NoMedia: true})
		b.plane.Ensure(server, withMedia())
		b.plane.Submit(server, bmc.Action{ID: "a", Verb: bmc.PowerOnFromNetwork})
		pass(5 * time.Minute)
		if r := b.latest(); !errors.Is(r.NetworkErr, bmc.ErrUnsupported) || r.Err != nil || r.ActionErr != nil || !b.On() || r.Media {
			t.Errorf("on %v, reading %+v", b.On(), r)
		}
		b.SetOn(false)
		b.Behave(bmctest.Behaviour{})
		b.plane.Submit(server, bmc.Action{ID: "b", Verb: bmc.PowerOnFromNetwork})
		pass(5 * time.Minute)
		if r := b.latest(); r.NetworkErr != nil || !r.Media {
			t.Errorf("control: reading %+v", r)
		}
	})
}
