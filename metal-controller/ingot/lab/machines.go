package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// bmcUser is the account of every BMC of the lab; the password is made anew for each.
const bmcUser = "admin"

// bmc is one BMC of the lab and how to reach it.
type bmc struct {
	server      *rack.Server
	name        string
	host        string
	port        int32
	password    string
	fingerprint string
	console     string
	macs        []string
	faults      *fakebmc.Faults
	kinds       []string // of faults that are on
	refused     string   // the annotation that was no fault
	close       func()
}

// machines are the virtual servers, their BMCs and their consoles.
type machines struct {
	rack *rack.Rack
	bmcs []*bmc
}

// startMachines racks the servers, all off, each with a BMC at an address of its own on the loopback of the lab's namespace.
func startMachines(ctx context.Context, dir string, count int, password func() string, log *slog.Logger) (*machines, error) {
	r, err := rack.New(ctx, rack.Config{Dir: filepath.Join(dir, "rack"), Servers: specs(count), Log: log})
	if err != nil {
		return nil, err
	}
	if err := r.Start(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	m := &machines{rack: r}
	for i, s := range r.Servers() {
		b, err := startBMC(ctx, dir, i+1, s, password(), log)
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.bmcs = append(m.bmcs, b)
	}
	return m, nil
}

// startBMC gives one server its BMC and a unix socket with its console, which users outside the namespace can reach.
func startBMC(ctx context.Context, dir string, i int, s *rack.Server, password string, log *slog.Logger) (*bmc, error) {
	id := s.Identity()
	host := fmt.Sprintf("127.0.77.%d", i)
	faults := &fakebmc.Faults{}
	fake, err := fakebmc.Start(ctx, fakebmc.Config{Addr: net.JoinHostPort(host, "443"), Machine: s, Username: bmcUser, Password: password, Faults: faults, Log: log})
	if err != nil {
		return nil, fmt.Errorf("starting the BMC of %s: %w", id.Name, err)
	}
	socket := filepath.Join(dir, id.Name+".console")
	_ = os.Remove(socket) // of an earlier run
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		fake.Close()
		return nil, fmt.Errorf("opening the console of %s: %w", id.Name, err)
	}
	go serveConsole(ctx, listener, s)
	closeAll := func() { _ = listener.Close(); fake.Close() }
	return &bmc{
		server: s, name: id.Name, host: host, port: 443, password: password, fingerprint: fake.Fingerprint(),
		console: socket, macs: id.MACs, faults: faults, close: closeAll,
	}, nil
}

// serveConsole joins each connection to the server's serial line; only one at a time gets it.
func serveConsole(ctx context.Context, l net.Listener, m machine.Machine) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed
		}
		go join(ctx, conn, m)
	}
}

func join(ctx context.Context, conn net.Conn, m machine.Machine) {
	defer conn.Close()
	console, err := m.Console(ctx)
	if err != nil {
		fmt.Fprintf(conn, "no console: %v\r\n", err)
		return
	}
	defer console.Close()
	go func() {
		_, _ = io.Copy(console, conn) // ends with the connection
		if c, ok := conn.(*net.UnixConn); ok {
			_ = c.CloseRead()
		}
	}()
	_, _ = io.Copy(conn, console)
}

// Close cuts the power of all servers and ends their BMCs.
func (m *machines) Close() error {
	for _, b := range m.bmcs {
		b.close()
	}
	return m.rack.Close()
}
