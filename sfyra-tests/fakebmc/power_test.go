package fakebmc_test

import (
	"context"
	"fmt"
	"testing"

	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

func resetBody(kind string) string { return fmt.Sprintf(`{"ResetType":%q}`, kind) }

func TestPowerIsTheMachine(t *testing.T) {
	c := start(t, nil)
	for _, step := range []struct {
		kind   string
		status int
		power  string
	}{
		{"ForceOff", 409, "Off"},
		{"GracefulShutdown", 409, "Off"},
		{"ForceRestart", 409, "Off"},
		{"PowerCycle", 409, "Off"},
		{"On", 204, "On"},
		{"On", 409, "On"},
		{"ForceRestart", 204, "On"},
		{"PowerCycle", 204, "On"},
		{"GracefulShutdown", 204, "On"},
		{"Explode", 400, "On"},
		{"", 400, "On"},
	} {
		c.want(step.status, "POST", reset, resetBody(step.kind))
		on, _ := c.machine.PowerState(t.Context())
		if got := c.power(); got != step.power || on != (step.power == "On") {
			t.Fatalf("after %q: BMC says %v, machine on=%v", step.kind, got, on)
		}
	}
	c.machine.GuestEnds()
	if got := c.power(); got != "Off" {
		t.Errorf("the guest ended after the graceful shutdown, the BMC says %v", got)
	}
	c.want(204, "POST", reset, resetBody("On"))
	if err := c.machine.ForceOff(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := c.power(); got != "Off" {
		t.Errorf("the machine went off by itself, the BMC says %v", got)
	}
}

func TestBootOverride(t *testing.T) {
	c := start(t, nil)
	patch := func(status int, boot string) { t.Helper(); c.want(status, "PATCH", system, `{"Boot":`+boot+`}`) }
	want := func(enabled, target string) {
		t.Helper()
		if e, g := c.override(); e != enabled || g != target {
			t.Errorf("override %v %v, want %s %s", e, g, enabled, target)
		}
	}
	want("Disabled", "None")
	patch(204, `{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}`)
	want("Once", "Pxe")
	c.want(204, "POST", reset, resetBody("On"))
	want("Disabled", "None")
	if starts, booted := c.machine.Starts(); starts != 1 || booted.Target != machine.TargetPxe {
		t.Fatalf("start %d used %+v", starts, booted)
	}
	patch(204, `{"BootSourceOverrideEnabled":"Continuous","BootSourceOverrideTarget":"Hdd"}`)
	c.want(204, "POST", reset, resetBody("PowerCycle"))
	want("Continuous", "Hdd")
	patch(204, `{"BootSourceOverrideTarget":"UefiHttp","HttpBootUri":"http://192.0.2.1/boot.efi"}`)
	want("Continuous", "UefiHttp")
	patch(204, `{"BootSourceOverrideEnabled":"Disabled"}`)
	want("Disabled", "None")
	before := len(c.machine.Orders())
	patch(400, `{"BootSourceOverrideEnabled":"Sometimes"}`)
	patch(400, `{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Floppy"}`)
	patch(400, `{"BootSourceOverrideEnabled":"Once","BootSourceOverrideMode":"Legacy"}`)
	patch(400, `[]`)
	want("Disabled", "None")
	if len(c.machine.Orders()) != before {
		t.Error("a refused patch reached the machine")
	}
}

func TestLegacyMachineOffersNoHTTPBoot(t *testing.T) {
	c := start(t, func(config *fakebmc.Config) {
		legacy := identity
		legacy.UEFI = false
		config.Machine = memory.New(legacy)
	})
	c.want(400, "PATCH", system, `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"UefiHttp"}}`)
	c.want(204, "PATCH", system, `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe","BootSourceOverrideMode":"Legacy"}}`)
}

func TestResources(t *testing.T) {
	c := start(t, nil)
	s := c.want(200, "GET", system, "")
	for key, want := range map[string]any{"UUID": identity.UUID, "Manufacturer": "QEMU", "Model": "Lab", "SerialNumber": "SN1", "AssetTag": "tag"} {
		if s[key] != want {
			t.Errorf("%s is %v, want %v", key, s[key], want)
		}
	}
	c.want(204, "PATCH", system, `{"AssetTag":"nonce-1"}`)
	if got := c.want(200, "GET", system, "")["AssetTag"]; got != "nonce-1" {
		t.Errorf("asset tag %v", got)
	}
	links := []string{"/redfish", "/redfish/v1", "/redfish/v1/", "/redfish/v1/odata", "/redfish/v1/$metadata"}
	for i := 0; i < len(links) && i < 100; i++ {
		if object := c.want(200, "GET", links[i], ""); object != nil {
			links = append(links, fresh(links, collect(object))...)
		}
	}
	if len(links) < 14 {
		t.Errorf("only %d resources are reachable: %v", len(links), links)
	}
	c.want(204, "POST", "/redfish/v1/Managers/bmc/VirtualMedia/Cd/Actions/VirtualMedia.EjectMedia", `{}`)
	c.want(404, "GET", "/redfish/v1/Nothing", "")
	c.want(405, "DELETE", system, "")
}

// collect finds every link in an answer.
func collect(v any) []string {
	var links []string
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if text, ok := value.(string); ok && key == "@odata.id" {
				links = append(links, text)
			}
			links = append(links, collect(value)...)
		}
	case []any:
		for _, value := range v {
			links = append(links, collect(value)...)
		}
	}
	return links
}

// fresh are the links that are not known yet.
func fresh(known, found []string) []string {
	seen := map[string]bool{}
	for _, link := range known {
		seen[link] = true
	}
	var list []string
	for _, link := range found {
		if !seen[link] {
			seen[link] = true
			list = append(list, link)
		}
	}
	return list
}
