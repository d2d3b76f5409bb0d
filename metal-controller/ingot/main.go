// Program ingot is Ingot in one program: its control plane, its services, a virtual rack, and its client commands. Layer 4, wiring.
package main

import (
	"context"
	"crypto/rand"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/metal-controller/ingot/assets"
	"ingot.dev/ingot/metal-controller/ingot/backup"
	"ingot.dev/ingot/metal-controller/ingot/clusterapi"
	"ingot.dev/ingot/metal-controller/ingot/lab"
	"ingot.dev/ingot/metal-controller/ingot/services"
	"ingot.dev/ingot/metal-controller/ingot/up"
)

func main() {
	env := &cli.Env{
		Streams:  genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		StateDir: up.DefaultStateDir(),
		Now:      time.Now,
		ID:       func() string { return strings.ToLower(rand.Text()) },
	}
	root := cli.New("ingot", env)
	root.Long += "\n\nTry it without hardware: ingot lab\nUse it on a network:     ingot up --interface eth1"
	root.AddCommand(cli.WithoutClientFlags(up.Command(&services.Network{}, clusterapi.Service), lab.Command(env), backup.Command(env), backup.RestoreCommand(env))...)
	root.AddCommand(assets.Command(env))
	pflag.CommandLine = pflag.NewFlagSet("ingot", pflag.ContinueOnError) // Kubernetes' libraries put a --version of theirs there, and cobra shows it
	os.Exit(run(func(ctx context.Context) int { return cli.Main(ctx, root, env) }))
}

// run ends client commands on Ctrl-C. `up` and `lab` have their own way: the first Ctrl-C ends cleanly, the second at once.
func run(command func(context.Context) int) int {
	if len(os.Args) > 1 && (os.Args[1] == "up" || os.Args[1] == "lab") {
		return command(context.Background())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return command(ctx)
}
