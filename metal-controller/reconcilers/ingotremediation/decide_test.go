package ingotremediation_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/reconcilers/ingotremediation"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *metav1.Time {
	t := metav1.NewTime(now.Add(d))
	return &t
}

func ptr[T any](v T) *T { return &v }

// sick is an unhealthy machine with an installed server.
func sick(change func(*ingotremediation.Observation)) *ingotremediation.Observation {
	o := &ingotremediation.Observation{
		Now: now, Installation: "here", NewID: "new", Binding: &metal.Binding{Server: "s1", BindingID: "b1"},
		Remediation: &infra.IngotRemediation{ObjectMeta: metav1.ObjectMeta{Name: "m1", Generation: 3}},
		Machine: &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: "m1", OwnerReferences: []metav1.OwnerReference{{Kind: "MachineSet", Name: "ms", Controller: ptr(true)}}}, Status: clusterv1.MachineStatus{
			Conditions: []metav1.Condition{{Type: clusterv1.MachineHealthCheckSucceededCondition, Status: metav1.ConditionFalse}},
		}},
		Server: &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1"}, Spec: metal.ServerSpec{Accepted: true, BMC: &metal.BMC{Endpoint: "bmc"}, Record: &metal.ServerRecord{
			ManagedBy: &metal.ManagedBy{Installation: "here"}, Claim: &metal.ClaimRecord{BindingID: "b1", BoundAt: at(-time.Hour)}, Installed: &metal.InstalledRecord{BindingID: "b1"},
		}}},
	}
	if change != nil {
		change(o)
	}
	return o
}

// TestNext: what is done first, and who is asked to act when nothing is.
func TestNext(t *testing.T) {
	record := func(o *ingotremediation.Observation) *metal.ServerRecord { return o.Server.Spec.Record }
	thrice := []metal.PowerCycle{{ID: "a", At: *at(-50 * time.Minute)}, {ID: "b", At: *at(-30 * time.Minute)}, {ID: "c", At: *at(-10 * time.Minute)}}
	for name, tc := range map[string]struct {
		change func(*ingotremediation.Observation)
		phase  infra.RemediationPhase
		reason string
	}{
		"a server that may be cycled": {nil, infra.RemediationCycling, reasons.PowerCycling},
		"three cycles, the first long ago": {func(o *ingotremediation.Observation) {
			thrice := append([]metal.PowerCycle(nil), thrice...)
			thrice[0].At = *at(-61 * time.Minute)
			record(o).Power = &metal.PowerRecord{ID: "c", Step: metal.PowerDone, Cycles: thrice}
		}, infra.RemediationCycling, reasons.PowerCycling},
		"three cycles within the hour": {func(o *ingotremediation.Observation) {
			record(o).Power = &metal.PowerRecord{ID: "c", Step: metal.PowerDone, Cycles: thrice}
		}, infra.RemediationReplacing, reasons.PowerCycleLimit},
		"no retries": {func(o *ingotremediation.Observation) {
			o.Remediation.Spec.Strategy = &infra.RemediationStrategy{Retries: ptr(int32(0))}
		}, infra.RemediationReplacing, reasons.StillUnhealthy},
		"no BMC":                 {func(o *ingotremediation.Observation) { o.Server.Spec.BMC = nil }, infra.RemediationReplacing, reasons.NoBMC},
		"no server":              {func(o *ingotremediation.Observation) { o.Server, o.Binding = nil, nil }, infra.RemediationReplacing, reasons.ClaimMissing},
		"another binding":        {func(o *ingotremediation.Observation) { o.Binding.BindingID = "b2" }, infra.RemediationReplacing, reasons.ClaimMissing},
		"nothing installed":      {func(o *ingotremediation.Observation) { record(o).Installed = nil }, infra.RemediationReplacing, reasons.Provisioning},
		"quarantined":            {func(o *ingotremediation.Observation) { record(o).Quarantine = &metal.QuarantineRecord{} }, infra.RemediationReplacing, reasons.Quarantined},
		"not accepted any more":  {func(o *ingotremediation.Observation) { o.Server.Spec.Accepted = false }, infra.RemediationReplacing, reasons.NotAccepted},
		"another installation's": {func(o *ingotremediation.Observation) { record(o).ManagedBy.Installation = "there" }, infra.RemediationWaiting, reasons.UnmanagedHere},
		"given back":             {func(o *ingotremediation.Observation) { record(o).Release = &metal.ReleaseRecord{} }, infra.RemediationWaiting, reasons.Releasing},
		"from a backup": {func(o *ingotremediation.Observation) {
			record(o).Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored}
		}, infra.RemediationWaiting, reasons.Restored},
		"paused": {func(o *ingotremediation.Observation) {
			o.Server.Annotations = map[string]string{"metal.ingot.dev/paused": ""}
		}, infra.RemediationWaiting, reasons.Paused},
		"switched off by a person": {func(o *ingotremediation.Observation) {
			o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "p", Action: metal.PowerActionOff, RequestedAt: *at(-time.Minute)}
			record(o).Power = &metal.PowerRecord{ID: "p", Step: metal.PowerDone}
		}, infra.RemediationWaiting, reasons.AwaitingPower},
		"a person's wish not seen yet": {func(o *ingotremediation.Observation) {
			o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "p", Action: metal.PowerActionOn, RequestedAt: *at(-time.Second)}
		}, infra.RemediationWaiting, reasons.PowerRequestRunning},
		"a boot of Ingot's own":           {func(o *ingotremediation.Observation) { record(o).Boot = &metal.BootRecord{Phase: metal.BootBooting} }, infra.RemediationWaiting, reasons.BootRunning},
		"another control plane's turn":    {func(o *ingotremediation.Observation) { o.Other = "m0" }, infra.RemediationWaiting, reasons.OtherMemberCycles},
		"a Machine that is gone":          {func(o *ingotremediation.Observation) { o.Machine = nil }, "", reasons.MachineMissing},
		"a Machine that is being deleted": {func(o *ingotremediation.Observation) { o.Machine.DeletionTimestamp = at(0) }, "", reasons.Releasing},
	} {
		o := sick(tc.change)
		p := ingotremediation.Decide(o)
		if p.Status.Phase != tc.phase || p.Ready.Reason != tc.reason || p.Ready.Message == "" {
			t.Errorf("%s: %s %+v, want %s %s", name, p.Status.Phase, p.Ready, tc.phase, tc.reason)
		}
		if asks := p.Request != nil; asks != (tc.phase == infra.RemediationCycling) || p.Replace != (tc.phase == infra.RemediationReplacing) {
			t.Errorf("%s: request %+v, replace %v", name, p.Request, p.Replace)
		}
		if q := p.Request; q != nil && (*q != metal.PowerRequest{ID: "new", Action: metal.PowerActionCycle, RequestedAt: *at(0), BindingID: "b1"} || p.Status.Cycles != 1 || p.Status.RequestID != "new") {
			t.Errorf("%s: %+v %+v", name, q, p.Status)
		}
	}
}

// TestCycle: a power cycle that was asked for, until it is over.
func TestCycle(t *testing.T) {
	done := func(step metal.PowerStep) *metal.PowerRecord {
		return &metal.PowerRecord{ID: "r1", Step: step, Cycles: []metal.PowerCycle{{ID: "r1", At: *at(-time.Minute)}}}
	}
	ours := &metal.PowerRequest{ID: "r1", Action: metal.PowerActionCycle, RequestedAt: *at(-time.Minute), BindingID: "b1"}
	for name, tc := range map[string]struct {
		change func(*ingotremediation.Observation)
		phase  infra.RemediationPhase
		cycles int32
		reason string
		asks   bool
	}{
		"never written":        {func(o *ingotremediation.Observation) {}, infra.RemediationCycling, 1, reasons.PowerCycling, true},
		"written":              {func(o *ingotremediation.Observation) { o.Server.Spec.PowerRequest = ours }, infra.RemediationCycling, 1, reasons.PowerCycling, false},
		"on its way":           {func(o *ingotremediation.Observation) { o.Server.Spec.Record.Power = done(metal.PowerSwitchingOn) }, infra.RemediationCycling, 1, reasons.PowerCycling, false},
		"done":                 {func(o *ingotremediation.Observation) { o.Server.Spec.Record.Power = done(metal.PowerDone) }, infra.RemediationWatching, 1, reasons.PowerCycled, false},
		"the BMC did not obey": {func(o *ingotremediation.Observation) { o.Server.Spec.Record.Power = done(metal.PowerFailed) }, infra.RemediationWatching, 1, reasons.PowerCycleFailed, false},
		"a person came after it": {func(o *ingotremediation.Observation) {
			o.Server.Spec.Record.Power = done(metal.PowerDone)
			o.Server.Spec.Record.Power.ID = "p"
		}, infra.RemediationWatching, 1, reasons.PowerCycled, false},
		"a person came before it": {func(o *ingotremediation.Observation) {
			o.Server.Annotations = map[string]string{"metal.ingot.dev/paused": ""}
		}, infra.RemediationWaiting, 0, reasons.PowerCycleFailed, false},
		"dropped, not begun": {func(o *ingotremediation.Observation) {
			o.Server.Spec.Record.Power = &metal.PowerRecord{ID: "r1", Step: metal.PowerFailed}
		}, infra.RemediationWaiting, 0, reasons.PowerCycleFailed, false},
		"too old to be begun":      {func(o *ingotremediation.Observation) { o.Remediation.Status.RequestedAt = at(-11 * time.Minute) }, infra.RemediationWaiting, 0, reasons.PowerCycleFailed, false},
		"another server meanwhile": {func(o *ingotremediation.Observation) { o.Server.Name = "s2" }, infra.RemediationWaiting, 0, reasons.PowerCycleFailed, false},
	} {
		o := sick(nil)
		o.Remediation.Status = infra.IngotRemediationStatus{Phase: infra.RemediationCycling, Cycles: 1, RequestID: "r1", RequestedAt: at(-time.Minute), Server: "s1"}
		tc.change(o)
		p := ingotremediation.Decide(o)
		if p.Status.Phase != tc.phase || p.Status.Cycles != tc.cycles || p.Ready.Reason != tc.reason || (p.Request != nil) != tc.asks || p.Replace {
			t.Errorf("%s: %+v %+v asks %v", name, p.Status, p.Ready, p.Request != nil)
		}
		if p.Request != nil && *p.Request != *ours {
			t.Errorf("%s: another request: %+v", name, p.Request)
		}
	}
}

// TestWatch: what follows a power cycle.
func TestWatch(t *testing.T) {
	for name, tc := range map[string]struct {
		since   time.Duration
		retries int32
		phase   infra.RemediationPhase
		after   time.Duration
	}{
		"time left":            {-10 * time.Second, 1, infra.RemediationWatching, 51 * time.Second},
		"time over":            {-time.Minute, 1, infra.RemediationReplacing, 0},
		"one more":             {-time.Minute, 2, infra.RemediationCycling, 0},
		"a clock was set back": {time.Hour, 1, infra.RemediationReplacing, 0},
	} {
		o := sick(nil)
		o.Remediation.Spec.Strategy = &infra.RemediationStrategy{Retries: &tc.retries, TimeoutSeconds: ptr(int32(60))}
		o.Remediation.Status = infra.IngotRemediationStatus{Phase: infra.RemediationWatching, Cycles: 1, RequestID: "r1", CycledAt: at(tc.since), Server: "s1"}
		if p := ingotremediation.Decide(o); p.Status.Phase != tc.phase || p.After != tc.after {
			t.Errorf("%s: %+v after %s", name, p.Status, p.After)
		}
	}
}

// TestReplace: the Machine is marked once, while it is unhealthy, and whoever holds it holds this too.
func TestReplace(t *testing.T) {
	replacing := func(change func(*ingotremediation.Observation)) ingotremediation.Plan {
		o := sick(change)
		o.Remediation.Status.Phase = infra.RemediationReplacing
		o.Remediation.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: metav1.ConditionFalse, Reason: reasons.NoBMC, Message: "as it was"}}
		return ingotremediation.Decide(o)
	}
	if p := replacing(nil); !p.Replace || p.Ready.Reason != reasons.NoBMC || p.Ready.Message != "as it was" {
		t.Errorf("%+v", p)
	}
	marked := replacing(func(o *ingotremediation.Observation) {
		o.Machine.Status.Conditions = append(o.Machine.Status.Conditions, metav1.Condition{Type: clusterv1.MachineOwnerRemediatedCondition, Status: metav1.ConditionFalse})
	})
	healthy := replacing(func(o *ingotremediation.Observation) { o.Machine.Status.Conditions[0].Status = metav1.ConditionTrue })
	if marked.Replace || healthy.Replace {
		t.Errorf("marked again: %v, though healthy: %v", marked.Replace, healthy.Replace)
	}
	for name, change := range map[string]func(*ingotremediation.Observation){
		"the Cluster": func(o *ingotremediation.Observation) {
			o.Cluster = &clusterv1.Cluster{Spec: clusterv1.ClusterSpec{Paused: ptr(true)}}
		},
		"the Machine": func(o *ingotremediation.Observation) {
			o.Machine.Annotations = map[string]string{clusterv1.PausedAnnotation: ""}
		},
		"itself": func(o *ingotremediation.Observation) {
			o.Remediation.Annotations = map[string]string{clusterv1.PausedAnnotation: ""}
		},
	} {
		if p := replacing(change); p.Paused == "" || p.Replace || p.Request != nil {
			t.Errorf("%s is paused: %+v", name, p)
		}
	}
	nobody := sick(func(o *ingotremediation.Observation) { o.Machine.OwnerReferences, o.Server.Spec.BMC = nil, nil })
	if p := ingotremediation.Decide(nobody); p.Ready.Message != "The server declares no BMC, so nothing can cycle it. No controller owns the Machine, so a person has to delete it." {
		t.Errorf("%+v", p.Ready)
	}
}
