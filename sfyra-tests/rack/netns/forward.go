package netns

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
)

// doorsVariable carries what the inherited listeners are for.
const doorsVariable = "INGOT_NETNS_FORWARD"

// firstInherited is the descriptor of the first of exec.Cmd.ExtraFiles.
const firstInherited = 3

// Forward leads from a TCP address of the host into the namespace.
//
// A socket belongs to the namespace in which it was made. So the parent makes
// the listener, the child inherits and serves it: no relay in the parent, no
// socket file that could stay behind.
type Forward struct {
	// Listen is an address of the host, as 127.0.0.1:6443. Port 0 takes a free one.
	Listen string
	// Dial is where it leads inside, as 127.0.0.1:6443 or unix:/path.
	Dial string
}

type doors struct {
	files   []*os.File
	targets []string
}

func open(ctx context.Context, forwards []Forward) (*doors, error) {
	d := &doors{}
	for _, forward := range forwards {
		file, err := listenFile(ctx, forward.Listen)
		if err != nil {
			d.close()
			return nil, fmt.Errorf("forwarding %s into the namespace: %w", forward.Listen, err)
		}
		d.files, d.targets = append(d.files, file), append(d.targets, forward.Dial)
	}
	return d, nil
}

func listenFile(ctx context.Context, address string) (*os.File, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer listener.Close() // File is a duplicate
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("%s is no TCP listener", address)
	}
	return tcp.File()
}

func (d *doors) env() string { return doorsVariable + "=" + strings.Join(d.targets, ",") }

func (d *doors) close() {
	for _, file := range d.files {
		_ = file.Close()
	}
}

// inherit serves the listeners of the parent.
func inherit(ctx context.Context, targets string) ([]*Relay, error) {
	if targets == "" {
		return nil, nil
	}
	var relays []*Relay
	for i, target := range strings.Split(targets, ",") {
		file := os.NewFile(uintptr(firstInherited+i), "forward")
		listener, err := net.FileListener(file)
		_ = file.Close() // FileListener made a duplicate
		if err != nil {
			return relays, fmt.Errorf("taking over the listener for %s: %w", target, err)
		}
		relays = append(relays, NewRelay(ctx, listener, DialTo(target)))
	}
	return relays, nil
}
