package lifecycle_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// verb is one command of the scripts.
type verb = func(w *world, out *bytes.Buffer, args []string) error

// does is a command that cannot fail and prints nothing.
func does(f func(w *world, args []string)) verb {
	return func(w *world, _ *bytes.Buffer, args []string) error {
		f(w, args)
		return nil
	}
}

// says is a command that cannot fail and prints.
func says(f func(w *world, out *bytes.Buffer, args []string)) verb {
	return func(w *world, out *bytes.Buffer, args []string) error {
		f(w, out, args)
		return nil
	}
}

// vocabulary is all verbs of the scripts.
func vocabulary() map[string]verb {
	all := moves()
	maps.Copy(all, ofOne())
	return all
}

// ofOne are the verbs of a server that one installation knows.
func ofOne() map[string]verb {
	return map[string]verb{
		"brief":  does(func(w *world, _ []string) { w.brief = true }), // print only conditions that changed
		"decide": says(func(w *world, out *bytes.Buffer, _ []string) { w.decide(out) }),
		"wait":   wait, // wait DURATION: a negative one is a clock that was set back

		// The machine and its agent.
		"inventory":     does(func(w *world, a []string) { w.o.Inventory = inventory(a) }),                          // inventory CONTENTS...: a report of disks of an unknown kind
		"disk":          disk,                                                                                       // disk NAME TRANSPORT CONTENTS [serial=S] [wwid=W] [removable] [readonly]: put into the machine
		"unplug":        does(unplug),                                                                               // unplug NAME
		"report":        does(report),                                                                               // report [proven]: the agent reports the disks, at trust level 1 from the expected boot
		"agent":         does(func(w *world, a []string) { w.o.Agent = &lifecycle.AgentSession{BootID: first(a)} }), // agent BOOT: an agent is connected
		"identity":      does(func(w *world, a []string) { w.o.Server.Spec.Identity = &metal.Identity{MACs: a} }),   // identity MAC...: a person says how to recognise the machine; every story begins with one
		"no-identity":   does(func(w *world, _ []string) { w.o.Server.Spec.Identity = nil }),
		"unserved":      does(unserved),                                             // unserved [ARCH]: the boot server tells that it has no agent image for the machine
		"conflict":      does(func(w *world, a []string) { w.o.ConflictsWith = a }), // conflict SERVER...
		"elsewhere":     does(elsewhere),                                            // elsewhere WWID SERVER: another Server shows the disk too
		"claim":         says(claim),                                                // claim KEY [BOOT]: an agent enrols with the id of the expected boot, or another
		"acknowledge":   says(acknowledge),                                          // acknowledge KEY [BOOT]: an agent says that it restarts the machine for the expected boot
		"hear":          does(hear),                                                 // hear KEY [BOOT]: the agent that waits is heard
		"second-source": does(secondSource),                                         // a second address fetched the script of the expected boot
		"hand-out":      says(handOut),                                              // hand-out KEY [BOOT]: the agent asks what to do
		"progress":      does(progress),                                             // the agent tells how far the wipe is
		"receipt":       receipt,                                                    // receipt [error=S] [missing=S] [level=S:LEVEL] [unread=S] [generation=N]: the agent reports the end of the wipe
		"boots":         boots,                                                      // boots KEY: the expected boot is claimed and proven, from start to settled, without printing

		// The BMC.
		"bmc":   does(bmc),                                                         // bmc [none]
		"read":  does(func(w *world, a []string) { w.read(first(a)) }),             // read On|Off|REASON: the BMC plane has a new reading
		"done":  does(done),                                                        // done On|Off: the BMC plane ends the last action with success
		"media": does(media),                                                       // media in|out|unable: our image is in the BMC's drive, or not; the BMC could not be told to boot from the network
		"pin":   does(func(w *world, a []string) { w.o.Power.PinSeen = first(a) }), // pin SHA256: the certificate that the BMC shows

		// People.
		"accept":     accept,                                                                    // accept: spec.accepted alone, as in Git. accept ID [wipe-data|wipe=SERIAL,...] [level=L] [age=D]: the gesture
		"unaccept":   does(func(w *world, _ []string) { w.o.Server.Spec.Accepted = false }),     //
		"request":    func(w *world, _ *bytes.Buffer, a []string) error { return w.request(a) }, // request ID ACTION [AGE [BINDING]]: power; of a remediation with a binding
		"quarantine": quarantine(metal.QuarantineSet),                                           // quarantine ID [AGE]
		"lift":       quarantine(metal.QuarantineLift),                                          // lift ID [AGE]
		"pause":      does(func(w *world, _ []string) { w.o.Server.Annotations = map[string]string{lifecycle.PausedAnnotation: ""} }),
		"resume":     does(func(w *world, _ []string) { w.o.Server.Annotations = nil }),
		"cordon":     does(func(w *world, _ []string) { w.o.Server.Spec.Cordoned = true }),
		"ignore":     ignore, // ignore SERIAL|usb|removable
		"budget":     budget, // budget GRANTED LIMIT
		"dry-run":    does(func(w *world, a []string) { w.o.DryRun = first(a) != "off" }),

		// The claim and its workload.
		"available":   available,                                                                             // available: accepted, booted, wiped, proven, without printing
		"bind":        does(bind),                                                                            // bind NAME [level=L] [cluster=C] [reuse=OWNER]: the claim reconciler writes the server's side; the claim is there, without its own yet
		"claim-says":  does(claimSays),                                                                       // claim-says bound|elsewhere|deleting|moving|gone|held|loses-member|not-ready|ready...
		"config":      does(config),                                                                          // config: the machine config left for the boot
		"installed":   does(proveInstalled),                                                                  // the system proved that it is installed
		"left":        does(leaveEtcd),                                                                       // left: nothing in its cluster holds the server of the deleted claim
		"running":     does(proveRunning),                                                                    // running [SECONDS]: the system told that it runs, and promised to tell again
		"local-boots": does(func(w *world, a []string) { w.o.Claim.LocalBoots, _ = strconv.Atoi(first(a)) }), // local-boots N: the machine asked so often for its boot since it was last heard of
		"alive":       does(func(w *world, _ []string) { w.o.Claim.Alive = w.o.Now }),                        // the system told again that it runs
		"warm":        does(func(w *world, a []string) { w.o.Warm = first(a) != "off" }),                     // warm [off]: the class lets Available servers wait in the agent
		"give-up":     giveUp,                                                                                // give-up ID [confirm] [binding=B] [age=D]: ingot release --server

		// What goes wrong.
		"manager":     does(manager),                                                                 // manager INSTALLATION
		"workload":    does(workload),                                                                // workload NAME|none: the record holds a claim
		"lose-status": does(func(w *world, _ []string) { w.o.Server.Status = metal.ServerStatus{} }), //
		"lose-record": does(func(w *world, _ []string) { w.o.Server.Spec.Record = nil }),             // the object was applied again from Git
		"restart":     does(restart),                                                                 // the controller's memory is gone
		"restore":     does(restore),                                                                 // the object comes from a backup
		"save":        does(func(w *world, _ []string) { w.saved = w.o.Server.DeepCopy() }),          // save: back the object up
		"unpublish":   does(func(w *world, _ []string) { w.o.Erased = "" }),                          // the signed erase record is gone
	}
}

func media(w *world, a []string) {
	w.o.Power.Media, w.o.Power.Network = first(a) == "in", ""
	if first(a) == "unable" {
		w.o.Power.Network = "it has no virtual drive for a CD"
	}
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// option finds name=value.
func option(args []string, name string) (string, bool) {
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

func (w *world) record() *metal.ServerRecord {
	if w.o.Server.Spec.Record == nil {
		w.o.Server.Spec.Record = &metal.ServerRecord{}
	}
	return w.o.Server.Spec.Record
}

func unserved(w *world, args []string) {
	if w.o.Unserved, w.o.UnservedArch = "", first(args); len(args) > 0 {
		w.o.Unserved = reasons.AgentImageMissing
	}
}

func wait(w *world, _ *bytes.Buffer, args []string) error {
	d, err := time.ParseDuration(first(args))
	w.o.Now = w.o.Now.Add(d)
	if d < 0 { // the memory's own clock is not set back with it
		w.o.AgentHeard = w.o.AgentHeard.Add(d)
		w.o.Claim.Alive, w.o.Claim.Watched = w.o.Claim.Alive.Add(d), w.o.Claim.Watched.Add(d)
	}
	return err
}

func bmc(w *world, args []string) {
	w.o.Server.Spec.BMC = &metal.BMC{Endpoint: "192.0.2.1", CredentialsSecret: "secret"}
	if first(args) == "none" {
		w.o.Server.Spec.BMC = nil
	}
}

func done(w *world, args []string) {
	w.read(first(args))
	w.o.Power.Done, w.o.Power.Pending, w.o.Power.CommandAt = w.last.ID, "", w.o.Now
}

func disk(w *world, _ *bytes.Buffer, args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("NAME TRANSPORT CONTENTS are needed")
	}
	unplug(w, args[:1])
	d := metal.Disk{
		Name: args[0], Transport: args[1], Contents: metal.DiskContents(args[2]), SizeBytes: 1e12, Model: "Disk", Serial: "S-" + args[0], WWID: "w-" + args[0],
		Removable: slices.Contains(args, "removable"), ReadOnly: slices.Contains(args, "readonly"),
	}
	if v, ok := option(args, "serial"); ok {
		d.Serial = v
	}
	if v, ok := option(args, "wwid"); ok {
		d.WWID = v
	}
	w.disks = append(w.disks, d)
	return nil
}

func unplug(w *world, args []string) {
	w.disks = slices.DeleteFunc(w.disks, func(d metal.Disk) bool { return d.Name == first(args) })
}

func report(w *world, args []string) {
	w.o.Inventory = &metal.ServerInventorySpec{Arch: "amd64", System: metal.SystemInfo{Serial: "C0FFEE"}, Disks: slices.Clone(w.disks)}
	if first(args) == "proven" {
		w.o.Inventory.Agent = metal.AgentInfo{BootID: w.caller(nil).BootID, Proven: 1}
	}
}

func elsewhere(w *world, args []string) { w.o.Elsewhere = map[string]string{first(args): args[1]} }

// caller is KEY [BOOT].
func (w *world) caller(args []string) lifecycle.Caller {
	c := lifecycle.Caller{Key: first(args)}
	if len(args) > 1 {
		c.BootID = args[1]
	} else if b := w.record().Boot; b != nil {
		c.BootID = b.ID
	}
	return c
}

func claim(w *world, out *bytes.Buffer, args []string) {
	c := w.caller(args)
	r, verdict := lifecycle.ClaimBoot(w.o.Server, c, w.o.Now)
	waits := ""
	if verdict == lifecycle.ClaimRefused {
		if waiting, ok := lifecycle.Await(w.o.Server, c, w.o.Now); ok {
			r, waits = waiting, ", waits"
		}
	}
	w.written(r)
	fmt.Fprintf(out, "  %s%s, trust level %d\n", verdict, waits, lifecycle.TrustLevel(w.o.Server, c))
}

// acknowledge is the word of an agent that it restarts the machine for the boot of the record.
func acknowledge(w *world, out *bytes.Buffer, args []string) {
	r, verdict := lifecycle.AcknowledgeRestart(w.o.Server, w.caller(args), w.record().Boot.ID, w.o.Now)
	w.written(r)
	fmt.Fprintf(out, "  %s\n", verdict)
}

// hear is an agent that looks for its task again.
func hear(w *world, args []string) {
	w.written(lifecycle.HearAgent(w.o.Server, w.caller(args), w.o.Now))
}

func secondSource(w *world, _ []string) {
	w.written(lifecycle.VoidBoot(w.o.Server, w.caller(nil).BootID, reasons.BootVoided, w.o.Now))
}

// written puts the record that the agent's server writes.
func (w *world) written(r *metal.ServerRecord) {
	if r == nil {
		return
	}
	before := w.o.Server.DeepCopy()
	w.o.Server.Spec.Record = r
	if r.Agent != nil {
		w.o.AgentHeard = w.o.Now
	}
	if w.steps != nil {
		w.steps(w.verb, before, w.o.Server)
	}
}

func handOut(w *world, out *bytes.Buffer, args []string) {
	task := lifecycle.HandOut(w.o, w.caller(args))
	fmt.Fprintf(out, "  %s %s: %s\n", task.Kind, task.Reason, task.Message)
	if g := task.Grant; task.Kind == lifecycle.TaskWipe {
		fmt.Fprintf(out, "  grant %s.%d, %s of %s\n", g.ID(), g.Generation(), g.Level(), serials(g.Disks()))
	}
	if task.After != 0 {
		fmt.Fprintf(out, "  again in %s\n", task.After)
	}
}

func progress(w *world, _ []string) {
	g := w.record().Wipe
	w.o.Server.Status.Wipe = &metal.WipeStatus{ID: g.ID, Generation: g.Generation, UpdatedAt: metav1.NewTime(w.o.Now.Truncate(time.Second))}
}

// receipt writes what the agent's server writes. Without words it is a good one.
func receipt(w *world, _ *bytes.Buffer, args []string) error {
	g := w.record().Wipe
	if g == nil {
		return fmt.Errorf("nothing was granted")
	}
	r := &metal.WipeReceipt{Generation: g.Generation, At: metav1.NewTime(w.o.Now.Truncate(time.Second))}
	bad, _ := option(args, "error")
	missing, _ := option(args, "missing")
	unread, _ := option(args, "unread")
	low, _ := option(args, "level")
	for _, d := range g.Disks {
		row := metal.DiskReceipt{DiskID: d, Methods: []string{"ZeroOut"}, Reached: metal.WipeClear, BlocksRead: 1024}
		switch d.Serial {
		case missing:
			continue
		case bad:
			row.Error, row.Reached = "it shows old data at 0", ""
		case unread:
			row.BlocksRead = 0
		}
		if serial, level, _ := strings.Cut(low, ":"); d.Serial == serial {
			row.Reached = metal.WipeLevel(level)
		}
		r.Disks = append(r.Disks, row)
	}
	if v, ok := option(args, "generation"); ok {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return err
		}
		r.Generation = n
	}
	g.Receipt = r
	return nil
}

// boots plays the expected boot of a machine that does as it is told.
func boots(w *world, _ *bytes.Buffer, args []string) error {
	var quiet bytes.Buffer
	for _, line := range []string{"decide", "done Off", "decide", "wait 10s", "decide", "done On", "decide", "wait 2m", "claim " + first(args), "decide", "report proven", "wait 15s", "decide"} {
		words := strings.Fields(line)
		if line == "done Off" && w.last.Kind == lifecycle.EnsurePowerOnFromNetwork && w.o.Power.State == metal.PowerOff {
			continue // it was off already
		}
		if err := w.do(&quiet, words[0], words[1:]); err != nil {
			return err
		}
	}
	if b := w.record().Boot; b == nil || b.Phase != metal.BootClaimed {
		return fmt.Errorf("the boot was not claimed:\n%s", quiet.String())
	}
	return nil
}

func accept(w *world, _ *bytes.Buffer, args []string) error {
	w.o.Server.Spec.Accepted = true
	if len(args) == 0 {
		return nil
	}
	age, err := ago(w, args[1:])
	q := &metal.AcceptRequest{ID: args[0], RequestedAt: age}
	level, _ := option(args, "level")
	q.Level = metal.WipeLevel(level)
	named, _ := option(args, "wipe")
	for _, d := range w.o.Server.Status.Disks { // as `ingot accept` does, out of what is shown
		if d.NeedsConfirmation && slices.Contains(args, "wipe-data") || named != "" && slices.Contains(strings.Split(named, ","), d.Serial) {
			q.WipeData = append(q.WipeData, d.DiskID)
		}
	}
	w.o.Server.Spec.AcceptRequest = q
	return err
}

// ago is now, or age=DURATION before.
func ago(w *world, args []string) (metav1.Time, error) {
	v, ok := option(args, "age")
	if !ok {
		return metav1.NewTime(w.o.Now), nil
	}
	d, err := time.ParseDuration(v)
	return metav1.NewTime(w.o.Now.Add(-d)), err
}

func quarantine(action metal.QuarantineAction) verb {
	return func(w *world, _ *bytes.Buffer, args []string) error {
		at, err := ago(w, args)
		w.o.Server.Spec.QuarantineRequest = &metal.QuarantineRequest{ID: first(args), Action: action, Message: "the fan is loud.", RequestedAt: at}
		return err
	}
}

func ignore(w *world, _ *bytes.Buffer, args []string) error {
	var s metal.DiskSelector
	switch yes := true; first(args) {
	case "":
	case "usb":
		s.Transport = "usb"
	case "removable":
		s.Removable = &yes
	default:
		s.Serial = first(args)
	}
	w.o.Server.Spec.IgnoredDisks = append(w.o.Server.Spec.IgnoredDisks, s)
	return nil
}

func budget(w *world, _ *bytes.Buffer, args []string) error {
	_, err := fmt.Sscan(strings.Join(args, " "), &w.o.Budget.Granted, &w.o.Budget.Limit)
	return err
}

func manager(w *world, args []string) {
	w.record().ManagedBy = &metal.ManagedBy{Installation: first(args), Epoch: 1}
}

func workload(w *world, args []string) {
	w.record().Claim = nil
	if first(args) != "none" {
		w.record().Claim = &metal.ClaimRecord{Namespace: "prod", Name: first(args), BindingID: "b1"}
	}
}

func restart(w *world, _ []string) {
	pin := w.o.Power.PinSeen
	w.o.Power, w.o.Agent, w.o.ConflictsWith = lifecycle.PowerReading{PinSeen: pin}, nil, nil
}

// restore brings the saved object back, as `ingot restore` does.
func restore(w *world, _ []string) {
	if w.saved != nil {
		w.o.Server = w.saved.DeepCopy()
	}
	w.record().Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored, Since: metav1.NewTime(w.o.Now.Truncate(time.Second))}
	w.o.Server.Status = metal.ServerStatus{}
	restart(w, nil)
}
