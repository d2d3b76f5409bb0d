package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/metal-controller/ingot/services"
	"ingot.dev/ingot/metal-controller/ingot/up"
)

// showService declares the servers, switches them on, and shows what they do.
type showService struct {
	config   *config
	machines *machinesService
	out      io.Writer
	end      context.CancelFunc
	dir      string // where the story keeps its machine config
}

func (s *showService) start(ctx context.Context, env up.Env) (func() error, error) {
	c, err := client.NewWithWatch(env.ControlPlane.AdminConfig(), client.Options{Scheme: cli.Scheme()})
	if err != nil {
		return nil, fmt.Errorf("connecting to the control plane: %w", err)
	}
	bmcs := s.machines.machines.bmcs
	if err := declare(ctx, c, bmcs); err != nil {
		return nil, err
	}
	if s.config.powerOn {
		for _, b := range bmcs {
			if err := powerOn(ctx, c, b, strings.ToLower(rand.Text()), time.Now()); err != nil {
				return nil, err
			}
		}
	}
	if err := s.prepare(ctx, c, env); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- s.follow(ctx, c, env.ControlPlane.Kubeconfig()) }()
	return func() error { return <-done }, nil
}

// prepare declares what the story needs.
func (s *showService) prepare(ctx context.Context, c client.Client, env up.Env) error {
	if !s.config.story {
		return nil
	}
	if s.config.testOS == "" {
		s.config.testOS = services.BuiltImage("testos-amd64")
	}
	m, err := readTestOS(s.config.testOS)
	if err != nil {
		return err
	}
	base, err := serveFiles(ctx, s.config.testOS)
	if err != nil {
		return err
	}
	s.dir = env.StateDir
	return declareStory(ctx, c, m, base)
}

// follow shows the servers until the lab ends, and says what to try once all have registered.
func (s *showService) follow(ctx context.Context, c client.WithWatch, kubeconfig string) error {
	fmt.Fprint(s.out, faultIntro(os.Args[0], kubeconfig, s.machines.machines.bmcs))
	v := newView(s.out, s.size(), time.Now(), s.ending())
	servers := map[string]*metal.Server{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told, playing := false, false
	lines, played := make(chan string), make(chan error, 1)
	for ctx.Err() == nil {
		w, err := c.Watch(ctx, &metal.ServerList{})
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		for open := true; open; {
			select {
			case <-ctx.Done():
				open = false
			case now := <-tick.C:
				if !told || v.size == nil {
					v.show(rows(servers), now)
				}
			case line := <-lines:
				v.say(line)
			case err := <-played:
				if err != nil {
					return fmt.Errorf("telling the story: %w", err)
				}
				told = true
				v.show(rows(servers), time.Now())
				s.tell(kubeconfig, servers)
			case e, more := <-w.ResultChan():
				open = more
				s.obey(keep(servers, e), v.say)
			}
			if !playing && !told && len(servers) >= s.config.servers && registered(servers) {
				v.show(rows(servers), time.Now())
				if playing = s.config.story; playing {
					s.play(ctx, kubeconfig, rows(servers)[0].name, lines, played)
				} else {
					told = true
					s.tell(kubeconfig, servers)
				}
			}
		}
		w.Stop()
	}
	return nil
}

// play tells the story beside the show: its lines and its end come through the channels.
func (s *showService) play(ctx context.Context, kubeconfig, server string, lines chan<- string, played chan<- error) {
	t := &story{program: os.Args[0], kubeconfig: kubeconfig, dir: s.dir, server: server}
	if program, err := os.Executable(); err == nil {
		t.program = program
	}
	t.run = t.command
	t.say = func(line string) {
		select {
		case lines <- line:
		case <-ctx.Done():
		}
	}
	go func() { played <- t.tell(ctx) }()
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("watching the servers: %w", err)
}

// keep takes over what a watch told, and gives the Server as it is now; nil when it is gone.
func keep(servers map[string]*metal.Server, e watch.Event) *metal.Server {
	server, ok := e.Object.(*metal.Server)
	if !ok {
		return nil
	}
	if e.Type == watch.Deleted {
		delete(servers, server.Name)
		return nil
	}
	servers[server.Name] = server
	return server
}

// obey makes the BMC of a Server misbehave as its annotation says.
func (s *showService) obey(server *metal.Server, say func(string)) {
	for _, b := range s.machines.machines.bmcs {
		if server != nil && b.name == server.Name {
			b.obey(server.Annotations[faultsAnnotation], say)
		}
	}
}

// registered is whether every server has an inventory.
func registered(servers map[string]*metal.Server) bool {
	for _, s := range servers {
		if s.Status.State == "" || s.Status.State == metal.StateUnverified {
			return false
		}
	}
	return true
}

// size says how wide the terminal is now; nil when the output is none. People change it while they look.
func (s *showService) size() func() int {
	f, ok := s.out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return func() int {
		w, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0
		}
		return w
	}
}

// ending is what Ctrl-C does.
func (s *showService) ending() string {
	if s.config.stateDir != "" {
		return "Ctrl-C ends the lab; its state stays in " + s.config.stateDir + "."
	}
	return "Ctrl-C ends the lab and leaves nothing behind."
}

// tell ends the show with what to try next.
func (s *showService) tell(kubeconfig string, servers map[string]*metal.Server) {
	if s.config.untilRegistered {
		fmt.Fprintf(s.out, "\n%s.\n", allRegistered(len(servers)))
		s.end()
		return
	}
	first := rows(servers)[0].name
	if s.config.story {
		fmt.Fprintf(s.out, "\n%s runs its workload from its own disk. Give it back, and its disks are wiped: ingot release %s --wait\n", first, storyClaim)
	}
	fmt.Fprint(s.out, next(os.Args[0], kubeconfig, first, len(servers)), "\n", s.ending(), "\n")
}

func allRegistered(n int) string {
	if n == 1 {
		return "The server has registered"
	}
	return fmt.Sprintf("All %d servers have registered", n)
}

// next is what to try, in lines that fit 80 columns unless paths are long. `ingot get` needs no kubectl, so it comes first.
func next(program, kubeconfig, server string, count int) string {
	return strings.NewReplacer("INGOT", program, "KUBECONFIG_FILE", kubeconfig, "SERVER", server, "ALL", allRegistered(count)).Replace(`
ALL.
Nothing on their disks is touched until you accept them.
Try, in another terminal:

  export KUBECONFIG=KUBECONFIG_FILE
  INGOT get servers -o wide
  INGOT accept SERVER --wait      # wiped, proven, Available
  INGOT get classes               # then: INGOT claim NAME --class CLASS --wait
  INGOT release NAME --wait       # gives it back: shut down, proven off, wiped
  INGOT get serverinventory SERVER -o yaml
  INGOT why SERVER
  INGOT power cycle SERVER        # through its BMC, read back
  INGOT console SERVER            # Ctrl-] detaches
  INGOT logs SERVER

kubectl works as well: kubectl get servers.
`)
}
