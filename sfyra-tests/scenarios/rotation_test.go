//go:build e2e

package scenarios

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/standin"
)

// rotation is a stand-in server with a BMC that a person declared.
type rotation struct {
	*site
	server *standin.Server
	bmc    *rmcp.BMC
	// recorded are the accounts that the Secrets held when they were last read: names with passwords.
	recorded map[string]string
	// secrets are all passwords that were ever seen.
	secrets map[string]bool
}

// accountSteps are those that a rotation goes through, sorted; maxRotations bounds how many it takes to have been killed at each.
var accountSteps = []metal.BMCAccountStep{
	metal.BMCAccountChecking, metal.BMCAccountDone, metal.BMCAccountDropping, metal.BMCAccountForgetting, metal.BMCAccountKeeping, metal.BMCAccountSetting, metal.BMCAccountTaking,
}

const maxRotations = 10

// TestCredentialRotationKilled: `ingot up` is killed with SIGKILL at each step of an account that is recorded, and started again. Whenever it is looked, one of the recorded accounts is
// let in by the BMC, by the BMC's own word; in the end the fresh one is in use, `ipmitool` logs in with it, the one before is gone, and a person's is as it was.
func TestCredentialRotationKilled(t *testing.T) {
	r := newRotation(t, "r1", 0xa1)
	r.step("ControlWiped", func(t *testing.T) {
		r.ingot("accept", "r1", "--yes")
		r.awaitServer("r1", "it is Available", wipeLimit, available)
	})
	first, killed := "", map[metal.BMCAccountStep]bool{}
	for round := 0; round < 2 || len(killed) < len(accountSteps) && round < maxRotations; round++ {
		r.step(fmt.Sprintf("Account%dKilled", round+1), func(*testing.T) {
			r.ingot("bmc", "rotate", "r1")
			r.killAtNewSteps(killed)
		})
		r.step(fmt.Sprintf("Account%dInUse", round+1), func(t *testing.T) { first = r.inUse(t, first) })
	}
	if got := slices.Sorted(maps.Keys(killed)); !slices.Equal(got, accountSteps) {
		t.Errorf("killed at %v, want each of %v", got, accountSteps)
	}
	r.step("NoSecretIsShown", func(t *testing.T) { r.nothingShown(t) })
}

func newRotation(t *testing.T, name string, last byte) *rotation {
	t.Helper()
	s := newSite(t, plain(name+"spare", last+1)) // a rack needs a machine; this one stays off
	r := &rotation{site: s, recorded: map[string]string{}, secrets: map[string]bool{}}
	r.server = standin.New(t.Context(), standin.Config{
		MAC: mac(last).String(), UUID: "5c4d4e4f-0000-4000-8000-0000000000" + hex.EncodeToString([]byte{last}), Serial: "STAND1",
		Boot: "http://" + net.JoinHostPort(s.host(), "7480"), Log: slog.New(slog.DiscardHandler),
	})
	password := rand.Text()[:20]
	var err error
	if r.bmc, err = rmcp.Start(t.Context(), rmcp.Config{Addr: "127.0.92.1:623", Machine: r.server, Username: "admin", Password: password}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.bmc.Close(); _ = r.server.ForceOff(context.Background()); r.server.Wait() })
	r.server.Wire(r.bmc)
	s.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "bmc-" + name},
		StringData: map[string]string{"username": "admin", "password": password},
	})
	s.create(&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{
		BMC:      &metal.BMC{Protocol: metal.BMCIPMI, Endpoint: "127.0.92.1", CredentialsSecret: "bmc-" + name},
		Identity: &metal.Identity{MACs: []string{mac(last).String()}},
	}})
	r.read()
	return r
}

// read takes the accounts of the Secret that spec.bmc names and of Ingot's own, and wants one of them to be let in.
func (r *rotation) read() {
	r.t.Helper()
	found := map[string]string{}
	for _, name := range []string{"bmc-r1", "ingot-bmc-r1"} {
		var s corev1.Secret
		if err := r.client.Get(r.t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: name}, &s); err != nil {
			continue
		}
		if name == "bmc-r1" && r.spec().CredentialsSecret != name {
			continue // a person's, which Ingot does not use any more
		}
		for _, prefix := range []string{"", "next-", "old-"} {
			if user := string(s.Data[prefix+"username"]); user != "" {
				found[user] = string(s.Data[prefix+"password"])
				r.secrets[found[user]] = true
			}
		}
	}
	if len(found) > 0 {
		r.recorded = found
	}
	r.valid()
}

// valid asks the BMC itself.
func (r *rotation) valid() {
	r.t.Helper()
	users := r.bmc.Users()
	for name, password := range r.recorded {
		if users[name] == password {
			return
		}
	}
	r.t.Fatalf("the BMC lets in %v, and recorded are %v", slices.Sorted(maps.Keys(users)), slices.Sorted(maps.Keys(r.recorded)))
}

func (r *rotation) spec() metal.BMC {
	var s metal.Server
	if r.client.Get(r.t.Context(), client.ObjectKey{Name: "r1"}, &s) != nil || s.Spec.BMC == nil {
		return metal.BMC{CredentialsSecret: "bmc-r1"}
	}
	return *s.Spec.BMC
}

// killAtNewSteps kills the program as soon as a step is recorded at which it was not killed before, until the account is done. What passes while it starts again is
// left to the next account.
func (r *rotation) killAtNewSteps(killed map[metal.BMCAccountStep]bool) {
	r.t.Helper()
	for {
		step := r.next(killed)
		if killed[step] {
			return
		}
		killed[step] = true
		r.stopUp(syscall.SIGKILL)
		r.valid() // the agent may go on for a moment with what it was told
		r.startUp()
		r.awaitServer("r1", "the program is back", 2*bootLimit, func(*metal.Server) bool { return true })
		r.read()
	}
}

// next watches the Server until it is at a step that was not seen yet, or done.
func (r *rotation) next(seen map[metal.BMCAccountStep]bool) metal.BMCAccountStep {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), bootLimit*3*time.Duration(r.rack.Slowness()))
	defer cancel()
	w, err := r.client.Watch(ctx, &metal.ServerList{}, client.MatchingFields{"metadata.name": "r1"})
	if err != nil {
		r.t.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		s, ok := e.Object.(*metal.Server)
		if !ok || s.Spec.Record == nil || s.Spec.Record.BMCAccount == nil || s.Spec.BMCRequest == nil || s.Spec.Record.BMCRequest != s.Spec.BMCRequest.ID {
			continue
		}
		switch a := s.Spec.Record.BMCAccount; {
		case a.Step == metal.BMCAccountFailed:
			r.t.Fatalf("the account failed: %s", a.Problem)
		case !seen[a.Step], a.Step == metal.BMCAccountDone:
			return a.Step
		}
		r.read()
	}
	r.t.Fatal("the account does not get on")
	return ""
}

// inUse wants the fresh account, and it alone of Ingot's, and returns its name.
func (r *rotation) inUse(t *testing.T, before string) string {
	v := r.awaitServer("r1", "it is idle again", bootLimit, func(v *metal.Server) bool {
		on, _ := r.server.PowerState(t.Context())
		return available(v) && !on
	})
	a := v.Spec.Record.BMCAccount
	if a.Username == before || a.Using != a.Username || v.Spec.BMC.CredentialsSecret != "ingot-bmc-r1" || v.Spec.BMC.Endpoint != "127.0.92.1" {
		t.Errorf("spec.bmc is %+v, the account %+v", v.Spec.BMC, a)
	}
	r.read()
	users := r.bmc.Users()
	if names := slices.Sorted(maps.Keys(users)); !slices.Equal(names, []string{"admin", a.Username}) || len(r.recorded) != 1 || r.recorded[a.Username] != users[a.Username] {
		t.Errorf("the BMC lets in %v; recorded are %v", names, slices.Sorted(maps.Keys(r.recorded)))
	}
	r.bmc.DropSessions() // killed programs leave theirs there for a minute, and there is room for four
	for who, c := range map[string]struct {
		password string
		let      bool
	}{"control": {r.recorded[a.Username], true}, "another password": {"Wrong00000000000", false}} {
		cmd := exec.CommandContext(t.Context(), "ipmitool", "-I", "lanplus", "-H", "127.0.92.1", "-U", a.Username, "-L", "OPERATOR", "-C", "17", "-E", "chassis", "power", "status")
		cmd.Env = append(os.Environ(), "IPMI_PASSWORD="+c.password)
		if out, err := cmd.CombinedOutput(); (err == nil) != c.let || c.let && !strings.Contains(string(out), "is off") {
			t.Errorf("ipmitool, %s: %v\n%s", who, err, out)
		}
	}
	return a.Username
}

// TestAccountInBand: a machine with Debian's kernel and the real agent sets its account up through /dev/ipmi0: KCS, QEMU, and the same fake BMC that is asked over the network.
func TestAccountInBand(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.93.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spec := plain("a1", 0xa5)
	spec.BMCLine = l.Addr().String()
	s := newSite(t, spec)
	b := s.declareIPMI("a1", "127.0.93.1:623", metal.BMC{Protocol: metal.BMCIPMI})
	go b.ServeLine(t.Context(), l)
	if err := s.patch("a1", `{"spec":{"bootMode":null}}`); err != nil {
		t.Fatal(err)
	}
	s.ingot("accept", "a1", "--yes")
	s.awaitServer("a1", "it is Available", wipeLimit, available)
	if !s.inventory("a1").Spec.IPMI {
		t.Error("the inventory shows no way to the BMC")
	}
	s.ingot("bmc", "rotate", "a1", "--wait", "--timeout", (wipeLimit * time.Duration(s.rack.Slowness())).String())
	v := s.awaitServer("a1", "it is off again", bootLimit, func(v *metal.Server) bool { return available(v) && s.machine("a1").PID() == 0 })
	a := v.Spec.Record.BMCAccount
	if names := slices.Sorted(maps.Keys(b.Users())); !slices.Equal(names, []string{"admin", a.Username}) || a.Slot != 3 || v.Spec.BMC.CredentialsSecret != "ingot-bmc-a1" {
		t.Errorf("the BMC lets in %v; the account is %+v", names, a)
	}
}

// nothingShown looks for every password in all that people read: logs, events, Servers, `ingot why`. The control is a word that must be there.
func (r *rotation) nothingShown(t *testing.T) {
	var shown strings.Builder
	for _, file := range []string{filepath.Join(r.dir, "up.log"), filepath.Join(r.stateDir(), "logs", "control-plane.log")} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(text)
	}
	shown.WriteString(r.ingot("why", "r1") + r.ingot("get", "servers", "-o", "yaml"))
	var events corev1.EventList
	if err := r.client.List(t.Context(), &events); err != nil {
		t.Fatal(err)
	}
	for i := range events.Items {
		shown.WriteString(events.Items[i].Message)
	}
	if !strings.Contains(shown.String(), "AccountInUse") || len(r.secrets) < 3 {
		t.Errorf("control: %d passwords were seen, and AccountInUse is nowhere", len(r.secrets))
	}
	for secret := range r.secrets {
		if strings.Contains(shown.String(), secret) {
			t.Error("a password is shown")
		}
	}
}
