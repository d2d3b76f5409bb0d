package setup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/configserver"
	"ingot.dev/ingot/pxe-server/limits"
)

// The ports that machines reach by the host of AgentURL when nothing says otherwise; docs/ports.md.
const (
	defaultConfigPort      = "7445"
	defaultPlainConfigPort = "7446"
	defaultEventsPort      = "7447"
	defaultKernelLogPort   = "7448"
)

// configPort is a server of machine configs with its socket.
type configPort struct {
	server *http.Server
	socket net.Listener
}

// serve serves until end.
func (c configPort) serve() error {
	serve := func() error { return c.server.Serve(c.socket) }
	if c.server.TLSConfig != nil {
		serve = func() error { return c.server.ServeTLS(c.socket, "", "") }
	}
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// end lets calls finish for a moment, then cuts what is left.
func (c configPort) end() {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		_ = c.server.Close()
	}
}

// openConfigs listens on the ports for machine configs, as far as they are wanted.
func (p *ports) openConfigs(ctx context.Context, ev *recorder) error {
	cfg := p.app.cfg
	if cfg.ConfigListen == "" {
		return nil
	}
	s := p.app.configServer(ev)
	err := register(s.Collectors()...)
	if err != nil {
		return err
	}
	if p.configAddr, err = p.openConfig(ctx, cfg.ConfigListen, "--config-listen", s.HTTPS()); err != nil || cfg.PlainConfigListen == "" {
		return err
	}
	p.plainAddr, err = p.openConfig(ctx, cfg.PlainConfigListen, "--plain-config-listen", s.Plain())
	return err
}

func (p *ports) openConfig(ctx context.Context, addr, flag string, server *http.Server) (string, error) {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listening for %s: %w", flag, err)
	}
	p.configs = append(p.configs, configPort{server, limits.Listen(socket, limits.NewGate[netip.Prefix](connectionsInAll, connectionsPerSource))})
	return socket.Addr().String(), nil
}

func (a *app) configServer(ev *recorder) *configserver.Server {
	return configserver.New(configserver.Config{
		Client: a.manager.GetClient(), Live: a.manager.GetAPIReader(), Authority: a.trust.agent, Names: append([]string{hostOf(a.cfg.ConfigURL)}, a.cfg.AgentSANs...),
		Installation: a.trust.installation, Links: a.links(), Sightings: a.sightings, Elected: a.manager.Elected(), Events: ev, Now: a.cfg.Now, Random: a.cfg.Random, Log: a.cfg.Log.WithName("configserver"),
	})
}

// maker makes configs only to see whether they can be made.
func (a *app) maker() configserver.Maker {
	return configserver.Maker{Live: a.manager.GetAPIReader(), Links: a.links(), Pin: a.trust.agent.Pin(), Now: a.cfg.Now, Random: a.cfg.Random}
}

// links are empty of addresses when no machine configs are given out.
func (a *app) links() capability.Links {
	return capability.Links{
		Key: a.trust.config, HTTPS: a.cfg.ConfigURL, Plain: a.cfg.PlainConfigURL, Early: a.trust.early,
		Events: a.cfg.tells(a.cfg.EventsListen, defaultEventsPort), KernelLog: a.cfg.tells(a.cfg.KernelLogListen, defaultKernelLogPort),
	}
}

// withConfigPorts checks the addresses of the ports for machine configs, and finds those that follow from the agent port's.
func (c Config) withConfigPorts() (Config, error) {
	if c.ConfigListen == "" {
		if c.ConfigURL != "" || c.PlainConfigURL != "" {
			return c, errors.New("--config-url and --plain-config-url need --config-listen: it is where machines fetch their configs")
		}
		return c, nil // and no plain port either
	}
	if c.ConfigURL == "" {
		c.ConfigURL = "https://" + net.JoinHostPort(hostOf(c.AgentURL), portOf(c.ConfigListen, defaultConfigPort))
	}
	if c.PlainConfigURL == "" && c.PlainConfigListen != "" {
		c.PlainConfigURL = "http://" + net.JoinHostPort(hostOf(c.AgentURL), portOf(c.PlainConfigListen, defaultPlainConfigPort))
	}
	if c.PlainConfigURL != "" && c.PlainConfigListen == "" {
		return c, errors.New("--plain-config-url needs --plain-config-listen")
	}
	if err := checkURL("--config-url", c.ConfigURL, "https"); err != nil {
		return c, err
	}
	if c.PlainConfigURL == "" {
		return c, nil
	}
	return c, checkURL("--plain-config-url", c.PlainConfigURL, "http")
}

// maxURL keeps the kernel line, which holds the URL, from growing too long.
const maxURL = 256

func checkURL(flag, text, scheme string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != scheme || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || strings.ContainsAny(text, "#?") || len(text) > maxURL {
		return fmt.Errorf("%s %q: it must look like %s://192.0.2.1:7445, an address that the machines can reach, without a path", flag, text, scheme)
	}
	return nil
}

func hostOf(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Hostname()
	}
	return ""
}

// portOf is the port of a listening address; a service that chooses any free one is reached by another way, and then the default is as good.
func portOf(listen, otherwise string) string {
	if _, port, err := net.SplitHostPort(listen); err == nil && port != "" && port != "0" {
		return port
	}
	return otherwise
}
