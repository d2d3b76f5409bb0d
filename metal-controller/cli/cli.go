// Package cli is Ingot's client commands in kubectl's habits: get, why, accept, claim, release, cluster, wipe, cordon, quarantine, pause, power, bmc, adopt, erase-record, config, console, logs,
// support, check, version. They only read and write API objects: whatever they explain, the controller wrote down before as conditions and events; whatever they
// ask for is a request in the spec that the controller may refuse. It is wiring (layer 4) and never imports lifecycle.
//
// Invariant: a command that lets data go confirms exactly what was shown; what changed in between is refused, never merged.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/version"
)

// Exit codes of every command.
const (
	CodeOK      = 0
	CodeError   = 1
	CodeUsage   = 2
	CodeTimeout = 3
	CodeRefused = 4
	// CodeInterrupted is the shell's code for Ctrl-C.
	CodeInterrupted = 130
)

// Env is what the commands need of the world around them.
type Env struct {
	Streams genericiooptions.IOStreams
	// StateDir of `ingot up`, whose admin kubeconfig is used when nothing else is named.
	StateDir string
	// Now is the clock against which ages are shown.
	Now func() time.Time
	// ID makes a new random id for requests.
	ID func() string

	config *genericclioptions.ConfigFlags
}

// New is the root command with all client commands below it. Programs add their own, as `ingot` adds up and lab.
func New(name string, env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:     name,
		Short:   "Turn racked servers into Kubernetes clusters",
		Long:    "Ingot turns racked servers into Kubernetes clusters: it boots, inventories and powers bare metal.",
		Version: version.String(), SilenceUsage: true, SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	group(root)
	env.config = genericclioptions.NewConfigFlags(true)
	env.config.AddFlags(root.PersistentFlags())
	hideRareFlags(root)
	root.PersistentPreRun = func(*cobra.Command, []string) { env.prepare() }
	root.SetFlagErrorFunc(flagError)
	root.SetUsageTemplate(usageTemplate(root.UsageTemplate()))
	root.SetOut(env.Streams.Out)
	root.SetErr(env.Streams.ErrOut)
	root.SetIn(env.Streams.In)
	root.AddCommand(newGet(env), newWhy(env), newAccept(env), newClaim(env), newRelease(env), newCluster(env), newWipe(env), newQuarantine(env), newLift(env), newPower(env), newBMC(env), newAdopt(env), newEraseRecord(env), newVerifyErase(env), newConfig(env), newConsole(env), newLogs(env), newSupport(env), newCheck(env), newVersion(env))
	for _, set := range settings() {
		root.AddCommand(set.command(env))
	}
	groupCompletion(root)
	return root
}

// rare are kubectl's flags that few people need; they work and are not shown.
var rare = []string{
	"as", "as-uid", "as-group", "as-user-extra", "cache-dir", "certificate-authority", "client-certificate", "client-key", "cluster", "disable-compression",
	"insecure-skip-tls-verify", "request-timeout", "server", "tls-server-name", "token", "user",
}

func hideRareFlags(root *cobra.Command) {
	for _, name := range rare {
		if f := root.PersistentFlags().Lookup(name); f != nil {
			f.Hidden = true
		}
	}
}

// prepare points to the embedded control plane when the person named no other: no flag and no $KUBECONFIG.
func (e *Env) prepare() {
	klog.SetLogger(logr.Discard()) // client-go logs what the commands return as errors anyway
	if *e.config.KubeConfig != "" || os.Getenv("KUBECONFIG") != "" {
		return
	}
	if path := filepath.Join(e.StateDir, "admin.kubeconfig"); readable(path) {
		*e.config.KubeConfig = path
	}
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// configured refuses kubectl's fallback to localhost:8080, where nobody listens and whose error misleads.
func (e *Env) configured() error {
	raw, err := e.config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if len(raw.Clusters) == 0 && *e.config.APIServer == "" {
		return errors.New("no control plane is configured; start one with `ingot up`, or name one with --kubeconfig")
	}
	return nil
}

// Client talks to the API server that the flags name.
func (e *Env) Client() (client.WithWatch, error) {
	if err := e.configured(); err != nil {
		return nil, err
	}
	config, err := e.config.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	return e.clientOf(config)
}

// clientOf talks to one API server.
func (e *Env) clientOf(config *rest.Config) (client.WithWatch, error) {
	config.WarningHandler = warnings{e.Streams.ErrOut}
	log.SetLogger(logr.Discard())
	c, err := client.NewWithWatch(config, client.Options{Scheme: Scheme()})
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server at %s: %w; is `ingot up` running?", config.Host, err)
	}
	return c, nil
}

// Scheme knows Kubernetes' own kinds and ours.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(metal.AddToScheme(s))
	return s
}

// server reads one Server; an unknown name gets an error that names the next step.
func (e *Env) server(ctx context.Context, c client.Client, name string) (*metal.Server, error) {
	s := &metal.Server{}
	err := c.Get(ctx, client.ObjectKey{Name: name}, s)
	if client.IgnoreNotFound(err) != nil {
		return nil, explain(err)
	}
	if err != nil {
		return nil, fmt.Errorf("there is no server %q; `ingot get servers` lists them", name)
	}
	return s, nil
}

// explain adds what to do next to errors that a person meets often.
func explain(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "connection refused"), strings.Contains(text, "no such host"):
		return fmt.Errorf("%w; is the control plane running? Start it with `ingot up`, or name another with --kubeconfig", err)
	case strings.Contains(text, "the server doesn't have a resource type"):
		return fmt.Errorf("%w; Ingot's kinds are %s", err, strings.Join(kinds, ", "))
	case strings.Contains(text, "no matches for kind"):
		return fmt.Errorf("%w; this cluster does not serve Ingot's API: install its manifests, or name another cluster with --context", err)
	}
	return err
}

// completeServer completes the name of one Server.
func (e *Env) completeServer(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return e.completeServers(cmd, args, prefix)
}

// completeServers completes names of Servers that were not given yet.
func (e *Env) completeServers(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	e.prepare()
	c, err := e.Client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
	defer cancel()
	list := &metal.ServerList{}
	if c.List(ctx, list) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, s := range list.Items {
		if strings.HasPrefix(s.Name, prefix) && !slices.Contains(args, s.Name) {
			names = append(names, s.Name+"\t"+string(s.Status.State))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// ExitError carries the exit code of a command. Without Err the reason was told already.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// Main runs the command and returns its exit code; the error goes to standard error, once.
func Main(ctx context.Context, root *cobra.Command, env *Env) int {
	err := root.ExecuteContext(ctx)
	if told := (&ExitError{}); errors.As(err, &told) && told.Err == nil {
		return told.Code
	}
	if err != nil {
		fmt.Fprintln(env.Streams.ErrOut, "error:", err)
	}
	return code(err)
}

func code(err error) int {
	exit := &ExitError{}
	switch {
	case err == nil:
		return CodeOK
	case errors.As(err, &exit):
		return exit.Code
	case errors.Is(err, context.DeadlineExceeded):
		return CodeTimeout
	case strings.HasPrefix(err.Error(), "unknown command"):
		return CodeUsage // cobra has no type for it
	}
	return CodeError
}
