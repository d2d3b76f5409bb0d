//go:build e2e

package setup_test

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
)

// readyCluster is one whose infrastructure Cluster API took over.
func (w *tenant) readyCluster(name string) *clusterv1.Cluster {
	w.t.Helper()
	cluster, own := w.cluster(name)
	patchOf(w.t, own, `{"spec":{"controlPlaneEndpoint":{"host":"api.example.org","port":6443}}}`)
	w.until("the Cluster took it over", cluster, func() bool {
		i := cluster.Status.Initialization.InfrastructureProvisioned
		return i != nil && *i
	})
	return cluster
}

// set makes a MachineDeployment of machines that have a label of their own beside others.
func (w *tenant) set(cluster, name string, replicas int32, change func(*clusterv1.MachineDeployment)) *clusterv1.MachineDeployment {
	w.t.Helper()
	labels := map[string]string{"set": name}
	d := &clusterv1.MachineDeployment{ObjectMeta: w.meta(name), Spec: clusterv1.MachineDeploymentSpec{ClusterName: cluster, Replicas: &replicas, Selector: metav1.LabelSelector{MatchLabels: labels}}}
	d.Spec.Template = clusterv1.MachineTemplateSpec{ObjectMeta: clusterv1.ObjectMeta{Labels: map[string]string{"set": name}}, Spec: clusterv1.MachineSpec{
		ClusterName: cluster, Bootstrap: clusterv1.Bootstrap{DataSecretName: ptr("config")}, InfrastructureRef: w.ref("IngotMachineTemplate", name),
	}}
	template := &infra.IngotMachineTemplate{ObjectMeta: w.meta(name), Spec: infra.IngotMachineTemplateSpec{
		Template: infra.IngotMachineTemplateResource{Spec: infra.IngotMachineSpec{ClassName: w.ns}},
	}}
	if change != nil {
		change(d)
	}
	w.create(template, d)
	return d
}

// members are the machines of a set that are not being deleted, by name.
func (w *tenant) members(set string) []infra.IngotMachine {
	w.t.Helper()
	var all infra.IngotMachineList
	if err := w.admin.List(w.t.Context(), &all, client.InNamespace(w.ns), client.MatchingLabels{"set": set}); err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(all.Items, func(m infra.IngotMachine) bool { return !m.DeletionTimestamp.IsZero() })
}

// grown waits until a set has a number of machines, and installs those that are new.
func (w *tenant) grown(d *clusterv1.MachineDeployment, n int, known map[string]string) []infra.IngotMachine {
	w.t.Helper()
	var all []infra.IngotMachine
	w.until(fmt.Sprintf("%d machines of %s", n, d.Name), d, func() bool { all = w.members(d.Name); return len(all) == n })
	for i := range all {
		if known[all[i].Name] == "" {
			known[all[i].Name] = w.installs(&all[i]).Name
		}
	}
	return all
}

// health makes a MachineHealthCheck for a set, with our remedy.
func (w *tenant) health(cluster, name, set string, retries, seconds int32) *clusterv1.MachineHealthCheck {
	w.t.Helper()
	template := &infra.IngotRemediationTemplate{ObjectMeta: w.meta(name), Spec: infra.IngotRemediationTemplateSpec{Template: infra.IngotRemediationTemplateResource{
		Spec: infra.IngotRemediationSpec{Strategy: &infra.RemediationStrategy{Retries: &retries, TimeoutSeconds: &seconds}},
	}}}
	check := &clusterv1.MachineHealthCheck{ObjectMeta: w.meta(name), Spec: clusterv1.MachineHealthCheckSpec{ClusterName: cluster, Selector: metav1.LabelSelector{MatchLabels: map[string]string{"set": set}}}}
	check.Spec.Checks.NodeStartupTimeoutSeconds = ptr(int32(0)) // there are no nodes here: a machine is unhealthy when somebody says so
	check.Spec.Remediation.TemplateRef = clusterv1.MachineHealthCheckRemediationTemplateReference{APIVersion: infra.GroupVersion.String(), Kind: "IngotRemediationTemplate", Name: name}
	w.create(template, check)
	return check
}

// unhealthy is what a person, or a program that watches nodes, says of a Machine; Cluster API's MachineHealthCheck acts on it.
func (w *tenant) unhealthy(name string, is bool) {
	w.t.Helper()
	value := "null"
	if is {
		value = `""`
	}
	patchOf(w.t, &clusterv1.Machine{ObjectMeta: w.meta(name)}, `{"metadata":{"annotations":{"`+clusterv1.RemediateMachineAnnotation+`":`+value+`}}}`)
}

// well ends a remediation as Cluster API does for a machine that got well. Its MachineHealthCheck believes that of a Node only, and there is none, so the test takes check and
// remedy away.
func (w *tenant) well(name string, check *clusterv1.MachineHealthCheck) {
	w.t.Helper()
	w.unhealthy(name, false)
	for _, o := range []client.Object{check, &infra.IngotRemediation{ObjectMeta: w.meta(name)}} {
		if err := w.admin.Delete(w.t.Context(), o); err != nil {
			w.t.Fatal(err)
		}
		w.gone(o)
	}
}

// cycles are the power cycles in a BMC's log since a length of it: off, and on after that.
func cycles(log []bmc.PowerState) (n int) {
	for i := 1; i < len(log); i++ {
		if log[i-1] == bmc.Off && log[i] == bmc.On {
			n++
		}
	}
	return n
}

// TestMachineHealthCheck: the real core's MachineHealthCheck asks for a remedy of our kind. A machine whose remedy is over after its server was cycled keeps it; one that
// stays unhealthy is replaced by the real MachineSet after exactly as many cycles as its template says; one without a BMC is replaced at once. The BMCs' logs are the witness,
// and the machine beside them, which nobody calls unhealthy, has an empty one.
func TestMachineHealthCheck(t *testing.T) {
	w := newTenant(t)
	for i := range 5 {
		w.server(fmt.Sprintf("%s-%d", w.ns, i), "r1")
	}
	w.readyCluster("c1")
	d, known := w.set("c1", "md", 2, nil), map[string]string{}
	all := w.grown(d, 2, known)
	sick, well := all[0].Name, all[1].Name
	log := func(machine string) []bmc.PowerState { return w.bmc(known[machine] + ".bmc.example").orders() }
	before, calm := len(log(sick)), len(log(well))

	patient := w.health("c1", "patient", "md", 2, 3600)
	w.unhealthy(sick, true)
	remedy := &infra.IngotRemediation{ObjectMeta: w.meta(sick)}
	w.until("a power cycle", remedy, func() bool { return remedy.Status.Phase == infra.RemediationWatching })
	if got := log(sick)[before:]; cycles(got) != 1 || len(got) != 2 || remedy.Status.Cycles != 1 || reason(remedy.Status.Conditions, "Ready") != reasons.PowerCycled {
		t.Errorf("its BMC got %v, and the remediation says %+v", got, remedy.Status)
	}
	w.well(sick, patient)
	if m := w.members("md"); len(m) != 2 || cycles(log(sick)[before:]) != 1 {
		t.Errorf("a machine that got well was replaced, or cycled again: %v", m)
	}
	w.health("c1", "short", "md", 2, 1)
	before = len(log(sick))
	w.unhealthy(sick, true)
	machine := &clusterv1.Machine{ObjectMeta: w.meta(sick)}
	w.until("the second power cycle", remedy, func() bool { return remedy.Status.Cycles == 2 })
	w.until("the Machine is left to its owner, which deletes it", machine, func() bool { return !machine.DeletionTimestamp.IsZero() })
	if got := log(sick)[before:]; cycles(got) != 2 || len(got) != 4 {
		t.Errorf("before it was replaced its BMC got %v", got)
	}
	w.goesOff(known[sick])
	w.gone(machine)
	delete(known, sick)
	w.grown(d, 2, known)
	if got := log(well)[calm:]; len(got) != 0 {
		t.Errorf("the BMC of a healthy machine got %v", got)
	}
	t.Run("without a BMC it is replaced at once", func(t *testing.T) { w.replacedAtOnce(t, well, known[well]) })
}

// replacedAtOnce takes a server's BMC away before its machine is unhealthy.
func (w *tenant) replacedAtOnce(t *testing.T, name, server string) {
	patchOf(t, &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: server}}, `{"spec":{"bmc":null}}`)
	before := len(w.bmc(server + ".bmc.example").orders())
	w.unhealthy(name, true)
	remedy := &infra.IngotRemediation{ObjectMeta: w.meta(name)}
	w.until("it is left to its owner", remedy, func() bool { return remedy.Status.Phase == infra.RemediationReplacing })
	machine := &clusterv1.Machine{ObjectMeta: w.meta(name)}
	w.until("the Machine is deleted", machine, func() bool { return !machine.DeletionTimestamp.IsZero() })
	if got := w.bmc(server + ".bmc.example").orders()[before:]; len(got) != 0 || remedy.Status.Cycles != 0 || reason(remedy.Status.Conditions, "Ready") != reasons.NoBMC {
		t.Errorf("its BMC got %v, and the remediation says %+v", got, remedy.Status)
	}
	ask := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: server}}
	bound := eventually(t, server, func(s *metal.Server) bool { return s.Spec.Record.Release != nil })
	patchOf(t, ask, fmt.Sprintf(`{"spec":{"releaseRequest":{"id":"r1","bindingID":%q,"confirmPoweredOff":true,"requestedAt":%q}}}`,
		bound.Spec.Record.Release.BindingID, metav1.Now().UTC().Format("2006-01-02T15:04:05Z")))
	w.gone(machine)
}
