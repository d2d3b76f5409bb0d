package setup

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/dhcp"
)

// What a configuration file says of itself.
const (
	APIVersion = "pxe.ingot.dev/v1alpha1"
	Kind       = "PXEServerConfig"
	maxFile    = 1 << 20
)

// File is the configuration file of the program pxe-server. docs/ and `pxe-server --help` show it.
type File struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Interface  string     `json:"interface"`
	Address    netip.Addr `json:"address,omitzero"`
	HTTPPort   int        `json:"httpPort,omitempty"`
	StateDir   string     `json:"stateDir"`
	AgentImage string     `json:"agentImage"`
	// MoreImages are the folders of agent images for other architectures.
	MoreImages []string   `json:"moreImages,omitempty"`
	Assets     FileAssets `json:"assets,omitzero"`
	Controller Endpoint   `json:"controller"`
	// MetricsAddress is HOST:PORT for metrics and health, DefaultMetricsAddr when left out, and none when empty.
	MetricsAddress *string  `json:"metricsAddress,omitempty"`
	DHCP           FileDHCP `json:"dhcp"`
	// MoreNetworks are served beside the first one.
	MoreNetworks []FileMore `json:"moreNetworks,omitempty"`
}

// FileMore is a further network.
type FileMore struct {
	Interface string     `json:"interface"`
	Address   netip.Addr `json:"address,omitzero"`
	DHCP      FileDHCP   `json:"dhcp"`
}

// FileAssets bounds the cache of boot files, in MiB: one file (4096 when left out), and all together (65536).
type FileAssets struct {
	MaxFileMiB int64 `json:"maxFileMiB,omitempty"`
	BudgetMiB  int64 `json:"budgetMiB,omitempty"`
}

// Endpoint is the controller and the certificate to show it.
type Endpoint struct {
	Address     string `json:"address"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	CA          string `json:"ca"`
}

// FileDHCP is DHCP in words for people: pools are "first-last", times as in "1h30m".
type FileDHCP struct {
	Disabled bool `json:"disabled,omitempty"`
	Proxy    bool `json:"proxy,omitempty"`
	// Peers, NoRouterAnswers and Announce: see DHCP.
	Peers           []netip.Addr      `json:"peers,omitempty"`
	NoRouterAnswers bool              `json:"noRouterAnswers,omitempty"`
	Announce        bool              `json:"announce,omitempty"`
	Network         FileNetwork       `json:"network,omitzero"`
	Relayed         []FileNetwork     `json:"relayed,omitempty"`
	Reservations    []FileReservation `json:"reservations,omitempty"`
}

// FileNetwork is one network. Prefix belongs to relayed ones only.
type FileNetwork struct {
	Prefix    netip.Prefix `json:"prefix,omitzero"`
	Pools     []string     `json:"pools,omitempty"`
	Router    netip.Addr   `json:"router,omitzero"`
	DNS       []netip.Addr `json:"dns,omitempty"`
	NTP       []netip.Addr `json:"ntp,omitempty"`
	Domain    string       `json:"domain,omitempty"`
	LeaseTime string       `json:"leaseTime,omitempty"`
}

// FileReservation gives a machine always the same address.
type FileReservation struct {
	MAC      string     `json:"mac"`
	IP       netip.Addr `json:"ip"`
	Hostname string     `json:"hostname,omitempty"`
}

// ParseFile reads a configuration file strictly: a field that it does not know is a mistake.
func ParseFile(text []byte) (File, error) {
	var f File
	if len(text) > maxFile {
		return f, fmt.Errorf("the configuration has %d bytes, at most %d are read", len(text), maxFile)
	}
	if err := yaml.UnmarshalStrict(text, &f); err != nil {
		return File{}, fmt.Errorf("reading the configuration: %w", err)
	}
	if f.APIVersion != APIVersion || f.Kind != Kind {
		return File{}, fmt.Errorf("reading the configuration: it is %q of %q, want kind %s of apiVersion %s", f.Kind, f.APIVersion, Kind, APIVersion)
	}
	return f, nil
}

// Config turns the file into what Run needs, but for the controller. The error names every mistake.
func (f File) Config() (Config, error) {
	c := Config{Interface: f.Interface, Address: f.Address, HTTPPort: f.HTTPPort, StateDir: f.StateDir, AgentImage: f.AgentImage, MoreImages: f.MoreImages}
	c.MetricsAddr = DefaultMetricsAddr
	if f.MetricsAddress != nil {
		c.MetricsAddr = *f.MetricsAddress
	}
	c.MaxAsset, c.AssetBudget = f.Assets.MaxFileMiB<<20, f.Assets.BudgetMiB<<20
	var err error
	c.DHCP, err = f.DHCP.config()
	all := []error{err}
	for i, m := range f.MoreNetworks {
		d, err := m.DHCP.config()
		if err != nil {
			all = append(all, fmt.Errorf("moreNetworks[%d]: %w", i, err))
		}
		c.More = append(c.More, Network{Interface: m.Interface, Address: m.Address, DHCP: d})
	}
	return c, errors.Join(append(all, f.Controller.check(), c.Check())...)
}

func (f FileDHCP) config() (DHCP, error) {
	own, err := f.Network.subnet("dhcp.network")
	all := []error{err}
	if f.Network.Prefix.IsValid() {
		all = append(all, errors.New("dhcp.network.prefix: it comes from the interface; remove it"))
	}
	d := DHCP{Disabled: f.Disabled, Proxy: f.Proxy, Peers: f.Peers, NoRouterAnswers: f.NoRouterAnswers, Announce: f.Announce, Network: own}
	for i, n := range f.Relayed {
		s, err := n.subnet(fmt.Sprintf("dhcp.relayed[%d]", i))
		all = append(all, err)
		d.Relayed = append(d.Relayed, s)
	}
	for i, r := range f.Reservations {
		mac, err := net.ParseMAC(r.MAC)
		if err != nil {
			all = append(all, fmt.Errorf("dhcp.reservations[%d].mac: %w", i, err))
		}
		d.Reservations = append(d.Reservations, dhcp.Reservation{MAC: mac, IP: r.IP, Hostname: r.Hostname})
	}
	return d, errors.Join(all...)
}

func (e Endpoint) check() error {
	if e.Address == "" {
		return errors.New("controller.address: say where the controller's port for pxe-servers is, HOST:7444 (--controller)")
	}
	if host, port, err := net.SplitHostPort(e.Address); err != nil || host == "" || port == "" {
		return fmt.Errorf("controller.address: %q is not HOST:PORT", e.Address)
	}
	if e.Certificate == "" || e.Key == "" || e.CA == "" {
		return errors.New("controller: certificate, key and ca are needed (--cert, --key, --ca); `metal-controller issue-pxe-certificate` writes them")
	}
	return nil
}

// TLS names the files for controller.Dial.
func (e Endpoint) TLS() controller.TLS {
	return controller.TLS{Certificate: e.Certificate, Key: e.Key, CA: e.CA}
}

func (n FileNetwork) subnet(at string) (dhcp.Subnet, error) {
	s := dhcp.Subnet{Prefix: n.Prefix, Router: n.Router, DNS: n.DNS, NTP: n.NTP, Domain: n.Domain}
	var all []error
	for i, p := range n.Pools {
		r, err := ParsePool(p)
		if err != nil {
			all = append(all, fmt.Errorf("%s.pools[%d]: %w", at, i, err))
		}
		s.Pools = append(s.Pools, r)
	}
	if n.LeaseTime != "" {
		d, err := time.ParseDuration(n.LeaseTime)
		if err != nil {
			all = append(all, fmt.Errorf("%s.leaseTime: %w", at, err))
		}
		s.LeaseTime = d
	}
	return s, errors.Join(all...)
}

// ParsePool reads "FIRST-LAST", two addresses of one family that both belong to the pool.
func ParsePool(s string) (dhcp.Range, error) {
	first, last, ok := strings.Cut(s, "-")
	from, err1 := netip.ParseAddr(strings.TrimSpace(first))
	to, err2 := netip.ParseAddr(strings.TrimSpace(last))
	if !ok || err1 != nil || err2 != nil || from.Is4() != to.Is4() || to.Less(from) {
		return dhcp.Range{}, fmt.Errorf("%q is not FIRST-LAST, such as 192.0.2.100-192.0.2.199 or 2001:db8::1000-2001:db8::1fff", s)
	}
	return dhcp.Range{From: from, To: to}, nil
}
