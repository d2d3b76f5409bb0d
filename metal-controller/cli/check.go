package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"

	"ingot.dev/ingot/crds/manifests"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/cli/otherdhcp"
)

// finding is the outcome of one check.
type finding struct {
	ok   bool
	text string
}

func good(format string, args ...any) finding { return finding{true, fmt.Sprintf(format, args...)} }
func bad(format string, args ...any) finding  { return finding{false, fmt.Sprintf(format, args...)} }

type check struct {
	name string
	run  func(context.Context) finding
}

func newCheck(env *Env) *cobra.Command {
	var iface string
	var proxy bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look for what would keep Ingot from working here: API, ports, rights, other DHCP servers, clock",
		Long: "Look for what would keep Ingot from working. Without --interface only the control plane is checked; with it, the network\n" +
			"that Ingot is to serve: rights, ports, addresses, and other DHCP servers, which are asked for an offer and not taken up on it.",
		Example: "  ingot check\n  ingot check --interface eth1\n  ingot check --interface eth1 --proxy-dhcp",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if proxy && iface == "" {
				return &ExitError{Code: CodeUsage, Err: errors.New("--proxy-dhcp: name the --interface to check, too")}
			}
			checks := env.planeChecks()
			if iface != "" {
				checks = append(networkChecks(iface, proxy), clockCheck(env.Now))
			}
			return env.report(cmd.Context(), checks)
		},
	}
	cmd.Flags().BoolVar(&proxy, "proxy-dhcp", false, "check it as 'ingot up --proxy-dhcp' would use it: beside one other DHCP server")
	cmd.Flags().StringVar(&iface, "interface", "", "check this network `interface` as 'ingot up --interface' would use it")
	return cmd
}

// report runs the checks in order and fails when one does.
func (e *Env) report(ctx context.Context, checks []check) error {
	failed := 0
	for _, c := range checks {
		f := c.run(ctx)
		mark := "ok   "
		if !f.ok {
			mark = "FAIL "
			failed++
		}
		fmt.Fprintf(e.Streams.Out, "%s%-16s %s\n", mark, c.name, f.text)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(checks))
	}
	return nil
}

// planeChecks look at the control plane that the flags name.
func (e *Env) planeChecks() []check {
	err := e.configured()
	var d discovery.DiscoveryInterface
	if err == nil {
		d, err = e.config.ToDiscoveryClient()
	}
	if err != nil {
		return []check{{"control plane", func(context.Context) finding { return bad("%v", err) }}}
	}
	return []check{
		{"control plane", func(context.Context) finding {
			v, err := d.ServerVersion()
			if err != nil {
				return bad("%v", explain(err))
			}
			return good("answers: Kubernetes %s", v.GitVersion)
		}},
		{"API", func(context.Context) finding { return servedKinds(d) }},
		clockCheck(e.Now),
	}
}

// servedKinds compares what the API server serves with what this program knows.
func servedKinds(d discovery.DiscoveryInterface) finding {
	served, err := d.ServerResourcesForGroupVersion(metal.GroupVersion.String())
	if err != nil {
		return bad("%s is not served: %v; `ingot up` installs it, and so does applying crds/manifests", metal.GroupVersion, err)
	}
	objects, err := manifests.Objects()
	if err != nil {
		return bad("%v", err)
	}
	var missing []string
	for _, o := range objects {
		if name, ok := strings.CutSuffix(o.GetName(), "."+metal.GroupVersion.Group); ok && o.GetKind() == "CustomResourceDefinition" && !serves(served, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return bad("%s lacks %s: the control plane is older than this program", metal.GroupVersion, strings.Join(missing, ", "))
	}
	return good("%s is served with all its kinds", metal.GroupVersion)
}

func serves(list *metav1.APIResourceList, name string) bool {
	for _, r := range list.APIResources {
		if r.Name == name {
			return true
		}
	}
	return false
}

// clockCheck finds clocks that were never set: certificates would be refused.
func clockCheck(now func() time.Time) check {
	return check{"clock", func(context.Context) finding {
		if t := now(); t.Year() < 2025 {
			return bad("it says %s; set it, or certificates will not be valid", t.Format(time.DateOnly))
		}
		return good("plausible: %s", now().UTC().Format(time.RFC3339))
	}}
}

// networkChecks look at the interface that Ingot is to serve, over IPv4, or over IPv6 where there is nothing else.
func networkChecks(name string, proxy bool) []check {
	family, lease := "4", check{"port 67/udp", func(ctx context.Context) finding { return checkPort(ctx, "udp4", ":67", "DHCP") }}
	six := onlyIPv6(name)
	if six {
		family, lease = "6", check{"port 547/udp", func(ctx context.Context) finding { return checkPort(ctx, "udp6", ":547", "DHCPv6") }}
	}
	list := []check{
		{"interface", func(context.Context) finding { return checkInterface(name) }},
		lease,
		{"port 69/udp", func(ctx context.Context) finding { return checkPort(ctx, "udp"+family, ":69", "TFTP") }},
	}
	for _, p := range []struct{ port, what string }{
		{"7480", "HTTP boot"}, {"7443", "agents"}, {"7445", "machine configs"}, {"7446", "machine configs, plain"}, {"7447", "events of Talos"}, {"7448", "kernel logs"},
	} {
		list = append(list, check{"port " + p.port + "/tcp", func(ctx context.Context) finding { return checkPort(ctx, "tcp"+family, ":"+p.port, p.what) }})
	}
	if six {
		return append(list, check{"other DHCP", func(context.Context) finding { return sixDHCP(name, proxy) }})
	}
	if proxy {
		list = append(list, check{"port 4011/udp", func(ctx context.Context) finding { return checkPort(ctx, "udp4", ":4011", "proxy DHCP") }})
	}
	return append(list, check{"other DHCP", func(ctx context.Context) finding {
		ok, text := otherdhcp.Check(ctx, name, proxy)
		return finding{ok, text}
	}})
}

// sixDHCP is what there is to say of DHCP where Ingot is to serve IPv6.
func sixDHCP(name string, proxy bool) finding {
	if proxy {
		return bad("--proxy-dhcp: iPXE knows nothing of that kind over IPv6, and %s has no IPv4 address", name)
	}
	return good("%s has IPv6 alone, where other DHCPv6 servers are not looked for: see to it that there is none", name)
}

// beyondLink are the addresses of an interface that others can reach, of IPv4 and of IPv6.
func beyondLink(name string) (four, six []*net.IPNet) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, nil
	}
	addrs, _ := i.Addrs() // none: then there is none
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		switch {
		case !ok:
		case n.IP.To4() != nil:
			four = append(four, n)
		case n.IP.IsGlobalUnicast():
			six = append(six, n)
		}
	}
	return four, six
}

func onlyIPv6(name string) bool {
	four, six := beyondLink(name)
	return len(four) == 0 && len(six) > 0
}

func checkInterface(name string) finding {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return bad("%s does not exist; `ip -br link` lists interfaces", name)
	}
	if i.Flags&net.FlagUp == 0 {
		return bad("%s is down; ip link set %s up", name, name)
	}
	four, six := beyondLink(name)
	for _, n := range append(four, six...) {
		return good("%s is up with %s", name, n)
	}
	return bad("%s has no address that machines can be served on; ip addr add 192.168.77.1/24 dev %s, or for IPv6 alone: ip addr add fd77::1/64 dev %s", name, name, name)
}

func checkPort(ctx context.Context, network, addr, what string) finding {
	var l net.ListenConfig
	var err error
	if strings.HasPrefix(network, "udp") {
		var c net.PacketConn
		if c, err = l.ListenPacket(ctx, network, addr); err == nil {
			err = c.Close()
		}
	} else {
		var c net.Listener
		if c, err = l.Listen(ctx, network, addr); err == nil {
			err = c.Close()
		}
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return bad("taken, and %s needs it; `ss -lnup` and `ss -lntp` show by whom (it may be Ingot itself)", what)
	case errors.Is(err, os.ErrPermission):
		return bad("no right to use it for %s; run as root, or with CAP_NET_BIND_SERVICE and CAP_NET_RAW", what)
	case err != nil:
		return bad("%v", err)
	}
	return good("free for %s", what)
}
