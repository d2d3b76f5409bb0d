package lifecycle_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

func (w *world) second() metav1.Time { return metav1.NewTime(w.o.Now.Truncate(time.Second)) }

// available plays the first wipe of a machine that does as it is told.
func available(w *world, _ *bytes.Buffer, _ []string) error {
	var quiet bytes.Buffer
	for _, line := range [][]string{{"decide"}, {"accept", "a0", "wipe-data"}, {"boots", "k0"}, {"receipt"}, {"decide"}, {"wait", "1m"}, {"read", "Off"}, {"decide"}, {"decide"}} {
		if err := w.do(&quiet, line[0], line[1:]); err != nil {
			return err
		}
	}
	if wipe := w.record().Wipe; wipe == nil || wipe.VerifiedAt == nil {
		return fmt.Errorf("the server did not become clean:\n%s", quiet.String())
	}
	return nil
}

func bind(w *world, args []string) {
	level, _ := option(args, "level")
	cluster, _ := option(args, "cluster")
	owner, _ := option(args, "reuse")
	side := &metal.ClaimRecord{
		Namespace: "prod", Name: first(args), BindingID: "b-" + first(args), Environment: "env", WipeLevel: metal.WipeLevel(level), Cluster: cluster, ReuseOwner: owner, At: w.second(),
	}
	if r := w.record(); r.Release != nil && r.Release.ReuseUntil != nil {
		r.Occupy(side)
	} else {
		r.Claim = side
	}
	w.o.Claim = lifecycle.ClaimView{Found: true, Watched: w.o.Now}
}

func leaveEtcd(w *world, _ []string) {
	record := lifecycle.EtcdLeft(w.o.Server, w.record().Claim.BindingID, w.o.Now)
	if record == nil {
		panic("nothing to leave")
	}
	w.o.Server.Spec.Record = record
}

func claimSays(w *world, args []string) {
	c := &w.o.Claim
	for _, word := range args {
		switch word {
		case "bound":
			c.Bound, c.BoundElsewhere = true, false
		case "elsewhere":
			c.Bound, c.BoundElsewhere = false, true
		case "deleting":
			c.Deleting = true
		case "moving":
			c.Moving = true
		case "blocks":
			c.Blocks = true
		case "gone":
			*c = lifecycle.ClaimView{Watched: c.Watched, Alive: c.Alive}
		case "held":
			c.ClusterHeld = "The Cluster prod/c is paused."
		case "free":
			c.ClusterHeld = ""
		case "loses-member":
			c.LoseMember = true
		case "not-ready":
			c.NotReady, c.NotReadyMessage = reasons.ConfigMissing, "An operator must create the Secret."
		case "ready":
			c.NotReady, c.NotReadyMessage = "", ""
		default:
			panic(word)
		}
	}
}

func config(w *world, _ []string) {
	at := w.second()
	w.record().Boot.Config = &metal.ConfigRelease{SHA256: "c0ffee", Source: "192.0.2.7", At: at}
	if c := w.record().Claim; c != nil {
		c.ConfigAt = &at
	}
}

func proveInstalled(w *world, _ []string) {
	r := w.record()
	r.Installed = &metal.InstalledRecord{BootID: r.Boot.ID, At: w.second(), BindingID: r.Boot.BindingID, Environment: "env", Config: r.Boot.Config}
	r.Boot.Phase, r.Boot.At, r.Boot.Reason = metal.BootVoid, w.second(), ""
	w.o.Claim.Alive = w.o.Now
}

func proveRunning(w *world, args []string) {
	w.o.Claim.Alive, w.o.Claim.LocalBoots = w.o.Now, 0
	if i := w.record().Installed; i != nil && i.RunningAt == nil {
		at := w.second()
		i.RunningAt = &at
		n, _ := strconv.Atoi(first(args))
		i.EverySeconds = int32(n)
	}
}

func giveUp(w *world, _ *bytes.Buffer, args []string) error {
	at, err := ago(w, args[1:])
	binding, named := option(args, "binding")
	if c := w.record().Claim; c != nil && !named {
		binding = c.BindingID
	}
	w.o.Server.Spec.ReleaseRequest = &metal.ReleaseRequest{ID: args[0], BindingID: binding, ConfirmPoweredOff: slices.Contains(args, "confirm"), RequestedAt: at}
	return err
}
