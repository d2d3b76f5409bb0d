package cli

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func with(conditions ...metav1.Condition) func(*metal.Server) {
	return func(s *metal.Server) {
		for i := range conditions {
			conditions[i].LastTransitionTime = metav1.NewTime(noon)
		}
		s.Status.Conditions = conditions
	}
}

func TestWhyShowsTheDisksThatWait(t *testing.T) {
	diskServer(t, "why-disks", func(s *metal.Server) {
		s.Spec.Accepted = true
		with(metav1.Condition{Type: reasons.Clean, Status: metav1.ConditionFalse, Reason: reasons.DataNeedsConfirmation, Message: "These disks hold data."})(s)
	}, nvme, sata, shared)
	run(t, "why", "why-disks").want(t, CodeOK, "VERDICT", "its own; holds data that nobody confirmed", "blocks: shared with s2", "ingot accept why-disks --wipe-data")

	diskServer(t, "why-clean", func(s *metal.Server) {
		s.Spec.Accepted = true
		with(metav1.Condition{Type: reasons.Clean, Status: metav1.ConditionTrue, Reason: reasons.Wiped})(s)
	}, nvme)
	if r := run(t, "why", "why-clean"); strings.Contains(r.out, "VERDICT") || strings.Contains(r.out, "Next:  ") { // the control: nothing waits
		t.Errorf("%s", r.out)
	}
}

func TestWhyShowsTheWipe(t *testing.T) {
	at := metav1.NewTime(noon)
	wiping := func(s *metal.Server) {
		s.Spec.Accepted = true
		s.Spec.Record = &metal.ServerRecord{Wipe: &metal.WipeRecord{ID: "w", Level: metal.WipeClear, GrantedAt: at, Generation: 2, BootID: "b"}}
		s.Status.Wipe = &metal.WipeStatus{ID: "w", Generation: 2, UpdatedAt: at, Disks: []metal.DiskProgress{{Serial: "NV1", Phase: "Discard", Percent: 40, ETASeconds: 90}, {Serial: "SA1", Phase: "Verify"}}}
	}
	diskServer(t, "why-wipe", wiping, nvme)
	run(t, "why", "why-wipe").want(t, CodeOK, "Wiping:       NV1 Discard 40%, about 90s left (told 0s ago)", "SA1 Verify")
	diskServer(t, "why-old-wipe", func(s *metal.Server) {
		wiping(s)
		s.Status.Wipe.Generation = 1 // of the boot before
	}, nvme)
	if r := run(t, "why", "why-old-wipe"); strings.Contains(r.out, "Wiping") {
		t.Errorf("an old progress is shown:\n%s", r.out)
	}
}

func TestWhyNamesTheNextSteps(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*metal.Server)
		want   string
	}{
		"why-next-1": {with(metav1.Condition{Type: reasons.Ready, Status: metav1.ConditionFalse, Reason: reasons.NotAccepted}), "ingot accept why-next-1 --dry-run"},
		"why-next-2": {with(metav1.Condition{Type: reasons.Clean, Status: metav1.ConditionFalse, Reason: reasons.DisksBlocked}), "--ignore-disk SERIAL"},
		"why-next-3": {with(metav1.Condition{Type: reasons.BootExpected, Status: metav1.ConditionFalse, Reason: reasons.BootNotHonored}), "ingot power cycle why-next-3"},
		"why-next-4": {func(s *metal.Server) { s.Annotations = map[string]string{pausedAnnotation: "true"} }, "ingot resume why-next-4"},
		"why-next-5": {func(s *metal.Server) { s.Spec.Cordoned = true }, "ingot uncordon why-next-5"},
		"why-next-6": {func(s *metal.Server) {
			s.Spec.Record = &metal.ServerRecord{Quarantine: &metal.QuarantineRecord{Reason: reasons.WipeFailed, At: metav1.NewTime(noon)}}
		}, "ingot lift why-next-6"},
	} {
		rackServer(t, name, c.change)
		run(t, "why", name).want(t, CodeOK, "Next:         ingot ", c.want)
	}
}

// TestWhyOfAClaim: one that waits shows every group of servers that it cannot have; a bound one its server's story.
func TestWhyOfAClaim(t *testing.T) {
	boundClaim(t, "why-c1", "")
	run(t, "why", "claim/why-c1", "-n", "team").want(t, CodeOK, "claim/why-c1 in team is new", "a server of class small for its default Environment", "Config:       none")
	claimStatus(t, "why-c1", "", metav1.ConditionFalse, reasons.NoMatchingServer, "No server fits.",
		metal.Unfit{Reason: reasons.NotAccepted, Message: "rack1-03 is not accepted.", Count: 1, Servers: []string{"rack1-03"}},
		metal.Unfit{Reason: reasons.RequirementUnmet, Message: "rack1-01 has 8 GiB.", Count: 14, Servers: []string{"rack1-01", "rack1-02"}})
	run(t, "why", "claim/why-c1", "-n", "team").want(t, CodeOK, "waits: No server fits.", "NotAccepted       1      rack1-03", "RequirementUnmet  14     rack1-01, rack1-02 and 12 more", "rack1-01 has 8 GiB", "ingot accept SERVER --dry-run")
	boundServer(t, "why-c2", func(s *metal.Server) {
		s.Spec.Record.Claim.Class, s.Spec.Record.Claim.Environment = "small", "os-a"
		s.Spec.Record.Installed = &metal.InstalledRecord{BootID: "b", At: metav1.NewTime(noon), BindingID: "bind-why-c2", RunningAt: &metav1.Time{Time: noon}}
		with(metav1.Condition{Type: reasons.Provisioned, Status: metav1.ConditionTrue, Reason: reasons.Running})(s)
	})
	boundClaim(t, "why-c2", "why-c2")
	r := run(t, "why", "serverclaim/why-c2", "-n", "team")
	r.want(t, CodeOK, "is bound to why-c2 and ready", "Provisioned  True    Running", "team/why-c2, since 0s, class small, Environment os-a; installed 0s ago, first seen running 0s ago")
	if strings.Contains(r.out, "UNFIT") || strings.Contains(r.out, "Next:  ") {
		t.Errorf("a claim that needs nothing:\n%s", r.out)
	}
	boundClaim(t, "why-c3", "why-lost")
	run(t, "why", "claim/why-c3", "-n", "team").want(t, CodeOK, "no server/why-lost any more")
	run(t, "why", "claim/none", "-n", "team").want(t, CodeError, `no claim "none" in the namespace team`)
	for reason, want := range map[string]string{
		reasons.ConfigMissing: "kubectl create secret generic NAME -n team --from-file=value=FILE",
		reasons.ProofMissing:  "kubectl create secret generic CLUSTER-talosconfig -n team --from-file=talosconfig=FILE", reasons.ClassMissing: "ingot get classes",
		reasons.EnvironmentMissing: "ingot get environments",
	} {
		claimStatus(t, "why-c1", "", metav1.ConditionFalse, reason, "So it is.")
		run(t, "why", "claim/why-c1", "-n", "team").want(t, CodeOK, "Next:         "+want)
	}
	runIn(t, t.Context(), "__complete", "--kubeconfig", testapi.Config(t).Kubeconfig, "why", "-n", "team", "claim/why-c").want(t, CodeOK, "claim/why-c1\n", "claim/why-c3\n")
}

// TestWhyOfAServerThatIsReleased names what a person can do.
func TestWhyOfAServerThatIsReleased(t *testing.T) {
	for name, c := range map[string]struct{ kind, reason, want string }{
		"why-r1": {reasons.Released, reasons.FencingUnconfirmed, "ingot release --server why-r1 --confirm-powered-off"},
		"why-r2": {reasons.Provisioned, reasons.ClaimMissing, "ingot release --server why-r2  #"},
		"why-r3": {reasons.Provisioned, reasons.DiskBootFailed, "ingot console why-r3"},
	} {
		boundServer(t, name, with(metav1.Condition{Type: c.kind, Status: metav1.ConditionFalse, Reason: c.reason, Message: "Why."}))
		run(t, "why", name).want(t, CodeOK, c.kind, c.reason, "Claim:        team/"+name, "Next:         "+c.want)
	}
}

// TestWhyByHand: for a server without a BMC whose system does not boot no command is named that needs one; the control is the same server with a BMC.
func TestWhyByHand(t *testing.T) {
	silent := func(bmc *metal.BMC) func(*metal.Server) {
		return func(s *metal.Server) {
			s.Spec.Accepted, s.Spec.BMC = true, bmc
			s.Spec.Record = &metal.ServerRecord{
				Claim:     &metal.ClaimRecord{Namespace: "prod", Name: "web", BindingID: "b1", At: metav1.NewTime(noon)},
				Installed: &metal.InstalledRecord{BindingID: "b1", BootID: "n1", At: metav1.NewTime(noon)},
			}
			with(metav1.Condition{Type: reasons.Provisioned, Status: metav1.ConditionFalse, Reason: reasons.WorkloadSilent, Message: "It is silent."})(s)
		}
	}
	diskServer(t, "why-hand", silent(nil))
	if r := run(t, "why", "why-hand"); !strings.Contains(r.out, "look at the machine's screen") || !strings.Contains(r.out, "ingot release web -n prod") || strings.Contains(r.out, "ingot console") {
		t.Errorf("%s", r.out)
	}
	diskServer(t, "why-console", silent(&metal.BMC{Endpoint: "192.0.2.1", CredentialsSecret: "x"}))
	if r := run(t, "why", "why-console"); !strings.Contains(r.out, "ingot console why-console") || strings.Contains(r.out, "screen") {
		t.Errorf("%s", r.out)
	}
}

// TestWhyNoAgentImage: the next step for a machine that nobody has an agent image for.
func TestWhyNoAgentImage(t *testing.T) {
	diskServer(t, "why-image", with(metav1.Condition{Type: reasons.Registered, Status: metav1.ConditionFalse, Reason: reasons.AgentImageMissing, Message: "There is no agent image for arm64."}))
	run(t, "why", "why-image").want(t, CodeOK, "no agent image for arm64", "Next:         ingot up --agent-image FOLDER", "why-image goes on by itself")
}
