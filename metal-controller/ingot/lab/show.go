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
	"ingot.dev/ingot/metal-controller/ingot/up"
)

// showService declares the servers, switches them on, and shows what they do.
type showService struct {
	config   *config
	machines *machinesService
	out      io.Writer
	end      context.CancelFunc
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
	done := make(chan error, 1)
	go func() { done <- s.follow(ctx, c, env.ControlPlane.Kubeconfig()) }()
	return func() error { return <-done }, nil
}

// follow shows the servers until the lab ends, and says what to try once all have registered.
func (s *showService) follow(ctx context.Context, c client.WithWatch, kubeconfig string) error {
	v := s.newView()
	servers := map[string]*metal.Server{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := false
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
				if !told || !v.terminal {
					v.show(rows(servers), now)
				}
			case e, more := <-w.ResultChan():
				open = more
				keep(servers, e)
			}
			if !told && len(servers) > 0 && registered(servers) {
				told = true
				v.show(rows(servers), time.Now())
				s.tell(kubeconfig, servers)
			}
		}
		w.Stop()
	}
	return nil
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("watching the servers: %w", err)
}

func keep(servers map[string]*metal.Server, e watch.Event) {
	server, ok := e.Object.(*metal.Server)
	if !ok {
		return
	}
	if e.Type == watch.Deleted {
		delete(servers, server.Name)
		return
	}
	servers[server.Name] = server
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

func (s *showService) newView() *view {
	terminal, width := false, 0
	if f, ok := s.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		terminal = true
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			width = w
		}
	}
	return newView(s.out, terminal, width, time.Now())
}

// tell ends the show with what to try next.
func (s *showService) tell(kubeconfig string, servers map[string]*metal.Server) {
	if s.config.untilRegistered {
		fmt.Fprintf(s.out, "\nall %d servers have registered\n", len(servers))
		s.end()
		return
	}
	first := rows(servers)[0].name
	program := os.Args[0]
	fmt.Fprintf(s.out, `
All %d servers have registered. They wait for somebody to accept them, which comes with the next part of Ingot.
Try, in another terminal:

  export KUBECONFIG=%s
  kubectl get servers -o wide                # or: %s get servers
  kubectl get serverinventory %s -o yaml
  %s why %s
  %s power cycle %s                    # through its Redfish BMC, read back
  %s console %s                        # Ctrl-] detaches
  %s logs %s

Ctrl-C ends the lab and leaves nothing behind.
`, len(servers), kubeconfig, program, first, program, first, program, first, program, first, program, first)
}
