package cli

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	labelset "k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// sight is what a person may read of what a claim rests on. What is nil may not be read, and is not checked: the controller does.
type sight struct {
	namespace   *corev1.Namespace
	class       *metal.ServerClass
	server      *metal.Server // that the claim names
	environment *metal.Environment
}

// check refuses a claim that could never be fulfilled, and says what would keep one waiting.
func (c *claim) check(ctx context.Context, api client.Client, wanted *metal.ServerClaim) error {
	s, err := c.look(ctx, api, wanted)
	if err != nil {
		return err
	}
	name := ""
	if s.class != nil {
		if err := permitted(s, wanted); err != nil {
			return err
		}
		name = environmentOf(s, wanted)
		if err := environmentFits(s.class, name); err != nil {
			return err
		}
	}
	if name != "" && name != wanted.Spec.EnvironmentName {
		if s.environment, err = read(ctx, api, &metal.Environment{}, client.ObjectKey{Name: name}, "class "+wanted.Spec.ClassName+" boots"); err != nil {
			return err
		}
	}
	for _, note := range notes(s) {
		fmt.Fprintln(c.env.Streams.ErrOut, "Note:", note)
	}
	return c.checkSecret(ctx, api, wanted)
}

// look reads what the claim names.
func (c *claim) look(ctx context.Context, api client.Client, wanted *metal.ServerClaim) (s sight, err error) {
	if s.namespace, err = read(ctx, api, &corev1.Namespace{}, client.ObjectKey{Name: wanted.Namespace}, "-n says"); err != nil {
		return s, err
	}
	if s.class, err = read(ctx, api, &metal.ServerClass{}, client.ObjectKey{Name: wanted.Spec.ClassName}, "--class says"); err != nil {
		return s, err
	}
	if wanted.Spec.ServerName != "" {
		if s.server, err = read(ctx, api, &metal.Server{}, client.ObjectKey{Name: wanted.Spec.ServerName}, "--server says"); err != nil {
			return s, err
		}
	}
	if wanted.Spec.EnvironmentName != "" {
		s.environment, err = read(ctx, api, &metal.Environment{}, client.ObjectKey{Name: wanted.Spec.EnvironmentName}, "--environment says")
	}
	return s, err
}

// read reads an object that must exist; nil when the person may not read it.
func read[T client.Object](ctx context.Context, api client.Client, o T, key client.ObjectKey, who string) (T, error) {
	var none T
	err := api.Get(ctx, key, o)
	switch {
	case err == nil:
		return o, nil
	case apierrors.IsForbidden(err):
		return none, nil
	case apierrors.IsNotFound(err):
		kind, next := missing(o, key)
		return none, refused("%s %s %q, which does not exist; %s. Nothing was made", who, kind, key.Name, next)
	}
	return none, explain(err)
}

// missing says what kind of object is missing, and what to do about it.
func missing(o client.Object, key client.ObjectKey) (kind, next string) {
	switch o.(type) {
	case *corev1.Namespace:
		return "the namespace", "make it: kubectl create namespace " + key.Name
	case *metal.ServerClass:
		return "the class", "`ingot get classes` lists them"
	case *metal.Environment:
		return "the Environment", "`ingot get environments` lists them"
	case *corev1.Secret:
		return "the Secret", fmt.Sprintf("make it: kubectl create secret generic %s -n %s --from-file=%s=FILE", key.Name, key.Namespace, configKey)
	case *metal.ServerInventory:
		return "the inventory", "it comes from the server's agent: boot that once"
	}
	return "the server", "`ingot get servers` lists them"
}

// permitted says whether the class lets the claim's namespace take servers.
func permitted(s sight, wanted *metal.ServerClaim) error {
	allowed := s.class.Spec.AllowedNamespaces
	switch {
	case allowed == nil:
		return refused("class %s lets no namespace take servers; its owner sets spec.allowedNamespaces. Nothing was made", s.class.Name)
	case allowed.All, slices.Contains(allowed.Names, wanted.Namespace):
		return nil
	case allowed.Selector == nil:
		return refused("class %s lets only %s take servers, and this is %s; say -n, or ask the owner of the class. Nothing was made", s.class.Name, strings.Join(allowed.Names, ", "), wanted.Namespace)
	case s.namespace == nil:
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(allowed.Selector)
	if err == nil && selector.Matches(labelset.Set(s.namespace.Labels)) {
		return nil
	}
	return refused("class %s lets only namespaces with the labels %s take servers, and %s is none; say -n, or ask the owner of the class. Nothing was made",
		s.class.Name, metav1.FormatLabelSelector(allowed.Selector), wanted.Namespace)
}

// environmentOf is the Environment that the claim leads to: its own, the named server's, the class's. Empty when that hangs on the server that is taken.
func environmentOf(s sight, wanted *metal.ServerClaim) string {
	switch {
	case wanted.Spec.EnvironmentName != "":
		return wanted.Spec.EnvironmentName
	case s.server != nil && s.server.Spec.EnvironmentRef != nil:
		return s.server.Spec.EnvironmentRef.Name
	case s.class.Spec.EnvironmentRef != nil:
		return s.class.Spec.EnvironmentRef.Name
	}
	return ""
}

// environmentFits says whether the class allows an Environment. Without a name it depends on servers, of which the class must allow some.
func environmentFits(class *metal.ServerClass, name string) error {
	allowed := class.Spec.AllowedEnvironments
	own := class.Spec.EnvironmentRef
	matches := func(glob string) bool { ok, err := path.Match(glob, name); return ok && err == nil }
	switch {
	case name == "" && len(allowed) == 0:
		return refused("class %s names no Environment and allows none; its owner sets spec.environmentRef. Nothing was made", class.Name)
	case name == "", own != nil && own.Name == name, slices.ContainsFunc(allowed, matches):
		return nil
	}
	list := slices.Clone(allowed)
	if own != nil {
		list = append([]string{own.Name}, list...)
	}
	if len(list) == 0 {
		return refused("class %s does not allow the Environment %s, and no other; its owner sets spec.allowedEnvironments. Nothing was made", class.Name, name)
	}
	return refused("class %s does not allow the Environment %s; it allows %s. Nothing was made", class.Name, name, strings.Join(list, ", "))
}

// notes say what is no mistake and still keeps the claim waiting.
func notes(s sight) []string {
	var all []string
	note := func(so bool, format string, args ...any) {
		if so {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	if s.class != nil && s.server == nil {
		note(s.class.Status.Available == 0, "no server of class %s is Available now, so the claim will wait for one", s.class.Name)
		note(s.class.Spec.EnvironmentRef == nil && s.environment == nil, "class %s names no Environment, so only servers fit that name one; or say --environment", s.class.Name)
	}
	if v := s.server; v != nil {
		r := recordOf(v)
		note(!v.Spec.Accepted, "%s is not accepted, so the claim will wait; `ingot accept %s --dry-run` shows what that means", v.Name, v.Name)
		note(r.Claim != nil, "%s is claimed already, so the claim will wait until it is released", v.Name)
		note(v.Spec.Accepted && r.Claim == nil && !isTrue(v, reasons.Ready), "%s is not ready, so the claim will wait; see `ingot why %s`", v.Name, v.Name)
		note(v.Spec.Cordoned, "%s is cordoned, so the claim will wait; `ingot uncordon %s` ends it", v.Name, v.Name)
	}
	return all
}

// checkSecret refuses to overwrite somebody's Secret, and to name one that holds nothing.
func (c *claim) checkSecret(ctx context.Context, api client.Client, wanted *metal.ServerClaim) error {
	name, secret := wanted.Spec.ConfigSecret, &corev1.Secret{}
	if name == "" {
		return nil
	}
	key := client.ObjectKey{Namespace: wanted.Namespace, Name: name}
	if c.config == "" {
		found, err := read(ctx, api, secret, key, "--config-secret says")
		if err != nil || found == nil || len(found.Data[configKey]) > 0 {
			return err
		}
		return refused("the Secret %s has no key %q, which holds the machine config. Nothing was made", name, configKey)
	}
	err := api.Get(ctx, key, secret)
	if err == nil {
		return refused("the Secret %s exists already; to take the machine config from it: --config-secret %s. Nothing was made", name, name)
	}
	if !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return explain(err)
	}
	return nil
}
