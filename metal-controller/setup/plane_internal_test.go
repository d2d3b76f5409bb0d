package setup

import (
	"errors"
	"testing"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
)

// TestTarget: all that is declared of a BMC reaches the plane.
func TestTarget(t *testing.T) {
	declared := server.BMC{
		BMC: metal.BMC{
			Protocol: metal.BMCRedfish, Endpoint: "bmc.example", Port: 8443, CredentialsSecret: "s", TLSFingerprint: "ab", HTTPBootURI: "http://192.0.2.1/x.efi", VirtualMediaURI: "http://192.0.2.1/x.iso",
		},
		Username: "u", Password: bmc.NewSecret("p"), Firmware: metal.BootModeUEFI,
	}
	want := bmc.Target{
		Protocol: bmc.Redfish, Host: "bmc.example", Port: 8443, Username: "u", Password: bmc.NewSecret("p"), Pin: "ab",
		BootURI: "http://192.0.2.1/x.efi", MediaURI: "http://192.0.2.1/x.iso", Firmware: bmc.FirmwareUEFI,
	}
	if got := target(declared); got != want {
		t.Errorf("%+v; want %+v", got, want)
	}
}

// TestPinSeen: the certificate that a BMC showed reaches lifecycle, which pins it when the server is accepted.
func TestPinSeen(t *testing.T) {
	if got := inWords(bmc.Reading{Power: bmc.On, PinSeen: "abcd"}).PinSeen; got != "abcd" {
		t.Errorf("seen %q", got)
	}
}

// TestLiesAreToldUntilThePowerShows: a reading of the state that the BMC was told to leave keeps the reason, and its opposite ends it.
func TestLiesAreToldUntilThePowerShows(t *testing.T) {
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	lie := bmc.Reading{
		Power: bmc.Off, At: noon.Add(-time.Second), ActionID: "a", ActionAt: noon, ActionWant: bmc.On,
		ActionErr: bmc.Fail(bmc.ErrLied, "setting power", "it still reads Off"),
	}
	later, shown, boot, silent := lie, lie, lie, lie
	later.At = noon.Add(time.Hour)
	shown.At, shown.Power = noon.Add(time.Hour), bmc.On
	boot.At, boot.ActionWant = noon.Add(time.Hour), ""
	silent.At, silent.Err = noon.Add(time.Hour), bmc.Fail(bmc.ErrUnreachable, "reading power", "no answer")
	for name, c := range map[string]struct {
		reading bmc.Reading
		want    string
	}{
		"at once":                        {lie, reasons.BMCLied},
		"an hour later":                  {later, reasons.BMCLied},
		"the power shows":                {shown, reasons.BMCAnswers},
		"a boot order and a new reading": {boot, reasons.BMCAnswers},
		"silence comes first":            {silent, reasons.BMCUnreachable},
		"nothing asked":                  {bmc.Reading{Power: bmc.Off, At: noon}, reasons.BMCAnswers},
		"nothing read":                   {bmc.Reading{Power: bmc.Unknown}, reasons.BMCNotAsked},
	} {
		if got := inWords(c.reading); got.Reason != c.want || got.Done != "" && errors.Is(c.reading.ActionErr, bmc.ErrLied) {
			t.Errorf("%s: %s (%s), want %s", name, got.Reason, got.Message, c.want)
		}
	}
}

// TestEveryPowerActionHasAVerb: an action without a verb of the plane would end as one that the BMC cannot do.
func TestEveryPowerActionHasAVerb(t *testing.T) {
	for kind, want := range map[lifecycle.ActionKind]bmc.Verb{
		lifecycle.EnsurePowerOn: bmc.PowerOn, lifecycle.EnsurePowerOnFromNetwork: bmc.PowerOnFromNetwork,
		lifecycle.EnsurePowerOff: bmc.PowerOff, lifecycle.EnsureShutdown: bmc.ShutDown,
	} {
		if got := verbs[kind]; got != want {
			t.Errorf("%s is %q to the plane, want %q", kind, got, want)
		}
	}
}
