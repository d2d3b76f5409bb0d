// Command talos-providers is both providers of Cluster API that Sidero Labs makes for Talos, in one process: the one that makes machine configs (bootstrap, CABPT) and
// the one that keeps control planes (CACPPT), with their webhooks. `ingot up` runs it as its child; it can also be run by hand against any API server.
//
// Layer 4, wiring. It is a module and a program of its own, since these releases are built with a Cluster API that is older than Ingot's own; they meet only through
// the API server. Both are MPL-2.0 and used as they are, from their modules.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "talos-providers: %v\n", err)
		os.Exit(1)
	}
}

const usage = `talos-providers [flags]      run the Talos providers of Cluster API until SIGTERM or Ctrl-C
talos-providers release DIR  write what they install into a folder that clusterctl reads as a repository
talos-providers licence      print the licence of both, and where their sources are

`

// run is the program.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o := map[string]*place{}
	f := flag.NewFlagSet("talos-providers", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.Usage = func() {
		fmt.Fprint(errOut, usage)
		f.PrintDefaults()
	}
	for _, name := range []string{bootstrapName, controlPlaneName} {
		o[name] = flags(f, name)
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return other(out, f.Args())
	}
	for _, name := range []string{bootstrapName, controlPlaneName} {
		if err := o[name].check(name); err != nil {
			return err
		}
	}
	return serve(ctx, *o[bootstrapName], *o[controlPlaneName])
}

// The providers, by what each is to Cluster API.
const (
	bootstrapName    = "bootstrap"
	controlPlaneName = "control-plane"
)

// place is where one provider runs: with credentials of its own, since each has rights of its own.
type place struct {
	kubeconfig, webhook, certs string
}

func flags(f *flag.FlagSet, name string) *place {
	p := &place{}
	f.StringVar(&p.kubeconfig, name+"-kubeconfig", "", "`file` with the credentials of the provider "+name)
	f.StringVar(&p.webhook, name+"-webhook-address", "", "`address` and port that its webhooks are served on")
	f.StringVar(&p.certs, name+"-webhook-certs", "", "`folder` with tls.crt and tls.key for that; new ones are read while it runs")
	return p
}

func (p *place) check(name string) error {
	for flag, value := range map[string]string{"kubeconfig": p.kubeconfig, "webhook-address": p.webhook, "webhook-certs": p.certs} {
		if value == "" {
			return fmt.Errorf("--%s-%s is missing; --help says what it is", name, flag)
		}
	}
	return nil
}
