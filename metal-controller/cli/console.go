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
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/net/websocket"
	"golang.org/x/term"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// consoleAnnotation names a console that is reached on this machine, as the virtual rack's are: unix:PATH.
const consoleAnnotation = "metal.ingot.dev/console"

// detach is the byte that ends a session: Ctrl-], as in telnet and virsh.
const detach = 0x1d

func newConsole(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "console SERVER",
		Short: "Attach to a server's serial console; Ctrl-] detaches",
		Long: "Attach to a server's serial console; Ctrl-] detaches.\n\n" +
			"Consoles of the virtual rack are reached directly. Of real servers, those with an OpenBMC (WebSocket /console0) are;\n" +
			"IPMI serial-over-LAN is not in this release.",
		Example:           "  ingot console rack1-07\n  ingot console rack1-07 < /dev/null > boot.log",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: env.completeServer,
		RunE:              func(cmd *cobra.Command, args []string) error { return env.console(cmd.Context(), trimKind(args[0])) },
	}
}

func (e *Env) console(ctx context.Context, name string) error {
	c, err := e.Client()
	if err != nil {
		return err
	}
	s, err := e.server(ctx, c, name)
	if err != nil {
		return err
	}
	conn, err := dialConsole(ctx, c, s)
	if err != nil {
		return fmt.Errorf("opening the console of %s: %w", name, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	return e.attach(conn, name)
}

func dialConsole(ctx context.Context, c client.Client, s *metal.Server) (io.ReadWriteCloser, error) {
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
	if s.Spec.BMC.Protocol == metal.BMCIPMI {
		return nil, errors.New("its BMC speaks IPMI, and IPMI serial-over-LAN is not in this release; `ipmitool -I lanplus … sol activate` shows it")
	}
	return dialOpenBMC(ctx, c, s)
}

// dialOpenBMC opens the WebSocket that OpenBMC's bmcweb serves for the host console.
func dialOpenBMC(ctx context.Context, c client.Client, s *metal.Server) (io.ReadWriteCloser, error) {
	pin := pinOf(s)
	if pin == "" {
		return nil, fmt.Errorf("its BMC's certificate is not pinned, and the password is not sent to a stranger; set spec.bmc.tlsFingerprint of %s", s.Name)
	}
	secret := &corev1.Secret{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: metal.SystemNamespace, Name: s.Spec.BMC.CredentialsSecret}, secret); err != nil {
		return nil, fmt.Errorf("reading the BMC's credentials: %w", err)
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
	login := string(secret.Data["username"]) + ":" + string(secret.Data["password"])
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

// attach copies both ways until the console ends or the person detaches.
func (e *Env) attach(conn io.ReadWriteCloser, name string) error {
	restore, err := e.rawTerminal(name)
	if err != nil {
		return err
	}
	defer restore()
	go func() { // ends with the process or with the console
		if copyUntilDetach(conn, e.Streams.In) {
			conn.Close()
		}
	}()
	_, err = io.Copy(e.Streams.Out, conn)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("reading the console: %w", err)
	}
	return nil
}

// rawTerminal hands every key to the console when a person types; the result puts the terminal back.
func (e *Env) rawTerminal(name string) (func(), error) {
	f, ok := e.Streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}, nil
	}
	fmt.Fprintf(e.Streams.ErrOut, "Attached to the console of %s; Ctrl-] detaches.\n", name)
	state, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("setting up the terminal: %w", err)
	}
	return func() { _ = term.Restore(int(f.Fd()), state) }, nil
}

// copyUntilDetach copies keys; it is true when the person detached and false when the input ended.
func copyUntilDetach(to io.Writer, from io.Reader) bool {
	buf := make([]byte, 256)
	for {
		n, err := from.Read(buf)
		if i := strings.IndexByte(string(buf[:n]), detach); i >= 0 {
			_, _ = to.Write(buf[:i])
			return true
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return false
		}
	}
}
