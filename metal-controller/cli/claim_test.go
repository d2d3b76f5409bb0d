package cli

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// create makes an object that goes with the test.
func create[T client.Object](t *testing.T, o T) T {
	t.Helper()
	if err := admin(t).Create(t.Context(), o); err != nil && client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin(t).Delete(context.Background(), o) })
	return o
}

// team is a namespace with a label, and what may be claimed from it.
func team(t *testing.T) {
	t.Helper()
	// It stays: a namespace that is being deleted cannot be made again.
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team", Labels: map[string]string{"tier": "gold"}}}
	if err := admin(t).Create(t.Context(), ns); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"os-a", "os-b"} {
		digest := strings.Repeat("0", 64)
		create(t, &metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{{
			Arch: "amd64", Kernel: &metal.Asset{URL: "http://192.0.2.1/k", SHA256: digest}, Initramfs: &metal.Asset{URL: "http://192.0.2.1/i", SHA256: digest},
		}}}})
	}
	create(t, class("small", &metal.NamespaceSelection{All: true}, "os-a", "os-*"))
}

func class(name string, who *metal.NamespaceSelection, environment string, allowed ...string) *metal.ServerClass {
	c := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerClassSpec{AllowedNamespaces: who, AllowedEnvironments: allowed}}
	if environment != "" {
		c.Spec.EnvironmentRef = &metal.NameRef{Name: environment}
	}
	return c
}

func onDisk(t *testing.T, name, content string) string {
	t.Helper()
	return file(t, name, []byte(content))
}

// fetchClaim is the claim as it is; nil when there is none.
func fetchClaim(t *testing.T, name string) *metal.ServerClaim {
	t.Helper()
	c := &metal.ServerClaim{}
	if err := admin(t).Get(t.Context(), client.ObjectKey{Namespace: "team", Name: name}, c); err != nil {
		return nil
	}
	t.Cleanup(func() { _ = admin(t).Delete(context.Background(), c) })
	return c
}

const marker = "SECRET-OF-THE-CONFIG"

func TestClaimMakesClaimAndSecret(t *testing.T) {
	team(t)
	config, patch := onDisk(t, "config.yaml", "secret: "+marker+"\n"), onDisk(t, "patch.yaml", "machine:\n  hostname: a\n---\ncluster: {}\n")
	args := []string{"claim", "w-1", "-n", "team", "--class", "small", "--config", config, "--patch", patch, "--environment", "os-b"}
	r := run(t, append(args, "--dry-run")...)
	r.want(t, CodeOK, "claim/w-1 in team would take a server of class small for os-b", "dry run")
	if fetchClaim(t, "w-1") != nil {
		t.Fatal("a dry run made the claim")
	}
	r = run(t, args...)
	r.want(t, CodeOK, "claim/w-1 in team takes", "secret/w-1-config", "ingot why claim/w-1 -n team", "no server of class small is Available now")
	if strings.Contains(r.out+r.err, marker) {
		t.Error("the machine config is shown")
	}
	c := fetchClaim(t, "w-1")
	if c == nil || c.Spec.ClassName != "small" || c.Spec.EnvironmentName != "os-b" || c.Spec.ConfigSecret != "w-1-config" || len(c.Spec.Patches) != 1 || !strings.Contains(c.Spec.Patches[0], "hostname: a") {
		t.Fatalf("claim %+v", c)
	}
	s := &corev1.Secret{}
	if err := admin(t).Get(t.Context(), client.ObjectKey{Namespace: "team", Name: "w-1-config"}, s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin(t).Delete(context.Background(), s) })
	if o := s.OwnerReferences; len(o) != 1 || o[0].UID != c.UID || o[0].Kind != "ServerClaim" || string(s.Data["value"]) != "secret: "+marker+"\n" {
		t.Errorf("owners %+v, keys %d", o, len(s.Data))
	}
	run(t, "claim", "w-1", "-n", "team", "--class", "small").want(t, CodeRefused, "exists already", "ingot why claim/w-1 -n team")
	run(t, "claim", "w-2", "-n", "team", "--class", "small", "--config-secret", "w-1-config").want(t, CodeOK, "claim/w-2 in team takes") // control
	if c := fetchClaim(t, "w-2"); c == nil || c.Spec.ConfigSecret != "w-1-config" {
		t.Errorf("claim %+v", c)
	}
}

// TestClaimRefusesWhatCannotBe: each with the next step, and nothing is made.
func TestClaimRefusesWhatCannotBe(t *testing.T) {
	team(t)
	create(t, class("nobody", nil, "os-a"))
	create(t, class("named", &metal.NamespaceSelection{Names: []string{"other", "third"}}, "os-a"))
	create(t, class("silver", &metal.NamespaceSelection{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "silver"}}}, "os-a"))
	create(t, class("gold", &metal.NamespaceSelection{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "gold"}}}, "os-a"))
	create(t, class("bootless", &metal.NamespaceSelection{All: true}, ""))
	create(t, class("lost", &metal.NamespaceSelection{All: true}, "os-gone"))
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "w-9-config", Namespace: "team"}, Data: map[string][]byte{"other": []byte("x")}})
	rackServer(t, "claim-srv", func(s *metal.Server) { s.Spec.EnvironmentRef = &metal.NameRef{Name: "os-b"} })
	config := onDisk(t, "c.yaml", "a: b")
	for line, want := range map[string]string{
		"--class none":                                   "`ingot get classes`",
		"--class small -n nowhere":                       "kubectl create namespace nowhere",
		"--class small --server none":                    "`ingot get servers`",
		"--class small --environment none":               "`ingot get environments`",
		"--class small --environment os-zz":              "`ingot get environments`",
		"--class nobody":                                 "lets no namespace",
		"--class named":                                  "lets only other, third",
		"--class silver":                                 "tier=silver",
		"--class gold --environment os-b":                "it allows os-a",
		"--class gold --server claim-srv":                "does not allow the Environment os-b",
		"--class bootless":                               "spec.environmentRef",
		"--class bootless --environment os-a":            "and no other",
		"--class lost":                                   `boots the Environment "os-gone"`,
		"--class small --config-secret none":             "kubectl create secret generic none -n team --from-file=value=FILE",
		"--class small --config-secret w-9-config":       `no key "value"`,
		"--class small --config " + config:               "--config-secret w-9-config",
		"--class small --environment os-b --server none": "`ingot get servers`",
	} {
		run(t, strings.Fields("claim w-9 -n team "+line)...).want(t, CodeRefused, want)
	}
	if fetchClaim(t, "w-9") != nil {
		t.Fatal("a refused claim was made")
	}
	run(t, strings.Fields("claim w-9 -n team --class gold")...).want(t, CodeOK, "takes a server of class gold") // control
	if fetchClaim(t, "w-9") == nil {
		t.Error("the control was not made")
	}
	run(t, strings.Fields("claim w-10 -n team --class small --server claim-srv --dry-run")...).want(t, CodeOK, "claim-srv is not accepted", "ingot accept claim-srv --dry-run")
}

// TestClaimFiles: mistakes in the command line and in files, which are never repeated.
func TestClaimFiles(t *testing.T) {
	empty, large := onDisk(t, "empty", " \n"), onDisk(t, "large", strings.Repeat("a", maxConfig+1))
	scalar, list := onDisk(t, "scalar", "password "+marker), onDisk(t, "list", "- "+marker)
	broken, long := onDisk(t, "broken", "a: {"+marker), onDisk(t, "long", "a: "+strings.Repeat("b", maxPatch))
	for line, want := range map[string]string{
		"x":   "--class",
		"":    "needs NAME",
		"x y": "takes NAME --class CLASS alone",
		"x --class c --config a --config-secret b":            "say one of them",
		"x --class c --config /nonexistent":                   "/nonexistent",
		"x --class c --config " + empty:                       "is empty",
		"x --class c --config " + large:                       "larger than 1024 KiB",
		"x --class c --patch " + scalar:                       "YAML maps",
		"x --class c --patch " + list:                         "YAML maps",
		"x --class c --patch " + broken:                       "YAML maps",
		"x --class c --patch " + empty:                        "YAML maps",
		"x --class c --patch " + long:                         "larger than 64 KiB",
		"x --class c" + strings.Repeat(" --patch "+empty, 33): "at most 32 patches",
	} {
		r := run(t, strings.Fields("claim "+line)...)
		r.want(t, CodeUsage, want)
		if strings.Contains(r.out+r.err, marker) {
			t.Errorf("%s: what is in a file is shown:\n%s", line, r.err)
		}
	}
	if !isPatch([]byte("a: b\n")) || !isPatch([]byte("a: b\n---\nc: {$patch: delete}\n")) { // control
		t.Error("a patch is none")
	}
}

// claimStatus writes what the claim reconciler writes.
func claimStatus(t *testing.T, name, server string, status metav1.ConditionStatus, reason, message string, unfit ...metal.Unfit) {
	c := &metal.ServerClaim{}
	if err := admin(t).Get(t.Context(), client.ObjectKey{Namespace: "team", Name: name}, c); err != nil {
		t.Error(err)
		return
	}
	if server != "" && c.Spec.Binding == nil {
		c.Spec.Binding = &metal.Binding{Server: server, BindingID: "bind-" + name}
		if err := controller(t).Update(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	c.Status.ObservedGeneration, c.Status.Unfit = c.Generation, unfit
	c.Status.Conditions = []metav1.Condition{{Type: reasons.Ready, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(noon), ObservedGeneration: c.Generation}}
	if err := controller(t).Status().Update(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// awaitClaim waits until the command has made the claim.
func awaitClaim(t *testing.T, name string) {
	eventually(t, "claim "+name, func() bool {
		return admin(t).Get(t.Context(), client.ObjectKey{Namespace: "team", Name: name}, &metal.ServerClaim{}) == nil
	})
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	limit, tick := time.NewTimer(time.Minute), time.NewTicker(20*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !so() {
		select {
		case <-limit.C:
			t.Errorf("waiting for %s took too long", what)
			return
		case <-t.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// TestClaimWaits shows how far it is and ends when it runs, at what needs a person, at its limit, at Ctrl-C and when it is deleted.
func TestClaimWaits(t *testing.T) {
	team(t)
	claimArgs := func(name string, more ...string) []string {
		return append(strings.Fields("claim "+name+" -n team --class small --wait"), more...)
	}
	steps := func(name string, do ...func()) func() {
		return aside(t, func() {
			awaitClaim(t, name)
			for _, step := range do {
				step()
			}
		})
	}
	provisioning := func(name string) func() {
		return func() { claimStatus(t, name, "rack1-01", metav1.ConditionFalse, reasons.Provisioning, "It boots.") }
	}
	wait := steps("wait-1", provisioning("wait-1"), func() {
		claimStatus(t, "wait-1", "", metav1.ConditionTrue, reasons.Running, "It runs.")
	})
	run(t, claimArgs("wait-1", "--timeout", "1m")...).want(t, CodeOK, "claim/wait-1: Bound to rack1-01", "claim/wait-1 is Running on rack1-01")
	wait()
	wait = steps("wait-2", func() {
		claimStatus(t, "wait-2", "", metav1.ConditionFalse, reasons.NoMatchingServer, "No server fits.", metal.Unfit{Reason: reasons.NotReady, Message: "It is wiped.", Count: 12, Servers: []string{"rack1-01", "rack1-02"}})
	})
	run(t, claimArgs("wait-2", "--timeout", "3s")...).want(t, CodeTimeout, "NoMatchingServer: No server fits", "UNFIT", "NotReady  12", "rack1-01, rack1-02 and 10 more", "It is wiped", "ingot why claim/wait-2 -n team")
	wait()
	wait = steps("wait-3", func() {
		claimStatus(t, "wait-3", "", metav1.ConditionFalse, reasons.ConfigInvalid, "Patch 1 does not fit.")
	})
	run(t, claimArgs("wait-3", "--timeout", "1m")...).want(t, CodeError, "waits for a person: ConfigInvalid: Patch 1 does not fit")
	wait()
	interrupted(t, 1, claimArgs("wait-4")...).want(t, CodeInterrupted, "no longer waiting", "Ingot goes on")
	wait = steps("wait-5", provisioning("wait-5"), func() { _ = admin(t).Delete(t.Context(), fetchClaim(t, "wait-5")) })
	run(t, claimArgs("wait-5", "--timeout", "1m")...).want(t, CodeError, "was deleted")
	wait()
	for i := range 5 {
		fetchClaim(t, fmt.Sprintf("wait-%d", i+1)) // cleans up
	}
}

// TestClaimOfATenant: who may only make claims is not kept from it by what may not be read.
func TestClaimOfATenant(t *testing.T) {
	s := sight{}
	wanted := &metal.ServerClaim{Spec: metal.ServerClaimSpec{ClassName: "c"}}
	if got := notes(s); len(got) != 0 {
		t.Errorf("notes of nothing: %v", got)
	}
	s.class = class("c", &metal.NamespaceSelection{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}, "os-a")
	if err := permitted(s, wanted); err != nil {
		t.Errorf("a namespace that cannot be read: %v", err)
	}
	s.namespace = &corev1.Namespace{} // control
	if err := permitted(s, wanted); err == nil {
		t.Error("a namespace without the label")
	}
	s.server = &metal.Server{Spec: metal.ServerSpec{Accepted: true, Cordoned: true, Record: &metal.ServerRecord{Claim: &metal.ClaimRecord{}}}}
	if got := strings.Join(notes(s), "\n"); !strings.Contains(got, "claimed already") || !strings.Contains(got, "cordoned") || strings.Contains(got, "not ready") {
		t.Errorf("notes: %s", got)
	}
}
