package boot

import (
	"maps"
	"slices"
)

// Kinds of evidence, as Match.By names them.
const (
	ByMAC    = "mac"
	BySerial = "serial"
	ByUUID   = "uuid"
)

// evidence is an Identity without everything that tells nothing.
type evidence struct {
	macs         map[string]bool
	serial, uuid string
}

func evidenceOf(id Identity) evidence {
	return evidence{goodMACs(id.MACs), goodSerial(id.Manufacturer, id.Serial), goodUUID(id.UUID)}
}

// shares is true when both have a MAC in common.
func (e evidence) shares(o evidence) bool {
	for m := range e.macs {
		if o.macs[m] {
			return true
		}
	}
	return false
}

// otherMACs is true when both have MACs and none in common.
func (e evidence) otherMACs(o evidence) bool {
	return len(e.macs) > 0 && len(o.macs) > 0 && !e.shares(o)
}

// otherSerial is true when both have a serial number and they differ.
func (e evidence) otherSerial(o evidence) bool {
	return e.serial != "" && o.serial != "" && e.serial != o.serial
}

// candidates are the names of the servers that one kind of evidence points to.
type candidates struct {
	// all of them, and those which no stronger evidence rules out.
	all, open map[string]bool
}

func (c *candidates) add(name string, ruledOut bool) {
	c.all[name] = true
	if !ruledOut {
		c.open[name] = true
	}
}

// Resolve finds the server that the evidence names.
//
// MACs come first, then manufacturer with serial number, then the UUID; placeholders and values known to be shared count as absent.
// Stronger evidence that both sides have and that differs rules out a match by weaker evidence: a UUID alone never names a server whose
// MACs are all different. Evidence that points to several servers, or strong and weak evidence that point to different ones, is a conflict.
func Resolve(id Identity, servers []Server) Match {
	macs, serials, uuids := collect(evidenceOf(id), servers)
	if len(macs.open) > 0 {
		return judge(ByMAC, macs.open, clash(macs.open, serials.all), clash(macs.open, uuids.open))
	}
	if len(serials.open) > 0 {
		return judge(BySerial, serials.open, clash(serials.open, uuids.open))
	}
	return judge(ByUUID, uuids.open)
}

// collect asks every server what it shares with e.
func collect(e evidence, servers []Server) (macs, serials, uuids candidates) {
	for _, c := range []*candidates{&macs, &serials, &uuids} {
		c.all, c.open = map[string]bool{}, map[string]bool{}
	}
	for _, s := range servers {
		o := evidenceOf(s.Identity)
		if e.shares(o) {
			macs.add(s.Name, false)
		}
		if e.serial != "" && e.serial == o.serial {
			serials.add(s.Name, e.otherMACs(o))
		}
		if e.uuid != "" && e.uuid == o.uuid {
			uuids.add(s.Name, e.otherMACs(o) || e.otherSerial(o))
		}
	}
	return macs, serials, uuids
}

// clash gives the servers that weaker evidence names when the stronger evidence names none of them.
func clash(strong, weak map[string]bool) map[string]bool {
	for name := range weak {
		if strong[name] {
			return nil
		}
	}
	return weak
}

// judge makes a match of one server, and a conflict of several or of any that clash.
func judge(by string, found map[string]bool, clashes ...map[string]bool) Match {
	all := maps.Clone(found)
	for _, c := range clashes {
		maps.Copy(all, c)
	}
	names := slices.Sorted(maps.Keys(all))
	switch len(names) {
	case 0:
		return Match{}
	case 1:
		return Match{Server: names[0], By: by}
	}
	return Match{By: by, Conflict: names}
}
