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

	"ingot.dev/ingot/boot-assets/catalog"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

const base = "http://" + bootIP + ":7480"

var (
	declaredMAC = net.HardwareAddr{0x52, 0x54, 0, 0xd1, 0, 1}
	unknownMAC  = net.HardwareAddr{0x52, 0x54, 0, 0xd1, 0, 2}
)

// TestSite: a pxe-server of its own gets the view over mutual TLS, and serves a declared and an unknown machine; it reports what it saw, and
// goes on with its last view when the controller is gone.
func TestSite(t *testing.T) {
	c := newCluster(t)
	c.create(t, &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "rack1-04"}, Spec: metal.ServerSpec{Identity: &metal.Identity{MACs: []string{declaredMAC.String()}}}})
	s := newSite(t, declaredMAC)
	controller := c.replica(t)
	await(t, "the replica leads", func() bool { return controller.leads(t) })
	c.server(t, "rack1-04", "has a boot target", decided)
	pxe := s.pxeServer(t, c.issue(t, "s1"))
	await(t, "the pxe-server has a view with the Server", func() bool {
		return s.status(t, "/readyz") == http.StatusOK && strings.Contains(pxe.out.String(), "servers=1")
	})
	s.serves(t)
	c.server(t, "rack1-04", "has the boot in its timeline", func(s *metal.Server) bool {
		return len(s.Status.Boots) > 0 && len(s.Status.Boots[0].Stages) > 0
	})
	controller.stop(syscall.SIGKILL)
	await(t, "the pxe-server notices", func() bool { return strings.Contains(pxe.out.String(), "controller is away") })
	s.serves(t)
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
	t.Helper()
	return start(t, s.server, "pxe-server", "--interface", bootNIC, "--dhcp-pool", "192.0.2.100-192.0.2.199", "--state-dir", t.TempDir(),
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
