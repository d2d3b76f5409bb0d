package cli

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// boundClaim makes a claim in the namespace team, bound to a server unless that is empty.
func boundClaim(t *testing.T, name, server string) *metal.ServerClaim {
	t.Helper()
	team(t)
	c := create(t, &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team"}, Spec: metal.ServerClaimSpec{ClassName: "small"}})
	if server != "" {
		claimStatus(t, name, server, metav1.ConditionTrue, reasons.Running, "It runs.")
	}
	return c
}

// boundServer is one that the claim of the same name holds, with the disks of the wipe before.
func boundServer(t *testing.T, name string, change func(*metal.Server)) *metal.Server {
	t.Helper()
	return diskServer(t, name, func(s *metal.Server) {
		at := metav1.NewTime(noon)
		s.Spec.Accepted = true
		s.Spec.Record = &metal.ServerRecord{
			Claim: &metal.ClaimRecord{Namespace: "team", Name: name, BindingID: "bind-" + name, At: at},
			Wipe:  &metal.WipeRecord{ID: "w", Level: metal.WipeClear, Disks: []metal.DiskID{nvme.DiskID}, GrantedAt: at, Generation: 1, BootID: "b", VerifiedAt: &at},
		}
		if change != nil {
			change(s)
		}
	}, nvme, sata)
}

// under is a release that is recorded and not proven.
func under(s *metal.Server) {
	c := s.Spec.Record.Claim
	s.Spec.Record.Release = &metal.ReleaseRecord{Namespace: c.Namespace, Name: c.Name, BindingID: c.BindingID, At: metav1.NewTime(noon)}
}

func powered(state metal.PowerState) func(*metal.Server) {
	return func(s *metal.Server) { s.Status.Power.State = state }
}

func TestReleaseShowsAndAsks(t *testing.T) {
	boundServer(t, "rel-1", nil)
	boundClaim(t, "rel-1", "rel-1")
	shown := []string{"claim/rel-1 in team holds server/rel-1 (serial box-rel-1)", "all data on nvme0n1 (serial NV1) will be gone"}
	r := run(t, "release", "rel-1", "-n", "team", "--dry-run")
	r.want(t, CodeOK, append(shown, "dry run")...)
	if strings.Contains(r.out, "SA1") {
		t.Errorf("a disk that the wipe before did not cover is named:\n%s", r.out)
	}
	run(t, "release", "rel-1", "-n", "team").want(t, CodeRefused, "--yes")
	run(t, "release", "rel-1").want(t, CodeError, "no claim", "namespace default", "ingot get claims -A")
	asked(t, "Type the name of the claim to release rel-1", "rel-2\n", nil, "release", "rel-1", "-n", "team").want(t, CodeRefused, "nothing was done")
	if fetchClaim(t, "rel-1") == nil {
		t.Fatal("it is deleted")
	}
	asked(t, "Type the name of the claim", "rel-1\n", nil, "release", "claim/rel-1", "-n", "team").want(t, CodeOK, append(shown, "claim/rel-1 is deleted", "ingot why rel-1")...)
	if fetchClaim(t, "rel-1") != nil {
		t.Error("it is there")
	}
	boundClaim(t, "rel-3", "")
	run(t, "release", "rel-3", "-n", "team").want(t, CodeOK, "holds no server", "it held no server")
}

// TestReleaseDeletesWhatWasShown: a claim that is bound while the person reads is not deleted; one whose status alone changes is.
func TestReleaseDeletesWhatWasShown(t *testing.T) {
	boundServer(t, "rel-4", nil)
	boundClaim(t, "rel-4", "rel-4")
	asked(t, "Type the name", "rel-4\n", func() {
		if err := admin(t).Delete(t.Context(), fetchClaim(t, "rel-4")); err != nil {
			t.Error(err)
		}
		boundClaim(t, "rel-4", "another")
	}, "release", "rel-4", "-n", "team").want(t, CodeRefused, "changed while you looked")
	if fetchClaim(t, "rel-4") == nil {
		t.Error("the new claim was deleted")
	}
	asked(t, "Type the name", "rel-4\n", func() {
		claimStatus(t, "rel-4", "", metav1.ConditionFalse, reasons.Provisioning, "Again.")
	}, "release", "rel-4", "-n", "team").want(t, CodeOK, "is deleted")
}

// TestReleaseWaits until the server no longer belongs to the claim and the claim is gone.
func TestReleaseWaits(t *testing.T) {
	for name, c := range map[string]struct {
		reason, message string
		end             bool
		code            int
		want            []string
	}{
		"rel-10": {reasons.Releasing, "It shuts down.", true, CodeOK, []string{"server/rel-10: Releasing: It shuts down", "no longer belongs", "claim/rel-10 is gone"}},
		"rel-11": {reasons.FencingUnconfirmed, "Nothing proves it off.", false, CodeError, []string{"waits for a person: FencingUnconfirmed", "ingot why rel-11"}},
		"rel-12": {reasons.Releasing, "It shuts down.", false, CodeTimeout, []string{"Releasing: It shuts down", "Ingot goes on"}},
	} {
		t.Run(name, func(t *testing.T) {
			boundServer(t, name, nil)
			boundClaim(t, name, name)
			claim := fetchClaim(t, name)
			claim.Finalizers = []string{"metal.ingot.dev/release"}
			if err := controller(t).Update(t.Context(), claim); err != nil {
				t.Fatal(err)
			}
			unlock := func() {
				fresh := &metal.ServerClaim{}
				if admin(t).Get(context.Background(), client.ObjectKeyFromObject(claim), fresh) == nil {
					fresh.Finalizers = nil
					_ = controller(t).Update(context.Background(), fresh)
				}
			}
			defer unlock()
			wait := aside(t, func() {
				eventually(t, "the wish", func() bool { c := fetchClaim(t, name); return c != nil && c.DeletionTimestamp != nil })
				change(t, name, under, func(s *metal.Server) {
					s.Status.Conditions = []metav1.Condition{{Type: reasons.Released, Status: metav1.ConditionFalse, Reason: c.reason, Message: c.message, LastTransitionTime: metav1.NewTime(noon), ObservedGeneration: s.Generation}}
				})
				if c.end {
					change(t, name, func(s *metal.Server) { s.Spec.Record.Claim = nil }, nil)
					unlock()
				}
			})
			limit := "1m"
			if c.code == CodeTimeout {
				limit = "3s"
			}
			run(t, "release", name, "-n", "team", "--yes", "--wait", "--timeout", limit).want(t, c.code, c.want...)
			wait()
			if c.code == CodeError {
				run(t, "release", name, "-n", "team", "--dry-run").want(t, CodeOK, "is being released already")
			}
		})
	}
}

// TestReleaseByServerRefuses what the word does not fit.
// TestReleaseLosesMember: a person's word for etcd is for the binding that was shown, comes before the deletion, and may come after it as well.
func TestReleaseLosesMember(t *testing.T) {
	boundServer(t, "rel-14", nil)
	boundClaim(t, "rel-14", "rel-14")
	claim := fetchClaim(t, "rel-14")
	claim.Finalizers = []string{metal.ReleaseFinalizer}
	if err := controller(t).Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c := fetchClaim(t, "rel-14"); c != nil {
			c.Finalizers = nil
			_ = controller(t).Update(context.Background(), c)
		}
	})
	line := []string{"release", "rel-14", "-n", "team", "--yes"}
	run(t, append(line, "--lose-etcd-member", "--dry-run")...).want(t, CodeOK, "dry run")
	run(t, line...).want(t, CodeOK, "claim/rel-14 is deleted")
	if c := fetchClaim(t, "rel-14"); c.DeletionTimestamp == nil || c.Annotations[metal.LoseMemberAnnotation] != "" {
		t.Fatalf("control: %v, annotations %v", c.DeletionTimestamp, c.Annotations)
	}
	run(t, append(line, "--lose-etcd-member")...).want(t, CodeOK, "although its server may be a member of etcd")
	if c := fetchClaim(t, "rel-14"); c.Annotations[metal.LoseMemberAnnotation] != c.Spec.Binding.BindingID || c.Spec.Binding.BindingID == "" {
		t.Errorf("annotations %v", c.Annotations)
	}
	run(t, "release", "--server", "rel-14", "--lose-etcd-member").want(t, CodeUsage, "name it instead of --server")
}

func TestReleaseByServerRefuses(t *testing.T) {
	boundServer(t, "rel-20", powered(metal.PowerOff))
	boundClaim(t, "rel-20", "rel-20")
	boundServer(t, "rel-21", func(s *metal.Server) { under(s); powered(metal.PowerOn)(s) })
	rackServer(t, "rel-22", nil)
	for line, want := range map[string]string{
		"--server rel-20":                       "ingot release rel-20 -n team",
		"--server rel-20 --confirm-powered-off": "ingot release rel-20 -n team",
		"--server rel-21":                       "--confirm-powered-off",
		"--server rel-21 --confirm-powered-off": "ingot power off rel-21",
		"--server rel-22":                       "belongs to no claim",
	} {
		run(t, strings.Fields("release --yes "+line)...).want(t, CodeRefused, want)
	}
	for line, want := range map[string]string{
		"":                        "needs CLAIM",
		"a --server b":            "not both",
		"a --confirm-powered-off": "name it with --server",
		"a -m x":                  "name it with --server",
		"--server b -m " + strings.Repeat("x", 513): "512",
	} {
		run(t, strings.Fields("release "+line)...).want(t, CodeUsage, want)
	}
	run(t, "release", "--server", "nobody").want(t, CodeError, `no server "nobody"`)
	for _, name := range []string{"rel-20", "rel-21", "rel-22"} {
		if fetch(t, name).Spec.ReleaseRequest != nil {
			t.Errorf("%s was asked", name)
		}
	}
}

// TestConfirmPoweredOff: for a release under way, or a claim that is gone; after the name of the server was typed.
func TestConfirmPoweredOff(t *testing.T) {
	boundServer(t, "rel-30", func(s *metal.Server) { under(s); powered(metal.PowerUnknown)(s) })
	boundClaim(t, "rel-30", "rel-30")
	args := []string{"release", "--server", "rel-30", "--confirm-powered-off", "-m", "unplugged"}
	run(t, args...).want(t, CodeRefused, "--yes")
	run(t, append(args, "--dry-run")...).want(t, CodeOK, "You confirm that this machine is powered off", "all data on nvme0n1", "dry run")
	asked(t, "Type the name of the server", "rel-31\n", nil, args...).want(t, CodeRefused, "nothing was done")
	asked(t, "Type the name of the server", "rel-30\n", func() { change(t, "rel-30", nil, powered(metal.PowerOn)) }, args...).want(t, CodeRefused, "changed while you looked")
	change(t, "rel-30", nil, powered(metal.PowerUnknown))
	asked(t, "Type the name of the server", "rel-30\n", func() {
		change(t, "rel-30", nil, func(s *metal.Server) { s.Status.Power.ObservedAt = &metav1.Time{Time: noon} })
	}, args...).want(t, CodeOK, "asked to release it")
	if q := fetch(t, "rel-30").Spec.ReleaseRequest; q == nil || q.BindingID != "bind-rel-30" || !q.ConfirmPoweredOff || q.Message != "unplugged" || !q.RequestedAt.Time.Equal(noon) {
		t.Errorf("request %+v", q)
	}

	boundServer(t, "rel-32", powered(metal.PowerUnknown)) // its claim is gone
	wait := aside(t, func() {
		eventually(t, "the request", func() bool { return fetch(t, "rel-32").Spec.ReleaseRequest != nil })
		change(t, "rel-32", func(s *metal.Server) {
			s.Spec.Record.ReleaseRequest = s.Spec.ReleaseRequest.ID
			under(s)
			s.Spec.Record.Claim = nil
		}, nil)
	})
	run(t, "release", "--server", "rel-32", "--confirm-powered-off", "--yes", "--wait", "--timeout", "1m").want(t, CodeOK, "gone without having been released", "no longer belongs")
	wait()
}

// TestReleaseOfALostClaim: without the flag, for a claim that is gone or bound elsewhere; the controller may drop the word.
func TestReleaseOfALostClaim(t *testing.T) {
	boundServer(t, "rel-40", nil)
	boundClaim(t, "rel-40", "another")
	change(t, "rel-40", func(s *metal.Server) { s.Spec.Record.Claim.BindingID = "older" }, nil)
	run(t, "release", "--server", "rel-40", "--yes").want(t, CodeOK, "shut down, proven off by its BMC", "apply it again", "asked to release it")
	if q := fetch(t, "rel-40").Spec.ReleaseRequest; q == nil || q.ConfirmPoweredOff || q.BindingID != "older" {
		t.Errorf("request %+v", q)
	}
	boundServer(t, "rel-41", nil)
	wait := aside(t, func() {
		eventually(t, "the request", func() bool { return fetch(t, "rel-41").Spec.ReleaseRequest != nil })
		change(t, "rel-41", func(s *metal.Server) { s.Spec.Record.ReleaseRequest = s.Spec.ReleaseRequest.ID }, nil)
	})
	run(t, "release", "--server", "rel-41", "--yes", "--wait", "--timeout", "1m").want(t, CodeError, "dropped the request", "clock")
	wait()
}

// TestReleaseOfWhatChanged: the words of a person hold for what was shown.
func TestReleaseOfWhatChanged(t *testing.T) {
	r := &release{confirmed: true}
	shown := &metal.Server{Spec: metal.ServerSpec{Record: &metal.ServerRecord{Claim: &metal.ClaimRecord{BindingID: "a"}}}}
	if !r.sameWord(shown, shown.DeepCopy()) {
		t.Error("control: nothing changed")
	}
	for name, change := range map[string]func(*metal.Server){
		"another binding": func(s *metal.Server) { s.Spec.Record.Claim.BindingID = "b" },
		"a release began": under,
		"another machine": func(s *metal.Server) { s.UID = "x" },
		"another wipe":    func(s *metal.Server) { s.Spec.Record.Wipe = &metal.WipeRecord{} },
		"another word":    func(s *metal.Server) { s.Spec.ReleaseRequest = &metal.ReleaseRequest{ID: "x"} },
		"it is on": func(s *metal.Server) {
			s.Status.Power = &metal.PowerStatus{State: metal.PowerOn}
			s.Status.Conditions = []metav1.Condition{{Type: reasons.BMCReachable, Status: metav1.ConditionTrue}}
		},
	} {
		now := shown.DeepCopy()
		change(now)
		if r.sameWord(shown, now) {
			t.Errorf("%s: nobody noticed", name)
		}
	}
}

// forbidding is a client that may not read claims.
type forbidding struct{ client.Client }

func (forbidding) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return apierrors.NewForbidden(metal.GroupVersion.WithResource("serverclaims").GroupResource(), "x", nil)
}

// TestReleaseWithoutTheRightToReadClaims: then the condition that the controller wrote decides.
func TestReleaseWithoutTheRightToReadClaims(t *testing.T) {
	s := &metal.Server{Spec: metal.ServerSpec{Record: &metal.ServerRecord{Claim: &metal.ClaimRecord{Namespace: "team", Name: "c", BindingID: "b"}}}}
	h, err := holderOf(t.Context(), forbidding{}, s)
	if h != claimUnknown || err != nil {
		t.Fatalf("%v %v", h, err)
	}
	r := &release{env: &Env{}}
	if err := r.refuse(s, h); err == nil || !strings.Contains(err.Error(), "may not read") {
		t.Errorf("error %v", err)
	}
	s.Status.Conditions = []metav1.Condition{{Type: reasons.Provisioned, Status: metav1.ConditionFalse, Reason: reasons.ClaimMissing}}
	if err := r.refuse(s, h); err != nil {
		t.Errorf("the controller says that the claim is gone: %v", err)
	}
}
