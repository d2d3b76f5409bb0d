package httpboot

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// Stages of a boot that a pxe-server sees, as the protocol names them.
const (
	StageDHCP       = "DHCP"
	StageFirstStage = "FirstStage"
	StageScript     = "Script"
	StageKernel     = "Kernel"
	StageInitramfs  = "Initramfs"
	StageLoaded     = "Loaded" // the initramfs, which a script fetches last, has left
)

// Limits of what is remembered: machines that boot at once, the age of a boot, its stages, and events that wait for the controller.
const (
	rememberBoots = 4096
	maxAge        = 30 * time.Minute
	maxStages     = 16
	maxQueue      = 2048
	maxBatch      = 128
	// tellAgain is how often the controller hears of a machine that still does not get what it shall.
	tellAgain = 2 * time.Minute
)

// Events joins what DHCP, TFTP and HTTP see of one machine to the boot that its script begins, and queues it for the controller.
//
// Everything in it is said by machines that prove nothing: it feeds timelines and never a decision.
type Events struct {
	now func() time.Time

	mu      sync.Mutex
	byMAC   map[string]*seen
	byIP    map[netip.Addr]*seen
	queue   []*protocol.BootEvent
	sending []*protocol.BootEvent // out of the queue, and not taken yet
	changes uint64                // of what waits
	dropped uint64
	scripts map[string]uint64 // by target
	wake    chan struct{}
}

// seen is one machine's boot so far.
type seen struct {
	mac, firmware string
	ip            netip.Addr
	last          time.Time
	stages        []*protocol.Stage
	// sent is set once the boot has a script; later stages are sent as they come.
	sent *protocol.BootEvent
	// told is when that went out last.
	told time.Time
}

// NewEvents makes an empty memory.
func NewEvents(now func() time.Time) *Events {
	return &Events{now: now, byMAC: map[string]*seen{}, byIP: map[netip.Addr]*seen{}, scripts: map[string]uint64{}, wake: make(chan struct{}, 1)}
}

// Seen takes a stage before the script: DHCP or FirstStage. Firmware may be empty when the protocol does not tell. It returns at once.
func (e *Events) Seen(mac, firmware, stage string, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.open(mac)
	if b.sent != nil && stage == StageDHCP && firmware != "" && firmware != "ipxe" {
		e.forget(b) // the firmware's DHCP is the beginning of another boot; iPXE's is not
		b = e.open(mac)
	}
	if firmware == boot.UEFIPXE || firmware == boot.UEFIHTTP || firmware == boot.BIOSPXE {
		b.firmware = firmware
	}
	b.add(stage, at)
}

// Fetched takes a stage of the machine that has the address ip; unknown addresses are ignored.
func (e *Events) Fetched(ip netip.Addr, stage string, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b, ok := e.byIP[ip]
	if !ok || b.has(stage) {
		return
	}
	b.add(stage, at)
	if b.sent != nil {
		e.send(b, b.stages[len(b.stages)-1:])
	}
}

// Leased joins an address to a MAC, so that stages which only show the address find their boot.
func (e *Events) Leased(mac string, ip netip.Addr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bind(e.open(mac), ip)
}

func (e *Events) fetched(ip netip.Addr, stage string) { e.Fetched(ip, stage, e.now()) }

// firmware corrects what iPXE says by what DHCP saw: iPXE cannot tell UEFI PXE from UEFI HTTP boot.
func (e *Events) firmware(mac, said string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b, ok := e.byMAC[mac]; ok && said == boot.UEFIPXE && b.firmware == boot.UEFIHTTP {
		return boot.UEFIHTTP
	}
	return said
}

// decided begins the boot: the stages so far go out with its id.
func (e *Events) decided(ip netip.Addr, a asked, d boot.Decision) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.open(a.mac)
	b.firmware = a.Firmware
	e.bind(b, ip)
	if b.sent != nil {
		if b.sent.BootId == d.BootID && b.sent.Server == d.Server && b.sent.Target == string(d.Target) && b.sent.Unserved == unserved(d) {
			e.stillUnserved(b) // it waits and asks again; nothing is new
			return
		}
		b.stages = nil // it asked again and got another boot; what came before belongs to the first
	}
	b.sent = &protocol.BootEvent{
		BootId: d.BootID, Server: d.Server, Mac: a.mac, Firmware: a.Firmware, Target: string(d.Target), Conflict: d.Conflict, Unserved: unserved(d), Arch: a.Arch,
	}
	b.told = e.now()
	b.add(StageScript, b.told)
	e.send(b, b.stages)
}

// unserved is why a machine of the controller's does not get what it shall; empty when it does.
func unserved(d boot.Decision) string {
	if d.Reason == reasons.AgentImageMissing {
		return d.Reason
	}
	return ""
}

// stillUnserved repeats the controller's news of a machine that waits in vain, which it forgets after a while.
func (e *Events) stillUnserved(b *seen) {
	if b.sent.Unserved != "" && e.now().Sub(b.told) >= tellAgain {
		b.told = e.now()
		e.send(b, nil)
	}
}

// contested queues that the script of an expected boot was asked for from a second address, unless that is queued already: a flood of one boot must
// not hide another. It leaves the timeline of the MAC alone: a neighbour says whatever MAC it likes.
func (e *Events) contested(a asked, d boot.Decision) {
	e.mu.Lock()
	defer e.mu.Unlock()
	queued := func(ev *protocol.BootEvent) bool {
		return ev.SecondSource && ev.BootId == d.BootID && ev.Server == d.Server
	}
	if slices.ContainsFunc(e.queue, queued) {
		return
	}
	e.enqueue(&protocol.BootEvent{BootId: d.BootID, Server: d.Server, Mac: a.mac, Firmware: a.Firmware, SecondSource: true})
}

// open finds the boot of a MAC, or begins one in place of the one that is quiet for longest.
func (e *Events) open(mac string) *seen {
	now := e.now()
	b, ok := e.byMAC[mac]
	if ok && now.Sub(b.last) > maxAge {
		e.forget(b)
		ok = false
	}
	if !ok {
		e.makeRoom()
		b = &seen{mac: mac}
		e.byMAC[mac] = b
	}
	b.last = now
	return b
}

func (e *Events) makeRoom() {
	if len(e.byMAC) < rememberBoots {
		return
	}
	var oldest *seen
	for _, b := range e.byMAC {
		if oldest == nil || b.last.Before(oldest.last) {
			oldest = b
		}
	}
	e.forget(oldest)
}

func (e *Events) forget(b *seen) {
	delete(e.byMAC, b.mac)
	if e.byIP[b.ip] == b {
		delete(e.byIP, b.ip)
	}
}

func (e *Events) bind(b *seen, ip netip.Addr) {
	if e.byIP[b.ip] == b {
		delete(e.byIP, b.ip)
	}
	b.ip = ip
	e.byIP[ip] = b
}

func (b *seen) has(stage string) bool {
	for _, s := range b.stages {
		if s.Stage == stage {
			return true
		}
	}
	return false
}

// add keeps the first time of each stage.
func (b *seen) add(stage string, at time.Time) {
	if len(b.stages) < maxStages && !b.has(stage) {
		b.stages = append(b.stages, &protocol.Stage{Stage: stage, AtMicros: at.UnixMicro()})
	}
}
