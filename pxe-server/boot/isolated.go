package boot

import "ingot.dev/ingot/crds/reasons"

// isolated is what a known server gets while the controller cannot be heard. What it said last may be out of date, so nothing is begun: an operating system
// that was being installed may be installed by now, and an agent would find nobody to ask.
//
// A server that was to boot its own disk does so: that begins nothing. One that nobody has looked at yet may have a system too, and is not captured. All
// others wait, since nothing on their disks may start: they are clean, or are given back, or in the middle of something.
func isolated(s Server, by string) Decision {
	d := Decision{Target: Idle, Server: s.Name, By: by, Reason: reasons.ControllerAway}
	switch {
	case s.Target == LocalDisk || s.Target == NoAnswer:
		d.Target, d.Reason = s.Target, why(s)
	case s.Target == Agent && !s.Registered:
		d.Target = NoAnswer
	}
	return d
}
