// Program metal-controller runs Ingot's controllers against any Kubernetes API server, with leader election between replicas.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
	ctrl "sigs.k8s.io/controller-runtime"

	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/pxe-server/boot"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "metal-controller:", err)
		os.Exit(1)
	}
}

// flags are what the command line says.
type flags struct {
	setup.Config
	kubeconfig string
	policy     string
	verbosity  int
}

func command() *cobra.Command {
	f := &flags{}
	c := &cobra.Command{
		Use:   "metal-controller",
		Short: "Run Ingot's controllers against a Kubernetes API server",
		Long: `Run Ingot's controllers against a Kubernetes API server.

Replicas elect a leader that reconciles Servers and talks to BMCs; every replica answers agents, pxe-servers and installed systems.
For one program with everything in it, the API server included, use "ingot up".`,
		Example: `  metal-controller --kubeconfig ~/.kube/config --agent-url https://192.0.2.1:7443
  metal-controller issue-pxe-certificate --site rack1 --out ./rack1 --server 192.0.2.1:7444`,
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		Version: version.String(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.complete(); err != nil {
				return err
			}
			return setup.Run(c.Context(), f.Config)
		},
	}
	c.PersistentFlags().StringVar(&f.kubeconfig, "kubeconfig", "", "file that says how to reach the API server (default: the Pod's service account, else $KUBECONFIG or ~/.kube/config)")
	c.PersistentFlags().IntVarP(&f.verbosity, "verbosity", "v", 0, "log more: 1 to 5")
	f.register(c)
	c.AddCommand(issue(f))
	return c
}

func (f *flags) register(c *cobra.Command) {
	l := c.Flags()
	l.BoolVar(&f.LeaderElection, "leader-elect", true, "elect the one replica that acts; without it this must be the only one")
	l.StringVar(&f.AgentListen, "agent-listen", ":7443", "address of the port for agents")
	l.StringVar(&f.AgentURL, "agent-url", "", "how machines reach that port, for instance https://192.0.2.1:7443 (required)")
	l.StringSliceVar(&f.AgentSANs, "agent-san", nil, "further name or address in that port's certificate (repeatable)")
	l.StringArrayVar(&f.AgentArgs, "agent-arg", nil, "further argument on the agent's kernel line (repeatable)")
	l.StringVar(&f.BootListen, "boot-listen", ":7444", "address of the port for pxe-servers; empty for none")
	l.StringSliceVar(&f.BootSANs, "boot-san", nil, "further name or address in that port's certificate; it has the agent port's already (repeatable)")
	l.StringVar(&f.ConfigListen, "config-listen", ":7445", "address of the port that gives out machine configs over TLS; empty for none, and then no operating system is booted")
	l.StringVar(&f.ConfigURL, "config-url", "", "how machines reach that port, for instance https://192.0.2.1:7445 (default: by the host of --agent-url)")
	l.StringVar(&f.PlainConfigListen, "plain-config-listen", ":7446", "address of the same port over plain HTTP, for classes that allow that; empty for none")
	l.StringVar(&f.PlainConfigURL, "plain-config-url", "", "how machines reach that port, for instance http://192.0.2.1:7446 (default: by the host of --agent-url)")
	l.StringVar(&f.EventsListen, "events-listen", ":7447", "address of the port where Talos machines tell of their events, by the host of --agent-url; empty for none")
	l.StringVar(&f.KernelLogListen, "kernel-log-listen", ":7448", "address of the port where they send their kernel's log; empty for none")
	l.StringVar(&f.policy, "unknown-policy", string(boot.RegisterOnce), "what to do with machines that no Server describes: register-once, ignore or hold")
	l.IntVar(&f.MaxUnaccepted, "max-unaccepted", 0, "how many Servers may wait for acceptance before no more are registered (default 1000)")
	l.StringVar(&f.DestructiveLimit, "destructive-limit", "", "how many wipes may be granted in an hour: a number, or a share of the accepted servers such as 20% (default: the larger of 5 and 10%)")
	l.BoolVar(&f.DryRun, "dry-run", false, "wipe nothing: show in each Server's status what would be wiped")
	l.StringVar(&f.MetricsAddr, "metrics-address", "127.0.0.1:7490", "address for metrics and health (/metrics, /healthz, /readyz); empty for none")
}

// complete turns flags into a Config.
func (f *flags) complete() error {
	f.UnknownPolicy = boot.UnknownPolicy(f.policy)
	f.Log = textlogger.NewLogger(textlogger.NewConfig(textlogger.Verbosity(f.verbosity), textlogger.Output(os.Stderr)))
	klog.SetLogger(f.Log)
	ctrl.SetLogger(f.Log)
	var err error
	f.REST, err = loadREST(f.kubeconfig)
	return err
}

// loadREST follows kubectl's habits: the flag, then the Pod's service account, then the environment and the home folder.
func loadREST(file string) (*rest.Config, error) {
	if file == "" {
		if in, err := rest.InClusterConfig(); err == nil {
			return in, nil
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if clientcmd.IsEmptyConfig(err) { // its words speak of a variable that nobody wants
		return nil, errors.New("no API server is configured: name a kubeconfig with --kubeconfig or $KUBECONFIG, or run in a Pod with a service account")
	}
	if err != nil {
		return nil, fmt.Errorf("finding the API server: %w; name another file with --kubeconfig", err)
	}
	return cfg, nil
}

func issue(f *flags) *cobra.Command {
	var site, out, server string
	c := &cobra.Command{
		Use:   "issue-pxe-certificate --site NAME --out DIR",
		Short: "Issue the certificate of a stand-alone pxe-server",
		Long: `Issue the certificate of a stand-alone pxe-server.

It writes tls.crt, tls.key and ca.crt into a folder; copy them to the pxe-server's machine over a way that you trust.
The certificate holds for a year. Whoever has the key sees what the machines of the site boot, and may report boots of them: those whose spec.location.site
is the name of the site, and those whose spec names none.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if site == "" || out == "" {
				return errors.New("--site and --out are needed: --site rack1 --out ./rack1, for instance")
			}
			if err := f.complete(); err != nil {
				return err
			}
			if err := setup.IssueSite(c.Context(), f.Config, site, out); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "Wrote tls.crt, tls.key and ca.crt to %s. On the machine of the site %s run:\n"+
				"  pxe-server --interface INTERFACE --dhcp-pool FIRST-LAST --agent-image FOLDER --controller %s --cert tls.crt --key tls.key --ca ca.crt\n", out, site, server)
			return err
		},
	}
	c.Flags().StringVar(&site, "site", "", "name of the site, as spec.location.site of its Servers says it")
	c.Flags().StringVar(&out, "out", "", "folder to write into")
	c.Flags().StringVar(&server, "server", "HOST:7444", "where the pxe-server reaches the controller's --boot-listen")
	return c
}
