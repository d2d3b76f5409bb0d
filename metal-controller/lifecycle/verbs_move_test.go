package lifecycle_test

import (
	"bytes"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// moves are the verbs of a server on its way between two API servers. A script begins at the installation "here"; each has its own Server, claim and passport.
func moves() map[string]verb {
	return map[string]verb{
		"passport": does(func(w *world, _ []string) { // an empty passport is there, as for every claimed server
			w.o.Passport, w.o.Claim.UID = lifecycle.PassportView{Found: true, CreatedAt: w.o.Now.Add(-time.Hour)}, "c-here"
		}),
		"cluster": does(clusterIs), // cluster held|goes|gone: clusterctl pauses the claim's Cluster, somebody lets it go on, it is not there
		"knows":   does(knows),     // knows INSTALLATION: the machine registered there too, and nobody did anything with it
		"carry":   does(carry),     // carry INSTALLATION: clusterctl copies Server, claim and passport there as they are now; a Server that is there stays
		"at":      goTo,            // at INSTALLATION: what follows happens there
		"adopt":   adopt,           // adopt ID [force] [age=D]
		"let-go":  does(func(w *world, a []string) { w.ask(metal.OwnerRequest{ID: first(a), Action: metal.OwnerLetGo}) }),
	}
}

func clusterIs(w *world, args []string) {
	c := &w.o.Claim
	c.PausedByMove, c.ClusterGoes = time.Time{}, false
	switch first(args) {
	case "held":
		c.PausedByMove = w.o.Now
	case "goes":
		c.ClusterGoes = true
	}
}

// other is another installation's view of the machine.
func (w *world) other(name string) lifecycle.Observation {
	o, ok := w.sides[name]
	if !ok {
		o = lifecycle.Observation{Installation: name, Budget: w.o.Budget, Server: &metal.Server{}}
		o.Server.Name = w.o.Server.Name
	}
	o.Now, o.Power = w.o.Now, w.o.Power
	o.Power.Pending, o.Power.Done = "", ""
	return o
}

func knows(w *world, args []string) {
	o := w.other(first(args))
	o.Server.UID, o.Inventory = types.UID("u-"+first(args)), w.o.Inventory
	o.Server.Spec = metal.ServerSpec{Identity: w.o.Server.Spec.Identity.DeepCopy(), Record: &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: first(args), Epoch: 1, Object: "u-" + first(args)}}}
	w.keep(o)
}

func carry(w *world, args []string) {
	o := w.other(first(args))
	if o.Server.UID == "" {
		o.Server = w.o.Server.DeepCopy()
		o.Server.UID, o.Server.Status = types.UID("u-"+first(args)), metal.ServerStatus{}
		o.Inventory = w.o.Inventory
	}
	o.Passport = w.o.Passport
	o.Passport.CreatedAt = w.o.Now
	o.Claim = lifecycle.ClaimView{Found: true, Bound: true, UID: "c-" + first(args) + w.o.Now.String(), PausedByMove: w.o.Claim.PausedByMove, Watched: w.o.Now}
	w.keep(o)
}

func (w *world) keep(o lifecycle.Observation) {
	if w.sides == nil {
		w.sides = map[string]lifecycle.Observation{}
	}
	w.sides[o.Installation] = o
}

func goTo(w *world, _ *bytes.Buffer, args []string) error {
	if _, known := w.sides[first(args)]; !known {
		return fmt.Errorf("nothing was carried there")
	}
	o := w.other(first(args))
	w.keep(w.o)
	w.o = o
	return nil
}

func adopt(w *world, _ *bytes.Buffer, args []string) error {
	w.ask(metal.OwnerRequest{ID: args[0], Action: metal.OwnerAdopt, Force: len(args) > 1 && args[1] == "force"})
	return nil
}

func (w *world) ask(q metal.OwnerRequest) {
	q.Epoch, q.RequestedAt = w.record().ManagedBy.Epoch, w.second()
	w.o.Server.Spec.OwnerRequest = &q
}
