//go:build e2e

package scenarios

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/rack"
)

// impostor is a machine on the boot network that says it is somebody else. It knows everything that the victim's SMBIOS and cards say.
type impostor struct {
	t      *testing.T
	victim rack.Spec
	host   string
	key    *ecdsa.PrivateKey
	cert   []byte
	seen   []string // directives that it was given
}

func newImpostor(t *testing.T, s *site, victim rack.Spec) *impostor {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &impostor{t: t, victim: victim, host: s.host(), key: key}
}

var bootArg = regexp.MustCompile(`ingot\.boot=(\S+)`)

// script fetches the victim's boot script and returns the boot id on its kernel line; empty when it has none.
func (i *impostor) script() string {
	q := "uuid=" + i.victim.UUID + "&mac=" + strings.ReplaceAll(i.victim.NICs[0].MAC.String(), ":", "-") + "&serial=" + url.PathEscape(i.victim.Serial) +
		"&manufacturer=" + url.PathEscape(i.victim.Manufacturer) + "&product=" + url.PathEscape(i.victim.Product) + "&arch=x86_64&platform=efi"
	r, err := http.Get("http://" + net.JoinHostPort(i.host, "7480") + "/boot/v1/script?" + q)
	if err != nil {
		i.t.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	if m := bootArg.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// dial connects with the certificate that it got, if any.
func (i *impostor) dial() protocol.AgentClient {
	config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // an attacker does not care whom it attacks
	if i.cert != nil {
		config.Certificates = []tls.Certificate{{Certificate: [][]byte{i.cert}, PrivateKey: i.key}}
	}
	conn, err := grpc.NewClient(net.JoinHostPort(i.host, "7443"), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = conn.Close() })
	return protocol.NewAgentClient(conn)
}

// enrol claims a boot with the victim's evidence.
func (i *impostor) enrol(bootID string) error {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	i.cert = nil
	r, err := i.dial().Enroll(i.t.Context(), &protocol.EnrollRequest{BootId: bootID, Csr: csr, Evidence: &protocol.Evidence{
		Uuid: i.victim.UUID, Manufacturer: i.victim.Manufacturer, Product: i.victim.Product, Serial: i.victim.Serial, Macs: []string{i.victim.NICs[0].MAC.String()},
	}})
	if err == nil {
		i.cert = r.GetCertificate()
	}
	return err
}

// listen notes every directive until the server ends the session.
func (i *impostor) listen(ctx context.Context) error {
	stream, err := i.dial().Watch(ctx, &protocol.WatchRequest{})
	for err == nil {
		var d *protocol.Directive
		if d, err = stream.Recv(); err == nil {
			i.seen = append(i.seen, strings.TrimPrefix(strings.SplitN(d.String(), ":", 2)[0], "ingot"))
		}
	}
	return err
}

// lie sends the victim's inventory with blank disks, and a receipt.
func (i *impostor) lie(w *metal.WipeRecord) (inventory, receipt error) {
	c := i.dial()
	_, inventory = c.ReportInventory(i.t.Context(), &protocol.ReportInventoryRequest{Inventory: &protocol.Inventory{
		Arch:  "amd64",
		Disks: []*protocol.Disk{{Name: "nvme0n1", Serial: "FAKE", Wwid: "nvme.fake", Transport: "nvme", Contents: "Blank", SizeBytes: 1 << 30}},
	}})
	id, generation := "made-up", int64(1)
	if w != nil {
		id, generation = w.ID, w.Generation
	}
	_, receipt = c.ReportTask(i.t.Context(), &protocol.ReportTaskRequest{Id: id, Generation: generation, Receipt: &protocol.Receipt{
		Disks: []*protocol.DiskReceipt{{Wwid: "nvme.fake", Serial: "FAKE", Reached: "Clear", BlocksRead: 1000}},
	}})
	return inventory, receipt
}

// TestAgentImpostor: somebody on the switch fetches the victim's script before, during and after its boot, enrols with it, and replays. It gets no task,
// changes no state, and the victim shows IdentityConflict. The control: left alone, the victim is wiped.
func TestAgentImpostor(t *testing.T) {
	spec := plain("i1", 0x71)
	spec.Disks[0].Fill = marked
	s := newSite(t, spec)
	image := s.images("i1", 1)[0]
	s.register("i1")

	early := newImpostor(t, s, spec) // before: the server is not accepted, so anybody may report hardware, and no more
	if err := early.enrol(early.script()); err != nil {
		t.Fatalf("before acceptance anybody may enrol, at level 0: %v", err)
	}
	s.ingot("accept", "i1", "--wipe-data", "--yes")
	v := s.awaitServer("i1", "the yes is recorded", bootLimit, func(v *metal.Server) bool { return v.Spec.Record.Acceptance != nil })
	s.await(bootLimit, "a certificate from before acceptance is worth nothing", func() bool { return status.Code(early.listen(t.Context())) == codes.Unauthenticated })
	if a, b := early.lie(v.Spec.Record.Wipe); status.Code(a) != codes.Unauthenticated || status.Code(b) != codes.Unauthenticated {
		t.Errorf("lies from before acceptance: %v, %v", a, b)
	}

	during := newImpostor(t, s, spec) // during: it is faster than the machine's own firmware
	s.await(bootLimit, "the impostor gets the expected boot's script", func() bool {
		id := during.script()
		return id != "" && during.enrol(id) == nil
	})
	heard, stop := context.WithTimeout(t.Context(), time.Minute*time.Duration(s.rack.Slowness()))
	defer stop()
	if err := during.listen(heard); heard.Err() != nil {
		t.Errorf("the impostor's session did not end: %v", err)
	}
	v = s.awaitServer("i1", "the conflict shows", bootLimit, because(reasons.IdentityConflict))
	if b := v.Spec.Record.Boot; b.Phase != metal.BootVoid || v.Spec.Record.Wipe != nil {
		t.Errorf("the contested boot is %+v, the wipe %+v", b, v.Spec.Record.Wipe)
	}
	for _, d := range during.seen {
		if !strings.Contains(d, "wait") {
			t.Errorf("the impostor was told %q", d)
		}
	}
	if a, b := during.lie(nil); a == nil || b == nil {
		t.Errorf("the impostor's lies were taken: %v, %v", a, b)
	}
	wantMarks(t, true, image)

	s.ingot("power", "cycle", "i1") // a person looked, and lets it go on
	v = s.awaitServer("i1", "left alone, it is wiped", wipeLimit, available)
	wantMarks(t, false, image)
	if disks := v.Spec.Record.Wipe.Disks; len(disks) != 1 || disks[0].Serial != spec.Disks[0].Serial {
		t.Errorf("the wiped disks are %+v", disks)
	}

	after := newImpostor(t, s, spec) // after: the boot is over
	for _, id := range []string{v.Spec.Record.Boot.ID, after.script(), "00000000000000000000000000000000"} {
		if err := after.enrol(id); id != "" && status.Code(err) != codes.PermissionDenied {
			t.Errorf("enrolling with the boot %q after all is done: %v", id, err)
		}
	}
	if err := during.listen(t.Context()); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the old certificate: %v", err)
	}
	if now := s.awaitServer("i1", "nothing changed", bootLimit, available); now.Spec.Record.Wipe.ID != v.Spec.Record.Wipe.ID {
		t.Error("the record changed")
	}
}
