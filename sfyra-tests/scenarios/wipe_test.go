//go:build e2e

package scenarios

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// wipeLimit is how long a server may take from acceptance to Available: two switches, one boot, a moment of waiting, and small disks.
const wipeLimit = 3 * time.Minute

// markEvery is the distance of marks on a disk.
const markEvery = 1 << 20

// mark is what nobody but the test writes.
var mark = []byte("INGOT-E2E-MARK-of-data-that-somebody-wants-back")

// marked fills a disk with marks from its first byte to its last.
func marked(image *os.File) error {
	info, err := image.Stat()
	if err != nil {
		return err
	}
	for at := int64(0); at < info.Size(); at += markEvery {
		if _, err := image.WriteAt(mark, at); err != nil {
			return err
		}
	}
	_, err = image.WriteAt(mark, info.Size()-int64(len(mark)))
	return err
}

// marks counts them in an image: the host's word on what became of a disk.
func marks(t *testing.T, path string) int { return count(t, path, mark) }

// count counts a text that no block's end cuts.
func count(t *testing.T, path string, text []byte) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, block := 0, make([]byte, markEvery)
	for {
		got, err := io.ReadFull(f, block)
		n += bytes.Count(block[:got], text)
		if err != nil {
			return n
		}
	}
}

// full is a server with one disk of each kind that is wiped.
func full(name string, last byte) rack.Spec {
	s := plain(name, last)
	s.Disks = []rack.Disk{
		{Kind: qemu.NVMe, SizeBytes: 256 << 20, Serial: "NV" + name, Fill: marked},
		{Kind: qemu.Virtio, SizeBytes: 128 << 20, Serial: "VI" + name, Fill: marked},
		{Kind: qemu.SATA, SizeBytes: 128 << 20, Serial: "SA" + name, WWN: 0x5000c500_00000000 + uint64(last)<<8 + 1, Fill: marked},
		{Kind: qemu.SCSI, SizeBytes: 128 << 20, Serial: "SC" + name, WWN: 0x5000c500_00000000 + uint64(last)<<8 + 2, Fill: marked},
	}
	return s
}

// images are the host's files of a server's own disks.
func (s *site) images(name string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, s.machine(name).File(qemu.ImageFile(i)))
	}
	return out
}

// wantMarks checks every image: all marks there, or none.
func wantMarks(t *testing.T, there bool, images ...string) {
	t.Helper()
	for _, path := range images {
		n := marks(t, path)
		if there && n < 128 || !there && n > 0 {
			t.Errorf("%s holds %d marks; they should be there: %v", filepath.Base(path), n, there)
		}
	}
}

// register switches servers on and waits until each is known.
func (s *site) register(names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.declare(name)
		s.ingot("power", "on", name)
	}
	for _, name := range names {
		s.awaitServer(name, "it registers", time.Duration(len(names))*bootLimit, discovered)
	}
}

func ready(v *metal.Server) string {
	for _, c := range v.Status.Conditions {
		if c.Type == reasons.Ready {
			return c.Reason
		}
	}
	return ""
}

func because(reason string) func(*metal.Server) bool {
	return func(v *metal.Server) bool { return ready(v) == reason }
}

func available(v *metal.Server) bool {
	return v.Status.State == metal.StateAvailable && ready(v) == reasons.Available
}

// refuses runs a command that must fail, and returns what it said.
func (s *site) refuses(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err == nil {
		s.t.Errorf("ingot %s did not fail:\n%s", strings.Join(args, " "), out)
	}
	return out
}

// TestAcceptWipeAvailable: accepted, booted by us, wiped, proven off, Available. Marks are gone from every own disk; a disk that two servers see, a memory
// stick and virtual media are as they were, byte for byte.
func TestAcceptWipeAvailable(t *testing.T) {
	dir := t.TempDir()
	shelf, stick, media := filepath.Join(dir, "shelf.img"), filepath.Join(dir, "stick.img"), filepath.Join(dir, "media.img")
	for _, path := range []string{shelf, stick, media} {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(128 << 20); err != nil {
			t.Fatal(err)
		}
		if err := marked(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	shared := rack.Disk{Kind: qemu.SCSI, Image: shelf, Serial: "SHELF1", WWN: 0x5000c500_0000beef, Shared: true}
	a, b := full("a1", 0x61), plain("b1", 0x62)
	a.Disks = append(a.Disks, shared,
		rack.Disk{Kind: qemu.USB, Image: stick, Serial: "STICK1"}, rack.Disk{Kind: qemu.USBMedia, Image: media, Serial: "MEDIA1"})
	b.Disks = append(b.Disks, shared)
	s := newSite(t, a, b)
	own := s.images("a1", 4)
	others := map[string]string{shelf: digest(t, shelf), stick: digest(t, stick), media: digest(t, media)}
	s.register("a1", "b1")
	wantMarks(t, true, own...)

	said := s.refuses("accept", "a1", "--yes")
	for _, want := range []string{"NVa1", "SCa1", "--wipe-data"} {
		if !strings.Contains(said, want) {
			t.Errorf("`ingot accept` without --wipe-data does not name %s:\n%s", want, said)
		}
	}
	fmt.Print(s.ingot("accept", "a1", "--wipe-data", "--yes"))
	s.awaitServer("a1", "the disks that are not its own are in the way", bootLimit, because(reasons.DisksBlocked))
	wantMarks(t, true, own...)
	fmt.Print(s.ingot("accept", "a1", "--wipe-data", "--yes", "--ignore-disk", "SHELF1", "--ignore-disk", "usb"))
	v := s.awaitServer("a1", "it is Available", wipeLimit, available)
	if s.machine("a1").PID() != 0 {
		t.Error("the server is Available, and QEMU still runs")
	}
	wantMarks(t, false, own...)
	for path, before := range others {
		if digest(t, path) != before {
			t.Errorf("%s was changed", filepath.Base(path))
		}
	}
	w := v.Spec.Record.Wipe
	if w.VerifiedAt == nil || len(w.Disks) != 4 || w.Receipt == nil || len(w.Receipt.Disks) != 4 {
		t.Errorf("the record of the wipe is %+v", w)
	}
	record := filepath.Join(dir, "erase.json")
	s.ingot("erase-record", "a1", "-o", record)
	if out := s.ingot("verify-erase", record); !strings.Contains(out, "NVa1") || !strings.Contains(out, "SAa1") {
		t.Errorf("`ingot verify-erase` says:\n%s", out)
	}
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(text, []byte(`"payload":"e`), []byte(`"payload":"f`), 1)
	if err := os.WriteFile(record, forged, 0o600); err != nil || bytes.Equal(text, forged) {
		t.Fatalf("forging the record: %v", err)
	}
	s.refuses("verify-erase", record)
	fmt.Print(s.ingot("why", "a1"))
}

// TestUnacceptedIsNeverTouched: ten boots of a server that nobody accepted leave every byte as it was. The control: accepted, it is wiped.
func TestUnacceptedIsNeverTouched(t *testing.T) {
	spec := plain("u2", 0x63)
	spec.Disks = []rack.Disk{
		{Kind: qemu.NVMe, SizeBytes: 128 << 20, Serial: "NVu2", Fill: marked}, {Kind: qemu.SATA, SizeBytes: 128 << 20, Serial: "SAu2", WWN: 0x5000c500_00006301, Fill: marked},
	}
	s := newSite(t, spec)
	own := s.images("u2", 2)
	before := []string{digest(t, own[0]), digest(t, own[1])}
	s.register("u2")
	for range 9 {
		reported := s.inventory("u2").Spec.ReportedAt
		s.ingot("power", "cycle", "u2")
		s.await(bootLimit, "the machine boots the agent again", func() bool { return s.inventory("u2").Spec.ReportedAt.After(reported.Time) })
	}
	s.ingot("power", "off", "u2")
	for i, path := range own {
		if digest(t, path) != before[i] {
			t.Errorf("%s changed although nobody accepted the server", filepath.Base(path))
		}
	}
	s.ingot("accept", "u2", "--wipe-data", "--yes")
	s.awaitServer("u2", "accepted, it is wiped", wipeLimit, available)
	wantMarks(t, false, own...)
}

// patch merges JSON into the Server, as kubectl and Git do.
func (s *site) patch(name, patch string) error {
	return s.client.Patch(s.t.Context(), named(name), client.RawPatch(types.MergePatchType, []byte(patch)))
}

func named(name string) *metal.Server {
	v := &metal.Server{}
	v.Name = name
	return v
}

// TestDataNeedsAPerson: neither spec.accepted nor a gesture that names no disks is enough for a disk with data.
func TestDataNeedsAPerson(t *testing.T) {
	spec := plain("p1", 0x64)
	spec.Disks[0].Fill = marked
	s := newSite(t, spec)
	own := s.images("p1", 1)
	s.register("p1")
	s.ingot("power", "off", "p1")
	if err := s.patch("p1", `{"spec":{"accepted":true}}`); err != nil {
		t.Fatal(err)
	}
	s.awaitServer("p1", "its spec alone is not enough", bootLimit, func(v *metal.Server) bool {
		return ready(v) == reasons.EvidenceNeeded || ready(v) == reasons.DataNeedsConfirmation
	})
	gesture := fmt.Sprintf(`{"spec":{"acceptRequest":{"id":"no-disks","requestedAt":%q}}}`, time.Now().UTC().Format(time.RFC3339))
	if err := s.patch("p1", gesture); err != nil {
		t.Fatal(err)
	}
	s.awaitServer("p1", "the data is in the way", bootLimit, because(reasons.DataNeedsConfirmation))
	if err := s.patch("p1", `{"spec":{"record":{"acceptance":{"disks":[{"serial":"NV0100"}]}}}}`); err == nil {
		t.Error("a person wrote spec.record")
	}
	wantMarks(t, true, own...)
	s.ingot("accept", "p1", "--wipe-data", "--yes")
	s.awaitServer("p1", "confirmed, it is wiped", wipeLimit, available)
	wantMarks(t, false, own...)
}

// TestLostStatusNeverWipes: a clean server got data that Ingot knows nothing of. Lost status, a Server applied anew from Git and a restored backup change no
// byte of it. The control: confirmed by a person, it is wiped.
func TestLostStatusNeverWipes(t *testing.T) {
	spec := plain("l1", 0x65)
	spec.Disks[0].Fill = marked
	s := newSite(t, spec)
	own := s.images("l1", 1)
	s.register("l1")
	s.ingot("accept", "l1", "--wipe-data", "--yes")
	backup := filepath.Join(t.TempDir(), "ingot.backup")
	s.awaitServer("l1", "the wipe is granted", wipeLimit, func(v *metal.Server) bool { return v.Spec.Record.Wipe != nil })
	s.ingotAlone("backup", backup, "--state-dir", s.stateDir())
	before := s.awaitServer("l1", "it is Available", wipeLimit, available)
	image, err := os.OpenFile(own[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := marked(image); err != nil {
		t.Fatal(err)
	}
	_ = image.Close()
	untouched := digest(t, own[0])

	lost := before.DeepCopy()
	lost.Status = metal.ServerStatus{}
	if err := s.client.Status().Update(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	s.awaitServer("l1", "its status comes back", bootLimit, available)

	s.stopUp(syscall.SIGTERM)
	s.ingotAlone("restore", backup, "--state-dir", s.stateDir(), "--force")
	s.startUp()
	s.awaitServer("l1", "the backup knows less than the machine", bootLimit, because(reasons.Restored))
	s.ingot("power", "cycle", "l1")
	s.awaitServer("l1", "a boot that a person asked for shows the data", wipeLimit, func(v *metal.Server) bool {
		return v.Spec.Record.Boot.Phase == metal.BootClaimed && s.inventory("l1").Spec.Agent.BootID == v.Spec.Record.Boot.ID
	})
	s.awaitServer("l1", "and it is still Unverified", bootLimit, because(reasons.Restored))
	s.ingot("power", "off", "l1")
	if digest(t, own[0]) != untouched {
		t.Fatal("the disk changed after a backup was restored")
	}

	manifest := named("l1")
	manifest.Spec = *before.Spec.DeepCopy()
	manifest.Spec.Record = nil // the yes of a few minutes ago is in it, as in whatever was exported then
	if err := s.client.Delete(t.Context(), named("l1")); err != nil {
		t.Fatal(err)
	}
	s.await(bootLimit, "the Server is gone", func() bool {
		return client.IgnoreNotFound(s.client.Get(t.Context(), client.ObjectKey{Name: "l1"}, named(""))) == nil && len(s.inventories()) == 0
	})
	s.create(manifest)
	s.awaitServer("l1", "applied anew it boots by itself, shows its data, and waits for a person", wipeLimit, because(reasons.DataNeedsConfirmation))
	if digest(t, own[0]) != untouched {
		t.Fatal("the disk changed after the Server was applied anew")
	}
	s.ingot("accept", "l1", "--wipe-data", "--yes")
	s.awaitServer("l1", "confirmed, it is wiped", wipeLimit, available)
	wantMarks(t, false, own...)
}

// TestControllerKilledMidWipe: `ingot up` is killed at each recorded point of the way. It converges, and no task is carried out twice.
func TestControllerKilledMidWipe(t *testing.T) {
	spec := full("k1", 0x66)
	s := newSite(t, spec)
	s.register("k1")
	s.ingot("accept", "k1", "--wipe-data", "--yes")
	for _, point := range []struct {
		what string
		cond func(*metal.ServerRecord) bool
	}{
		{"accepted", func(r *metal.ServerRecord) bool { return r.Acceptance != nil }},
		{"a boot begun", func(r *metal.ServerRecord) bool { return r.Boot != nil }},
		{"booting", func(r *metal.ServerRecord) bool { return r.Boot != nil && r.Boot.Phase == metal.BootBooting }},
		{"claimed", func(r *metal.ServerRecord) bool { return r.Boot != nil && r.Boot.Phase == metal.BootClaimed }},
		{"granted", func(r *metal.ServerRecord) bool { return r.Wipe != nil }},
		{"answered", func(r *metal.ServerRecord) bool { return r.Wipe != nil && r.Wipe.Receipt != nil }},
	} {
		s.awaitServer("k1", point.what, wipeLimit, func(v *metal.Server) bool { return v.Spec.Record != nil && point.cond(v.Spec.Record) })
		s.stopUp(syscall.SIGKILL)
		s.startUp()
	}
	v := s.awaitServer("k1", "it is Available", wipeLimit, available)
	wantMarks(t, false, s.images("k1", 4)...)
	ran := map[string]int{}
	for _, line := range strings.Split(s.serial("k1"), "\n") {
		if _, task, ok := strings.Cut(line, "beginning the wipe "); ok {
			ran[strings.TrimSpace(task)]++
		}
	}
	if len(ran) == 0 {
		t.Error("the agent told of no wipe")
	}
	for task, n := range ran {
		if n != 1 {
			t.Errorf("the task %s began %d times", task, n)
		}
	}
	text, _ := json.Marshal(v.Spec.Record)
	t.Logf("tasks %v; the record at the end: %s", ran, text)
}

// TestDestructiveLimit: with a limit of one wipe an hour the second server waits, and says for what.
func TestDestructiveLimit(t *testing.T) {
	first, second := plain("d1", 0x67), plain("d2", 0x68)
	first.Disks[0].Fill, second.Disks[0].Fill = marked, marked
	s := newSiteWith(t, []string{"--destructive-limit", "1"}, first, second)
	s.register("d1", "d2")
	s.ingot("accept", "d1", "--wipe-data", "--yes")
	s.awaitServer("d1", "it is Available", wipeLimit, available)
	s.ingot("accept", "d2", "--wipe-data", "--yes")
	s.awaitServer("d2", "it waits", bootLimit, because(reasons.DestructiveLimit))
	wantMarks(t, false, s.images("d1", 1)...)
	wantMarks(t, true, s.images("d2", 1)...)
}
