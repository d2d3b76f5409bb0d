package talos

import "strings"

// Machine is what the machine that is meant says of itself.
type Machine struct {
	// UUID of SMBIOS, in lower case, and Serial of the system; an empty one is not known.
	UUID, Serial string
}

// Stage is how far a Talos got, in its own words (Talos v1.13, runtime.MachineStatus).
type Stage string

// The stages.
const (
	StageUnknown      Stage = "unknown"
	StageBooting      Stage = "booting"
	StageInstalling   Stage = "installing"
	StageMaintenance  Stage = "maintenance"
	StageRunning      Stage = "running"
	StageRebooting    Stage = "rebooting"
	StageShuttingDown Stage = "shutting down"
	StageResetting    Stage = "resetting"
	StageUpgrading    Stage = "upgrading"
)

// Answer is what a Talos said of itself, all of it over one connection: a machine that restarted between two words has lost it.
type Answer struct {
	// Version of Talos, for instance v1.13.0; only for people.
	Version string
	Machine Machine
	// NetworkBoot is the boot that its kernel came over the network in; empty for one that its own disk gave.
	NetworkBoot string
	// OnDisk says that a disk of the machine holds a Talos: there is a META partition. It was asked before Stage.
	OnDisk bool
	Stage  Stage
}

// Verdict is what an Answer proves.
type Verdict struct {
	// Installed: a Talos is installed on a disk of this very machine, with the config whose authority answered.
	Installed bool
	// Running: it finished its boot sequence, and its kernel came from that disk.
	Running bool
	// Alive: it is there, also on its way down or to another version. It proves nothing first, and is a word of a system that runs.
	Alive bool
	// Why nothing more is proven; empty for one that is Running.
	Why string
}

// Judge says what an answer of the right authority proves about the machine that is meant. The reasons are in Talos' source, v1.13.0:
//
//   - Which machine: SystemInformation is SMBIOS as machined read it. The UUID, or the serial number of a machine without one, must be the one that its
//     agent reported; where both sides know a serial number, that as well, since some boards share a UUID. An authority is the whole cluster's: without
//     this check every node would prove every server.
//   - Installed: the Install sequence comes between config and Boot sequence, on every boot, and does nothing when a META partition was found when it
//     began. Without one it goes through "installing" and ends in a reboot. So in a boot that shows META, and after that still or again "booting" or
//     "running", META was there before: an earlier boot installed it. That is why OnDisk is asked first, and all of it over one connection. Ingot booted the
//     installer with blank disks, so nothing older can have left a META there. A control plane stays "booting" until somebody bootstraps etcd, so
//     "running" cannot be asked for here; neither can a boot from the disk, since firmware that prefers the network, and a kernel that refuses kexec, run
//     the second boot from the network too, which only ends when the installation is recorded.
//   - Running: "running" is set when the Boot sequence ended well, kubelet and its like are up then. Whether the cluster is healthy is the cluster's
//     affair. The kernel line must not hold BootArg, which only a pxe-server's script adds. That talos.config= is missing there would prove nothing:
//     the installer copies it to the disk (cmd/installer, GRUB without grubUseUKICmdline). A kernel that the installer started by kexec is read from the disk, and
//     counts.
//   - Maintenance mode has a certificate that it made itself, so it does not get as far as an Answer; its stage is refused all the same.
//
// A META on a disk that is not the server's own, such as a stick that somebody left in it, was not wiped and is Talos' all the same: with a config in its STATE
// another authority answers, and nothing is proven; without one Talos takes our config, installs nothing, and looks installed.
//
// An installer that broke off after it made META looks installed to Talos itself, and so to us. It does not come up from its disk, so it is never Running.
func Judge(a Answer, want Machine) Verdict {
	switch {
	case !same(a.Machine, want):
		return Verdict{Why: "another machine answers at its address"}
	case !a.OnDisk:
		return Verdict{Why: "Talos answers from memory, and no disk holds it yet (" + string(a.Stage) + ")"}
	}
	switch a.Stage {
	case StageBooting, StageRunning:
		return up(a)
	case StageRebooting, StageShuttingDown, StageUpgrading:
		return Verdict{Alive: a.NetworkBoot == "", Why: "Talos is " + string(a.Stage)}
	case StageUnknown, StageInstalling, StageMaintenance, StageResetting:
	}
	return Verdict{Why: "Talos is in the stage " + string(a.Stage)}
}

// up judges a Talos that is installed.
func up(a Answer) Verdict {
	switch {
	case a.NetworkBoot != "":
		return Verdict{Installed: true, Why: "Talos is installed and runs from the network: restart the machine, so that it boots its disk"}
	case a.Stage == StageRunning:
		return Verdict{Installed: true, Running: true, Alive: true}
	}
	return Verdict{Installed: true, Alive: true, Why: "Talos booted from its disk and is not done with that: a control plane waits for the bootstrap of etcd, a worker for its control plane"}
}

// same says that the machine that answers is the one that is meant. One that is known by nothing is never the same.
func same(got, want Machine) bool {
	gotSerial, wantSerial := strings.TrimSpace(got.Serial), strings.TrimSpace(want.Serial)
	if want.UUID == "" {
		return wantSerial != "" && gotSerial == wantSerial
	}
	return strings.EqualFold(got.UUID, want.UUID) && (gotSerial == "" || wantSerial == "" || gotSerial == wantSerial)
}
