package setup

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/machinelog"
	"ingot.dev/ingot/metal-controller/machinelog/keeper"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/metal-controller/signals"
	"ingot.dev/ingot/metal-controller/signals/whose"
)

// kernelPort is the server of kernel logs with its socket.
type kernelPort struct {
	server *signals.KernelLog
	socket net.Listener
}

// openSignals listens where Talos machines tell how they fare, as far as that is wanted.
func (p *ports) openSignals(ctx context.Context, ev *recorder) error {
	cfg, r := p.app.cfg, p.app.receiver(ev)
	if err := register(hearing{r.Counts}); err != nil {
		return err
	}
	if cfg.EventsListen != "" {
		addr, err := p.open(ctx, cfg.EventsListen, "--events-listen", r.Events())
		if err != nil {
			return err
		}
		p.eventsAddr = addr
	}
	if cfg.KernelLogListen == "" {
		return nil
	}
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.KernelLogListen)
	if err != nil {
		return fmt.Errorf("listening for --kernel-log-listen: %w", err)
	}
	p.kernel, p.kernelAddr = &kernelPort{r.KernelLog(), socket}, socket.Addr().String()
	return nil
}

// receiver hears machines, whose server is found in the cache.
func (a *app) receiver(ev *recorder) *signals.Receiver {
	find := whose.Finder{Reader: a.manager.GetClient(), Indexed: true, Installation: a.trust.installation}
	return signals.New(signals.Config{
		Whose: func(ctx context.Context, from netip.Addr) (signals.Speaker, bool) {
			server, boot, ok := find.Server(ctx, from)
			return signals.Speaker{Server: server, Boot: boot}, ok
		},
		Ear: ear{a.sightings, a.book, ev}, Now: a.cfg.Now, Log: a.cfg.Log.WithName("signals"),
	})
}

// keeper writes down what is in the book.
func (a *app) keeper() *keeper.Keeper {
	return &keeper.Keeper{Client: a.manager.GetClient(), Live: a.manager.GetAPIReader(), Book: a.book, Now: a.cfg.Now, Log: a.cfg.Log.WithName("keeper")}
}

// ear is all that what machines say of themselves reaches: timelines, without waking anybody, the book of their lines, and a warning for people.
type ear struct {
	sightings *sightings.Store
	book      *machinelog.Book
	events    *recorder
}

func (e ear) Hint(s signals.Speaker, stage string) { e.sightings.Hint(s.Server, s.Boot, stage) }
func (e ear) Kernel(server, line string)           { e.book.Add(server, machinelog.Kernel, line) }
func (e ear) Talos(server, line string)            { e.book.Add(server, machinelog.Talos, line) }
func (e ear) Doubt(server, message string) {
	e.events.Event(server, true, reasons.ConfigDoubted, message)
}

// tells is how machines reach a port where they tell how they fare; empty when it is not opened.
func (c Config) tells(listen, otherwise string) string {
	if listen == "" {
		return ""
	}
	return net.JoinHostPort(hostOf(c.AgentURL), portOf(listen, otherwise))
}
