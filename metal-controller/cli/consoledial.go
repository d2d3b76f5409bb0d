package cli

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"golang.org/x/net/websocket"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/ipmi"
)

// consoleAnnotation names a console that is reached on this machine, as the virtual rack's are: unix:PATH.
const consoleAnnotation = "metal.ingot.dev/console"

// dialConsole opens a console by the way that its BMC has.
func dialConsole(ctx context.Context, c client.Client, s *metal.Server, o consoleOptions) (io.ReadWriteCloser, error) {
	if path, ok := strings.CutPrefix(s.Annotations[consoleAnnotation], "unix:"); ok {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err != nil {
			return nil, fmt.Errorf("%w; is the server on? `ingot power status %s`", err, s.Name)
		}
		return conn, nil
	}
	if s.Spec.BMC == nil {
		return nil, errors.New("it has no spec.bmc, so there is no console to reach")
	}
	switch pinned := pinOf(s) != ""; {
	case o.sol, s.Spec.BMC.Protocol == metal.BMCIPMI:
		return dialSOL(ctx, c, s, o)
	case o.TakeOver || o.Enable || o.BitRate != 0:
		return nil, fmt.Errorf("--take-over, --enable and --bit-rate are for serial-over-LAN; if its BMC has IPMI as well: ingot console %s --sol", s.Name)
	case s.Spec.BMC.Protocol == metal.BMCRedfish || pinned:
		conn, err := dialOpenBMC(ctx, c, s)
		if err != nil {
			err = fmt.Errorf("%w; if it has IPMI as well: ingot console %s --sol", err, s.Name)
		}
		return conn, err
	}
	conn, err := dialSOL(ctx, c, s, o)
	if err != nil {
		err = fmt.Errorf("%w; an OpenBMC's WebSocket was not tried, since no certificate is pinned (spec.bmc.tlsFingerprint)", err)
	}
	return conn, err
}

// dialSOL opens the console by IPMI's serial-over-LAN. The password is not sent, so nothing is lost to a stranger at the address.
func dialSOL(ctx context.Context, c client.Client, s *metal.Server, o consoleOptions) (io.ReadWriteCloser, error) {
	user, password, err := bmcLogin(ctx, c, s)
	if err != nil {
		return nil, err
	}
	target := bmc.Target{Protocol: bmc.IPMI, Host: s.Spec.BMC.Endpoint, Username: user, Password: password}
	if s.Spec.BMC.Protocol != metal.BMCRedfish { // whose port is another protocol's
		target.Port = int(s.Spec.BMC.Port)
	}
	console, err := ipmi.OpenConsole(ctx, target, o.ConsoleOptions)
	if err != nil {
		return nil, err
	}
	return console, nil
}

// bmcLogin reads the BMC's account with the rights of who asks, which the API server checks and notes.
func bmcLogin(ctx context.Context, c client.Client, s *metal.Server) (user string, password bmc.Secret, err error) {
	secret := &corev1.Secret{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: metal.SystemNamespace, Name: s.Spec.BMC.CredentialsSecret}, secret); err != nil {
		return "", password, fmt.Errorf("reading the BMC's credentials: %w", err)
	}
	return string(secret.Data[corev1.BasicAuthUsernameKey]), bmc.NewSecret(string(secret.Data[corev1.BasicAuthPasswordKey])), nil
}

// dialOpenBMC opens the WebSocket that OpenBMC's bmcweb serves for the host console.
func dialOpenBMC(ctx context.Context, c client.Client, s *metal.Server) (io.ReadWriteCloser, error) {
	pin := pinOf(s)
	if pin == "" {
		return nil, fmt.Errorf("its BMC's certificate is not pinned, and the password is not sent to a stranger; set spec.bmc.tlsFingerprint of %s", s.Name)
	}
	user, password, err := bmcLogin(ctx, c, s)
	if err != nil {
		return nil, err
	}
	port := int(s.Spec.BMC.Port)
	if port == 0 {
		port = 443
	}
	host := net.JoinHostPort(s.Spec.BMC.Endpoint, strconv.Itoa(port))
	config, err := websocket.NewConfig("wss://"+host+"/console0", "https://"+host)
	if err != nil {
		return nil, err
	}
	config.TlsConfig = pinned(pin)
	login := user + ":" + password.Reveal()
	config.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(login)))
	conn, err := config.DialContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("the BMC at %s offers no console over a WebSocket: %w", host, err)
	}
	conn.PayloadType = websocket.BinaryFrame
	return conn, nil
}

func pinOf(s *metal.Server) string {
	if s.Spec.BMC.TLSFingerprint != "" {
		return s.Spec.BMC.TLSFingerprint
	}
	if s.Spec.Record != nil && s.Spec.Record.BMCPin != nil {
		return s.Spec.Record.BMCPin.SHA256
	}
	return ""
}

// pinned accepts exactly the certificate with this SHA-256: BMC certificates are self-signed as a rule.
func pinned(pin string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // replaced by the pin below, which VerifyConnection checks at every handshake, also at resumed ones
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("the BMC showed no certificate")
			}
			if sum := sha256.Sum256(state.PeerCertificates[0].Raw); hex.EncodeToString(sum[:]) != pin {
				return errors.New("the BMC's certificate is not the pinned one; no password was sent")
			}
			return nil
		},
	}
}
