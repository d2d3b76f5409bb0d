package configserver

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/machineconfig"
	"ingot.dev/ingot/metal-controller/talos"
)

// provable wants credentials for the API of a Talos before one is booted: without them no installation would ever count, and the server would boot for it
// again and again.
func (m Maker) provable(ctx context.Context, x made) error {
	if !x.env.BootsTalos() {
		return nil
	}
	_, err := m.proof(ctx, x.claim, talos.Reader, func() (machineconfig.Result, error) { return x.config, nil })
	return err
}

// Proof is what the Talos of a Server's claim is asked with: the talosconfig of the cluster that the claim's label names; where there is none, a certificate made
// with the authority in the machine config, which those of control planes hold. An error is a *NotReadyError, or trouble with the API server.
func (m Maker) Proof(ctx context.Context, s *metal.Server) (talos.Credentials, error) {
	return m.credentials(ctx, s, talos.Reader)
}

// Orders is what the Talos of a Server's claim is given orders with: as Proof, with a certificate of an admin.
func (m Maker) Orders(ctx context.Context, s *metal.Server) (talos.Credentials, error) {
	return m.credentials(ctx, s, talos.Admin)
}

func (m Maker) credentials(ctx context.Context, s *metal.Server, role talos.Role) (talos.Credentials, error) {
	claim, err := m.claim(ctx, s)
	if err != nil {
		return talos.Credentials{}, err
	}
	return m.proof(ctx, claim, role, func() (machineconfig.Result, error) { return m.Make(ctx, s) })
}

// proof are the credentials for the Talos of a claim. The machine config is asked for only where the cluster has no Secret.
func (m Maker) proof(ctx context.Context, claim *metal.ServerClaim, role talos.Role, build func() (machineconfig.Result, error)) (talos.Credentials, error) {
	none := notReady(reasons.ProofMissing, "Nothing could prove that Talos is installed: the claim %s/%s has no label %s that names its cluster, and its machine config holds no authority with its key. Label it, and put the cluster's talosconfig into the Secret CLUSTER%s, key %s.",
		claim.Namespace, claim.Name, metal.ClusterAPILabel, talos.ConfigSuffix, talos.ConfigKey)
	if cluster := claim.Cluster(); cluster != "" {
		own, err := m.talosconfig(ctx, types.NamespacedName{Namespace: claim.Namespace, Name: cluster + talos.ConfigSuffix})
		if !missing(err) {
			return own, err
		}
		none = err
	}
	config, err := build()
	if err != nil {
		return talos.Credentials{}, err
	}
	own, err := talos.FromMachineConfig(config.Bytes(), role, m.Now(), m.Random)
	switch {
	case errors.Is(err, talos.ErrNoAuthority):
		return talos.Credentials{}, none
	case err != nil:
		return talos.Credentials{}, notReady(reasons.ProofMissing, "Nothing could prove that Talos is installed: %v.", err)
	}
	return own, nil
}

// talosconfig reads the credentials in a Secret.
func (m Maker) talosconfig(ctx context.Context, name types.NamespacedName) (talos.Credentials, error) {
	value, err := m.secret(ctx, name, talos.ConfigKey, reasons.ProofMissing, "the talosconfig of the claim's cluster")
	if err != nil {
		return talos.Credentials{}, err
	}
	own, err := talos.ParseTalosconfig(value)
	if err != nil {
		return talos.Credentials{}, notReady(reasons.ProofMissing, "Nothing could prove that Talos is installed: %v: mend the Secret %s.", err, name)
	}
	return own, nil
}

// missing says that there is no such Secret; one that is of no use is not missing.
func missing(err error) bool {
	var n *NotReadyError
	return errors.As(err, &n) && n.absent
}
