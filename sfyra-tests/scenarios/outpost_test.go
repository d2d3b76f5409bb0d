//go:build e2e

package scenarios

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"ingot.dev/ingot/sfyra-tests/rack"
)

// siteName is the site of the rack, as certificates and Servers name it.
const siteName = "edge"

// controllerPort is where the controllers serve pxe-servers of sites.
const controllerPort = "7444"

// outpost is a pxe-server of its own on the rack's switch. It is in a network namespace, which has a line to the controllers beside the switch: machines
// reach the controllers over the switch, and only the pxe-server is cut off when the line is.
type outpost struct {
	site  *site
	n     int
	where netns.NsHandle
	host  string // the controllers' address on the switch
	log   *os.File
	cmd   *exec.Cmd
	ended chan struct{}
}

// newOutposts racks the servers on a switch that so many pxe-servers serve, and starts Ingot as their controller.
func newOutposts(t *testing.T, count int, specs ...rack.Spec) (*cluster, []*outpost) {
	t.Helper()
	s := newBareSite(t, specs...)
	s.serves = []string{"--address", s.host(), "--boot-port", controllerPort}
	s.begin()
	folder := filepath.Join(s.dir, "certificate")
	issuer := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(program(t)), "metal-controller"), "issue-pxe-certificate",
		"--kubeconfig", filepath.Join(s.stateDir(), "admin.kubeconfig"), "--site", siteName, "--out", folder)
	if out, err := issuer.CombinedOutput(); err != nil {
		t.Fatalf("issuing the certificate of the site: %v\n%s", err, out)
	}
	var all []*outpost
	for n := range count {
		o := &outpost{site: s, n: n, host: s.host()}
		o.cable()
		o.start()
		all = append(all, o)
	}
	return newClusterOn(t, s), all
}

func (o *outpost) address() string { return fmt.Sprintf("192.168.77.%d", 10+o.n) }
func (o *outpost) line() string    { return fmt.Sprintf("line%d", o.n) }

// in runs f in the outpost's namespace, on a thread that ends with it.
func (o *outpost) in(f func() error) {
	t := o.site.t
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := netns.Set(o.where)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// cable makes the namespace, with a port on the switch and the line to the controllers.
func (o *outpost) cable() {
	t := o.site.t
	t.Helper()
	made := make(chan error)
	go func() {
		runtime.LockOSThread()
		var err error
		o.where, err = netns.New()
		made <- err
	}()
	err := <-made
	for _, step := range []func() error{o.plugSwitch, o.plugLine} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		t.Fatal("cabling an outpost: ", err)
	}
	t.Cleanup(func() { _ = o.where.Close() })
	o.in(o.configure)
}

// pair makes a cable whose far end is in the outpost.
func (o *outpost) pair(near, far string) (netlink.Link, error) {
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: near}, PeerName: far + near}); err != nil {
		return nil, err
	}
	end, err := netlink.LinkByName(far + near)
	if err != nil {
		return nil, err
	}
	if err := netlink.LinkSetNsFd(end, int(o.where)); err != nil {
		return nil, err
	}
	return netlink.LinkByName(near)
}

func (o *outpost) plugSwitch() error {
	port, err := o.pair(fmt.Sprintf("sw%d", o.n), "b")
	if err != nil {
		return err
	}
	bridge, err := netlink.LinkByName(o.site.rack.Bridge())
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(port, bridge); err != nil {
		return err
	}
	return netlink.LinkSetUp(port)
}

func (o *outpost) plugLine() error {
	near, err := o.pair(o.line(), "u")
	if err != nil {
		return err
	}
	return up(near, fmt.Sprintf("198.51.100.%d/30", 4*o.n+1))
}

// configure gives the outpost its addresses; what is for the controllers takes the line.
func (o *outpost) configure() error {
	for name, address := range map[string]string{
		"lo": "127.0.0.1/8", fmt.Sprintf("bsw%d", o.n): o.address() + "/24", "u" + o.line(): fmt.Sprintf("198.51.100.%d/30", 4*o.n+2),
	} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := up(link, address); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return netlink.RouteAdd(&netlink.Route{
		Dst: &net.IPNet{IP: net.ParseIP(o.host), Mask: net.CIDRMask(32, 32)}, Gw: net.IPv4(198, 51, 100, byte(4*o.n+1)),
	})
}

func up(link netlink.Link, address string) error {
	a, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, a); err != nil && err != syscall.EEXIST {
		return err
	}
	return netlink.LinkSetUp(link)
}

// cut breaks the line, or mends it.
func (o *outpost) cut(broken bool) {
	t := o.site.t
	t.Helper()
	link, err := netlink.LinkByName(o.line())
	if err == nil && broken {
		err = netlink.LinkSetDown(link)
	} else if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start starts the pxe-server on its state folder.
func (o *outpost) start() {
	t := o.site.t
	t.Helper()
	var err error
	if o.log, err = os.OpenFile(filepath.Join(o.site.dir, fmt.Sprintf("outpost%d.log", o.n)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		t.Fatal(err)
	}
	certificate := func(name string) string { return filepath.Join(o.site.dir, "certificate", name) }
	o.cmd = exec.Command(filepath.Join(filepath.Dir(program(t)), "pxe-server"), "--interface", fmt.Sprintf("bsw%d", o.n),
		"--dhcp-pool", fmt.Sprintf("192.168.77.%d-192.168.77.%d", 100+40*o.n, 130+40*o.n), "--state-dir", filepath.Join(o.site.dir, fmt.Sprintf("outpost%d", o.n)),
		"--agent-image", os.Getenv("INGOT_AGENT_IMAGE"), "--controller", net.JoinHostPort(o.host, controllerPort),
		"--cert", certificate("tls.crt"), "--key", certificate("tls.key"), "--ca", certificate("ca.crt"))
	o.cmd.Stdout, o.cmd.Stderr = o.log, o.log
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	o.ended = make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: a child is born in its thread's namespace, and dies with that thread
		err := netns.Set(o.where)
		if err == nil {
			err = o.cmd.Start()
		}
		started <- err
		if err == nil {
			_ = o.cmd.Wait() // how it ended is in ProcessState
		}
		close(o.ended)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	o.site.root.Cleanup(func() {
		o.stop(syscall.SIGTERM)
		if o.site.root.Failed() {
			o.site.root.Logf("outpost %d:\n%s", o.n, tail(o.log.Name(), 6000))
		}
	})
	o.site.await(bootLimit, "the pxe-server serves", func() bool { return o.get("/readyz") != "" })
}

func (o *outpost) stop(s syscall.Signal) {
	_ = o.cmd.Process.Signal(s) // it may have ended already
	<-o.ended
	_ = o.log.Close()
}

// said counts a text in the log of all starts.
func (o *outpost) said(text string) int {
	data, err := os.ReadFile(o.log.Name())
	if err != nil {
		return 0
	}
	return bytes.Count(data, []byte(text))
}

// decided counts the scripts for a machine with a target.
func (o *outpost) decided(mac, target string) (n int) {
	data, err := os.ReadFile(o.log.Name())
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, "boot decided") && strings.Contains(line, "mac="+mac) && strings.Contains(line, "target="+target+" ") {
			n++
		}
	}
	return n
}

// get asks the pxe-server on its own machine; it is empty when it is not answered with 200.
func (o *outpost) get(path string) (body string) {
	address := net.JoinHostPort(o.address(), "7480")
	if path == "/metrics" {
		address = "127.0.0.1:7491"
	}
	o.in(func() error {
		conn, err := net.Dial("tcp4", address)
		if err != nil {
			return nil
		}
		tr := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		res, err := (&http.Client{Transport: tr}).Get("http://" + address + path)
		if err != nil {
			return nil
		}
		defer res.Body.Close()
		if text, err := io.ReadAll(res.Body); err == nil && res.StatusCode == http.StatusOK {
			body = string(text)
		}
		return nil
	})
	return body
}
