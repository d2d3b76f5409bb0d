package configserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/config"
	"ingot.dev/ingot/metal-controller/machineconfig"
	"ingot.dev/ingot/metal-controller/taloscheck"
)

// NotReadyError says why a server cannot have its machine config now, for people.
type NotReadyError struct {
	// Reason is one of the reasons of Ingot.
	Reason string
	// Message names what to do; it holds no value of the config.
	Message string
	absent  bool // an object is not there
}

// Error is the message.
func (n *NotReadyError) Error() string { return n.Message }

// Why is the reason with the message.
func (n *NotReadyError) Why() (reason, message string) { return n.Reason, n.Message }

func notReady(reason, format string, args ...any) error {
	return &NotReadyError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Maker makes machine configs out of what the API server holds at that moment.
type Maker struct {
	// Live reads from the API server itself.
	Live  client.Reader
	Links capability.Links
	// Pin is that of the authority behind the signal URL.
	Pin string
	// Now and Random are the clock and the randomness for certificates to ask a Talos with.
	Now    func() time.Time
	Random io.Reader
}

// made is a machine config with what it was made of, as the API server held it at that moment.
type made struct {
	config machineconfig.Result
	claim  *metal.ServerClaim
	env    *metal.Environment
	// inventory is nil where the config asked nothing of it.
	inventory *metal.ServerInventorySpec
}

// Make makes the config of the binding and the boot that a Server's record holds. An error is a *NotReadyError, or trouble with the API server.
func (m Maker) Make(ctx context.Context, s *metal.Server) (machineconfig.Result, error) {
	x, err := m.make(ctx, s)
	return x.config, err
}

func (m Maker) make(ctx context.Context, s *metal.Server) (x made, err error) {
	if x.claim, err = m.claim(ctx, s); err != nil {
		return made{}, err
	}
	var class metal.ServerClass
	if err := m.get(ctx, types.NamespacedName{Name: s.Spec.Record.Claim.Class}, &class, reasons.ClassMissing, "the class of the claim"); err != nil {
		return made{}, err
	}
	if x.env, err = m.environment(ctx, s); err != nil {
		return made{}, err
	}
	base, err := m.base(ctx, x.claim)
	if err != nil {
		return made{}, err
	}
	facts := machineconfig.Facts{Class: &class, Claim: x.claim, Server: s, Talos: x.env.BootsTalos(), Callback: m.callback(s), Events: m.Links.Events, KernelLog: m.Links.KernelLogURL()}
	if p := x.env.Pin(); p != nil {
		facts.Installer = p.Installer
	}
	if facts.Talos || machineconfig.IsTalos(base) {
		if x.inventory, err = m.inventory(ctx, s); err != nil {
			return made{}, err
		}
		facts.Inventory = x.inventory
	}
	if x.config, err = machineconfig.Make(base, facts); err != nil {
		return made{}, notReady(reasons.ConfigInvalid, "The machine config cannot be made: %v.", err)
	}
	if err := check(x.config, x.env, facts); err != nil {
		return made{}, notReady(reasons.ConfigInvalid, "Talos would not take the machine config: %v.", err)
	}
	return x, nil
}

// check asks Talos' own code. Other systems check what they are given themselves.
func check(config machineconfig.Result, env *metal.Environment, facts machineconfig.Facts) error {
	if !config.Talos() {
		return nil
	}
	request := taloscheck.Request{Config: config.Bytes(), Server: facts.Server, Inventory: facts.Inventory}
	if env.Spec.Talos != nil {
		request.Version = env.Spec.Talos.Version
	}
	return taloscheck.Check(request)
}

// inventory is what the agent reported.
func (m Maker) inventory(ctx context.Context, s *metal.Server) (*metal.ServerInventorySpec, error) {
	var inventory metal.ServerInventory
	err := m.get(ctx, types.NamespacedName{Name: s.Name}, &inventory, reasons.NotReady, "the inventory: boot the server's agent")
	return &inventory.Spec, err
}

// claim is that of the binding.
func (m Maker) claim(ctx context.Context, s *metal.Server) (*metal.ServerClaim, error) {
	r := s.Spec.Record
	if r == nil || r.Claim == nil {
		return nil, notReady(reasons.ClaimMissing, "The server has no claim.")
	}
	var claim metal.ServerClaim
	name := types.NamespacedName{Namespace: r.Claim.Namespace, Name: r.Claim.Name}
	if err := m.get(ctx, name, &claim, reasons.ClaimMissing, "the claim"); err != nil {
		return nil, err
	}
	if b := claim.Spec.Binding; b == nil || b.Server != s.Name || b.BindingID != r.Claim.BindingID {
		return nil, notReady(reasons.BindingIncomplete, "The claim %s is not bound to this server.", name)
	}
	return &claim, nil
}

// environment is what the server boots.
func (m Maker) environment(ctx context.Context, s *metal.Server) (*metal.Environment, error) {
	name := s.Spec.Record.Claim.Environment
	if name == "" {
		return nil, notReady(reasons.EnvironmentMissing, "Nothing says what to boot: set spec.environmentName of the claim, or spec.environmentRef of its class or of the server.")
	}
	var env metal.Environment
	if err := m.get(ctx, types.NamespacedName{Name: name}, &env, reasons.EnvironmentMissing, "the Environment"); err != nil {
		return nil, err
	}
	if len(env.Boots()) == 0 {
		return nil, notReady(reasons.Resolving, "The Environment %s is not resolved: its condition Resolved says why.", name)
	}
	return &env, nil
}

// base is the config in the claim's Secret, read by name and kept nowhere.
func (m Maker) base(ctx context.Context, claim *metal.ServerClaim) ([]byte, error) {
	if claim.Spec.ConfigSecret == "" {
		return nil, notReady(reasons.ConfigMissing, "The claim %s/%s names no machine config: set spec.configSecret.", claim.Namespace, claim.Name)
	}
	name := types.NamespacedName{Namespace: claim.Namespace, Name: claim.Spec.ConfigSecret}
	return m.secret(ctx, name, machineconfig.SecretKey, reasons.ConfigMissing, "the machine config")
}

// secret is one key of a Secret; without it, what reason says of what it holds.
func (m Maker) secret(ctx context.Context, name types.NamespacedName, key, reason, what string) ([]byte, error) {
	var secret corev1.Secret
	err := m.get(ctx, name, &secret, reason, "the Secret with "+what)
	if apierrors.IsForbidden(err) {
		return nil, notReady(reason, "Ingot may not read Secrets in the namespace %s: `kubectl -n %s create rolebinding %s --clusterrole=%s --serviceaccount=%s:%s` lets it.",
			name.Namespace, name.Namespace, config.SecretReader, config.SecretReader, metal.SystemNamespace, config.Account)
	}
	if err != nil {
		return nil, err
	}
	value, ok := secret.Data[key]
	if !ok || len(strings.TrimSpace(string(value))) == 0 {
		return nil, notReady(reason, "The Secret %s has no key %s with %s.", name, key, what)
	}
	return value, nil
}

// callback is what lets the installed system reach us.
func (m Maker) callback(s *metal.Server) machineconfig.Callback {
	c := machineconfig.Callback{URL: m.Links.SignalURL(s.Name, s.Spec.Record.Claim.BindingID), Pin: m.Pin, Server: s.Name}
	if b := s.Spec.Record.Boot; b != nil {
		c.Boot = b.ID
	}
	return c
}

// get reads one object; one that is not there is what reason says.
func (m Maker) get(ctx context.Context, name types.NamespacedName, into client.Object, reason, what string) error {
	err := m.Live.Get(ctx, name, into)
	shown := strings.TrimPrefix(name.String(), "/")
	switch {
	case apierrors.IsNotFound(err):
		return &NotReadyError{Reason: reason, Message: "There is no " + shown + ": create " + what + ".", absent: true}
	case err != nil:
		return fmt.Errorf("reading %s %s: %w", what, shown, err)
	}
	return nil
}

// Ready says why the operating system of a claimed Server could not be booted now, by making its config and throwing it away. An empty reason says that it
// could; an error, that nobody knows.
func (m Maker) Ready(ctx context.Context, s *metal.Server) (reason, message string, err error) {
	if m.Links.HTTPS == "" {
		return reasons.ConfigMissing, "This Ingot gives out no machine configs: start it with --config-listen.", nil
	}
	x, err := m.make(ctx, s)
	if err == nil {
		err = m.bootable(ctx, s, x)
	}
	if err == nil {
		err = m.provable(ctx, x)
	}
	var unready *NotReadyError
	if errors.As(err, &unready) {
		return unready.Reason, unready.Message, nil
	}
	return "", "", err
}

// bootable wants files for the machine's architecture, and a kernel line that fits.
func (m Maker) bootable(ctx context.Context, s *metal.Server, x made) (err error) {
	env, inventory := x.env, x.inventory
	if inventory == nil {
		if inventory, err = m.inventory(ctx, s); err != nil {
			return err
		}
	}
	boots := env.Boots()
	i := slices.IndexFunc(boots, func(b metal.BootAssets) bool { return b.Arch == inventory.Arch })
	if i < 0 {
		return notReady(reasons.EnvironmentUnsupported, "The Environment %s has nothing for %s: add it to spec.boot, or to spec.talos.architectures.", env.Name, inventory.Arch)
	}
	return m.fits(env.Name, m.Links.Args(boots[i].Args, s.Name, strings.Repeat("x", 32), s.Spec.Record.Claim.PlainConfig, m.Pin))
}

// fits wants a kernel line within capability.MaxLine.
func (m Maker) fits(env string, args []string) error {
	over := len(strings.Join(args, " ")) - capability.MaxLine
	switch {
	case over <= 0:
		return nil
	case slices.Contains(args, m.Links.Early) && m.Links.Early != "":
		return notReady(reasons.EnvironmentUnsupported, "The kernel line of the Environment %s is too long by %d bytes, %d of it let Talos trust Ingot: shorten its args, or do without that trust by configDelivery: PlainHTTP in the class.", env, over, len(m.Links.Early))
	}
	return notReady(reasons.EnvironmentUnsupported, "The kernel line of the Environment %s is too long by %d bytes: shorten its args.", env, over)
}
