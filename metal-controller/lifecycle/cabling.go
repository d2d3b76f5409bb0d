package lifecycle

import (
	"cmp"
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// cabling compares where the ports of the server are plugged in with where they shall be. It is for people: LLDP proves nothing, so nothing else reads it.
func cabling(o *Observation, p *Plan) {
	switch plan := o.Server.Spec.Cables; {
	case len(plan) == 0:
	case o.Inventory == nil:
		p.set(reasons.Cabled, Unknown, reasons.NotRegistered, "Waiting for an agent to hear what the switches say.")
	default:
		judgeCables(o.Inventory.NICs, plan, p)
	}
}

// judgeCables names each wrong cable; the ports that hear nothing only where none is wrong.
func judgeCables(nics []metal.NIC, plan []metal.Cable, p *Plan) {
	var wrong, silent []string
	for _, c := range plan {
		n := portOf(nics, c.MAC)
		switch {
		case n == nil:
			wrong = append(wrong, "the server has no port "+c.MAC+", planned for "+place(c.Switch, c.Port))
		case n.Neighbor == nil:
			silent = append(silent, called(*n)+", planned for "+place(c.Switch, c.Port))
		case !pluggedIn(*n.Neighbor, c):
			wrong = append(wrong, called(*n)+" is plugged into "+there(*n.Neighbor)+", planned is "+place(c.Switch, c.Port))
		}
	}
	switch {
	case len(wrong) > 0:
		p.set(reasons.Cabled, False, reasons.WrongCable, sentence(wrong)+" Move the cable, or correct spec.cables; the next boot of the agent looks again.")
	case len(silent) > 0:
		p.set(reasons.Cabled, Unknown, reasons.NeighborSilent, "No switch was heard over LLDP on "+strings.Join(silent[:min(len(silent), 5)], "; on ")+". Is its cable plugged in, and does the switch send LLDP?")
	default:
		p.set(reasons.Cabled, True, reasons.CabledAsPlanned, "Every cable of spec.cables is where it shall be.")
	}
}

// portOf finds a port by its permanent address, or by the one in use where the hardware tells none.
func portOf(nics []metal.NIC, mac string) *metal.NIC {
	for i := range nics {
		if strings.EqualFold(cmp.Or(nics[i].PermanentMAC, nics[i].MAC), mac) {
			return &nics[i]
		}
	}
	return nil
}

// pluggedIn says that a neighbour is the planned one. Switches write their names in one way or the other, and people too.
func pluggedIn(n metal.Neighbor, c metal.Cable) bool {
	return either(c.Switch, n.SystemName, n.ChassisID) && either(c.Port, n.PortID, n.PortDescription)
}

func either(want, a, b string) bool { return strings.EqualFold(want, a) || strings.EqualFold(want, b) }

func place(system, port string) string { return clip(system, 64) + " port " + clip(port, 64) }

// there is where a neighbour says that it is.
func there(n metal.Neighbor) string {
	return place(cmp.Or(n.SystemName, n.ChassisID), cmp.Or(n.PortID, n.PortDescription))
}

// called is a port as people find it.
func called(n metal.NIC) string {
	return clip(n.Name, 32) + " (" + cmp.Or(n.PermanentMAC, n.MAC) + ")"
}

// sentence joins findings, the first five of them.
func sentence(found []string) string {
	text := strings.Join(found[:min(len(found), 5)], "; ") + "."
	return strings.ToUpper(text[:1]) + text[1:]
}
