// Package up is `ingot up`: it opens the state folder, starts the embedded control plane and what runs beside it, tells the user each stage,
// and ends everything in order. Layer 4, wiring.
//
// Invariants: what the libraries log never reaches the terminal but a bounded file; the first Ctrl-C ends cleanly, the second at once.
package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"

	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/metal-controller/ingot/controlplane"
	"ingot.dev/ingot/metal-controller/ingot/statedir"
)

// Config is what the flags of `ingot up` say.
type Config struct {
	StateDir   string
	APIAddress netip.Addr
	APIPort    int      // 0: any free port
	APINames   []string // further names and addresses in the API server's certificate
	// Services run beside the control plane, started in order and ended in reverse order. None: the API alone.
	Services []Service
	// Progress is for people: stages, and what to do next. Usually stderr.
	Progress io.Writer
	// Terminal, when set, is a duplicate of standard error, and standard error itself is sent to the log while Run runs.
	Terminal *os.File
	Now      func() time.Time
	// Brief leaves out what to do next: a service says it.
	Brief bool
	// Task leaves out all words about being ready and stopping: the services do one thing, and end the run by its context.
	Task bool
}

// Env is what a Service gets.
type Env struct {
	ControlPlane *controlplane.ControlPlane
	StateDir     string    // for files of its own, in a folder of its own
	Log          io.Writer // for noise; the bounded log file
	// Say tells a person, a line at a time, what they have to know while it runs.
	Say func(format string, args ...any)
	// Stage tells that something is ready, with the time since the stage before.
	Stage func(name string)
}

// Service is a part that runs beside the control plane.
type Service struct {
	// Name as the progress shows it.
	Name string
	// Quiet services say themselves what is ready.
	Quiet bool
	// Start returns when the part is ready. It runs until ctx ends; wait blocks until it has ended and says why, nil when because of ctx.
	Start func(ctx context.Context, env Env) (wait func() error, err error)
}

// Limits of the log file: the current one and two older ones.
const (
	logMegabytes = 20
	logBackups   = 2
)

// Run runs everything until ctx ends, which is no error, or until a part fails.
func Run(ctx context.Context, c Config) error {
	dir, err := statedir.Open(c.StateDir, version.Version)
	if err != nil {
		return err
	}
	err = RunIn(ctx, c, dir)
	return errors.Join(err, dir.Close())
}

// RunIn is Run in a folder that the caller opened and closes.
func RunIn(ctx context.Context, c Config, dir *statedir.Dir) error {
	if c.Now == nil {
		c.Now = time.Now
	}
	p := newProgress(c.Progress, c.Now)
	p.brief, p.task = c.Brief, c.Task
	return runIn(ctx, c, dir.Path(), p)
}

// runIn runs in a folder that is ours.
func runIn(ctx context.Context, c Config, dir string, p *progress) error {
	log, err := openLog(dir)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // a log that cannot be closed is no failure of the run
	if c.Terminal != nil {
		restore, err := divert(c.Terminal, log)
		if err != nil {
			return err
		}
		defer func() { _ = restore() }() // the program ends now; there is no one to tell
		tellFatal(ctx, p, log.Filename)
	}
	return serve(ctx, c, dir, log, p)
}

// serve runs the control plane and what is beside it.
func serve(ctx context.Context, c Config, dir string, log *lumberjack.Logger, p *progress) error {
	cp, err := controlplane.Start(ctx, controlplane.Options{
		Dir: dir, BindAddress: c.APIAddress, Port: c.APIPort, ExtraSANs: c.APINames, Log: log, Stage: p.stage, Now: c.Now,
	})
	if err != nil {
		return startError(ctx, err, log.Filename)
	}
	env := Env{ControlPlane: cp, StateDir: dir, Log: log, Say: p.say, Stage: p.stage}
	err = beside(ctx, c.Services, env, p)
	if !c.Task {
		p.say("stopping the control plane")
	}
	if stopErr := cp.Stop(); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("%w; details in %s", stopErr, log.Filename))
	}
	if err == nil && !c.Brief && !c.Task {
		p.say("stopped; all data is in %s", dir)
	}
	return err
}

// startError is nil when the user has ended the start.
func startError(ctx context.Context, err error, log string) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("starting the control plane: %w (log: %s)", err, log)
}

// openLog opens the bounded log file below dir, readable by its owner only.
func openLog(dir string) (*lumberjack.Logger, error) {
	logs := filepath.Join(dir, "logs")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return nil, fmt.Errorf("creating folder for logs: %w", err)
	}
	return &lumberjack.Logger{Filename: filepath.Join(logs, "control-plane.log"), MaxSize: logMegabytes, MaxBackups: logBackups}, nil
}
