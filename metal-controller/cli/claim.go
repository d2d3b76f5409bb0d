package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// configKey is the key of the machine config in its Secret.
const configKey = "value"

type claim struct {
	env          *Env
	class        string
	server       string
	environment  string
	config       string
	configSecret string
	patches      []string
	wait         bool
	timeout      time.Duration
	dryRun       bool
}

func newClaim(env *Env) *cobra.Command {
	c := &claim{env: env}
	cmd := &cobra.Command{
		Use:   "claim NAME --class CLASS",
		Short: "Take a server of a class: it boots, installs and configures its operating system, and runs",
		Long: `Take a server of a class: it boots, installs and configures its operating system, and runs. Without a server that fits the claim waits for one.

The class says which servers may be taken, by which namespaces, and with which Environments; that is checked first, and nothing is made
when it does not fit. The machine config comes from a file, which is kept in the Secret NAME-config, or from a Secret that exists. It is
never shown. Patches are strategic merge patches in YAML; those of the class come before and those of the server after them.

` + "`ingot release NAME`" + ` gives the server back, and wipes it.`,
		Example: `  ingot claim worker-1 --class small --config worker.yaml --wait
  ingot claim worker-1 --class small --config-secret talos-worker --patch hostname.yaml
  ingot claim db-1 -n databases --class large --server rack1-07 --environment talos-v1.13
  ingot claim worker-1 --class small --dry-run`,
		Args: usage(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), trimClaim(args[0])) },
	}
	f := cmd.Flags()
	f.StringVar(&c.class, "class", "", "take a server of this `ServerClass`")
	f.StringVar(&c.server, "server", "", "take this very `server`; it must fit the class")
	f.StringVar(&c.environment, "environment", "", "boot this `Environment`; the class must allow it (default: the server's, then the class's)")
	f.StringVar(&c.config, "config", "", "keep the machine config in this `file` in a Secret of the claim")
	f.StringVar(&c.configSecret, "config-secret", "", "take the machine config from the key `value` of this Secret of the namespace")
	f.StringArrayVar(&c.patches, "patch", nil, "patch the machine config with this YAML `file` (repeatable, in order)")
	f.BoolVar(&c.wait, "wait", false, "wait until the workload runs, and show how far it is")
	f.DurationVar(&c.timeout, "timeout", 0, "how long to wait; 0 has no limit")
	f.BoolVar(&c.dryRun, "dry-run", false, "check everything and say what would be made, and make nothing")
	c.complete(cmd)
	return cmd
}

func (c *claim) complete(cmd *cobra.Command) {
	for flag, list := range map[string]func() client.ObjectList{
		"class":       func() client.ObjectList { return &metal.ServerClassList{} },
		"environment": func() client.ObjectList { return &metal.EnvironmentList{} },
		"server":      func() client.ObjectList { return &metal.ServerList{} },
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return c.env.completeNames(cmd.Context(), list(), prefix, "")
		})
	}
}

func (c *claim) run(ctx context.Context, name string) error {
	switch {
	case c.class == "":
		return misused("--class says what kind of server to take; `ingot get classes` lists them")
	case c.config != "" && c.configSecret != "":
		return misused("--config and --config-secret both name the machine config; say one of them")
	}
	namespace, err := c.env.namespace()
	if err != nil {
		return err
	}
	config, err := readConfig(c.config)
	if err != nil {
		return err
	}
	wanted, err := c.wanted(name, namespace)
	if err != nil {
		return err
	}
	api, err := c.env.Client()
	if err != nil {
		return err
	}
	if err := c.check(ctx, api, wanted); err != nil {
		return err
	}
	if err := c.create(ctx, api, wanted, config); err != nil || c.dryRun || !c.wait {
		return err
	}
	return c.follow(ctx, api, wanted)
}

// misused is a mistake in the command line.
func misused(format string, args ...any) error {
	return &ExitError{Code: CodeUsage, Err: fmt.Errorf(format, args...)}
}

// wanted is the claim that the flags ask for.
func (c *claim) wanted(name, namespace string) (*metal.ServerClaim, error) {
	patches, err := readPatches(c.patches)
	if err != nil {
		return nil, err
	}
	secret := c.configSecret
	if c.config != "" {
		secret = name + "-config"
	}
	return &metal.ServerClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: metal.ServerClaimSpec{
			ClassName: c.class, ServerName: trimKind(c.server), EnvironmentName: c.environment, ConfigSecret: secret, Patches: patches,
		},
	}, nil
}

// create makes the claim, and then the Secret that belongs to it and goes with it.
func (c *claim) create(ctx context.Context, api client.Client, wanted *metal.ServerClaim, config []byte) error {
	out, what := c.env.Streams.Out, claimName(wanted)
	var opts []client.CreateOption
	if c.dryRun {
		opts = append(opts, client.DryRunAll)
	}
	err := api.Create(ctx, wanted, opts...)
	if apierrors.IsAlreadyExists(err) {
		return refused("%s exists already; see `ingot why claim/%s -n %s`, or choose another name", what, wanted.Name, wanted.Namespace)
	}
	if err != nil {
		return fmt.Errorf("making %s: %w", what, explain(err))
	}
	if c.dryRun {
		fmt.Fprintf(out, "%s would take %s. Nothing was changed (dry run).\n", what, describe(wanted))
		return nil
	}
	fmt.Fprintf(out, "%s takes %s\n", what, describe(wanted))
	if config != nil {
		if err := api.Create(ctx, configSecret(wanted, config)); err != nil {
			return fmt.Errorf("%s was made, and waits for its machine config, since its Secret could not be made: %w; make it with `kubectl create secret generic %s -n %s --from-file=%s=FILE`, or give up with `ingot release %s -n %s`",
				what, explain(err), wanted.Spec.ConfigSecret, wanted.Namespace, configKey, wanted.Name, wanted.Namespace)
		}
		fmt.Fprintf(out, "secret/%s holds its machine config\n", wanted.Spec.ConfigSecret)
	}
	if !c.wait {
		fmt.Fprintf(out, "See how far it is: ingot why claim/%s -n %s\n", wanted.Name, wanted.Namespace)
	}
	return nil
}

// configSecret is collected with its claim. It is made after the claim, whose UID it needs.
func configSecret(owner *metal.ServerClaim, config []byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: owner.Spec.ConfigSecret, Namespace: owner.Namespace,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: metal.GroupVersion.String(), Kind: "ServerClaim", Name: owner.Name, UID: owner.UID}},
		},
		Data: map[string][]byte{configKey: config},
	}
}

// claimName names a claim in messages.
func claimName(c *metal.ServerClaim) string {
	return fmt.Sprintf("claim/%s in %s", c.Name, c.Namespace)
}

// describe says what a claim asks for.
func describe(c *metal.ServerClaim) string {
	text := "a server of class " + c.Spec.ClassName
	if c.Spec.ServerName != "" {
		text = fmt.Sprintf("server %s of class %s", c.Spec.ServerName, c.Spec.ClassName)
	}
	return text + " for " + cmp.Or(c.Spec.EnvironmentName, "its default Environment")
}
