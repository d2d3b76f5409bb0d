package ingotmachine

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/clusterapi"
)

// Observation is what one decision rests on. It is only read.
type Observation struct {
	Machine *infra.IngotMachine
	// Owner is the Machine that owns it; nil when it names none, or that one is gone.
	Owner *clusterv1.Machine
	// ClusterName is what the Machine or its labels say; Cluster and Infra are nil when they are not there.
	ClusterName string
	Cluster     *clusterv1.Cluster
	Infra       *infra.IngotCluster
	// Claim is the ServerClaim of its name; nil only when the API server itself has none.
	Claim *metal.ServerClaim
	// Server that the claim is bound to; nil when it is bound to none, or the cache does not show it yet.
	Server *metal.Server
}

// Plan is what is to be done, in the order of its fields, but for a finalizer that goes last.
type Plan struct {
	// Hold adds the finalizer; LetGo takes it off.
	Hold, LetGo bool
	// ProviderID to be written; empty leaves it.
	ProviderID string
	// Create a claim; Adopt, or Delete, the one that is there.
	Create        *metal.ServerClaim
	Adopt, Delete bool
	// Mark tells the claim whether its Cluster is paused, as Pauses says: a move may be under way.
	Mark, Pauses bool
	// Paused is why nothing is done; but for Mark all else is empty then, and the status stays but for that.
	Paused string
	// Ready says how the machine fares.
	Ready clusterapi.Condition
	// Status without conditions.
	Status infra.IngotMachineStatus
}

// Decide says what is to be done for a machine. It is pure, total and deterministic.
func Decide(o *Observation) Plan {
	p := Plan{Status: *o.Machine.Status.DeepCopy()}
	mark(o, &p)
	if p.Paused = clusterapi.Held(o.Cluster, o.Machine); p.Paused != "" {
		return p
	}
	p.Status.ObservedGeneration = o.Machine.Generation
	switch {
	case !o.Machine.DeletionTimestamp.IsZero():
		end(o, &p)
	case o.Claim != nil:
		p.Hold = true
		follow(o, &p)
	default:
		begin(o, &p)
	}
	return p
}

// mark tells the claim whether its Cluster is paused, and takes off what a clusterctl that died put there. What clusterctl deletes after a move is told nothing.
func mark(o *Observation, p *Plan) {
	if o.Claim == nil || o.Cluster == nil || !o.Claim.DeletionTimestamp.IsZero() || !ours(o) {
		return
	}
	_, told := o.Claim.Annotations[metal.ClusterPausedAnnotation]
	p.Pauses = o.Cluster.Spec.Paused != nil && *o.Cluster.Spec.Paused
	_, stale := o.Claim.Annotations[metal.MoveAnnotation]
	p.Mark = told != p.Pauses || stale && !p.Pauses
}

// end gives the server back by deleting the claim, and waits until that is gone, whatever else is missing. A claim goes only when its machine is proven off.
func end(o *Observation, p *Plan) {
	switch {
	case o.Claim == nil || !ours(o):
		p.LetGo = true // and nobody reads its status any more
	case o.Claim.DeletionTimestamp.IsZero():
		p.Delete = true
		p.Ready = clusterapi.No(reasons.Releasing, "The ServerClaim "+o.Claim.Name+" is being deleted: its server is shut down first.")
	case o.Cluster == nil && o.ClusterName != "":
		p.Ready = clusterapi.No(reasons.ReleasePaused, "The Cluster "+o.ClusterName+" does not exist here, so its servers are not released. If it is gone for good: `kubectl label serverclaim "+
			o.Claim.Name+" -n "+o.Claim.Namespace+" "+clusterv1.ClusterNameLabel+"-`.")
	default:
		p.Ready = stillThere(o.Claim, "Waiting until the ServerClaim "+o.Claim.Name+" is gone: ")
	}
}

// stillThere says how the release of a claim fares, by its own words.
func stillThere(claim *metal.ServerClaim, lead string) clusterapi.Condition {
	if c := meta.FindStatusCondition(claim.Status.Conditions, reasons.Ready); c != nil && c.Status != metav1.ConditionTrue {
		return clusterapi.No(c.Reason, lead+c.Message)
	}
	return clusterapi.No(reasons.Releasing, lead+"its server is given back.")
}

// begin makes the claim once everything that it is made of is there.
func begin(o *Observation, p *Plan) {
	if p.Ready = missing(o); p.Ready.Reason != "" {
		return
	}
	p.Hold, p.Create = true, claimFor(o)
	p.Ready = clusterapi.No(reasons.Claiming, "The ServerClaim "+p.Create.Name+" is made; it has no answer yet.")
}

// missing says what is waited for before there can be a claim; the zero condition when nothing is missing.
func missing(o *Observation) clusterapi.Condition {
	switch {
	case o.Machine.Spec.ProviderID != "":
		return clusterapi.No(reasons.ClaimMissing, "The ServerClaim "+o.Machine.Name+" is gone, and with it the machine "+o.Machine.Spec.ProviderID+
			". No other server takes its place. Waiting for the Machine to be deleted.")
	case o.Owner == nil:
		return clusterapi.No(reasons.MachineMissing, "Waiting for a Machine that owns it: one whose infrastructureRef names "+o.Machine.Name+".")
	case o.Cluster == nil:
		return clusterapi.No(reasons.ClusterMissing, "Waiting for the Cluster "+o.ClusterName+", which does not exist here.")
	case o.Cluster.Status.Initialization.InfrastructureProvisioned == nil || !*o.Cluster.Status.Initialization.InfrastructureProvisioned:
		return clusterapi.No(reasons.ClusterNotProvisioned, "Waiting for the infrastructure of the Cluster "+o.Cluster.Name+": see its condition InfrastructureReady.")
	case o.Owner.Spec.Bootstrap.DataSecretName == nil || *o.Owner.Spec.Bootstrap.DataSecretName == "":
		return clusterapi.No(reasons.BootstrapDataMissing, "Waiting for the machine config: spec.bootstrap.dataSecretName of the Machine "+o.Owner.Name+", which its bootstrap provider sets.")
	}
	return clusterapi.Condition{}
}

// follow shows how the server of the claim fares.
func follow(o *Observation, p *Plan) {
	claim := o.Claim
	if !ours(o) {
		p.Ready = clusterapi.No(reasons.ClaimNotOurs, "The ServerClaim "+claim.Name+" exists and belongs to somebody else. Waiting for a person: delete it, or this Machine.")
		return
	}
	p.Adopt = metav1.GetControllerOf(claim).UID != o.Machine.UID
	p.Ready = readiness(claim)
	b := claim.Spec.Binding
	if b == nil {
		return
	}
	p.ProviderID = infra.ProviderIDPrefix + b.Server
	p.Status.Server, p.Status.Addresses = b.Server, addresses(claim.Status.Addresses)
	if s := o.Server; s != nil {
		p.Status.FailureDomain = s.Labels[o.Infra.DomainKey()]
		if installed(s, b) {
			yes := true
			p.Status.Initialization.Provisioned = &yes
		}
	}
}

// installed says that the workload of a binding proved that it is installed. It is read in the record: conditions may be lost.
func installed(s *metal.Server, b *metal.Binding) bool {
	r := s.Spec.Record
	return r != nil && r.Claim != nil && r.Claim.BindingID == b.BindingID && r.Installed != nil && r.Installed.BindingID == b.BindingID
}

// readiness of a machine is that of its claim. An installed system is all that is asked of infrastructure: a control plane runs only once its provider began etcd.
func readiness(claim *metal.ServerClaim) clusterapi.Condition {
	c := meta.FindStatusCondition(claim.Status.Conditions, reasons.Ready)
	switch {
	case !claim.DeletionTimestamp.IsZero():
		return stillThere(claim, "Somebody deleted the ServerClaim "+claim.Name+", so its server is given back: ")
	case c == nil:
		return clusterapi.No(reasons.Claiming, "The ServerClaim "+claim.Name+" has no answer yet.")
	case c.Status == metav1.ConditionTrue, c.Reason == reasons.Installed:
		return clusterapi.Yes(c.Reason, c.Message)
	}
	return clusterapi.No(c.Reason, c.Message)
}

func addresses(all []string) []infra.MachineAddress {
	var out []infra.MachineAddress
	for _, a := range all {
		out = append(out, infra.MachineAddress{Type: string(clusterv1.MachineInternalIP), Address: a})
	}
	return out
}

// ours says that the claim belongs to the machine, by name: UIDs do not survive a move or a backup.
func ours(o *Observation) bool {
	c := metav1.GetControllerOf(o.Claim)
	return c != nil && c.APIVersion == infra.GroupVersion.String() && c.Kind == Kind && c.Name == o.Machine.Name
}

// carried are the labels that a claim takes over from its machine: whose it is, and whom it is spread among.
var carried = []string{clusterv1.MachineControlPlaneLabel, clusterv1.MachineDeploymentNameLabel, clusterv1.MachineSetNameLabel, clusterv1.MachineControlPlaneNameLabel}

// claimFor is the claim of a machine.
func claimFor(o *Observation) *metal.ServerClaim {
	m := o.Machine
	c := &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, Labels: labels(o), OwnerReferences: []metav1.OwnerReference{owner(m)}}}
	c.Spec = metal.ServerClaimSpec{
		ClassName: m.Spec.ClassName, ServerName: m.Spec.ServerName, EnvironmentName: m.Spec.EnvironmentName, ConfigSecret: *o.Owner.Spec.Bootstrap.DataSecretName,
		Patches: slices.Clone(m.Spec.Patches), InstallDisk: m.Spec.InstallDisk.DeepCopy(), Reuse: m.Spec.Reuse,
	}
	if domain := o.Owner.Spec.FailureDomain; domain != "" {
		c.Spec.FailureDomain = &metal.FailureDomain{Key: o.Infra.DomainKey(), Name: domain}
	} else if o.Infra != nil && controlPlane(o) {
		c.Spec.Spread = o.Infra.Spec.ControlPlaneSpread.DeepCopy()
	}
	return c
}

func owner(m *infra.IngotMachine) metav1.OwnerReference {
	return *metav1.NewControllerRef(m, infra.GroupVersion.WithKind(Kind))
}

func labels(o *Observation) map[string]string {
	out := map[string]string{clusterv1.ClusterNameLabel: o.ClusterName, metal.ClusterRoleLabel: metal.RoleWorker}
	if controlPlane(o) {
		out[metal.ClusterRoleLabel] = metal.RoleControlPlane
	}
	for _, key := range carried {
		if value, ok := o.Owner.Labels[key]; ok {
			out[key] = value
		}
	}
	return out
}

func controlPlane(o *Observation) bool {
	_, ok := o.Owner.Labels[clusterv1.MachineControlPlaneLabel]
	return ok
}
