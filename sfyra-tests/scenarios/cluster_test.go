//go:build e2e

package scenarios

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/boot-assets/initramfs"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
	"ingot.dev/ingot/sfyra-tests/source"
)

// runLimit is how long a claim may take from its binding to Running: two switches, a netboot that installs, and a boot from the disk.
const runLimit = 4 * time.Minute

// tenant is the namespace of the claims.
const tenant = metav1.NamespaceDefault

// class is the one that every namespace may take any server from.
const class = "any"

// cluster is a site that has the test OS on offer.
type cluster struct {
	*site
	source *source.Source
	files  map[string]initramfs.File
}

// newCluster racks the servers and starts Ingot and a web server with the files of the test OS. Nothing names them yet.
func newCluster(t *testing.T, specs ...rack.Spec) *cluster {
	t.Helper()
	return newClusterOn(t, newSite(t, specs...))
}

// newClusterOn starts the web server beside a site.
func newClusterOn(t *testing.T, s *site) *cluster {
	t.Helper()
	dir := os.Getenv("INGOT_TESTOS_IMAGE")
	text, err := os.ReadFile(filepath.Join(dir, initramfs.ManifestName))
	if err != nil {
		t.Fatalf("INGOT_TESTOS_IMAGE names no image, run `make e2e`: %v", err)
	}
	var manifest initramfs.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	files, err := source.Start(s.host()+":0", dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := files.Close(); err != nil {
			t.Error(err)
		}
	})
	return &cluster{site: s, source: files, files: manifest.Files}
}

// offer names the test OS in an Environment, with more arguments for its kernel.
func (c *cluster) offer(environment string, args ...string) {
	c.t.Helper()
	asset := func(name string) *metal.Asset {
		return &metal.Asset{URL: c.source.URL(name), SHA256: c.files[name].SHA256}
	}
	e := &metal.Environment{}
	e.Name = environment
	e.Spec.Boot = []metal.BootAssets{{
		Arch: "amd64", Kernel: asset(initramfs.VmlinuzName), Initramfs: asset(initramfs.InitramfsName),
		Args: slices.Concat(strings.Fields(rack.KernelArgs()), []string{"panic=30"}, args),
	}}
	c.create(e)
}

// open makes a class of all servers, with requirements of its own if any.
func (c *cluster) open(name, environment string, requirements metal.Requirements) {
	c.t.Helper()
	v := &metal.ServerClass{}
	v.Name = name
	v.Spec = metal.ServerClassSpec{
		Requirements: requirements, AllowedNamespaces: &metal.NamespaceSelection{All: true}, EnvironmentRef: &metal.NameRef{Name: environment},
	}
	c.create(v)
}

// claim asks for a server of a class, with the body of a TestOS document as its machine config.
func (c *cluster) claim(name, class, testOS string) {
	c.t.Helper()
	config := "machine: {type: worker}\n---\napiVersion: test.ingot.dev/v1\nkind: TestOS\n" + testOS
	c.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: tenant, Name: name}, StringData: map[string]string{"value": config}})
	c.create(&metal.ServerClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: tenant, Name: name}, Spec: metal.ServerClaimSpec{ClassName: class, ConfigSecret: name},
	})
}

// look reads a claim; nil when there is none.
func (c *cluster) look(name string) *metal.ServerClaim {
	c.t.Helper()
	v := &metal.ServerClaim{}
	err := c.client.Get(c.t.Context(), client.ObjectKey{Namespace: tenant, Name: name}, v)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

// awaitClaim waits until the claim is as wanted, and returns it.
func (c *cluster) awaitClaim(name, what string, limit time.Duration, cond func(*metal.ServerClaim) bool) *metal.ServerClaim {
	c.t.Helper()
	var claim *metal.ServerClaim
	c.await(limit, "claim "+name+": "+what, func() bool {
		claim = c.look(name)
		return claim != nil && cond(claim)
	})
	return claim
}

// awaitRunning waits for the claim's own word, and returns its server.
func (c *cluster) awaitRunning(name string) *metal.Server {
	c.t.Helper()
	claim := c.awaitClaim(name, "it runs", runLimit, func(v *metal.ServerClaim) bool {
		return meta.IsStatusConditionTrue(v.Status.Conditions, reasons.Ready) && says(v, reasons.Ready) == reasons.Running
	})
	return c.awaitServer(claim.Spec.Binding.Server, "it says so too", bootLimit, func(v *metal.Server) bool { return v.Status.State == metal.StateRunning })
}

// awaitGone waits until a claim that was given back is no more.
func (c *cluster) awaitGone(name string) {
	c.t.Helper()
	c.await(wipeLimit, "the claim "+name+" is gone", func() bool { return c.look(name) == nil })
}

// says is the reason of a claim's condition.
func says(v *metal.ServerClaim, condition string) string {
	if found := meta.FindStatusCondition(v.Status.Conditions, condition); found != nil {
		return found.Reason
	}
	return ""
}

// of is the reason of a server's condition.
func of(v *metal.Server, condition string) string {
	if found := meta.FindStatusCondition(v.Status.Conditions, condition); found != nil {
		return found.Reason
	}
	return ""
}

// unfit finds the group of servers that a claim cannot have for a reason.
func unfit(v *metal.ServerClaim, reason string) *metal.Unfit {
	for i := range v.Status.Unfit {
		if v.Status.Unfit[i].Reason == reason {
			return &v.Status.Unfit[i]
		}
	}
	return nil
}

// told says whether there is an event of a reason about a server whose message holds a text.
func (c *cluster) told(server, reason, text string) bool {
	c.t.Helper()
	list := &corev1.EventList{}
	if err := c.client.List(c.t.Context(), list); err != nil {
		c.t.Fatal(err)
	}
	return slices.ContainsFunc(list.Items, func(e corev1.Event) bool {
		return e.InvolvedObject.Name == server && e.Reason == reason && strings.Contains(e.Message, text)
	})
}

// configArg is a whole address of a machine config on a kernel line.
var configArg = regexp.MustCompile(`ingot\.config=(https://[0-9.]+:\d+/v1/config/[^/\s]+/[0-9a-f]{32}/[A-Za-z0-9_-]{43})\s`)

// capabilities are the addresses of the machine config that a boot of a server was given, as who listens on the switch reads them in its script, and who looks
// at the console. A busy host loses a character of either now and then, so both are read.
func (c *cluster) capabilities(server, boot string) (urls []string) {
	c.t.Helper()
	places := []string{c.serial(server)}
	for _, w := range c.taps {
		data, err := os.ReadFile(w.path)
		if err != nil {
			c.t.Fatal(err)
		}
		places = append(places, string(data))
	}
	for _, text := range places {
		for _, m := range configArg.FindAllStringSubmatch(text, -1) {
			if readWell(m[1]) && strings.Contains(m[1], "/"+server+"/"+boot+"/") && !slices.Contains(urls, m[1]) {
				urls = append(urls, m[1])
			}
		}
	}
	if len(urls) == 0 {
		c.t.Fatal("neither the console nor the switch shows a whole address of the machine config of boot " + boot)
	}
	return urls
}

// readWell says that an address was not cut or doubled where it was read: a capture has it in pieces where a packet ended or was sent again.
func readWell(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err == nil
}

// pinOf is the pin of the authority behind an address. It is no secret, so the serial line is not asked for it.
func pinOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true}) // whoever answers is who the machines get
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	chain := conn.ConnectionState().PeerCertificates
	sum := sha256.Sum256(chain[len(chain)-1].RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// small is a UEFI server with one disk that is quickly wiped.
func small(name string, last byte) rack.Spec {
	s := plain(name, last)
	s.Disks = []rack.Disk{{Kind: qemu.NVMe, SizeBytes: 256 << 20, Serial: fmt.Sprintf("NV%04d", last)}}
	return s
}

// countIn counts a text that stands within the blocks of a server's first disk, as the host sees it.
func (s *site) countIn(server, text string) int {
	s.t.Helper()
	return count(s.t, s.images(server, 1)[0], []byte(text))
}
