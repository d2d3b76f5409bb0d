package setup_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// TestLeaderElection: of two replicas one talks to BMCs, both serve agents and pxe-servers, and the second takes over when the first ends.
func TestLeaderElection(t *testing.T) {
	machines := []*fakeBMC{{}, {}}
	replica := func(i int) func(*setup.Config) {
		return func(c *setup.Config) {
			c.LeaderElection = true
			c.OpenBMC = func(context.Context, bmc.Target) (bmc.Driver, error) { return machines[i], nil }
		}
	}
	first, stop := startUntil(t, replica(0))
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "bmc-elect"}, StringData: map[string]string{"username": "u", "password": "p"}}
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "elect"}, Spec: metal.ServerSpec{
		BMC:          &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: "192.0.2.9", CredentialsSecret: "bmc-elect"},
		PowerRequest: &metal.PowerRequest{ID: "e1", Action: metal.PowerActionOn, RequestedAt: metav1.Now()},
	}}
	create(t, secret, server)
	s := eventually(t, "elect", doneWith("e1"))
	second := start(t, replica(1))
	for _, c := range []*controller{first, second} {
		viewWhere(t, c.Boot, func(v *protocol.View) bool { return target(v, "elect") == "Agent" })
	}
	if got := machines[1].orders(); len(got) != 0 {
		t.Errorf("the replica without leadership ordered %v", got)
	}
	machines[1].set(bmc.On)
	stop()
	s.Spec.PowerRequest = &metal.PowerRequest{ID: "e2", Action: metal.PowerActionOff, RequestedAt: metav1.Now()}
	if err := admin(t).Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	eventually(t, "elect", doneWith("e2"))
	if a, b := machines[0].orders(), machines[1].orders(); !slices.Equal(a, []bmc.PowerState{bmc.On}) || !slices.Equal(b, []bmc.PowerState{bmc.Off}) {
		t.Errorf("the first leader ordered %v, the second %v", a, b)
	}
}

// TestFollowerTellsWhatItSaw: a boot that a replica without leadership was told of shows in status like any other.
func TestFollowerTellsWhatItSaw(t *testing.T) {
	elected := func(c *setup.Config) { c.LeaderElection = true }
	leader := start(t, elected)
	create(t, &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "followed"}})
	eventually(t, "followed", func(s *metal.Server) bool { return s.Status.State != "" }) // control: somebody leads
	follower := start(t, elected)
	for i, c := range []*controller{leader, follower} {
		_, err := c.Boot.Report(t.Context(), &protocol.ReportRequest{Events: []*protocol.BootEvent{{
			BootId: []string{"boot-leader", "boot-follower"}[i], Server: "followed", Firmware: "uefi-pxe", Stages: []*protocol.Stage{{Stage: "Script", AtMicros: 1}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	s := eventually(t, "followed", func(s *metal.Server) bool { return len(s.Status.Boots) == 2 })
	for _, b := range s.Status.Boots {
		if len(b.Stages) != 1 || b.Firmware != "uefi-pxe" {
			t.Errorf("boot %+v", b)
		}
	}
}

// TestReplicasHear: a running system may tell any replica. One without leadership writes down that it heard it, for the leader who judges silence; the leader
// writes nothing.
func TestReplicasHear(t *testing.T) {
	ports := func(c *setup.Config) { c.LeaderElection, c.ConfigListen = true, "127.0.0.1:0" }
	leader := start(t, ports)
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "heard"}}
	create(t, server)
	s := eventually(t, "heard", func(s *metal.Server) bool {
		return s.Status.State != "" && s.Spec.Record != nil && s.Spec.Record.ManagedBy != nil
	})
	before, at := s.DeepCopy(), metav1.Now()
	s.Spec.Record.Claim = &metal.ClaimRecord{Namespace: "default", Name: "heard", BindingID: "bind1", At: at, BoundAt: &at}
	s.Spec.Record.Installed = &metal.InstalledRecord{BootID: "boot1", At: at, BindingID: "bind1", RunningAt: &at, EverySeconds: 10}
	ours, err := client.New(testapi.Config(t).ControllerConfig, client.Options{Scheme: admin(t).Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	if err := ours.Patch(t.Context(), s, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	follower := start(t, ports)
	for _, c := range []*controller{leader, follower} {
		if i := eventually(t, "heard", func(*metal.Server) bool { return true }).Spec.Record.Installed; i.HeardAt != nil {
			t.Errorf("written down before the other replica was told: %v", i.HeardAt)
		}
		if code, text := callPort(t, c, http.MethodPost, linksOf(t, c).SignalURL("heard", "bind1"), `{"phase":"running","everySeconds":10}`); code != http.StatusNoContent {
			t.Fatalf("%d %s", code, text)
		}
	}
	eventually(t, "heard", func(s *metal.Server) bool { return s.Spec.Record.Installed.HeardAt != nil })
}

// doneWith says that a power request was done and read back.
func doneWith(id string) func(*metal.Server) bool {
	return func(s *metal.Server) bool {
		return s.Spec.Record != nil && s.Spec.Record.Power != nil && s.Spec.Record.Power.ID == id && s.Spec.Record.Power.Step == metal.PowerDone &&
			hasReason(s, reasons.PowerReady, reasons.PowerRequestDone)
	}
}

// TestCredentialsMissing: the condition names the Secret, and the request goes on once it is there. The password is shown nowhere.
func TestCredentialsMissing(t *testing.T) {
	machine := &fakeBMC{}
	start(t, func(c *setup.Config) {
		c.OpenBMC = func(context.Context, bmc.Target) (bmc.Driver, error) { return machine, nil }
	})
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "creds"}, Spec: metal.ServerSpec{
		BMC: &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: "192.0.2.9", CredentialsSecret: "bmc-later"},
	}}
	create(t, server)
	s := eventually(t, "creds", func(s *metal.Server) bool { return hasReason(s, reasons.BMCReachable, reasons.CredentialsMissing) })
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "bmc-later"}, StringData: map[string]string{"username": "u", "password": "canary-7731"}})
	before := s.DeepCopy()
	s.Spec.PowerRequest = &metal.PowerRequest{ID: "k1", Action: metal.PowerActionOn, RequestedAt: metav1.Now()}
	// A patch, since the controller may have found the Secret and written status by now.
	if err := admin(t).Patch(t.Context(), s, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	s = eventually(t, "creds", doneWith("k1"))
	for _, c := range s.Status.Conditions {
		if strings.Contains(c.Message, "canary-7731") {
			t.Errorf("the condition %s shows the password", c.Type)
		}
	}
}

// TestDamagedTrust: an authority or an installation's id that is damaged is an error that says what to do. It is not replaced: that would lock
// out every agent, or make every server a foreign one.
func TestDamagedTrust(t *testing.T) {
	start(t, nil) // makes it
	for name, key := range map[string]string{"ingot-pxe-ca": "tls.crt", "ingot-agent-ca": "tls.key", "ingot-installation": "id", "ingot-erase-key": "key.pem"} {
		t.Run(name, func(t *testing.T) {
			damage(t, name, key)
			err := setup.Run(t.Context(), config(t, nil))
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "backup") {
				t.Errorf("Run: %v", err)
			}
			if got := secretOf(t, name).Data[key]; string(got) != "junk" {
				t.Errorf("%s was replaced by %q", key, got)
			}
		})
	}
}

// damage writes junk into a Secret until the test ends.
func damage(t *testing.T, name, key string) {
	t.Helper()
	secret := secretOf(t, name)
	good := secret.DeepCopy()
	secret.Data[key] = []byte("junk")
	if err := admin(t).Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		good.ResourceVersion = ""
		if err := admin(t).Update(context.Background(), good); err != nil {
			t.Error(err)
		}
	})
}

func secretOf(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	var secret corev1.Secret
	if err := admin(t).Get(t.Context(), clientKey(metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: name}), &secret); err != nil {
		t.Fatal(err)
	}
	return &secret
}
