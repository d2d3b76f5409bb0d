package engine

import (
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	talos "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/machinelog"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/metal-controller/signals"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// forger says what a Talos may say, in the name of any server: who speaks there is proven by nothing. It draws from a stream of its own.
type forger struct {
	w *World
	stream
	from netip.Addr
}

// forge begins if the run is to have one.
func (w *World) forge() {
	if !w.cfg.Forgers {
		return
	}
	f := &forger{w: w, stream: newStream(w.seed, "forger"), from: netip.MustParseAddr("10.66.6.8")}
	var again func()
	again = func() {
		if w.calm {
			return
		}
		for _, p := range w.processes {
			if p.alive {
				f.tell(p)
			}
		}
		w.in(f.between(time.Second, time.Minute), again)
	}
	w.in(0, again)
}

// tell lets a replica's real receiver hear something, and looks at all that it may not change.
func (f *forger) tell(p *process) {
	servers := store.All[metal.Server](f.w.store)
	if len(servers) == 0 {
		return
	}
	s := servers[f.upTo(len(servers))]
	speaker := signals.Speaker{Server: s.Name, Boot: strconv.Itoa(f.upTo(9))}
	if b := recordOf(s).Boot; b != nil && f.chance(0.8) {
		speaker.Boot = b.ID
	}
	p.drain() // what others woke
	writes, before := f.w.writes, seenOf(p.seen, s.Name)
	if f.chance(0.3) {
		p.hears.Line(speaker, f.from, &signals.Redactor{}, []byte(`{"msg":"ingot: installed and running","clock":`+strconv.Itoa(f.upTo(1e6))+`}`))
	} else {
		p.hears.Event(speaker, f.from, f.event())
	}
	f.w.count(signalsForged)
	if dirty := p.seen.Drain(); len(dirty) > 0 {
		f.w.check.fail("I14", "what somebody said in the name of %s woke %v", s.Name, dirty)
	}
	if after := seenOf(p.seen, s.Name); !reflect.DeepEqual(before, after) || writes != f.w.writes {
		f.w.check.fail("I14", "what somebody said in the name of %s changed %+v to %+v, with %d writes", s.Name, before, after, f.w.writes-writes)
	}
}

// event is any that Talos knows.
func (f *forger) event() *anypb.Any {
	messages := []proto.Message{
		&talos.MachineStatusEvent{Stage: talos.MachineStatusEvent_MachineStage(f.upTo(9)), Status: &talos.MachineStatusEvent_MachineStatus{Ready: f.chance(0.5)}},
		&talos.SequenceEvent{Sequence: "reset"}, &talos.ConfigLoadErrorEvent{}, &talos.ConfigValidationErrorEvent{}, &talos.RestartEvent{}, &talos.ServiceStateEvent{Service: "apid"},
	}
	data, err := anypb.New(messages[f.upTo(len(messages))])
	if err != nil {
		f.w.check.fail("setup", "%v", err)
	}
	return data
}

// seen is what a store of sightings says of a server beside the stages that a machine tells of itself.
type seen struct {
	boots                []metal.BootTimeline
	conflicts, addresses []string
	session              string
	connected            bool
	progress             *metal.WipeStatus
	alive                time.Time
	localBoots           int
}

func seenOf(s *sightings.Store, server string) seen {
	out := seen{
		conflicts: s.Conflicts(server), addresses: s.Addresses(server), progress: s.ProgressOf(server), alive: s.Alive(server), localBoots: s.LocalBoots(server, 24*time.Hour),
	}
	out.session, out.connected = s.Session(server)
	for _, b := range s.Boots(server) {
		b.Stages = slices.DeleteFunc(b.Stages, func(st metal.BootStage) bool { return slices.Contains(metal.ToldStages(), st.Stage) })
		if len(b.Stages) > 0 {
			out.boots = append(out.boots, b)
		}
	}
	return out
}

// ear is what setup gives the receiver: timelines, lines, and a warning.
type ear struct {
	p    *process
	book *machinelog.Book
}

// receiver of a replica that starts.
func (p *process) receiver() *signals.Receiver {
	return signals.New(signals.Config{Ear: ear{p, machinelog.New(p.clock)}, Now: p.clock, Log: logr.Discard()}) // whose an address is, the forger says
}

func (e ear) Hint(s signals.Speaker, stage string) {
	if x := e.p.w.cfg.Sabotage; x != nil && x.Hint != nil {
		x.Hint(e.p.seen, s.Server)
	}
	e.p.seen.Hint(s.Server, s.Boot, stage)
}
func (e ear) Kernel(server, line string)   { e.book.Add(server, machinelog.Kernel, line) }
func (e ear) Talos(server, line string)    { e.book.Add(server, machinelog.Talos, line) }
func (e ear) Doubt(server, message string) { e.p.Event(server, true, reasons.ConfigDoubted, message) }
