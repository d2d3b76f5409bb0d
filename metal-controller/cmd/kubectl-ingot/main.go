// Command kubectl-ingot is Ingot's client commands as a kubectl plugin: `kubectl ingot why SERVER`. It has no control plane inside;
// the program `ingot` has.
package main

import (
	"context"
	"crypto/rand"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"ingot.dev/ingot/metal-controller/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	env := &cli.Env{
		Streams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Now:     time.Now,
		ID:      func() string { return strings.ToLower(rand.Text()) },
	}
	root := cli.New("kubectl-ingot", env)
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl ingot"}
	code := cli.Main(ctx, root, env)
	stop()
	os.Exit(code)
}
