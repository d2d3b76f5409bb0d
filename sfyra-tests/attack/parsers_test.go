package main

import (
	"testing"
)

// parsers are the parsers of outside bytes, each with its fuzz targets.
var parsers = map[string][]string{
	"DHCP over IPv4":                of(in(dhcp, "FuzzPacket", "FuzzProxy", "FuzzAnswering", "FuzzARPSender"), in("agent/network", "FuzzReadLease")),
	"DHCP over IPv6":                of(in("pxe-server/dhcp6", "FuzzPacket"), in("agent/network", "FuzzRead6")),
	"routers' words":                of(in("pxe-server/solicit", "FuzzFrame"), in("agent/network", "FuzzAdvice")),
	"TFTP":                          in(tftp, "FuzzParseRequest"),
	"boot requests":                 in(web, "FuzzParseQuery"),
	"boot scripts":                  in(script, "FuzzText", "FuzzScript"),
	"SMBIOS":                        in("agent/inventory/smbios", "FuzzParse"),
	"LLDP":                          in("agent/inventory/lldp", "FuzzParse"),
	"inventories and evidence":      of(in("metal-controller/agentserver/claims", "FuzzInventory", "FuzzEvidence", "FuzzKey", "FuzzTask"), in("agent/inventory", "FuzzClean", "FuzzVPDSerial")),
	"disks' answers and contents":   of(in("agent/inventory/contents", "FuzzClassify"), in("agent/wipe/ata", "FuzzLook"), in("agent/wipe/nvme", "FuzzLook"), in("agent/wipe/device", "FuzzRegisters", "FuzzVPDSerial"), in("agent/wipe/firmware", "FuzzParseEntry", "FuzzParseOrder")),
	"IPMI":                          of(in(ipmi, "FuzzAnswers", "FuzzPackets"), in("metal-controller/bmc/ipmi/sol", "FuzzHear"), in("agent/bmc", "FuzzAnswers")),
	"Redfish":                       in(redfish, "FuzzAnswers"),
	"config patches":                of(in("metal-controller/machineconfig", "FuzzBuild", "FuzzMake"), in("metal-controller/taloscheck", "FuzzCheck")),
	"Image Factories":               in("boot-assets/factory", "FuzzCmdline", "FuzzPlausible", "FuzzVersions"),
	"sources of boot files":         of(in(blobs, "FuzzContentRange", "FuzzOrigin"), in("boot-assets/catalog", "FuzzParseManifest"), in("pxe-server/assets", "FuzzKind")),
	"Talos' events and kernel logs": of(in("metal-controller/signals", "FuzzEvent", "FuzzLine"), in("metal-controller/machinelog", "FuzzDecode")),
	"files of the state folder":     of(in("pxe-server/leases", "FuzzReadRecords"), in("pxe-server/state", "FuzzDecode"), in(site, "FuzzParseFile"), in("metal-controller/authority", "FuzzParse"), in("metal-controller/ingot/archive", "FuzzRead", "FuzzParseManifest"), in("metal-controller/ingot/controlplane", "FuzzParsePair")),
	"erase records":                 in("metal-controller/erase", "FuzzDecode", "FuzzVerify"),
	"the kernel line":               in("agent/boot", "FuzzParseArgs"),
}

// TestFuzzTargets: each parser of outside bytes has a fuzz target. `make fuzz` finds targets by itself; this says that none was lost.
func TestFuzzTargets(t *testing.T) {
	known, targets := functions{}, 0
	for what, names := range parsers {
		if len(names) == 0 {
			t.Errorf("nothing fuzzes %s", what)
		}
		for _, name := range names {
			targets++
			if folder, test := split(name); !known.has(t, folder, test) {
				t.Errorf("%s: %s does not exist", what, name)
			}
		}
	}
	if targets < 25 || known.has(t, script, "FuzzThatNobodyWrote") {
		t.Errorf("control: %d targets", targets)
	}
}
