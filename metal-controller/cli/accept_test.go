package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

var (
	nvme   = metal.DiskStatus{DiskID: metal.DiskID{WWID: "eui.01", Serial: "NV1"}, Name: "nvme0n1", Description: "nvme 1 TB Fast", Contents: metal.DiskBlank, Verdict: metal.DiskOwn}
	sata   = metal.DiskStatus{DiskID: metal.DiskID{WWID: "naa.02", Serial: "SA1"}, Name: "sda", Description: "sata 4 TB Slow", Contents: metal.DiskData, Verdict: metal.DiskOwn, NeedsConfirmation: true}
	shared = metal.DiskStatus{DiskID: metal.DiskID{WWID: "naa.03", Serial: "SH1"}, Name: "sdb", Description: "sas 8 TB", Contents: metal.DiskData, Verdict: metal.DiskBlocked, Reason: "shared with s2"}
	stick  = metal.DiskStatus{DiskID: metal.DiskID{Serial: "ST1"}, Name: "sdc", Description: "usb 16 GB", Contents: metal.DiskBootable, Verdict: metal.DiskIgnored, Reason: "removable"}
)

// diskServer is a registered one with these disks.
func diskServer(t *testing.T, name string, change func(*metal.Server), disks ...metal.DiskStatus) *metal.Server {
	t.Helper()
	return rackServer(t, name, func(s *metal.Server) {
		s.Status.Disks = disks
		s.Status.Inventory = &metal.InventorySummary{Serial: "box-" + name}
		if change != nil {
			change(s)
		}
	})
}

func fetch(t *testing.T, name string) *metal.Server {
	t.Helper()
	s := &metal.Server{}
	if err := admin(t).Get(t.Context(), client.ObjectKey{Name: name}, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// change writes as the controller does.
func change(t *testing.T, name string, spec, status func(*metal.Server)) {
	t.Helper()
	s := fetch(t, name)
	if spec != nil {
		spec(s)
		if err := controller(t).Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if status != nil {
		status(s)
		if err := controller(t).Status().Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAcceptWithBlankDisksNeedsNoMore(t *testing.T) {
	diskServer(t, "accept-1", nil, nvme, stick)
	run(t, "accept", "accept-1", "--dry-run").want(t, CodeOK, "nvme 1 TB Fast", "will be erased", "never touched: removable", "restarted", "dry run")
	if s := fetch(t, "accept-1"); s.Spec.Accepted || s.Spec.AcceptRequest != nil {
		t.Fatalf("the dry run changed it: %+v", s.Spec)
	}
	run(t, "accept", "server/accept-1").want(t, CodeOK, "server/accept-1 accepted", "ingot why accept-1") // the control
	r := fetch(t, "accept-1").Spec.AcceptRequest
	if r == nil || !strings.HasPrefix(r.ID, "request-") || len(r.WipeData) != 0 || r.Level != "" || !r.RequestedAt.Time.Equal(noon) {
		t.Errorf("request %+v", r)
	}
}

func TestAcceptOfDataNeedsTheDisksByName(t *testing.T) {
	diskServer(t, "accept-2", nil, nvme, sata, shared, stick)
	run(t, "accept", "accept-2").want(t, CodeRefused, "sda (serial SA1)", "--wipe-data", "holds data", "shared with s2", "sdb (serial SH1) is not the server's own")
	run(t, "accept", "accept-2", "--wipe-data").want(t, CodeRefused, "no terminal", "--yes")
	if s := fetch(t, "accept-2"); s.Spec.Accepted || s.Spec.AcceptRequest != nil {
		t.Fatalf("a refusal changed it: %+v", s.Spec)
	}
	run(t, "accept", "accept-2", "--wipe-data", "--yes", "--level", "PURGE").want(t, CodeOK, "data on 1 disk")
	r := fetch(t, "accept-2").Spec.AcceptRequest
	if r == nil || len(r.WipeData) != 1 || r.WipeData[0] != sata.DiskID || r.Level != metal.WipePurge {
		t.Errorf("request %+v", r)
	}
	run(t, "accept", "accept-2", "--level", "shred").want(t, CodeUsage, "quick, clear or purge")
}

// TestAcceptOfDataThatNobodyFlagged: before the first yes every disk that is not blank counts as data, also one that cannot be read.
func TestAcceptOfDataThatNobodyFlagged(t *testing.T) {
	unreadable := nvme
	unreadable.Contents = metal.DiskUnreadable
	diskServer(t, "accept-3", nil, unreadable)
	run(t, "accept", "accept-3").want(t, CodeRefused, "nvme0n1 (serial NV1)")
	diskServer(t, "accept-4", func(s *metal.Server) {
		s.Spec.Accepted = true
		s.Spec.Record = &metal.ServerRecord{Acceptance: &metal.AcceptanceRecord{At: metav1.NewTime(noon), Disks: []metal.DiskID{unreadable.DiskID}}}
	}, unreadable)
	run(t, "accept", "accept-4").want(t, CodeOK, "Nothing was changed") // the control: a record covers it
	// A yes replaces the one before, so it names all data, also what was confirmed already.
	change(t, "accept-4", nil, func(s *metal.Server) { s.Status.Disks = append(s.Status.Disks, sata) })
	run(t, "accept", "accept-4", "--wipe-data", "--yes").want(t, CodeOK, "data on 2 disks")
	if r := fetch(t, "accept-4").Spec.AcceptRequest; r == nil || len(r.WipeData) != 2 {
		t.Errorf("request %+v", r)
	}
}

func TestAcceptIgnoresDisksByWhatTheyAre(t *testing.T) {
	diskServer(t, "accept-5", nil, nvme, sata, shared)
	run(t, "accept", "accept-5", "--ignore-disk", "sdb").want(t, CodeUsage, "take its serial number or WWID: SH1")
	run(t, "accept", "accept-5", "--ignore-disk", "SX").want(t, CodeUsage, "no disk with that", "NV1, SA1, SH1")
	r := run(t, "accept", "accept-5", "--ignore-disk", "naa.03", "--ignore-disk", "SA1", "--ignore-disk", "usb", "--ignore-disk", "removable")
	r.want(t, CodeOK, "you say that it be ignored", "accepted")
	s := fetch(t, "accept-5")
	if got := s.Spec.IgnoredDisks; len(got) != 4 || got[0].WWID != "naa.03" || got[1].Serial != "SA1" || got[2].Transport != "usb" || got[3].Removable == nil || !*got[3].Removable {
		t.Errorf("ignored: %+v", got)
	}
	if s.Spec.AcceptRequest == nil || len(s.Spec.AcceptRequest.WipeData) != 0 {
		t.Errorf("request: %+v", s.Spec.AcceptRequest)
	}
	if sel, err := selector(&metal.Server{}, "nvme.8086-x"); err != nil || sel.WWID == "" {
		t.Errorf("a WWID of an unknown disk: %+v, %v", sel, err)
	}
	if sel, err := selector(&metal.Server{}, "S3X9"); err != nil || sel.Serial == "" {
		t.Errorf("a serial number of an unknown disk: %+v, %v", sel, err)
	}
}

// TestIgnoredByTransportNeedsTheInventory: what the inventory does not tell fits no selector.
func TestIgnoredByTransportNeedsTheInventory(t *testing.T) {
	usb := []metal.Disk{{Name: "sdc", Serial: "ST1", Transport: "usb", Removable: true}}
	yes, no := true, false
	for _, c := range []struct {
		sel       metal.DiskSelector
		inventory []metal.Disk
		want      bool
	}{
		{metal.DiskSelector{Transport: "usb"}, usb, true},
		{metal.DiskSelector{Transport: "usb"}, nil, false},
		{metal.DiskSelector{Transport: "sata"}, usb, false},
		{metal.DiskSelector{Removable: &yes}, usb, true},
		{metal.DiskSelector{Removable: &no}, usb, false},
		{metal.DiskSelector{Serial: "ST1", Transport: "usb"}, usb, true},
		{metal.DiskSelector{Serial: "ST2", Transport: "usb"}, usb, false},
		{metal.DiskSelector{Serial: "ST1"}, nil, true},
	} {
		if got := selects(c.sel, stick, c.inventory); got != c.want {
			t.Errorf("%+v with %d disks in the inventory: %v", c.sel, len(c.inventory), got)
		}
	}
}

func TestAcceptBeforeTheFirstBoot(t *testing.T) {
	rackServer(t, "accept-6", func(s *metal.Server) { s.Spec.BMC = nil })
	run(t, "accept", "accept-6", "--wipe-data").want(t, CodeOK, "No disks of it are known yet", "accept-6 --wipe-data", "It has no spec.bmc", "named no disk")
	if s := fetch(t, "accept-6"); !s.Spec.Accepted || s.Spec.AcceptRequest == nil {
		t.Errorf("%+v", s.Spec)
	}
}

// TestAcceptTellsWhatHoldsItUp: a yes to a server on which nothing begins now.
func TestAcceptTellsWhatHoldsItUp(t *testing.T) {
	diskServer(t, "accept-30", func(s *metal.Server) {
		s.Annotations = map[string]string{pausedAnnotation: "true"}
		s.Spec.Record = &metal.ServerRecord{Quarantine: &metal.QuarantineRecord{Reason: reasons.QuarantineByPerson, Message: "fan", At: metav1.NewTime(noon)}}
	}, nvme)
	run(t, "accept", "accept-30", "--dry-run").want(t, CodeOK, "ingot resume accept-30", "ingot lift accept-30")
}

func TestAcceptOfWhatNeedsNothing(t *testing.T) {
	accepted := func(s *metal.Server) {
		s.Spec.Accepted = true
		s.Spec.Record = &metal.ServerRecord{Acceptance: &metal.AcceptanceRecord{At: metav1.NewTime(noon.Add(-time.Hour)), Disks: []metal.DiskID{nvme.DiskID}}}
		s.Status.State = metal.StateAvailable
		s.Status.Conditions = []metav1.Condition{
			{Type: reasons.Ready, Status: metav1.ConditionTrue, Reason: reasons.Available, Message: "Clean and off.", LastTransitionTime: metav1.NewTime(noon), ObservedGeneration: 1},
			{Type: reasons.Clean, Status: metav1.ConditionTrue, Reason: reasons.Wiped, LastTransitionTime: metav1.NewTime(noon)},
		}
	}
	diskServer(t, "accept-7", accepted, nvme)
	before := fetch(t, "accept-7").ResourceVersion
	run(t, "accept", "accept-7", "--wipe-data", "--yes", "--wait").want(t, CodeOK, "accepted 60m ago", "needs nothing", "is Available")
	if after := fetch(t, "accept-7").ResourceVersion; after != before {
		t.Error("it was changed")
	}
	// A disk with data came in since: a new request.
	change(t, "accept-7", nil, func(s *metal.Server) { s.Status.Disks = []metal.DiskStatus{nvme, sata} })
	run(t, "accept", "accept-7", "--wipe-data", "--yes").want(t, CodeOK, "will be erased", "with its data", "accepted")
	if r := fetch(t, "accept-7").Spec.AcceptRequest; r == nil || len(r.WipeData) != 1 || r.WipeData[0] != sata.DiskID {
		t.Errorf("request %+v", r)
	}
	// Restored from a backup: the record may be older than the machine, so the yes is needed again.
	diskServer(t, "accept-8", func(s *metal.Server) {
		accepted(s)
		s.Spec.Record.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored, Since: metav1.NewTime(noon)}
	}, nvme)
	run(t, "accept", "accept-8").want(t, CodeOK, "server/accept-8 accepted")
}

func TestAcceptRefusesWhatIsNotOurs(t *testing.T) {
	diskServer(t, "accept-9", func(s *metal.Server) {
		s.Spec.Record = &metal.ServerRecord{Claim: &metal.ClaimRecord{Namespace: "team", Name: "m1", BindingID: "b", At: metav1.NewTime(noon)}}
	}, sata)
	run(t, "accept", "accept-9", "--wipe-data", "--yes").want(t, CodeRefused, "team/m1", "release")
	diskServer(t, "accept-10", func(s *metal.Server) {
		s.Status.Conditions = []metav1.Condition{{Type: reasons.Ready, Status: metav1.ConditionFalse, Reason: reasons.UnmanagedHere, Message: "The installation x manages this server.", LastTransitionTime: metav1.NewTime(noon)}}
	}, nvme)
	run(t, "accept", "accept-10").want(t, CodeRefused, "installation x manages")
	run(t, "accept", "nobody", "accept-10").want(t, CodeRefused, `no server "nobody"`, "installation x")
}

// TestAcceptConfirmsWhatWasShown: between the question and the answer a disk with data was put in.
func TestAcceptConfirmsWhatWasShown(t *testing.T) {
	diskServer(t, "accept-11", nil, nvme, sata)
	for _, c := range []struct {
		name   string
		answer string
		meddle func()
		code   int
		part   string
		disks  int
	}{
		{"another name", "accept-12\n", nil, CodeRefused, "nothing was done", 0},
		{"another disk", "accept-11\n", func() {
			change(t, "accept-11", nil, func(s *metal.Server) { s.Status.Disks = append(s.Status.Disks, shared) })
		}, CodeRefused, "changed while you looked", 0},
		{"a reading of the power", "accept-11\n", func() {
			change(t, "accept-11", nil, func(s *metal.Server) { s.Status.Power.ObservedAt = &metav1.Time{Time: noon} })
		}, CodeOK, "accepted", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := asked(t, "Type the name", c.answer, c.meddle, "accept", "accept-11", "--wipe-data")
			r.want(t, c.code, c.part)
			request := fetch(t, "accept-11").Spec.AcceptRequest
			if c.disks == 0 && request != nil || c.disks > 0 && (request == nil || len(request.WipeData) != c.disks) {
				t.Errorf("request %+v", request)
			}
		})
	}
}

// asked runs a command on a terminal: once it has asked, meddle happens and then the answer is typed.
func asked(t *testing.T, question, answer string, meddle func(), args ...string) result {
	t.Helper()
	keyboard, screen := terminal(t)
	var out bytes.Buffer
	questions := &lines{}
	env := &Env{Streams: genericiooptions.IOStreams{In: screen, Out: &out, ErrOut: questions}, Now: func() time.Time { return noon }, ID: nextID}
	root := New("ingot", env)
	root.SetArgs(append(args, "--kubeconfig", testapi.Config(t).Kubeconfig))
	code := make(chan int, 1)
	go func() { code <- Main(t.Context(), root, env) }()
	if got := questions.await(t, 1); !strings.Contains(got[0], question) {
		t.Fatalf("asked: %q", got)
	}
	if meddle != nil {
		meddle()
	}
	if _, err := keyboard.WriteString(answer); err != nil {
		t.Fatal(err)
	}
	return result{<-code, out.String(), strings.Join(questions.await(t, 1), "\n")}
}

// terminal is a pseudo terminal: what is written to the keyboard is read from the screen's side.
func terminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	return keyboard, screen
}

func ready(status metav1.ConditionStatus, reason, message string) func(*metal.Server) {
	return func(s *metal.Server) {
		s.Status.Conditions = []metav1.Condition{{Type: reasons.Ready, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(noon), ObservedGeneration: s.Generation}}
	}
}

// TestAcceptWaits shows the progress and ends at Available, at what needs a person, at its limit, and at Ctrl-C.
func TestAcceptWaits(t *testing.T) {
	diskServer(t, "accept-20", nil, nvme)
	wait := aside(t, func() {
		s := awaitRequest(t, "accept-20")
		if s == nil {
			return
		}
		change(t, "accept-20", func(s *metal.Server) {
			s.Spec.Record = &metal.ServerRecord{
				AcceptRequest: s.Spec.AcceptRequest.ID, Acceptance: &metal.AcceptanceRecord{At: metav1.NewTime(noon)},
				Wipe: &metal.WipeRecord{ID: "w", Level: metal.WipeClear, GrantedAt: metav1.NewTime(noon), Generation: 1, BootID: "b"},
			}
		}, func(s *metal.Server) {
			ready(metav1.ConditionFalse, reasons.WipeRunning, "The agent erases.")(s)
			s.Status.Wipe = &metal.WipeStatus{ID: "w", Generation: 1, UpdatedAt: metav1.NewTime(noon), Disks: []metal.DiskProgress{{Serial: "NV1", Phase: "Discard", Percent: 40, ETASeconds: 90}}}
		})
		change(t, "accept-20", func(s *metal.Server) { s.Spec.Record.Wipe.VerifiedAt = &metav1.Time{Time: noon} }, ready(metav1.ConditionTrue, reasons.Available, "Clean and off."))
	})
	run(t, "accept", "accept-20", "--wait", "--timeout", "1m").want(t, CodeOK, "NV1 Discard 40%, about 90s left", "server/accept-20 is Available")
	wait()

	diskServer(t, "accept-21", nil, nvme)
	wait = aside(t, func() {
		if s := awaitRequest(t, "accept-21"); s != nil {
			change(t, "accept-21", func(s *metal.Server) { s.Spec.Record = &metal.ServerRecord{AcceptRequest: s.Spec.AcceptRequest.ID} },
				ready(metav1.ConditionFalse, reasons.Quarantined, "Quarantined (WipeFailed): disk NV1 lied."))
		}
	})
	run(t, "accept", "accept-21", "--wait", "--timeout", "1m").want(t, CodeError, "waits for a person: Quarantined (WipeFailed): disk NV1 lied", "ingot why accept-21")
	wait()

	diskServer(t, "accept-22", nil, nvme)
	run(t, "accept", "accept-22", "--wait", "--timeout", "1s").want(t, CodeTimeout, "is it running?")

	diskServer(t, "accept-23", nil, nvme)
	interrupted(t, 5, "accept", "accept-23", "--wait").want(t, CodeInterrupted, "Ingot goes on") // the fifth line says that it was asked
	if s := fetch(t, "accept-23"); s.Spec.AcceptRequest == nil {
		t.Error("Ctrl-C took the request back")
	}
}

// interrupted runs a command until it has printed so many lines, and then presses Ctrl-C.
func interrupted(t *testing.T, after int, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errOut bytes.Buffer
	out := &lines{}
	env := &Env{Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: &errOut}, Now: func() time.Time { return noon }, ID: nextID}
	root := New("ingot", env)
	root.SetArgs(append(args, "--kubeconfig", testapi.Config(t).Kubeconfig))
	code := make(chan int, 1)
	go func() { code <- Main(ctx, root, env) }()
	told := out.await(t, after)
	cancel()
	return result{<-code, strings.Join(told, "\n"), errOut.String()}
}

// aside does what the controller does while a command runs; the result waits for its end, not for ever.
func aside(t *testing.T, do func()) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	return func() {
		t.Helper()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("what runs beside the command does not end: did the command ask?")
		}
	}
}

// awaitRequest waits until the command has asked.
func awaitRequest(t *testing.T, name string) *metal.Server {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s := &metal.Server{}
		if err := admin(t).Get(t.Context(), client.ObjectKey{Name: name}, s); err == nil && s.Spec.AcceptRequest != nil {
			return s
		}
		select {
		case <-t.Context().Done():
			return nil
		case <-tick.C:
		}
	}
}
