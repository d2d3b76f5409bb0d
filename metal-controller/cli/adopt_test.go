package cli

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// obeys does beside a command what a controller does with owner requests: one after another it lets the server go, takes it over, or, as nobody, drops the request.
// What was asked before does not count. A Server that makes way, or that another writes, is looked at again.
func obeys(t *testing.T, name string, as ...string) (done func()) {
	asked := ""
	if q := fetch(t, name).Spec.OwnerRequest; q != nil {
		asked = q.ID
	}
	return aside(t, func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			var s metal.Server
			if err := admin(t).Get(ctx, client.ObjectKey{Name: name}, &s); err != nil {
				return false, client.IgnoreNotFound(err)
			}
			q := s.Spec.OwnerRequest
			if q == nil || q.ID == asked {
				return false, nil
			}
			obey(&s, as[0])
			if err := controller(t).Update(ctx, &s); err != nil {
				if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
					err = nil
				}
				return false, err
			}
			asked, as = q.ID, as[1:]
			return len(as) == 0, nil
		})
		if err != nil {
			t.Errorf("as a controller: %v", err)
		}
	})
}

// obey writes what the installation as makes of a Server's owner request.
func obey(s *metal.Server, as string) {
	q, m := s.Spec.OwnerRequest, s.Spec.Record.ManagedBy
	s.Spec.Record.OwnerRequest = q.ID
	switch {
	case as == "":
	case q.Action == metal.OwnerLetGo:
		m.LetGo = &metal.LetGo{At: metav1.NewTime(noon)}
	default:
		if m.LetGo == nil {
			s.Spec.Record.Unverified = &metal.UnverifiedRecord{Reason: reasons.Adopted, Since: metav1.NewTime(noon)}
		}
		*m = metal.ManagedBy{Installation: as, Epoch: m.Epoch + 1}
	}
}

// TestAdopt: what was not let go is taken over by force alone, with a loud warning, and not believed.
func TestAdopt(t *testing.T) {
	rackServer(t, "adopt-1", nil)
	theirs := func(let *metal.LetGo) {
		change(t, "adopt-1", func(s *metal.Server) {
			s.Spec.Record = &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: "old", Epoch: 3, LetGo: let}}
		}, func(s *metal.Server) {
			s.Status.Conditions = []metav1.Condition{{Type: reasons.Ready, Status: metav1.ConditionFalse, Reason: reasons.UnmanagedHere, LastTransitionTime: metav1.NewTime(noon)}}
		})
	}
	theirs(nil)
	run(t, "adopt", "adopt-1").want(t, CodeRefused, "the installation old did not let it go", "--from KUBECONFIG", "--force")
	run(t, "adopt", "adopt-1", "--force").want(t, CodeRefused, "WARNING", "two installations act on one machine", "--yes")
	run(t, "adopt", "adopt-1", "--force", "--yes", "--dry-run").want(t, CodeOK, "would be taken over")
	if q := fetch(t, "adopt-1").Spec.OwnerRequest; q != nil {
		t.Fatalf("a request was made: %+v", q)
	}
	done := obeys(t, "adopt-1", "new")
	run(t, "adopt", "adopt-1", "--force", "--yes").want(t, CodeOK, "WARNING", "taken over (hand-over 4)", "ingot accept adopt-1")
	done()
	if q := fetch(t, "adopt-1").Spec.OwnerRequest; q == nil || q.Action != metal.OwnerAdopt || q.Epoch != 3 || !q.Force || !q.RequestedAt.Time.Equal(noon) {
		t.Errorf("request %+v", q)
	}
	theirs(&metal.LetGo{At: metav1.NewTime(noon)})
	done = obeys(t, "adopt-1", "new")
	run(t, "adopt", "adopt-1").want(t, CodeOK, "taken over (hand-over 4)")
	done()
	if q := fetch(t, "adopt-1").Spec.OwnerRequest; q == nil || q.Force {
		t.Errorf("request %+v", q)
	}
	run(t, "adopt", "adopt-1", "--from", "/nowhere").want(t, CodeError, "--from")
}

// TestAdoptFrom: the installation before is asked first. Both ends are one API server here, which TestMove in the package setup has two of.
func TestAdoptFrom(t *testing.T) {
	rackServer(t, "adopt-2", nil)
	change(t, "adopt-2", func(s *metal.Server) {
		s.Spec.Record = &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: "old", Epoch: 3, Object: "x"}}
	}, nil)
	from := testapi.Config(t).Kubeconfig
	run(t, "adopt", "adopt-2", "--from", from, "--dry-run").want(t, CodeOK, "the installation old would let it go")
	done := obeys(t, "adopt-2", "")
	run(t, "adopt", "adopt-2", "--from", from).want(t, CodeRefused, "dropped the request")
	done()
	run(t, "adopt", "adopt-2", "--from", from, "--timeout", "1s").want(t, CodeTimeout, "was not let go", "ingot why adopt-2")
	done = obeys(t, "adopt-2", "old", "new")
	run(t, "adopt", "adopt-2", "--from", from).want(t, CodeOK, "waiting for the installation old to let it go", "taken over (hand-over 4)")
	done()
}
