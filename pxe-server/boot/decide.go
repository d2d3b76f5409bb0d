package boot

import (
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
	m := Resolve(req.Identity, v.Servers)
	if len(m.Conflict) > 0 {
		return Decision{Target: LocalDisk, Reason: reasons.IdentityConflict, Conflict: m.Conflict}
	}
	if m.Server == "" {
		return unknown(req, v.Policy)
	}
	for _, s := range v.Servers {
		if s.Name == m.Server {
			return known(req, s, m.By)
		}
	}
	return Decision{Target: NoAnswer, Reason: reasons.UnknownMachine}
}

// unknown follows the policy; a policy that this version does not know answers nothing, since that captures nobody.
func unknown(req Request, p UnknownPolicy) Decision {
	d := Decision{Target: NoAnswer, Reason: reasons.UnknownMachine}
	switch {
	case p == RegisterOnce && req.Arch != AMD64:
		d.Reason = reasons.BootUnsupported
	case p == RegisterOnce:
		d.Target = Agent
	case p == Hold:
		d.Target = Idle
	}
	return d
}

// known follows the target that the controller chose. What this version cannot serve becomes Idle: it says so on the console and asks again.
func known(req Request, s Server, by string) Decision {
	d := Decision{Target: s.Target, Server: s.Name, By: by, BootID: s.BootID, Reason: why(s)}
	switch {
	case s.Target == LocalDisk || s.Target == Idle || s.Target == NoAnswer:
	case s.Target == Agent && req.Arch == AMD64:
	default:
		d.Target, d.Reason = Idle, reasons.BootUnsupported
	}
	return d
}

func why(s Server) string {
	switch {
	case s.Accepted:
		return reasons.Accepted
	case !s.Registered:
		return reasons.NotRegistered
	case s.Target == LocalDisk:
		return reasons.LocalDiskPreferred
	}
	return reasons.NotAccepted
}
