package setup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/insomniacslk/dhcp/iana"
	tftpclient "github.com/pin/tftp/v3"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/boot-assets/ipxe"
	"ingot.dev/ingot/pxe-server/dhcp"
	"ingot.dev/ingot/pxe-server/httpboot"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/sfyra-tests/island"
)

const (
	serverIP = "192.0.2.1"
	agentPin = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// running is a pxe-server on a wire with one machine.
type running struct {
	wire
	cfg        Config
	controller *fakeController
	stop       func() error
}

func run(t *testing.T) *running {
	t.Helper()
	r := &running{wire: newWire(t, serverIP+"/24", "192.0.2.9/24")}
	r.controller = &fakeController{events: make(chan *protocol.BootEvent, 64), view: &protocol.View{
		UnknownPolicy: "register-once", Revision: 1, Agent: &protocol.AgentBoot{Url: "https://192.0.2.1:7443", Pin: agentPin},
	}}
	r.cfg = Config{
		Interface: "eth0", StateDir: t.TempDir(), AgentImage: image(t), MoreImages: []string{imageFor(t, catalog.ARM64)}, Controller: r.controller,
		DHCP: DHCP{Network: dhcp.Subnet{Pools: []dhcp.Range{{From: netip.MustParseAddr("192.0.2.100"), To: netip.MustParseAddr("192.0.2.199")}}}},
	}
	r.start(t)
	return r
}

// start starts the pxe-server, again after stop.
func (r *running) start(t *testing.T) {
	t.Helper()
	ready := make(chan struct{})
	r.cfg.Ready = func() { close(ready) }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, r.cfg) }()
	r.stop = func() error { cancel(); return <-done }
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
}

// offer asks for an address as firmware of that architecture does, and gives the next server and the boot file.
func (r *running) offer(t *testing.T, arch uint16, class, userClass string) (next, file string) {
	t.Helper()
	r.do(t, func() {
		c, err := nclient4.New("eth0", nclient4.WithTimeout(3*time.Second), nclient4.WithRetry(3))
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		mods := []dhcpv4.Modifier{
			dhcpv4.WithOption(dhcpv4.OptClassIdentifier(class)), dhcpv4.WithOption(dhcpv4.OptClientArch(iana.Arch(arch))),
			dhcpv4.WithRequestedOptions(dhcpv4.OptionTFTPServerName, dhcpv4.OptionBootfileName),
		}
		if userClass != "" {
			mods = append(mods, dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionUserClassInformation, []byte(userClass))))
		}
		lease, err := c.Request(context.Background(), mods...)
		if err != nil {
			t.Error(err)
			return
		}
		next, file = lease.ACK.ServerIPAddr.String(), lease.ACK.BootFileNameOption()
		if file == "" {
			file = lease.ACK.BootFileName
		}
	})
	return next, file
}

// tftp fetches a file as the machine.
func (r *running) tftp(t *testing.T, server, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	r.do(t, func() {
		c, err := tftpclient.NewClient(net.JoinHostPort(server, "69"))
		if err != nil {
			t.Error(err)
			return
		}
		from, err := c.Receive(name, "octet")
		if err != nil {
			t.Errorf("TFTP %s: %v", name, err)
			return
		}
		if _, err := from.WriteTo(&b); err != nil {
			t.Errorf("TFTP %s: %v", name, err)
		}
	})
	return b.Bytes()
}

// http fetches a URL as the machine.
func (r *running) http(t *testing.T, address string) []byte {
	t.Helper()
	code, body := r.get(t, address)
	if code != http.StatusOK {
		t.Errorf("GET %s: %d", address, code)
	}
	return body
}

// get asks for a URL as the machine.
func (r *running) get(t *testing.T, address string) (code int, body []byte) {
	t.Helper()
	u, err := url.Parse(address)
	ok(t, err)
	r.do(t, func() {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Errorf("GET %s: %v", address, err)
			return
		}
		tr := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		res, err := (&http.Client{Transport: tr}).Get(address)
		if err != nil {
			t.Errorf("GET %s: %v", address, err)
			return
		}
		defer res.Body.Close()
		if body, err = io.ReadAll(res.Body); err != nil {
			t.Errorf("GET %s: %s, %v", address, res.Status, err)
		}
		code = res.StatusCode
	})
	return code, body
}

// TestT24Contract: for every client architecture, both protocols and iPXE, what DHCP names is served with its digest, and so is every
// URL that a script then names. Nothing is advertised that the catalog does not list, and everything in the catalog is served.
func TestT24Contract(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	r := run(t)
	base := fmt.Sprintf("http://%s:%d", serverIP, DefaultHTTPPort)
	served := map[string]bool{}
	for _, arch := range []uint16{0, 6, 7, 9, 10, 11, 15, 16, 18, 19, 20, 0x1b, 0x25} {
		for _, class := range []string{"PXEClient", "HTTPClient"} {
			t.Logf("client architecture %d, %s", arch, class)
			next, file := r.offer(t, arch, fmt.Sprintf("%s:Arch:%05d:UNDI:003000", class, arch), "")
			want, some := catalog.For(arch, class == "HTTPClient")
			switch {
			case !some && file != "":
				t.Errorf("advertises %q, which the catalog has not", file)
			case some && class == "PXEClient":
				if file != want.File || next != serverIP {
					t.Errorf("advertises %q on %s, want %q on %s", file, next, want.File, serverIP)
				}
				proven(t, file, r.tftp(t, next, file))
				served[file] = true
			case some:
				if file != base+catalog.LoaderPath+want.File {
					t.Errorf("advertises %q", file)
				}
				proven(t, want.File, r.http(t, file))
			}
		}
		if _, file := r.offer(t, arch, "PXEClient", "iPXE"); file != base+catalog.FirstStagePath {
			t.Errorf("client architecture %d, iPXE: %q", arch, file)
		}
	}
	r.scripts(t, base, served)
	for _, name := range catalog.Names() {
		switch {
		case served[name]:
		case strings.HasPrefix(name, "/"):
			if name != catalog.ScriptPath {
				proven(t, path.Base(name), r.http(t, base+name))
			}
		default:
			proven(t, name, r.tftp(t, serverIP, name))
		}
	}
	ok(t, r.stop())
}

// scripts follows the first stage, wherever it comes from, to the machine's script and to the files that this one names.
func (r *running) scripts(t *testing.T, base string, served map[string]bool) {
	t.Helper()
	auto, first := r.tftp(t, serverIP, catalog.AutoExec), r.http(t, base+catalog.FirstStagePath)
	if string(auto) != string(first) {
		t.Errorf("autoexec.ipxe and boot.ipxe differ")
	}
	served[catalog.AutoExec] = true
	urls := urlsOf(first)
	if len(urls) != 3 || urls[0] != base || urls[1] != base+catalog.FirstStagePath || !strings.HasPrefix(urls[2], base+catalog.ScriptPath+"?") {
		t.Fatalf("the first stage names %q", urls)
	}
	fill := strings.NewReplacer("${uuid}", "11111111-2222-3333-4444-555555555555", "${netX/mac:hexhyp}", "52-54-00-78-00-01", "${serial:uristring}", "SN%2001%237",
		"${manufacturer:uristring}", "QEMU", "${product:uristring}", "Lab", "${platform}", "efi", "${try}", "0")
	ask := fill.Replace(urls[2])
	for buildarch, arch := range map[string]string{"x86_64": catalog.AMD64, "arm64": catalog.ARM64} {
		r.script(t, base, strings.Replace(ask, "${buildarch}", buildarch, 1), arch)
	}
}

// script asks for the script of one machine of that architecture, and for all that it names.
func (r *running) script(t *testing.T, base, ask, arch string) {
	t.Helper()
	if strings.Contains(ask, "$") {
		t.Fatalf("the first stage asks with variables that this test does not know: %s", ask)
	}
	script := r.http(t, ask)
	named := urlsOf(script)
	for _, want := range []string{base + catalog.AgentFile(arch, catalog.Kernel), base + catalog.AgentFile(arch, catalog.Initramfs), base + catalog.FirstStagePath} {
		if !slices.Contains(named, want) {
			t.Errorf("the script does not name %s:\n%s", want, script)
		}
	}
	for _, u := range named {
		if strings.HasPrefix(u, base) {
			proven(t, path.Base(u), r.http(t, u))
		}
	}
	event := <-r.controller.events
	for len(event.GetStages()) == 1 && event.GetStages()[0].GetStage() != httpboot.StageScript {
		event = <-r.controller.events // a file of the boot before
	}
	if event.GetBootId() == "" || !bytes.Contains(script, []byte(" ingot.boot="+event.GetBootId()+" ")) || event.GetMac() != machineMAC.String() {
		t.Errorf("the controller heard %v of\n%s", event, script)
	}
}

var urlPattern = regexp.MustCompile(`http://[^\s]+`)

func urlsOf(script []byte) []string { return urlPattern.FindAllString(string(script), -1) }

// proven compares with digests that do not come from the server.
func proven(t *testing.T, name string, data []byte) {
	t.Helper()
	sum := sha256.Sum256(data)
	want, loader := ipxe.Digests()[name]
	texts := map[string]string{catalog.Kernel: "a kernel", catalog.Initramfs: "an initramfs"}
	switch {
	case loader && hex.EncodeToString(sum[:]) != want:
		t.Errorf("%s: %d bytes with SHA-256 %x, want %s", name, len(data), sum, want)
	case texts[name] != "" && string(data) != texts[name]:
		t.Errorf("%s is %q", name, data)
	case name == path.Base(catalog.MediaPath):
		if script := base + catalog.ScriptPath + "?"; len(data) < 4<<20 || !bytes.Contains(data, []byte(script)) {
			t.Errorf("%s: %d bytes do not lead to %s", name, len(data), script)
		}
	case !loader && texts[name] == "" && !bytes.HasPrefix(data, []byte("#!ipxe\n")):
		t.Errorf("%s is no script: %.40q", name, data)
	}
}
