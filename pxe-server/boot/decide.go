package boot

import (
	"slices"

	"ingot.dev/ingot/crds/reasons"
)

// Architectures that requests name.
const (
	AMD64 = "amd64"
	ARM64 = "arm64"
)

// Decide says what a machine gets. It is total: every request and every view has an answer.
//
// A machine whose evidence contradicts itself gets its own disk: no tasks, no merge, and it is not captured.
func Decide(req Request, v View) Decision {
	servers := v.sharing(req.Identity)
	m := Resolve(req.Identity, servers)
	if len(m.Conflict) > 0 {
		return Decision{Target: LocalDisk, Reason: reasons.IdentityConflict, Conflict: m.Conflict}
	}
	if m.Server == "" {
		return unknown(req, v)
	}
	for _, s := range servers {
		if s.Name != m.Server {
			continue
		}
		if v.Isolated {
			return isolated(s, m.By)
		}
		return known(req, s, m.By, v)
	}
	return Decision{Target: NoAnswer, Reason: reasons.UnknownMachine}
}

// unknown follows the policy; a policy that this version does not know answers nothing, since that captures nobody.
func unknown(req Request, v View) Decision {
	d := Decision{Target: NoAnswer, Reason: reasons.UnknownMachine}
	switch p := v.Policy; {
	case p == RegisterOnce && !slices.Contains(v.Images, req.Arch):
		d.Reason = noImage(req.Arch)
	case p == RegisterOnce && v.Isolated: // its agent could not register it
		d.Reason = reasons.ControllerAway
	case p == RegisterOnce:
		d.Target = Agent
	case p == Hold:
		d.Target = Idle
	}
	return d
}

// known follows the target that the controller chose. What this version cannot serve becomes Idle: it says so on the console and asks again.
func known(req Request, s Server, by string, v View) Decision {
	d := Decision{Target: s.Target, Server: s.Name, By: by, BootID: s.BootID, Reason: why(s)}
	switch {
	case s.Target == LocalDisk || s.Target == Idle || s.Target == NoAnswer:
	case s.Target == Agent && slices.Contains(v.Images, req.Arch):
	case s.Target == Agent:
		d.Target, d.Reason = Idle, noImage(req.Arch)
	case s.Target == OS && bootable(req, s):
		return osBoot(d, s.OS, v)
	default:
		d.Target, d.Reason = Idle, reasons.BootUnsupported
	}
	return d
}

// noImage is why a machine of that architecture gets no agent: somebody can build an image for it, or nobody can.
func noImage(arch string) string {
	if arch == AMD64 || arch == ARM64 {
		return reasons.AgentImageMissing
	}
	return reasons.BootUnsupported
}

// bootable says whether the machine can boot what the controller named. Without a boot id nobody could tell a second address that asks. A UKI is a
// program for UEFI.
func bootable(req Request, s Server) bool {
	o := s.OS
	if o == nil || s.BootID == "" || o.Arch != req.Arch {
		return false
	}
	if o.UKI != "" {
		return o.Kernel == "" && o.Initramfs == "" && req.Firmware != BIOSPXE
	}
	return o.Kernel != "" && o.Initramfs != ""
}

// osBoot lets the machine wait for files that are not at hand.
func osBoot(d Decision, o *OSBoot, v View) Decision {
	fetching, failed := false, false
	for _, digest := range o.files() {
		_, named := v.Files[digest]
		switch state := v.AtHand[digest]; {
		case named && state == FileCached:
		case named && state != FileFailed:
			fetching = true
		default:
			failed = true
		}
	}
	switch {
	case failed:
		d.Target, d.Reason = Idle, reasons.AssetsFailed
	case fetching:
		d.Target, d.Reason = Idle, reasons.AssetsFetching
	default:
		d.OS = o
	}
	return d
}

// files are the digests of what is booted.
func (o *OSBoot) files() []string {
	if o.UKI != "" {
		return []string{o.UKI}
	}
	return []string{o.Kernel, o.Initramfs}
}

func why(s Server) string {
	switch {
	case s.Target == OS:
		return reasons.Provisioning
	case s.Accepted:
		return reasons.Accepted
	case !s.Registered:
		return reasons.NotRegistered
	case s.Target == LocalDisk:
		return reasons.LocalDiskPreferred
	}
	return reasons.NotAccepted
}
