package engine

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// What clusterctl and Cluster API write on claims.
const (
	clusterLabel   = "cluster.x-k8s.io/cluster-name"
	moveAnnotation = "clusterctl.cluster.x-k8s.io/delete-for-move"
)

// namespaces that claims live in.
var namespaces = []string{"prod", "test"}

// offer makes what claims ask for: a class that every server fits, and what it boots.
func (w *World) offer(ingot *store.Client) error {
	e := &metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: "os"}, Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{{Arch: "amd64", UKI: &metal.Asset{URL: "http://files.example/uki", SHA256: strings.Repeat("0", 64)}}}}}
	if err := ingot.Create(background(), e); err != nil {
		return fmt.Errorf("making the Environment: %w", err)
	}
	c := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "any"}, Spec: metal.ServerClassSpec{
		AllowedNamespaces: &metal.NamespaceSelection{All: true}, EnvironmentRef: &metal.NameRef{Name: "os"}, WipeLevel: metal.WipeClear,
	}}
	if w.reuses() {
		c.Spec.Reuse = metal.ReuseSameOwner
	}
	if err := ingot.Create(background(), c); err != nil {
		return fmt.Errorf("making the ServerClass: %w", err)
	}
	return nil
}

// reuses says that servers of clusters go from one claim to the next without a wipe: in every other seed that has clusters.
func (w *World) reuses() bool { return w.kinds.Has(Clusters) && w.seed%2 == 0 }

// beginClaims plans what people do with claims.
func (o *operator) beginClaims() {
	if !o.w.kinds.Has(Claims) {
		return
	}
	for n := range 1 + o.w.people.upTo(len(o.w.machines)+1) {
		key := namespaces[n%2] + "/c" + strconv.Itoa(n+1)
		o.wishes[key] = o.wish(namespaces[n%2], "c"+strconv.Itoa(n+1))
		o.w.in(o.w.people.between(0, o.w.cfg.Chaos*2/3), func() { o.gesture(func() { o.ask(key) }) })
		o.claimWhims(key)
	}
	if o.w.kinds.Has(Clusters) {
		o.w.during(o.holdCluster)
		o.w.during(o.holdCluster)
	}
}

// wish is a claim as its author writes it.
func (o *operator) wish(namespace, name string) *metal.ServerClaim {
	c := &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: metal.ServerClaimSpec{ClassName: "any"}}
	if o.w.people.chance(0.2) {
		c.Spec.ServerName = o.w.machines[o.w.people.upTo(len(o.w.machines))].name
	}
	if o.w.kinds.Has(Clusters) && o.w.people.chance(0.6) {
		c.Labels, c.Spec.Reuse = map[string]string{clusterLabel: namespace}, o.w.reuses()
		o.clusters[namespace] = clusterState{}
	}
	return c
}

// claimWhims plans gestures with one claim.
func (o *operator) claimWhims(key string) {
	for _, x := range o.wayward() {
		if o.w.people.chance(0.3) {
			o.w.during(func() { o.gesture(func() { x(key) }) })
		}
	}
	o.w.in(o.w.people.between(0, 20*time.Minute), func() { o.tendClaim(key) })
}

// wayward are the gestures with claims that the seed allows.
func (o *operator) wayward() (list []func(string)) {
	for _, x := range []struct {
		kind Kind
		do   func(string)
	}{
		{Releases, o.release}, {Moves, o.move}, {Forced, o.force}, {GitApply, o.ask}, {ConfigEdits, o.editConfig},
	} {
		if o.w.kinds.Has(x.kind) {
			list = append(list, x.do)
		}
	}
	return list
}

// tendClaim is what a person does who looks at a claim now and then: one that has a server is done with sometime.
func (o *operator) tendClaim(key string) {
	if o.w.calm {
		return
	}
	all := o.wayward()
	if c := o.claim(key); c != nil && c.Spec.Binding != nil && len(all) > 0 && o.w.people.chance(0.4) {
		do := all[o.w.people.upTo(len(all))]
		o.gesture(func() { do(key) })
	}
	o.w.in(o.w.people.between(2*time.Minute, 15*time.Minute), func() { o.tendClaim(key) })
}

// claim is a claim as it is stored; nil when there is none.
func (o *operator) claim(key string) *metal.ServerClaim {
	c := o.wishes[key]
	return store.Peek[metal.ServerClaim](o.w.store, c.Namespace, c.Name)
}

// ask makes the claim, if it is not there: for the first time, from Git, or back from where it was moved to.
func (o *operator) ask(key string) {
	if o.claim(key) != nil {
		return
	}
	err := o.client().Create(background(), o.wishes[key].DeepCopy())
	o.w.log(key, "a person makes the claim %s", text(err))
	o.w.count(claimsMade)
}

// release deletes the claim. Mostly somebody wants it again later.
func (o *operator) release(key string) {
	c := o.claim(key)
	if c == nil || c.DeletionTimestamp != nil {
		return
	}
	err := o.client().Delete(background(), c.DeepCopy())
	o.w.log(key, "a person deletes the claim %s", text(err))
	o.w.count(claimsDeleted)
	o.later(key, 0.6)
}

// later makes a claim again.
func (o *operator) later(key string, p float64) {
	if !o.w.people.chance(p) {
		return
	}
	o.w.in(o.w.people.between(10*time.Second, 30*time.Minute), func() {
		if o.claim(key) == nil && !o.w.calm {
			o.w.count(claimsRemade)
			o.ask(key)
		}
	})
}

// move is clusterctl's: the annotation first, then the finalizers go, then the claim. It comes back, or goes on elsewhere.
func (o *operator) move(key string) {
	c := o.claim(key)
	if c == nil {
		return
	}
	c = c.DeepCopy()
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[moveAnnotation] = ""
	if o.client().Update(background(), c) != nil {
		return
	}
	o.w.log(key, "clusterctl moves the claim")
	o.w.count(claimsMoved)
	o.w.in(o.w.people.between(0, 5*time.Second), func() { o.strip(key, true) })
	o.later(key, 0.5)
}

// force deletes a claim and takes its finalizers off, as people do with what will not go.
func (o *operator) force(key string) {
	c := o.claim(key)
	if c == nil {
		return
	}
	if o.w.people.chance(0.5) {
		_ = o.client().Delete(background(), c.DeepCopy()) // refused when it is going already
	}
	o.w.in(o.w.people.between(0, 10*time.Second), func() { o.strip(key, false) })
	o.w.count(claimsForced)
	o.later(key, 0.5)
}

// strip takes the finalizers off and deletes the claim.
func (o *operator) strip(key string, moving bool) {
	c := o.claim(key)
	if _, marked := annotation(c, moveAnnotation); c == nil || moving && !marked {
		return
	}
	c = c.DeepCopy()
	c.Finalizers = nil
	err := o.client().Update(background(), c)
	if o.claim(key) != nil && err == nil {
		err = o.client().Delete(background(), c)
	}
	o.w.log(key, "its finalizers are taken off and it is deleted %s", text(err))
}

func annotation(c *metal.ServerClaim, key string) (string, bool) {
	if c == nil {
		return "", false
	}
	v, ok := c.Annotations[key]
	return v, ok
}

// holdCluster pauses a Cluster, or takes it away, for a while.
func (o *operator) holdCluster() {
	name := namespaces[o.w.people.upTo(len(namespaces))]
	if _, ok := o.clusters[name]; !ok {
		return
	}
	o.w.count(clustersHeld)
	o.setCluster(name, clusterState{paused: true, missing: o.w.people.chance(0.5)})
	if o.w.people.chance(0.8) {
		o.w.in(o.w.people.between(time.Minute, 30*time.Minute), func() { o.setCluster(name, clusterState{}) })
	}
}

func (o *operator) setCluster(name string, s clusterState) {
	o.w.log(name, "the Cluster becomes paused=%v missing=%v", s.paused, s.missing)
	o.clusters[name] = s
	for _, c := range store.All[metal.ServerClaim](o.w.store) {
		o.w.check.judge(c)
	}
}

// held says that the claim's Cluster keeps it from being released.
func (o *operator) held(c *metal.ServerClaim) bool {
	name := c.Labels[clusterLabel]
	s, ok := o.clusters[name]
	return name != "" && (!ok || s.paused || s.missing)
}

// editConfig changes the machine config; sometimes it is gone for a while.
func (o *operator) editConfig(key string) {
	o.w.count(configsEdited)
	next := max(o.configs[key], -o.configs[key]) + 1
	o.configs[key] = next
	if o.w.people.chance(0.4) {
		o.configs[key] = -next
		o.w.in(o.w.people.between(time.Minute, 10*time.Minute), func() { o.configs[key] = next + 1 })
	}
	o.w.log(key, "its machine config is edited: %d", o.configs[key])
}
