package allocate

import (
	"path"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Invalid says why a class can be used with no server, for its author; empty when it can. Check says why an expression cannot be compiled.
func Invalid(class *metal.ServerClass, check func(expression string) error) string {
	s := &class.Spec
	if _, err := metav1.LabelSelectorAsSelector(s.Selector); err != nil {
		return "spec.selector: " + err.Error()
	}
	if s.AllowedNamespaces != nil {
		if _, err := metav1.LabelSelectorAsSelector(s.AllowedNamespaces.Selector); err != nil {
			return "spec.allowedNamespaces.selector: " + err.Error()
		}
	}
	for _, p := range slices.Concat([]string{s.Requirements.Manufacturer, s.Requirements.Product}, s.AllowedEnvironments) {
		if _, err := path.Match(p, ""); err != nil {
			return sprintf("the pattern %q: %v", p, err)
		}
	}
	for n, expression := range s.Requirements.CEL {
		if err := check(expression); err != nil {
			return sprintf("spec.requirements.cel[%d]: %v", n, err)
		}
	}
	return ""
}

// NamespaceAllowed says whether claims of the namespace may take servers of the class. Without allowedNamespaces none may. The namespace's labels are
// asked for only when a selector needs them.
func NamespaceAllowed(class *metal.ServerClass, namespace string, labelsOf func() (map[string]string, error)) (bool, error) {
	a := class.Spec.AllowedNamespaces
	switch {
	case a == nil:
		return false, nil
	case a.All, slices.Contains(a.Names, namespace):
		return true, nil
	case a.Selector == nil:
		return false, nil
	}
	s, err := metav1.LabelSelectorAsSelector(a.Selector)
	if err != nil {
		return false, nil // lets nobody in; Invalid says why
	}
	set, err := labelsOf()
	return err == nil && s.Matches(labels.Set(set)), err
}
