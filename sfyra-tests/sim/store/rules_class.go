package store

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// validateClass is the CEL rules of ServerClass.
func validateClass(next *metal.ServerClass) field.ErrorList {
	r := &next.Spec.Requirements
	good := countRange(r.Cores) && quantityRange(r.Memory)
	for i := range r.Disks {
		good = good && countRange(r.Disks[i].Count) && quantityRange(r.Disks[i].Size)
	}
	for i := range r.NICs {
		good = good && countRange(r.NICs[i].Count)
	}
	var errs field.ErrorList
	if !good {
		errs = append(errs, field.Invalid(specPath.Child("requirements"), "object", "min is greater than max"))
	}
	if n := next.Spec.AllowedNamespaces; n != nil && ways(n) != 1 {
		errs = append(errs, field.Invalid(specPath.Child("allowedNamespaces"), "object", "set exactly one of all: true, names and selector"))
	}
	if t := next.Spec.Talos; t != nil && t.KubeSpan != nil && *t.KubeSpan && t.Discovery != nil && !*t.Discovery {
		errs = append(errs, field.Invalid(specPath.Child("talos"), "object", "kubeSpan needs discovery"))
	}
	return errs
}

func ways(n *metal.NamespaceSelection) int {
	ways := 0
	for _, set := range []bool{n.All, len(n.Names) > 0, n.Selector != nil} {
		if set {
			ways++
		}
	}
	return ways
}

func countRange(r *metal.CountRange) bool {
	return r == nil || r.Min == nil || r.Max == nil || *r.Min <= *r.Max
}

func quantityRange(r *metal.QuantityRange) bool {
	if r == nil || r.Min == nil || r.Max == nil {
		return true
	}
	least := r.Min.DeepCopy()
	return least.Cmp(*r.Max) <= 0
}

// validateEnvironment is the CEL rules of Environment.
func validateEnvironment(next *metal.Environment) field.ErrorList {
	var errs field.ErrorList
	add := func(bad bool, message string) {
		if bad {
			errs = append(errs, field.Invalid(specPath, "object", message))
		}
	}
	talos := next.Spec.Talos
	add((talos != nil) == (len(next.Spec.Boot) > 0), "set exactly one of talos and boot")
	add(talos != nil && talos.Schematic != "" && talos.SchematicID != "", "set schematic or schematicID, not both")
	boots := next.Spec.Boot
	if talos != nil {
		add(len(talos.Boot) > 0 && talos.SchematicID == "", "boot needs schematicID: nobody is asked for it")
		add(len(talos.Boot) > 0 && len(talos.Architectures) > 0, "boot names the architectures itself: leave architectures out")
		boots = talos.Boot
	}
	for i := range boots {
		b := &boots[i]
		add((b.UKI != nil) == (b.Kernel != nil), "set either uki, or kernel with initramfs")
		add((b.Kernel != nil) != (b.Initramfs != nil), "kernel and initramfs go together")
	}
	return errs
}
