package allocate

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// EnvironmentWish says why the Environment that the claim itself names cannot be had with any server; nothing when it can, or it names none.
func EnvironmentWish(claim *metal.ServerClaim, class *metal.ServerClass, environments map[string]*metal.Environment) []Reason {
	name := claim.Spec.EnvironmentName
	if name == "" {
		return nil
	}
	if !allowed(class, name) {
		return one(reasons.EnvironmentNotAllowed, "the class "+class.Name+" does not allow the Environment "+name+" that the claim names")
	}
	if environments[name] == nil {
		return one(reasons.EnvironmentMissing, "the Environment "+name+" that the claim names does not exist")
	}
	return unresolved(name, environments[name])
}

// bootable says why the server has nothing to boot for this claim.
func (r *Request) bootable(c Candidate) []Reason {
	name, refused := resolve(r.Claim, r.Class, c.Server)
	if refused != nil {
		return refused
	}
	environment := r.Environments[name]
	if environment == nil {
		return one(reasons.EnvironmentMissing, "the Environment "+name+" does not exist")
	}
	if found := unresolved(name, environment); found != nil {
		return found
	}
	if arch := c.Inventory.Spec.Arch; !supports(environment, arch) {
		return one(reasons.EnvironmentUnsupported, "the Environment "+name+" has nothing for "+orNone(arch)+", its architecture")
	}
	return nil
}

// resolve names the Environment that a server would boot for the claim: the claim's, else the server's, else the class's. Claim and server do not
// overrule each other, and what either names must be the class's or one that the class allows.
func resolve(claim *metal.ServerClaim, class *metal.ServerClass, server *metal.Server) (string, []Reason) {
	wish, own, standard := claim.Spec.EnvironmentName, refName(server.Spec.EnvironmentRef), refName(class.Spec.EnvironmentRef)
	switch {
	case wish != "" && own != "" && wish != own:
		return "", one(reasons.EnvironmentNotAllowed, "it boots the Environment "+own+", and the claim wants "+wish)
	case wish != "" && !allowed(class, wish):
		return "", one(reasons.EnvironmentNotAllowed, "the class does not allow the Environment "+wish+" that the claim wants")
	case own != "" && !allowed(class, own):
		return "", one(reasons.EnvironmentNotAllowed, "the class does not allow the Environment "+own+" that it boots")
	}
	for _, name := range []string{wish, own, standard} {
		if name != "" {
			return name, nil
		}
	}
	return "", one(reasons.EnvironmentMissing, "neither claim, server nor class names an Environment")
}

// allowed is whether a claim or a server may name that Environment.
func allowed(class *metal.ServerClass, name string) bool {
	return name == refName(class.Spec.EnvironmentRef) || slices.ContainsFunc(class.Spec.AllowedEnvironments, func(p string) bool { return glob(p, name) })
}

// unresolved says why nobody knows yet what the Environment boots.
func unresolved(name string, e *metal.Environment) []Reason {
	if e.Spec.Talos == nil || e.Pin() != nil {
		return nil
	}
	c := meta.FindStatusCondition(e.Status.Conditions, reasons.Resolved)
	if c == nil || c.Status == metav1.ConditionTrue || c.ObservedGeneration != e.Generation {
		return one(reasons.Resolving, "the Environment "+name+" has not been resolved yet")
	}
	return one(c.Reason, "the Environment "+name+" is not resolved: "+c.Message)
}

// supports is whether the Environment has something to boot for the architecture.
func supports(e *metal.Environment, arch string) bool {
	return slices.ContainsFunc(e.Boots(), func(b metal.BootAssets) bool { return b.Arch == arch })
}

func refName(r *metal.NameRef) string {
	if r == nil {
		return ""
	}
	return r.Name
}
