// Package taloscluster makes what a new cluster of Talos begins with: its secrets, the machine configs of its control planes and workers, and the credentials for
// its two APIs.
//
// It is an adapter (layer 2) over Talos' module machinery, whose generators `talosctl gen config` uses too. What it makes is secret from the first byte to the last:
// nothing of it is in an error, and Secrets prints as REDACTED. It keeps nothing.
package taloscluster

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/encoder"
	"github.com/siderolabs/talos/pkg/machinery/config/generate"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"go.yaml.in/yaml/v4"
)

// KubernetesVersion is what a cluster gets when nobody names a version: the one that this release of Talos was made for.
const KubernetesVersion = constants.DefaultKubernetesVersion

// installer is the installer's image of a release of Talos; an Environment that knows a better one puts it into the config later.
const installer = "ghcr.io/siderolabs/installer"

// Installer is the image that installs a release of Talos.
func Installer(version string) string { return installer + ":" + version }

// Role of a machine in its cluster.
type Role string

// The roles.
const (
	ControlPlane Role = "control-plane"
	Worker       Role = "worker"
)

// Cluster is what a cluster is to be.
type Cluster struct {
	Name string
	// Endpoint is the URL of its Kubernetes API, as all its machines and users reach it, for instance https://192.0.2.10:6443.
	Endpoint string
	// TalosVersion, for instance v1.13.0: configs are in its form, and it is the installer's version.
	TalosVersion string
	// KubernetesVersion, for instance 1.36.2.
	KubernetesVersion string
}

// kubernetes is a version of it.
var kubernetes = regexp.MustCompile(`^1\.[0-9]{1,3}\.[0-9]{1,3}(-[0-9a-z.-]{1,32})?$`)

// Check says what is wrong with a Cluster, in words for whoever wrote it.
func (c Cluster) Check() error {
	if _, err := c.contract(); err != nil {
		return err
	}
	if !kubernetes.MatchString(c.KubernetesVersion) {
		return fmt.Errorf("%q is no version of Kubernetes, such as %s", c.KubernetesVersion, KubernetesVersion)
	}
	return CheckEndpoint(c.Endpoint)
}

func (c Cluster) contract() (*config.VersionContract, error) {
	contract, err := config.ParseContractFromVersion(c.TalosVersion)
	if err != nil {
		return nil, fmt.Errorf("%q is no version of Talos, such as v1.13.0", c.TalosVersion)
	}
	return contract, nil
}

// CheckEndpoint says what is wrong with the URL of a Kubernetes API.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is no endpoint of a Kubernetes API: write https://HOST:6443", endpoint)
	}
	if p, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || p == 0) {
		return fmt.Errorf("%q is no endpoint of a Kubernetes API: its port is none", endpoint)
	}
	return nil
}

// Endpoint is the URL of the Kubernetes API on a machine.
func Endpoint(address netip.Addr) string {
	return "https://" + netip.AddrPortFrom(address.Unmap().WithZone(""), constants.DefaultControlPlanePort).String()
}

// errSecrets holds nothing of what was read.
var errSecrets = errors.New("the cluster's secrets cannot be read: they are not what `ingot cluster create` made")

// Secrets of a cluster: its authorities with their keys, and its tokens. They print as REDACTED.
type Secrets struct{ bundle *secrets.Bundle }

// New makes secrets for a cluster of that version of Talos. The randomness is the system's: Talos' generator takes no other.
func New(c Cluster, now time.Time) (Secrets, error) {
	contract, err := c.contract()
	if err != nil {
		return Secrets{}, err
	}
	bundle, err := secrets.NewBundle(secrets.NewFixedClock(now), contract)
	if err != nil {
		return Secrets{}, errors.New("making the cluster's secrets failed")
	}
	return Secrets{bundle}, nil
}

// Parse reads what Bytes made: the form of `talosctl gen secrets`.
func Parse(data []byte, now time.Time) (Secrets, error) {
	bundle := &secrets.Bundle{Clock: secrets.NewFixedClock(now)}
	if yaml.Unmarshal(data, bundle) != nil || bundle.Validate() != nil {
		return Secrets{}, errSecrets
	}
	return Secrets{bundle}, nil
}

// Bytes is what a Secret keeps.
func (s Secrets) Bytes() ([]byte, error) {
	data, err := yaml.Marshal(s.bundle)
	if err != nil {
		return nil, errors.New("the cluster's secrets cannot be written")
	}
	return data, nil
}

// Config is the machine config of all machines of a role, and nothing that belongs to one of them.
func (s Secrets) Config(c Cluster, role Role) ([]byte, error) {
	input, err := s.input(c)
	if err != nil {
		return nil, err
	}
	kind := machine.TypeWorker
	if role == ControlPlane {
		kind = machine.TypeControlPlane
	}
	provider, err := input.Config(kind)
	if err != nil {
		return nil, errors.New("Talos' generator makes no machine config of these secrets")
	}
	data, err := provider.EncodeBytes(encoder.WithComments(encoder.CommentsDisabled))
	if err != nil {
		return nil, errors.New("the machine config cannot be written")
	}
	return data, nil
}

func (s Secrets) input(c Cluster, more ...generate.Option) (*generate.Input, error) {
	contract, err := c.contract()
	if err != nil {
		return nil, err
	}
	options := append([]generate.Option{
		generate.WithSecretsBundle(s.bundle), generate.WithVersionContract(contract), generate.WithInstallImage(Installer(c.TalosVersion)),
	}, more...)
	input, err := generate.NewInput(c.Name, c.Endpoint, c.KubernetesVersion, options...)
	if err != nil {
		return nil, errors.New("Talos' generator takes no such cluster")
	}
	return input, nil
}

// Talosconfig is what an admin asks the cluster's Talos with: the file of talosctl. Its certificate holds for a year (Talos v1.13, GenerateTalosAPIClientCertificate).
func (s Secrets) Talosconfig(c Cluster, endpoints []string) ([]byte, error) {
	input, err := s.input(c, generate.WithEndpointList(endpoints))
	if err != nil {
		return nil, err
	}
	made, err := input.Talosconfig()
	if err != nil {
		return nil, errors.New("making a certificate for Talos' API failed")
	}
	data, err := made.Bytes()
	if err != nil {
		return nil, errors.New("the talosconfig cannot be written")
	}
	return data, nil
}

const redacted = "REDACTED"

// Format hides the secrets from every verb of fmt.
func (s Secrets) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON hides the secrets.
func (s Secrets) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
