package environment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/boot-assets/factory"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/resolve"
)

// Pinner pins what releases of Talos are made of. It runs on the leader only. All fields are required.
type Pinner struct {
	// Client reads from the cache and writes.
	Client client.Client
	Jobs   *resolve.Jobs
	Events Events
	Now    func() time.Time
}

// outcome is what is said about one reading of an Environment, besides its status.
type outcome struct {
	warning         bool
	reason, message string
}

// Reconcile looks at one Environment.
func (p *Pinner) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var env metal.Environment
	if err := p.Client.Get(ctx, req.NamespacedName, &env); apierrors.IsNotFound(err) {
		p.Jobs.Drop(req.Name)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading Environment %s: %w", req.Name, err)
	}
	before := env.DeepCopy()
	said := p.look(&env)
	if equality.Semantic.DeepEqual(before.Status, env.Status) {
		return ctrl.Result{}, nil
	}
	err := p.Client.Status().Patch(ctx, &env, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("recording what Environment %s is made of: %w", env.Name, err)
	}
	if said != nil {
		p.Events.Event(&env, said.warning, said.reason, said.message)
	}
	return ctrl.Result{}, nil
}

// look decides what status says. Nothing but jobs is begun by it.
func (p *Pinner) look(env *metal.Environment) *outcome {
	if env.Spec.Talos == nil {
		p.Jobs.Drop(env.Name)
		env.Status.Talos = nil
		meta.RemoveStatusCondition(&env.Status.Conditions, reasons.Resolved)
		return nil
	}
	if pin := env.Status.Talos; pin != nil && env.Annotations[metal.ForgetPin] == PinName(pin) {
		p.Jobs.Drop(env.Name)
		env.Status.Talos = nil
		p.say(env, reasons.PinForgotten, "what was pinned on "+PinName(pin)+" was forgotten, as the annotation "+metal.ForgetPin+" wants it")
		return &outcome{true, reasons.PinForgotten, "A person lets the files of Talos " + env.Spec.Talos.Version + " be pinned anew."}
	}
	missing := env.Unresolved()
	if len(missing) == 0 {
		p.Jobs.Drop(env.Name)
		p.say(env, reasons.Pinned, pinned(env))
		return nil
	}
	found, err := p.find(env, missing)
	if err != nil {
		p.say(env, reasonOf(err), err.Error()+". It is tried again by itself")
		return nil
	}
	if found == nil {
		return nil
	}
	return p.pin(env, found)
}

// find is what was found for the missing architectures; nil without an error while that is not known.
func (p *Pinner) find(env *metal.Environment, missing []string) (*resolve.Found, error) {
	if len(env.Spec.Talos.Boot) > 0 {
		p.Jobs.Drop(env.Name)
		return resolve.Named(env.Spec.Talos)
	}
	wish := resolve.Wish{TalosSource: *env.Spec.Talos, Arches: missing}
	if pin := env.Pin(); pin != nil { // one more architecture of the very same schematic
		wish.SchematicID, wish.Schematic = pin.SchematicID, ""
	}
	state := p.Jobs.Ask(env.Name, wish)
	switch {
	case state.Found != nil:
		return state.Found, nil
	case state.Err != nil:
		return nil, state.Err
	case state.Percent > 0:
		p.say(env, reasons.Resolving, fmt.Sprintf("%s, %d %%", state.Doing, state.Percent))
	default:
		p.say(env, reasons.Resolving, state.Doing)
	}
	return nil, nil
}

// pin adds what was found to what is pinned for the same spec, and never changes that.
func (p *Pinner) pin(env *metal.Environment, found *resolve.Found) *outcome {
	pin := env.Pin()
	if pin == nil {
		pin = &metal.TalosPin{
			Source: env.Spec.Talos.Source(), SchematicID: found.SchematicID, Installer: found.Installer, PinnedAt: metav1.NewTime(p.Now().Truncate(time.Second)),
		}
	}
	for _, b := range found.Boot {
		if !slices.ContainsFunc(pin.Boot, func(have metal.BootAssets) bool { return have.Arch == b.Arch }) {
			pin.Boot = append(pin.Boot, b)
		}
	}
	env.Status.Talos = pin
	p.say(env, reasons.Pinned, pinned(env))
	return &outcome{false, reasons.Pinned, pinned(env)}
}

// pinned says what is pinned.
func pinned(env *metal.Environment) string {
	var arches []string
	for _, b := range env.Boots() {
		arches = append(arches, b.Arch)
	}
	text := fmt.Sprintf("the files of Talos %s for %s are pinned", env.Spec.Talos.Version, strings.Join(arches, " and "))
	if strings.HasPrefix(env.Spec.Talos.FactoryURL, "http:") && len(env.Spec.Talos.Boot) == 0 {
		text += ", as they came over plain HTTP, where nothing proves whose they are"
	}
	return text
}

// say sets the condition.
func (p *Pinner) say(env *metal.Environment, reason, message string) {
	const longest = 1000
	status := metav1.ConditionFalse
	if reason == reasons.Pinned {
		status = metav1.ConditionTrue
	}
	if len(message) > longest {
		message = strings.ToValidUTF8(message[:longest], "") + "…"
	}
	meta.SetStatusCondition(&env.Status.Conditions, metav1.Condition{
		Type: reasons.Resolved, Status: status, Reason: reason, Message: message, ObservedGeneration: env.Generation, LastTransitionTime: metav1.NewTime(p.Now()),
	})
}

// reasonOf is the reason for what failed.
func reasonOf(err error) string {
	for known, reason := range map[error]string{
		factory.ErrUnreachable: reasons.FactoryUnreachable, factory.ErrSchematic: reasons.SchematicRefused, factory.ErrMissing: reasons.ReleaseMissing,
		factory.ErrForbidden: reasons.FactoryRefused, factory.ErrAnswer: reasons.FactoryRefused, factory.ErrLine: reasons.KernelLineRefused,
	} {
		if errors.Is(err, known) {
			return reason
		}
	}
	return reasons.ResolveFailed
}
