package machineconfig

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// SecretKey is the key of a claim's Secret that holds its machine config.
const SecretKey = "value"

// OriginIngot is where the document Callback comes from.
const OriginIngot = "ingot"

// callbackIdentity is what Ingot's own document is known by.
var callbackIdentity = identity{apiVersion: "ingot.dev/v1alpha1", kind: "Callback"}

// Patches are those of a class, a claim and a Server, in the order in which they are applied.
func Patches(class *metal.ServerClass, claim *metal.ServerClaim, server *metal.Server) []Patch {
	var all []Patch
	for _, from := range []struct {
		what    string
		patches []string
	}{
		{"class " + class.Name, class.Spec.Patches},
		{"claim " + claim.Namespace + "/" + claim.Name, claim.Spec.Patches},
		{"server " + server.Name, server.Spec.Patches},
	} {
		for i, p := range from.patches {
			all = append(all, Patch{Origin: fmt.Sprintf("%s, patch %d", from.what, i+1), YAML: p})
		}
	}
	return all
}

// Callback says how an installed system reaches Ingot.
type Callback struct {
	// URL to send signals to; it is a capability. Pin is the SHA-256 of the public key of the authority behind it, lower-case hexadecimal.
	URL, Pin string
	// Boot and Server are their ids.
	Boot, Server string
}

// Patch is the document that Ingot appends to the configs of `boot` Environments; it takes the place of one of the same kind.
func (c Callback) Patch() (Patch, error) {
	text, err := yaml.Marshal(map[string]string{
		directive: replace, "apiVersion": callbackIdentity.apiVersion, "kind": callbackIdentity.kind,
		"url": c.URL, "pin": c.Pin, "boot": c.Boot, "server": c.Server, "providerID": ProviderID(c.Server),
	})
	if err != nil {
		return Patch{}, fmt.Errorf("writing the document %s: %w", callbackIdentity.kind, err)
	}
	return Patch{Origin: OriginIngot, YAML: string(text)}, nil
}

// ProviderID is what the node of a server is known by.
func ProviderID(server string) string { return infra.ProviderIDPrefix + server }
