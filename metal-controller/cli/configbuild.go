package cli

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machineconfig"
	"ingot.dev/ingot/metal-controller/taloscheck"
)

// preview is a machine config as the controller would make it, but for Ingot's own addresses, which only the controllers know.
type preview struct {
	config machineconfig.Result
	// notes say what was left out, and invalid why Talos would not take it.
	notes   []string
	invalid error
}

// buildConfig makes the preview of a claim. Before it is bound, what is of its server is left out.
func (e *Env) buildConfig(ctx context.Context, c client.Client, claim *metal.ServerClaim) (p preview, err error) {
	if claim.Spec.ConfigSecret == "" {
		return p, fmt.Errorf("the claim %s/%s names no machine config: set spec.configSecret", claim.Namespace, claim.Name)
	}
	secret, err := readOne(ctx, c, &corev1.Secret{}, client.ObjectKey{Namespace: claim.Namespace, Name: claim.Spec.ConfigSecret})
	if err != nil {
		return p, err
	}
	class, err := readOne(ctx, c, &metal.ServerClass{}, client.ObjectKey{Name: claim.Spec.ClassName})
	if err != nil {
		return p, err
	}
	base := secret.Data[machineconfig.SecretKey]
	facts := machineconfig.Facts{Class: class, Claim: claim, Server: &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "SERVER"}}}
	version := ""
	if claim.Spec.Binding == nil {
		p.notes = unbound(&facts)
	} else if version, err = e.ofServer(ctx, c, &facts, base); err != nil {
		return p, err
	}
	facts.Callback = machineconfig.Callback{URL: "https://INGOT/", Pin: "PIN", Boot: "BOOT", Server: facts.Server.Name}
	facts.Events, facts.KernelLog = "INGOT:7447", "tcp://INGOT:7448"
	if p.config, err = machineconfig.Make(base, facts); err != nil {
		return p, err
	}
	if p.config.Talos() {
		p.notes = append(p.notes, "INGOT stands for the address where Ingot hears what a Talos tells of itself; nothing names it where those ports are closed.")
	}
	p.judge(version, facts)
	return p, nil
}

// judge asks Talos' own code, when there is a server to ask for.
func (p *preview) judge(version string, facts machineconfig.Facts) {
	if !p.config.Talos() || facts.Claim.Spec.Binding == nil {
		return
	}
	if !taloscheck.Covers(version) {
		p.notes = append(p.notes, fmt.Sprintf("Only the install disk was checked: the Environment boots Talos %s, and Ingot knows what Talos takes up to %s.", version, taloscheck.Version))
	}
	p.invalid = taloscheck.Check(taloscheck.Request{Config: p.config.Bytes(), Version: version, Server: facts.Server, Inventory: facts.Inventory})
}

// unbound leaves the choice of the disk out.
func unbound(facts *machineconfig.Facts) []string {
	chosen := facts.Class.Spec.InstallDisk != nil || facts.Claim.Spec.InstallDisk != nil
	facts.Class, facts.Claim = facts.Class.DeepCopy(), facts.Claim.DeepCopy()
	facts.Class.Spec.InstallDisk, facts.Claim.Spec.InstallDisk = nil, nil
	notes := []string{"The claim is not bound yet: SERVER stands for its server, and nothing was checked."}
	if chosen {
		notes = append(notes, "The install disk is chosen when the claim is bound.")
	}
	return notes
}

// ofServer adds what is of the bound server, and tells which Talos it boots where that is known.
func (e *Env) ofServer(ctx context.Context, c client.Client, facts *machineconfig.Facts, base []byte) (version string, err error) {
	if facts.Server, err = e.server(ctx, c, facts.Claim.Spec.Binding.Server); err != nil {
		return "", err
	}
	if r := facts.Server.Spec.Record; r != nil && r.Claim != nil && r.Claim.Environment != "" {
		env, err := readOne(ctx, c, &metal.Environment{}, client.ObjectKey{Name: r.Claim.Environment})
		if err != nil {
			return "", err
		}
		if env.Spec.Talos != nil {
			facts.Talos, version = true, env.Spec.Talos.Version
			if pin := env.Pin(); pin != nil {
				facts.Installer = pin.Installer
			}
		}
	}
	if !facts.Talos && !machineconfig.IsTalos(base) {
		return version, nil
	}
	inventory, err := readOne(ctx, c, &metal.ServerInventory{}, client.ObjectKey{Name: facts.Server.Name})
	if err != nil {
		return "", err
	}
	facts.Inventory = &inventory.Spec
	return version, nil
}
