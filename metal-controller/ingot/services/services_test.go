package services

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"ingot.dev/ingot/pxe-server/boot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// image is a folder that looks like the agent's image.
func image(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFill(t *testing.T) {
	for name, c := range map[string]struct {
		network Network
		parts   []string
	}{
		"nothing to serve":         {Network{}, nil},
		"a network to come":        {Network{Interface: "nothere0", AgentImages: []string{image(t)}}, nil},
		"one image of two":         {Network{Interface: "eth1", AgentImages: []string{image(t), t.TempDir()}}, []string{"make images"}},
		"two images":               {Network{Interface: "nothere0", AgentImages: []string{image(t), image(t)}}, nil},
		"no image":                 {Network{Interface: "eth1", AgentImages: []string{t.TempDir()}}, []string{"make images", "--agent-image"}},
		"unknown policy":           {Network{UnknownPolicy: "capture"}, []string{"--unknown-policy", "register-once, ignore or hold"}},
		"a limit in words":         {Network{DestructiveLimit: "few"}, []string{"--destructive-limit", "10%"}},
		"a limit as a share":       {Network{DestructiveLimit: "25%", DryRun: true}, nil},
		"agent port":               {Network{AgentPort: 99999}, []string{"--agent-port 99999", "65535"}},
		"config port":              {Network{ConfigPort: 70000}, []string{"--config-port 70000"}},
		"plain config port":        {Network{PlainConfigPort: -7}, []string{"--plain-config-port -7"}},
		"events port":              {Network{EventsPort: -7}, []string{"--events-port -7"}},
		"kernel log port":          {Network{KernelLogPort: 70000}, []string{"--kernel-log-port 70000"}},
		"file limit":               {Network{FileMiB: -1}, []string{"--boot-file-limit -1", "MiB"}},
		"cache limit":              {Network{CacheMiB: 1 << 50}, []string{"--boot-cache-limit"}},
		"limits":                   {Network{FileMiB: 100, CacheMiB: 1000}, nil},
		"boot port":                {Network{BootPort: 70000}, []string{"--boot-port 70000", "0 for none"}},
		"sites":                    {Network{BootPort: 7444, Address: "192.0.2.1"}, nil},
		"address":                  {Network{Address: "example.org"}, []string{"--address", "no address"}},
		"HTTP port":                {Network{HTTPPort: -1}, []string{"--http-port -1"}},
		"metrics without a port":   {Network{MetricsAddr: "localhost"}, []string{"--metrics-address", "127.0.0.1:7490"}},
		"metrics with a word":      {Network{MetricsAddr: "localhost:http"}, []string{"--metrics-address"}},
		"metrics on all addresses": {Network{MetricsAddr: ":7490"}, nil},
	} {
		err := c.network.Fill()
		wantErr(t, name, err, c.parts...)
		if n := c.network; err == nil && (n.AgentPort != 7443 || n.ConfigPort != 7445 || n.PlainConfigPort != 7446 || n.EventsPort != 7447 || n.KernelLogPort != 7448 || n.HTTPPort != 7480 || n.UnknownPolicy != string(boot.RegisterOnce)) {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// TestCompleteFindsTakenPorts: before anything is started. The control is the same port once it is free.
func TestCompleteFindsTakenPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_, text, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(text)
	free := Network{AgentPort: freePort(t), ConfigPort: freePort(t), PlainConfigPort: freePort(t), EventsPort: freePort(t), KernelLogPort: freePort(t)}
	metrics, agents, configs, plain, events, kernel := free, free, free, free, free, free
	events.EventsPort, kernel.KernelLogPort = number, number
	metrics.MetricsAddr, agents.AgentPort, configs.ConfigPort, plain.PlainConfigPort = address, number, number, number
	wantErr(t, "metrics", metrics.Complete(), "port "+text+"/tcp for metrics is taken", "ss -lntp", "--metrics-address")
	wantErr(t, "agents", agents.Complete(), "port "+text+"/tcp for agents is taken", "--agent-port")
	wantErr(t, "configs", configs.Complete(), "port "+text+"/tcp for machine configs is taken", "--config-port")
	wantErr(t, "plain configs", plain.Complete(), "port "+text+"/tcp for machine configs over plain HTTP is taken", "--plain-config-port")
	wantErr(t, "events", events.Complete(), "port "+text+"/tcp for events of Talos is taken", "--events-port", "--no-talos-signals")
	wantErr(t, "kernel logs", kernel.Complete(), "port "+text+"/tcp for kernel logs is taken", "--kernel-log-port", "--no-talos-signals")
	kernel.Deaf = true
	wantErr(t, "kernel logs, not wanted", kernel.Complete())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "metrics, free", metrics.Complete())
	wantErr(t, "agents, free", agents.Complete())
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestPortErrorsNameTheNextStep(t *testing.T) {
	dhcp := port{"udp4", ":67", "DHCP", ""}
	wantErr(t, "rights", dhcp.explain(&os.SyscallError{Syscall: "bind", Err: os.ErrPermission}), "port 67/udp", "root", "NET_BIND_SERVICE")
	wantErr(t, "taken", dhcp.explain(taken(t)), "port 67/udp for DHCP is taken", "ss -lnup", "stop that program")
	wantErr(t, "other", port{"tcp", "x:1", "metrics", "--metrics-address"}.explain(errors.New("no such host")), "no such host", "--metrics-address")
	all := (&Network{Interface: "eth1", AgentPort: 1, HTTPPort: 2, MetricsAddr: ":3"}).ports()
	if proxy := (&Network{Interface: "eth1", Proxy: true}).ports(); !slices.ContainsFunc(proxy, func(p port) bool { return p.address == ":4011" }) {
		t.Errorf("a proxy needs its port: %v", proxy)
	}
	if none := (&Network{Interface: "eth1", NoDHCP: true}).ports(); slices.ContainsFunc(none, func(p port) bool { return p.address == ":67" || p.address == ":4011" }) {
		t.Errorf("nobody asks DHCP: %v", none)
	}
	if len(all) != 9 || len((&Network{AgentPort: 1}).ports()) != 5 || len((&Network{AgentPort: 1, Deaf: true}).ports()) != 3 || len((&Network{BootPort: 1, Deaf: true}).ports()) != 4 {
		t.Errorf("ports %v", all)
	}
}

// taken is the error of a port that somebody has.
func taken(t *testing.T) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return port{network: "tcp", address: l.Addr().String()}.try(t.Context())
}

func TestAgentURL(t *testing.T) {
	for iface, want := range map[string]string{"": "https://127.0.0.1:7443", "lo": "https://127.0.0.1:7443"} {
		if got, err := (&Network{Interface: iface, AgentPort: 7443}).agentURL(); err != nil || got != want {
			t.Errorf("%q: %q, %v", iface, got, err)
		}
	}
	if got, err := (&Network{Address: "192.0.2.1", AgentPort: 7443}).agentURL(); err != nil || got != "https://192.0.2.1:7443" {
		t.Errorf("for sites: %q, %v", got, err)
	}
	_, err := (&Network{Interface: "nothere0"}).agentURL()
	wantErr(t, "no interface", err, "nothere0")
}

func TestBackground(t *testing.T) {
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	wait, err := background(ctx, func(ctx context.Context, ready func()) error {
		ready()
		ready() // twice does no harm
		<-ctx.Done()
		return ctx.Err()
	})
	wantErr(t, "start", err)
	cancel()
	wantErr(t, "end", wait())
	wait, err = background(t.Context(), func(_ context.Context, ready func()) error { ready(); return broken })
	wantErr(t, "start of one that fails later", err)
	if err := wait(); !errors.Is(err, broken) {
		t.Errorf("wait: %v", err)
	}
	if _, err = background(t.Context(), func(context.Context, func()) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("start: %v", err)
	}
	_, err = background(t.Context(), func(context.Context, func()) error { return nil })
	wantErr(t, "one that never was ready", err, "before it was ready")
}
