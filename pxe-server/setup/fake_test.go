package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/protocol"
)

// fakeController is a controller in the same process: it says one view and keeps what it is told.
type fakeController struct {
	view   *protocol.View
	events chan *protocol.BootEvent
	// views are further ones for the stream that is open; assets takes what is told of boot files. Both may be nil.
	views  chan *protocol.View
	assets chan []*protocol.AssetState
	// networks takes what is told of them, and may be nil.
	networks chan *protocol.Network
}

func (f *fakeController) WatchView(ctx context.Context, _ *protocol.WatchViewRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[protocol.View], error) {
	views := make(chan *protocol.View, 1)
	views <- f.view
	return &stream{ctx: ctx, views: views, more: f.views}, nil
}

func (f *fakeController) Report(ctx context.Context, r *protocol.ReportRequest, _ ...grpc.CallOption) (*protocol.ReportResponse, error) {
	for _, e := range r.GetEvents() {
		f.events <- e
	}
	for _, n := range r.GetNetworks() {
		if f.networks != nil {
			f.networks <- n
		}
	}
	if len(r.GetEvents()) == 0 && f.assets != nil {
		select {
		case f.assets <- r.GetAssets():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &protocol.ReportResponse{}, nil
}

type stream struct {
	grpc.ClientStream
	ctx         context.Context
	views, more chan *protocol.View
}

func (s *stream) Recv() (*protocol.View, error) {
	select {
	case v := <-s.views:
		return v, nil
	case v := <-s.more:
		return v, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

// image writes a folder as the image builder does.
func image(t *testing.T) string {
	t.Helper()
	return imageFor(t, catalog.AMD64)
}

func imageFor(t *testing.T, arch string) string {
	t.Helper()
	dir := t.TempDir()
	m := catalog.Manifest{Version: "test", Arch: arch, Files: map[string]catalog.File{}, KernelArgs: []string{"console=ttyS0"}}
	for name, text := range map[string]string{catalog.Kernel: "a kernel", catalog.Initramfs: "an initramfs"} {
		sum := sha256.Sum256([]byte(text))
		m.Files[name] = catalog.File{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text))}
		ok(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	text, err := json.Marshal(m)
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join(dir, "manifest.json"), text, 0o644))
	return dir
}
