package ingotmachine_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/reconcilers/ingotmachine"
)

func ptr[T any](v T) *T { return &v }

// complete is a control plane machine that has all that a claim is made of.
func complete() *ingotmachine.Observation {
	return &ingotmachine.Observation{
		Machine: &infra.IngotMachine{
			ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: "cp-1", UID: "u1", Generation: 3},
			Spec:       infra.IngotMachineSpec{ClassName: "small", EnvironmentName: "talos", Patches: []string{"a: b"}, InstallDisk: &metal.InstallDisk{Serial: "S"}},
		},
		Owner: &clusterv1.Machine{
			ObjectMeta: metav1.ObjectMeta{Name: "m1", Labels: map[string]string{clusterv1.MachineControlPlaneLabel: "", clusterv1.ClusterNameLabel: "c1", "other": "x"}},
			Spec:       clusterv1.MachineSpec{ClusterName: "c1", Bootstrap: clusterv1.Bootstrap{DataSecretName: ptr("m1-bootstrap")}},
		},
		ClusterName: "c1",
		Cluster: &clusterv1.Cluster{
			ObjectMeta: metav1.ObjectMeta{Name: "c1"},
			Status:     clusterv1.ClusterStatus{Initialization: clusterv1.ClusterInitializationStatus{InfrastructureProvisioned: ptr(true)}},
		},
		Infra: &infra.IngotCluster{Spec: infra.IngotClusterSpec{FailureDomainKey: "rack", ControlPlaneSpread: &metal.Spread{Key: "rack", MaxSkew: 1}}},
	}
}

// claimed is one whose claim is there, bound to a server.
func claimed() *ingotmachine.Observation {
	o := complete()
	o.Claim = ingotmachine.Decide(o).Create
	o.Claim.Spec.Binding = &metal.Binding{Server: "s1", BindingID: "b1"}
	o.Claim.Status.Addresses = []string{"192.0.2.7", "2001:db8::7"}
	says(o.Claim, metav1.ConditionFalse, reasons.Provisioning)
	o.Server = &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1", Labels: map[string]string{"rack": "r7"}}}
	o.Server.Spec.Record = &metal.ServerRecord{Claim: &metal.ClaimRecord{BindingID: "b1"}}
	return o
}

func says(c *metal.ServerClaim, status metav1.ConditionStatus, reason string) {
	c.Status.Conditions = []metav1.Condition{{Type: reasons.Ready, Status: status, Reason: reason, Message: "as " + reason}}
}

func deleted(o *ingotmachine.Observation) *ingotmachine.Observation {
	o.Machine.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	return o
}

// TestClaimOfAMachine: everything that the machine says goes into its claim.
func TestClaimOfAMachine(t *testing.T) {
	p := ingotmachine.Decide(complete())
	if !p.Hold || p.Create == nil || p.Ready.Reason != reasons.Claiming || p.Status.ObservedGeneration != 3 {
		t.Fatalf("%+v", p)
	}
	c := p.Create
	want := metal.ServerClaimSpec{
		ClassName: "small", EnvironmentName: "talos", ConfigSecret: "m1-bootstrap", Patches: []string{"a: b"}, InstallDisk: &metal.InstallDisk{Serial: "S"},
		Spread: &metal.Spread{Key: "rack", MaxSkew: 1},
	}
	if c.Namespace != "tenant" || c.Name != "cp-1" || !equality.Semantic.DeepEqual(c.Spec, want) {
		t.Errorf("%+v", c)
	}
	if l := c.Labels; len(l) != 3 || l[metal.ClusterAPILabel] != "c1" || l[metal.ClusterRoleLabel] != metal.RoleControlPlane || c.Cluster() != "c1" {
		t.Errorf("labels %v", c.Labels)
	}
	if owner := metav1.GetControllerOf(c); owner == nil || owner.Kind != "IngotMachine" || owner.Name != "cp-1" || owner.UID != "u1" || !*owner.BlockOwnerDeletion {
		t.Errorf("owner %+v", owner)
	}
}

// TestWhere: a Machine's failure domain is obeyed, and comes before any spread; workers are not spread by the control planes' rule.
func TestWhere(t *testing.T) {
	o := complete()
	o.Owner.Spec.FailureDomain = "r2"
	if c := ingotmachine.Decide(o).Create; c.Spec.Spread != nil || c.Spec.FailureDomain == nil || *c.Spec.FailureDomain != (metal.FailureDomain{Key: "rack", Name: "r2"}) {
		t.Errorf("%+v", c.Spec)
	}
	o.Infra = nil
	if c := ingotmachine.Decide(o).Create; c.Spec.FailureDomain.Key != "topology.kubernetes.io/zone" {
		t.Errorf("%+v", c.Spec)
	}
	worker := complete()
	worker.Owner.Labels = map[string]string{clusterv1.MachineDeploymentNameLabel: "md"}
	if c := ingotmachine.Decide(worker).Create; c.Spec.Spread != nil || c.Spec.FailureDomain != nil || c.Labels[metal.ClusterRoleLabel] != metal.RoleWorker || c.Labels[metal.DeploymentLabel] != "md" {
		t.Errorf("%+v %+v", c.Spec, c.Labels)
	}
}

// TestWaitsFor: what is missing is named, and nothing is made. The control is TestClaimOfAMachine.
func TestWaitsFor(t *testing.T) {
	for reason, c := range map[string]struct {
		change func(*ingotmachine.Observation)
		names  string
	}{
		reasons.MachineMissing:        {func(o *ingotmachine.Observation) { o.Owner = nil }, "cp-1"},
		reasons.ClusterMissing:        {func(o *ingotmachine.Observation) { o.Cluster = nil }, "c1"},
		reasons.ClusterNotProvisioned: {func(o *ingotmachine.Observation) { o.Cluster.Status.Initialization.InfrastructureProvisioned = nil }, "c1"},
		reasons.BootstrapDataMissing:  {func(o *ingotmachine.Observation) { o.Owner.Spec.Bootstrap.DataSecretName = nil }, "m1"},
		reasons.ClaimMissing:          {func(o *ingotmachine.Observation) { o.Machine.Spec.ProviderID = "ingot://s1" }, "ingot://s1"},
	} {
		o := complete()
		c.change(o)
		p := ingotmachine.Decide(o)
		if p.Create != nil || p.Delete || p.LetGo || p.Ready.Status != metav1.ConditionFalse || p.Ready.Reason != reason || !strings.Contains(p.Ready.Message, c.names) {
			t.Errorf("%s: %+v", reason, p)
		}
	}
}

// TestFollows: providerID and addresses come with the binding; provisioned comes with the proof that this binding's system is installed, and stays.
func TestFollows(t *testing.T) {
	o := claimed()
	p := ingotmachine.Decide(o)
	if p.Create != nil || p.Adopt || p.ProviderID != "ingot://s1" || p.Status.Server != "s1" || p.Status.FailureDomain != "r7" || p.Status.Initialization.Provisioned != nil {
		t.Errorf("%+v", p)
	}
	if a := p.Status.Addresses; len(a) != 2 || a[0] != (infra.MachineAddress{Type: "InternalIP", Address: "192.0.2.7"}) || p.Ready.Reason != reasons.Provisioning {
		t.Errorf("%+v", p)
	}
	o.Server.Spec.Record.Installed = &metal.InstalledRecord{BindingID: "b0"}
	if p := ingotmachine.Decide(o); p.Status.Initialization.Provisioned != nil {
		t.Error("what another binding installed counts")
	}
	o.Server.Spec.Record.Installed.BindingID = "b1"
	says(o.Claim, metav1.ConditionFalse, reasons.Installed)
	p = ingotmachine.Decide(o)
	if p.Status.Initialization.Provisioned == nil || !*p.Status.Initialization.Provisioned || p.Ready.Status != metav1.ConditionTrue {
		t.Errorf("installed: %+v", p)
	}
	o.Machine.Status, o.Server = p.Status, nil
	says(o.Claim, metav1.ConditionFalse, reasons.WorkloadSilent)
	if p := ingotmachine.Decide(o); p.Status.Initialization.Provisioned == nil || p.Ready.Status != metav1.ConditionFalse || p.Status.FailureDomain != "r7" {
		t.Errorf("silent, and the server is not seen: %+v", p)
	}
}

// TestWhoseClaim: a claim of the same name is ours by its owner's kind and name; another UID, after a move or a restore, is made good.
func TestWhoseClaim(t *testing.T) {
	o := claimed()
	o.Machine.UID = "u2"
	if p := ingotmachine.Decide(o); !p.Adopt || p.ProviderID == "" {
		t.Errorf("%+v", p)
	}
	for name, change := range map[string]func(*metav1.OwnerReference){
		"another machine's": func(r *metav1.OwnerReference) { r.Name = "cp-2" },
		"another kind's":    func(r *metav1.OwnerReference) { r.Kind = "IngotCluster" },
		"another group's":   func(r *metav1.OwnerReference) { r.APIVersion = "example.org/v1" },
		"nobody's":          func(r *metav1.OwnerReference) { r.Controller = nil },
	} {
		o := claimed()
		change(&o.Claim.OwnerReferences[0])
		if p := ingotmachine.Decide(o); p.Adopt || p.Delete || p.ProviderID != "" || p.Ready.Reason != reasons.ClaimNotOurs {
			t.Errorf("%s: %+v", name, p)
		}
		if p := ingotmachine.Decide(deleted(o)); p.Delete || !p.LetGo {
			t.Errorf("%s, deleted: %+v", name, p)
		}
	}
}

// TestEnds: a deleted machine deletes its claim and waits for it, whatever else is missing, and says what it waits for.
func TestEnds(t *testing.T) {
	for name, change := range map[string]func(*ingotmachine.Observation){
		"everything is there": func(*ingotmachine.Observation) {},
		"no Machine":          func(o *ingotmachine.Observation) { o.Owner = nil },
		"no bootstrap data":   func(o *ingotmachine.Observation) { o.Owner.Spec.Bootstrap.DataSecretName = nil },
		"no infrastructure": func(o *ingotmachine.Observation) {
			o.Infra, o.Cluster.Status.Initialization.InfrastructureProvisioned = nil, nil
		},
		"no Cluster": func(o *ingotmachine.Observation) { o.Cluster = nil },
		"no Server":  func(o *ingotmachine.Observation) { o.Server = nil },
	} {
		o := deleted(claimed())
		change(o)
		if p := ingotmachine.Decide(o); !p.Delete || p.LetGo || p.Hold || p.Ready.Reason != reasons.Releasing {
			t.Errorf("%s: %+v", name, p)
		}
		o.Claim.DeletionTimestamp = &metav1.Time{Time: time.Unix(2, 0)}
		says(o.Claim, metav1.ConditionFalse, reasons.FencingUnconfirmed)
		want := reasons.FencingUnconfirmed
		if o.Cluster == nil {
			want = reasons.ReleasePaused
		}
		if p := ingotmachine.Decide(o); p.Delete || p.LetGo || p.Ready.Reason != want || p.Ready.Status != metav1.ConditionFalse || p.Ready.Message == "" {
			t.Errorf("%s, while it is released: %+v", name, p)
		}
		o.Claim = nil
		if p := ingotmachine.Decide(o); !p.LetGo || p.Create != nil {
			t.Errorf("%s, in the end: %+v", name, p)
		}
	}
	if p := ingotmachine.Decide(deleted(complete())); !p.LetGo || p.Create != nil {
		t.Errorf("one that never had a claim: %+v", p)
	}
}

// TestSomebodyDeletedTheClaim: the machine does not claim to be well, and does not take another server once it is gone.
func TestSomebodyDeletedTheClaim(t *testing.T) {
	o := claimed()
	says(o.Claim, metav1.ConditionTrue, reasons.Running)
	if p := ingotmachine.Decide(o); p.Ready.Status != metav1.ConditionTrue {
		t.Fatalf("control: %+v", p)
	}
	o.Claim.DeletionTimestamp = &metav1.Time{Time: time.Unix(2, 0)}
	if p := ingotmachine.Decide(o); p.Ready.Status != metav1.ConditionFalse || p.Ready.Reason != reasons.Releasing {
		t.Errorf("%+v", p)
	}
	o.Machine.Spec.ProviderID, o.Claim = "ingot://s1", nil
	if p := ingotmachine.Decide(o); p.Create != nil || p.Ready.Reason != reasons.ClaimMissing {
		t.Errorf("%+v", p)
	}
}

// TestHeld: what is paused or moved is left as it is, also while it is deleted. The controls are the tests above.
func TestHeld(t *testing.T) {
	for name, hold := range map[string]func(*ingotmachine.Observation){
		"the Cluster is paused": func(o *ingotmachine.Observation) { o.Cluster.Spec.Paused = ptr(true) },
		"the machine is paused": func(o *ingotmachine.Observation) {
			o.Machine.Annotations = map[string]string{"cluster.x-k8s.io/paused": ""}
		},
		"clusterctl takes it along": func(o *ingotmachine.Observation) {
			deleted(o).Machine.Annotations = map[string]string{metal.MoveAnnotation: ""}
		},
	} {
		for what, o := range map[string]*ingotmachine.Observation{"new": complete(), "running": claimed(), "deleted": deleted(claimed()), "gone": deleted(complete())} {
			hold(o)
			p := ingotmachine.Decide(o)
			if p.Paused == "" || p.Hold || p.LetGo || p.Create != nil || p.Adopt || p.Delete || p.ProviderID != "" || p.Ready.Reason != "" {
				t.Errorf("%s, %s: %+v", what, name, p)
			}
		}
	}
}
