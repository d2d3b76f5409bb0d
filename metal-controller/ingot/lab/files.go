package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"ingot.dev/ingot/boot-assets/catalog"
)

// readTestOS reads the manifest of the test OS, if it was built.
func readTestOS(dir string) (catalog.Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return catalog.Manifest{}, fmt.Errorf("there is no test OS in %s: build it with `make images`, name its folder with --test-os, or leave out --story", dir)
	}
	return catalog.ParseManifest(text)
}

// serveFiles serves a folder inside the lab's namespace until ctx ends, as the source of an Environment's files, and returns its URL.
func serveFiles(ctx context.Context, dir string) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("opening a port for the test OS: %w", err)
	}
	srv := &http.Server{Handler: http.FileServerFS(os.DirFS(dir)), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			_ = l.Close()
		}
	}()
	return "http://" + l.Addr().String() + "/", nil
}
