package claims

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

func TestReceipt(t *testing.T) {
	if r, err := Receipt(nil); r != nil || err != nil {
		t.Errorf("no receipt became %v, %v", r, err)
	}
	got, err := Receipt(&protocol.Receipt{Firmware: "two entries\nremoved", Disks: []*protocol.DiskReceipt{
		{Wwid: "naa.1", Serial: "S 1", Model: "M\x00", SizeBytes: 1 << 40, Methods: []string{"Discard", "<script>", "Overwrite"}, Reached: "Clear", BlocksRead: 1000, Seconds: 7},
		{Serial: "S2", SizeBytes: -1, BlocksRead: -1, Seconds: -1, Reached: "Utterly", Error: "\x00"},
		{Model: "says nothing of itself", Error: "x"},
		nil,
	}})
	if err != nil || len(got.Disks) != 2 || got.Firmware != "two entries removed" {
		t.Fatalf("%+v, %v", got, err)
	}
	if d := got.Disks[0]; d.WWID != "naa.1" || d.Serial != "S 1" || d.Model != "M" || d.SizeBytes != 1<<40 || len(d.Methods) != 2 || d.Reached != metal.WipeClear || d.BlocksRead != 1000 || d.Error != "" {
		t.Errorf("%+v", d)
	}
	if d := got.Disks[1]; d.SizeBytes != 0 || d.BlocksRead != 0 || d.Seconds != 0 || d.Reached != "" || d.Error == "" {
		t.Errorf("an error that does not print is none any more, or a number is out of range: %+v", d)
	}
}

// TestDiskTwice: a disk that is clean and failed in one receipt is not clean, in whatever order.
func TestDiskTwice(t *testing.T) {
	good, bad := &protocol.DiskReceipt{Serial: "S", Reached: "Clear"}, &protocol.DiskReceipt{Serial: "S", Error: "I/O error"}
	for _, disks := range [][]*protocol.DiskReceipt{{good, bad}, {bad, good}, {good, good}} {
		if r, err := Receipt(&protocol.Receipt{Disks: disks}); err != nil || len(r.Disks) != 1 || r.Disks[0].Error == "" {
			t.Errorf("%v became %+v, %v", disks, r, err)
		}
	}
	other := &protocol.DiskReceipt{Wwid: "w", Serial: "S", Reached: "Clear"}
	if r, err := Receipt(&protocol.Receipt{Disks: []*protocol.DiskReceipt{good, other}}); err != nil || len(r.Disks) != 2 || r.Disks[0].Error+r.Disks[1].Error != "" {
		t.Errorf("control: two disks: %+v, %v", r, err)
	}
}

// TestTooManyDisks: what is cut off might be the disk that failed, so nothing is cut.
func TestTooManyDisks(t *testing.T) {
	for n, refused := range map[int]bool{maxDisks: false, maxDisks + 1: true} {
		if _, err := Receipt(&protocol.Receipt{Disks: make([]*protocol.DiskReceipt, n)}); (err != nil) != refused {
			t.Errorf("a receipt of %d disks: %v", n, err)
		}
		if _, err := Progress(make([]*protocol.DiskProgress, n)); (err != nil) != refused {
			t.Errorf("progress of %d disks: %v", n, err)
		}
	}
}

func TestProgress(t *testing.T) {
	got, err := Progress([]*protocol.DiskProgress{
		{Serial: "S1", Wwid: "naa.1", Phase: "Overwrite", Percent: 40, EtaSeconds: 90}, {Wwid: "naa.2", Phase: "a b", Percent: 4000, EtaSeconds: 1 << 60}, nil,
	})
	want := []metal.DiskProgress{{Serial: "S1", Phase: "Overwrite", Percent: 40, ETASeconds: 90}, {Serial: "naa.2", Percent: 100, ETASeconds: maxSeconds}, {}}
	if err != nil || len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzTask: any report of a task that decodes is refused, or is within the API's bounds; cleaning never turns a failed disk into a clean one.
func FuzzTask(f *testing.F) {
	for _, seed := range []*protocol.ReportTaskRequest{
		{},
		{Id: "w", Generation: -1, Progress: []*protocol.DiskProgress{{Serial: "a\nb", Phase: "Verify", Percent: -7}}},
		{Receipt: &protocol.Receipt{Firmware: strings.Repeat("é", 900), Disks: []*protocol.DiskReceipt{{Serial: "S", Error: "\u202e", Reached: "Purge", Methods: make([]string, 20)}}}},
		{Receipt: &protocol.Receipt{Disks: []*protocol.DiskReceipt{{Wwid: strings.Repeat("w", 999), SizeBytes: -1, Seconds: 1 << 62}}}},
	} {
		b, err := proto.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var in protocol.ReportTaskRequest
		if proto.Unmarshal(b, &in) != nil {
			return
		}
		progress, err := Progress(in.Progress)
		if err == nil {
			checkProgress(t, progress)
		}
		receipt, err := Receipt(in.Receipt)
		if err == nil && receipt != nil {
			checkReceipt(t, in.Receipt, receipt)
		}
	})
}

func checkProgress(t *testing.T, progress []metal.DiskProgress) {
	t.Helper()
	for _, p := range progress {
		fits(t, "serial", p.Serial, 128)
		fits(t, "phase", p.Phase, 32)
		if p.Percent < 0 || p.Percent > 100 || p.ETASeconds < 0 {
			t.Errorf("%+v", p)
		}
	}
}

func checkReceipt(t *testing.T, in *protocol.Receipt, out *metal.WipeReceipt) {
	t.Helper()
	fits(t, "firmware", out.Firmware, 256)
	seen := map[metal.DiskID]bool{}
	for _, d := range out.Disks {
		fits(t, "wwid", d.WWID, 256)
		fits(t, "serial", d.Serial, 128)
		fits(t, "model", d.Model, 128)
		fits(t, "error", d.Error, 256)
		for _, m := range d.Methods {
			fits(t, "method", m, 32)
		}
		if d.DiskID == (metal.DiskID{}) || len(d.Methods) > maxMethods || d.SizeBytes < 0 || d.BlocksRead < 0 || d.Seconds < 0 {
			t.Errorf("%+v", d)
		}
		if _, twice := seen[d.DiskID]; twice {
			t.Errorf("twice: %+v", d)
		}
		seen[d.DiskID] = d.Error == ""
	}
	for _, d := range in.Disks {
		if d.GetError() != "" && seen[metal.DiskID{WWID: Text(d.GetWwid(), 256), Serial: Text(d.GetSerial(), 128)}] {
			t.Errorf("a failed disk became clean: %v", d)
		}
	}
}
