package fakebmc

import (
	"fmt"
	"strings"
	"time"
)

// slowAnswer is what a slow BMC takes for each answer: a reading needs several, and the time limits of clients are longer than all of them.
const slowAnswer = 3 * time.Second

// Kind is a way of misbehaving that people can ask for by name.
type Kind struct {
	// Name is one word in lower case.
	Name string
	// Effect says in one line what such a BMC does.
	Effect string
	fault  Fault
}

// Kinds lists all kinds, in the order in which people are shown them.
func Kinds() []Kind {
	return []Kind{
		{"dead", "takes connections and never answers", Fault{Dead: true}},
		{"slow", fmt.Sprintf("takes %s for every answer", slowAnswer), Fault{Latency: slowAnswer}},
		{"lying", "acknowledges power and boot orders and ignores them", Fault{IgnorePower: true, IgnoreBoot: true}},
		{"inverted", "reads off when the server is on, and on when it is off", Fault{Inverted: true}},
		{"expiring", "forgets a boot order 60 s after it was given, unless a power order came", Fault{FlagsExpire: true}},
		{"full", "all its four sessions are taken by others", Fault{Full: true}},
		{"credentials", "has another password than Ingot knows: somebody rotated it", Fault{Rotated: true}},
		{"certificate", "shows another certificate than the pinned one (IPMI has none)", Fault{Swapped: true}},
		{"garbage", "answers with bytes that make no sense", Fault{Garbage: true}},
	}
}

// KindNames are the names of all kinds.
func KindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// FaultOf is the fault that all the named kinds make together; none makes an honest BMC. An unknown name is an error that lists what there is.
func FaultOf(names ...string) (Fault, error) {
	var all Fault
	for _, name := range names {
		k, err := kindOf(name)
		if err != nil {
			return Fault{}, err
		}
		all = all.with(k.fault)
	}
	return all, nil
}

func kindOf(name string) (Kind, error) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, nil
		}
	}
	return Kind{}, fmt.Errorf("there is no fault %.40q; there are %s", name, strings.Join(KindNames(), ", "))
}

// with joins two faults.
func (f Fault) with(g Fault) Fault {
	return Fault{
		Dead: f.Dead || g.Dead, Latency: max(f.Latency, g.Latency), Status: max(f.Status, g.Status),
		IgnorePower: f.IgnorePower || g.IgnorePower, IgnoreBoot: f.IgnoreBoot || g.IgnoreBoot, NoShutdown: f.NoShutdown || g.NoShutdown,
		Inverted: f.Inverted || g.Inverted, FlagsExpire: f.FlagsExpire || g.FlagsExpire, Garbage: f.Garbage || g.Garbage,
		NoPxe: f.NoPxe || g.NoPxe, IgnoreURI: f.IgnoreURI || g.IgnoreURI, RefuseKeys: f.RefuseKeys || g.RefuseKeys, TakeKeys: max(f.TakeKeys, g.TakeKeys),
		NoMedia: f.NoMedia || g.NoMedia, IgnoreMedia: f.IgnoreMedia || g.IgnoreMedia,
		MediaByPatch: f.MediaByPatch || g.MediaByPatch, MediaWantsProtocol: f.MediaWantsProtocol || g.MediaWantsProtocol,
		Full: f.Full || g.Full, Rotated: f.Rotated || g.Rotated, Swapped: f.Swapped || g.Swapped,
	}
}
