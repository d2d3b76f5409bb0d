package distributed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/insomniacslk/dhcp/iana"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"ingot.dev/ingot/boot-assets/catalog"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

const base = "http://" + bootIP + ":7480"

var (
	declaredMAC = net.HardwareAddr{0x52, 0x54, 0, 0xd1, 0, 1}
	unknownMAC  = net.HardwareAddr{0x52, 0x54, 0, 0xd1, 0, 2}
	systemMAC   = net.HardwareAddr{0x52, 0x54, 0, 0xd1, 0, 3}
	// elsewhereMAC is of a Server of another site.
	elsewhereMAC = net.HardwareAddr{0x52, 0x54, 0, 0xd1, 0, 4}
)

// TestSite: a pxe-server of its own gets the view of its site over mutual TLS, and serves a declared and an unknown machine; it reports what it saw. While the
// controller is gone it begins nothing, gives a system its disk, also after a restart, and goes on when the controller is back.
func TestSite(t *testing.T) {
	c := newCluster(t)
	declare := func(name string, mac net.HardwareAddr, site string) {
		c.create(t, &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{Identity: &metal.Identity{MACs: []string{mac.String()}}, Location: &metal.Location{Site: site}}})
	}
	declare("rack1-04", declaredMAC, "s1")
	declare("rack1-05", systemMAC, "")
	declare("rack9-01", elsewhereMAC, "s9")
	s := newSite(t, declaredMAC)
	controller := c.replica(t)
	await(t, "the replica leads", func() bool { return controller.leads(t) })
	for _, name := range []string{"rack1-04", "rack1-05", "rack9-01"} {
		c.server(t, name, "has a boot target", decided)
	}
	c.hasSystem(t, "rack1-05")
	folder, state := c.issue(t, "s1"), t.TempDir()
	pxe := s.pxeServerIn(t, folder, state)
	await(t, "the pxe-server has a view with the Servers of its site", func() bool {
		return s.status(t, "/readyz") == http.StatusOK && strings.Contains(pxe.out.String(), "servers=2")
	})
	s.serves(t)
	if script := s.script(t, elsewhereMAC.String()); !strings.Contains(script, "no Server describes this machine") {
		t.Errorf("a Server of another site is known here:\n%s", script)
	}
	c.server(t, "rack1-04", "has the boot in its timeline", func(s *metal.Server) bool {
		return len(s.Status.Boots) > 0 && len(s.Status.Boots[0].Stages) > 0
	})
	controller.stop(syscall.SIGKILL)
	await(t, "the pxe-server notices", func() bool { return strings.Contains(pxe.out.String(), "isolated: ") })
	s.beginsNothing(t)
	pxe.stop(syscall.SIGTERM)
	pxe = s.pxeServerIn(t, folder, state)
	await(t, "it serves again", func() bool { return s.status(t, "/readyz") == http.StatusOK })
	s.beginsNothing(t)
	c.replica(t)
	await(t, "the controller is heard again", func() bool { return strings.Contains(pxe.out.String(), "no longer isolated") })
	s.serves(t)
}

// beginsNothing asks as all three machines.
func (s *site) beginsNothing(t *testing.T) {
	t.Helper()
	if _, body := s.get(t, "/readyz"); !strings.HasPrefix(body, "isolated: ") {
		t.Errorf("it says of itself: %s", body)
	}
	if ack := s.lease(t, "PXEClient:Arch:00007:UNDI:003016", ""); !strings.HasSuffix(bootFile(ack), ".efi") {
		t.Errorf("firmware is sent to %q", bootFile(ack))
	}
	for mac, want := range map[string]string{
		declaredMAC.String(): "it waits here (ControllerAway)", unknownMAC.String(): "it waits here (ControllerAway)", systemMAC.String(): "it boots its own disk (LocalDiskPreferred)",
	} {
		if script := s.script(t, mac); !strings.Contains(script, want) || strings.Contains(script, "vmlinuz") {
			t.Errorf("the script of %s lacks %q, or boots something:\n%s", mac, want, script)
		}
	}
}

// hasSystem writes down a disk with an operating system, as the controllers do when an agent reports it, and waits until the Server is to boot it.
func (c *cluster) hasSystem(t *testing.T, name string) {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	ok(t, err)
	ok(t, clientFor(t, cfg).Create(t.Context(), &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerInventorySpec{Arch: "amd64", Disks: []metal.Disk{{Name: "sda", Contents: metal.DiskBootable}}}}))
	c.server(t, name, "is to boot its disk", func(s *metal.Server) bool {
		return s.Status.Boot != nil && s.Status.Boot.Target == metal.BootTargetLocalDisk
	})
}

// serves plays both machines from DHCP to their scripts.
func (s *site) serves(t *testing.T) {
	t.Helper()
	ack := s.lease(t, "PXEClient:Arch:00007:UNDI:003016", "")
	if ack.ServerIPAddr.String() != bootIP || !strings.HasSuffix(bootFile(ack), ".efi") {
		t.Errorf("firmware is sent to %q on %s; want an EFI program on %s", bootFile(ack), ack.ServerIPAddr, bootIP)
	}
	if file := bootFile(s.lease(t, "PXEClient:Arch:00007:UNDI:003016", "iPXE")); file != base+catalog.FirstStagePath {
		t.Errorf("iPXE is sent to %q", file)
	}
	for mac, want := range map[string]string{declaredMAC.String(): "this is server rack1-04", unknownMAC.String(): "no Server describes this machine"} {
		script := s.script(t, mac)
		if !strings.Contains(script, want) || !strings.Contains(script, "ingot.url=https://127.0.0.1:7443 ingot.pin=") {
			t.Errorf("the script of %s lacks %q:\n%s", mac, want, script)
		}
	}
}

// issue runs `metal-controller issue-pxe-certificate` as an operator does.
func (c *cluster) issue(t *testing.T, name string) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), name)
	p := start(t, here, "metal-controller", "issue-pxe-certificate", "--kubeconfig", c.adminConfig, "--site", name, "--out", folder, "--server", controllerIP+":7444")
	<-p.ended
	if !p.cmd.ProcessState.Success() || !strings.Contains(p.out.String(), "--controller "+controllerIP+":7444") {
		t.Fatalf("issue-pxe-certificate: %v\n%s", p.cmd.ProcessState, p.out)
	}
	return folder
}

// pxeServer starts a pxe-server at the site.
func (s *site) pxeServer(t *testing.T, folder string) *program {
	return s.pxeServerIn(t, folder, t.TempDir())
}

// pxeServerIn does the same on a state folder.
func (s *site) pxeServerIn(t *testing.T, folder, state string) *program {
	t.Helper()
	return start(t, s.server, "pxe-server", "--interface", bootNIC, "--dhcp-pool", "192.0.2.100-192.0.2.199", "--state-dir", state, "--metrics-address", siteIP+":7491",
		"--agent-image", image(t), "--controller", controllerIP+":7444",
		"--cert", filepath.Join(folder, "tls.crt"), "--key", filepath.Join(folder, "tls.key"), "--ca", filepath.Join(folder, "ca.crt"))
}

// lease asks for an address as firmware or iPXE of the declared machine does.
func (s *site) lease(t *testing.T, class, userClass string) (ack *dhcpv4.DHCPv4) {
	t.Helper()
	do(t, s.machine, func() {
		client, err := nclient4.New("eth0", nclient4.WithTimeout(3*time.Second), nclient4.WithRetry(4))
		if err != nil {
			t.Error(err)
			return
		}
		defer client.Close()
		mods := []dhcpv4.Modifier{
			dhcpv4.WithOption(dhcpv4.OptClassIdentifier(class)), dhcpv4.WithOption(dhcpv4.OptClientArch(iana.EFI_X86_64)),
			dhcpv4.WithRequestedOptions(dhcpv4.OptionTFTPServerName, dhcpv4.OptionBootfileName),
		}
		if userClass != "" {
			mods = append(mods, dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionUserClassInformation, []byte(userClass))))
		}
		lease, err := client.Request(context.Background(), mods...)
		if err != nil {
			t.Error(err)
			return
		}
		ack = lease.ACK
	})
	return ack
}

func bootFile(ack *dhcpv4.DHCPv4) string {
	if file := ack.BootFileNameOption(); file != "" {
		return file
	}
	return ack.BootFileName
}

// script follows the first stage to the machine's own script, as iPXE does.
func (s *site) script(t *testing.T, mac string) string {
	t.Helper()
	_, first := s.get(t, catalog.FirstStagePath)
	at := strings.Index(first, base+catalog.ScriptPath)
	if at < 0 {
		t.Fatalf("the first stage names no script:\n%s", first)
	}
	ask, _, _ := strings.Cut(first[at:], " ")
	ask = strings.NewReplacer("${netX/mac:hexhyp}", strings.ReplaceAll(mac, ":", "-"), "${buildarch}", "x86_64", "${platform}", "efi", "${try}", "0",
		"${uuid}", "00000000-0000-0000-0000-000000000000", "${serial:uristring}", "", "${manufacturer:uristring}", "Acme", "${product:uristring}", "S1").Replace(ask)
	status, script := s.get(t, strings.TrimPrefix(ask, base))
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", ask, status, script)
	}
	return script
}

func (s *site) status(t *testing.T, path string) int {
	status, _ := s.get(t, path)
	return status
}

// get fetches from the pxe-server as the machine; the status is 0 while it does not answer.
func (s *site) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	u, err := url.Parse(base + path)
	ok(t, err)
	do(t, s.machine, func() {
		conn, err := net.Dial("tcp4", u.Host)
		if err != nil {
			return
		}
		tr := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		res, err := (&http.Client{Transport: tr}).Get(u.String())
		if err != nil {
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err == nil {
			status, body = res.StatusCode, string(text)
		}
	})
	return status, body
}

// image writes an agent image as the image builder does.
func image(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	m := catalog.Manifest{Version: "test", Arch: catalog.AMD64, Files: map[string]catalog.File{}, KernelArgs: []string{"console=ttyS0"}}
	for name, text := range map[string]string{catalog.Kernel: "a kernel", catalog.Initramfs: "an initramfs"} {
		sum := sha256.Sum256([]byte(text))
		m.Files[name] = catalog.File{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text))}
		ok(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	text, err := json.Marshal(m)
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join(dir, "manifest.json"), text, 0o600))
	return dir
}
