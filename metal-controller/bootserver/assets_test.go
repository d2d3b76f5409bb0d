package bootserver_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/pxe-server/protocol"
)

var digestA, digestB, digestC = strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)

// TestAssets: the files of all Environments are in the view, each digest once, and a changed Environment is another view.
func TestAssets(t *testing.T) {
	b := newBench(t)
	env := func(name, kernel string) metal.Environment {
		return metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{{
			Arch: "amd64", Kernel: &metal.Asset{SHA256: kernel, URL: "https://h/" + name}, Initramfs: &metal.Asset{SHA256: digestB, URL: "https://h/i"},
		}}}}
	}
	stream, err := b.client.WatchView(t.Context(), &protocol.WatchViewRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := stream.Recv(); err != nil || len(v.Assets) != 0 {
		t.Fatalf("control: %v %v", v, err)
	}
	b.cache.mu.Lock()
	b.cache.environments = []metal.Environment{env("z", digestA), env("a", digestA)}
	b.cache.mu.Unlock()
	b.changes.Changed("a")
	v, err := stream.Recv()
	if err != nil || len(v.Assets) != 2 || v.Assets[0].Sha256 != digestA || v.Assets[0].Url != "https://h/a" || v.Assets[1].Sha256 != digestB {
		t.Errorf("%v %v", v, err)
	}
}

// TestAssetReports: what makes sense is kept for the site that says it; the rest is dropped, and a list that no pxe-server sends is refused.
func TestAssetReports(t *testing.T) {
	b := newBench(t)
	report := func(states ...*protocol.AssetState) error {
		_, err := b.client.Report(t.Context(), &protocol.ReportRequest{Assets: states})
		return err
	}
	if err := report(
		&protocol.AssetState{Sha256: digestA, State: "Fetching", ReceivedBytes: 47, TotalBytes: 100},
		&protocol.AssetState{Sha256: digestC, State: "Failed", Message: "another file", OtherBytes: true},
		&protocol.AssetState{Sha256: digestB, State: "Ready"},
		&protocol.AssetState{Sha256: "../etc/passwd", State: "Cached"},
		nil,
	); err != nil {
		t.Fatal(err)
	}
	if got, known := b.files.Of(digestA); len(got) != 1 || got[0].Site != "local" || got[0].Percent != 45 || !known("local") {
		t.Errorf("got %+v", got)
	}
	if got, _ := b.files.Of(digestC); len(got) != 1 || !got[0].OtherBytes {
		t.Errorf("other bytes: %+v", got)
	}
	for _, digest := range []string{digestB, "../etc/passwd", ""} {
		if got, _ := b.files.Of(digest); len(got) != 0 {
			t.Errorf("%q: %+v", digest, got)
		}
	}
	if err := report(&protocol.AssetState{Sha256: digestA, State: "Fetching", ReceivedBytes: 1 << 62, TotalBytes: -1}); err != nil {
		t.Error(err)
	}
	if got, _ := b.files.Of(digestA); len(got) != 1 || got[0].Percent != 0 {
		t.Errorf("absurd sizes: %+v", got)
	}
	if err := report(); err != nil {
		t.Error(err)
	}
	if got, _ := b.files.Of(digestA); len(got) != 1 {
		t.Error("a report of boots forgot the files")
	}
	if err := report(make([]*protocol.AssetState, 513)...); status.Code(err) != codes.InvalidArgument {
		t.Errorf("513 files: %v", err)
	}
}
