package controlplane

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"ingot.dev/ingot/metal-controller/ingot/statedir"
)

// Files in the state folder that hold the two identities, for programs outside this process. Both are mode 0600.
const (
	AdminKubeconfig      = "admin.kubeconfig"
	ControllerKubeconfig = "controller.kubeconfig"
)

// serverURL is where clients on this machine find the API server.
func serverURL(bound net.Addr) (string, error) {
	ap, err := netip.ParseAddrPort(bound.String())
	if err != nil {
		return "", fmt.Errorf("reading the API server's address: %w", err)
	}
	host := ap.Addr()
	switch {
	case host.Is4() && host.IsUnspecified():
		host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case host.IsUnspecified(): // Go listens on both families then
		host = netip.IPv6Loopback()
	}
	return "https://" + net.JoinHostPort(host.String(), strconv.Itoa(int(ap.Port()))), nil
}

// restConfig is a client's configuration for one identity.
func restConfig(url string, ca, id *pair) (*rest.Config, error) {
	key, err := keyPEM(id.key)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:            url,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca.certPEM(), CertData: id.certPEM(), KeyData: key},
	}, nil
}

// writeKubeconfig writes cfg for kubectl and others.
func writeKubeconfig(path, user string, cfg *rest.Config) error {
	k := clientcmdapi.NewConfig()
	k.Clusters["ingot"] = &clientcmdapi.Cluster{Server: cfg.Host, CertificateAuthorityData: cfg.CAData}
	k.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: cfg.CertData, ClientKeyData: cfg.KeyData}
	k.Contexts["ingot"] = &clientcmdapi.Context{Cluster: "ingot", AuthInfo: user}
	k.CurrentContext = "ingot"
	data, err := clientcmd.Write(*k)
	if err != nil {
		return fmt.Errorf("encoding kubeconfig: %w", err)
	}
	return statedir.WriteFile(path, data, 0o600)
}
