// Command registry packs root file systems into container images, and serves those to machines, without a network or a daemon.
//
//	registry pack --layout DIR --ref NAME:TAG [--entrypoint PATH] < root.tar
//	registry serve --layout DIR --listen ADDRESS
//
// DIR is an OCI image layout of its own: pack makes it anew. serve takes one layout or the folder of several.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// refName is the annotation of a layout that names an image (OCI image-layout specification).
const refName = "org.opencontainers.image.ref.name"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("want pack or serve")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	dir := flags.String("layout", "", "folder of the OCI layout")
	ref := flags.String("ref", "", "repository and tag of the image")
	entrypoint := flags.String("entrypoint", "", "program that a container starts")
	listen := flags.String("listen", "127.0.0.1:5000", "address to serve on")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "pack":
		return pack(os.Stdin, *dir, *ref, *entrypoint)
	case "serve":
		return serve(ctx, *dir, *listen)
	}
	return fmt.Errorf("unknown command %s", args[0])
}

// pack makes a layout with one image of one layer. The same tar gives the same digest.
func pack(tar io.Reader, dir, ref, entrypoint string) error {
	file, err := os.CreateTemp("", "layer-")
	if err != nil {
		return fmt.Errorf("making the layer: %w", err)
	}
	defer os.Remove(file.Name())
	if _, err := io.Copy(file, tar); err != nil {
		return fmt.Errorf("reading the root file system: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("making the layer: %w", err)
	}
	layer, err := tarball.LayerFromFile(file.Name(), tarball.WithCompression(compression.ZStd), tarball.WithMediaType(types.OCILayerZStd))
	if err != nil {
		return fmt.Errorf("making the layer: %w", err)
	}
	image, err := describe(layer, entrypoint)
	if err != nil {
		return fmt.Errorf("making the image: %w", err)
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("making the layout: %w", err)
	}
	if err := path.AppendImage(image, layout.WithAnnotations(map[string]string{refName: ref})); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	return nil
}

func describe(layer v1.Layer, entrypoint string) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	config := v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"}}
	config.Config.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}
	if entrypoint != "" {
		config.Config.Entrypoint = []string{entrypoint}
	}
	image, err := mutate.ConfigFile(image, &config)
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(image, layer)
}

// serve answers until ctx ends. Images of all layouts are in one name space, whatever registry they stand for.
func serve(ctx context.Context, dir, listen string) error {
	blobs, err := os.MkdirTemp("", "blobs-")
	if err != nil {
		return fmt.Errorf("making the folder of blobs: %w", err)
	}
	defer os.RemoveAll(blobs)
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	quiet := registry.Logger(log.New(io.Discard, "", 0))
	server := &http.Server{
		Handler:           files(blobs, registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)), quiet)),
		ReadHeaderTimeout: time.Minute,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	defer server.Close()
	if err := load(dir, listener.Addr().String(), blobs); err != nil {
		return err
	}
	fmt.Println("registry: ready on", listener.Addr())
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// blob is the path of one (OCI distribution specification, "Pulling blobs").
var blob = regexp.MustCompile(`^/v2/.+/blobs/(sha256):([0-9a-f]{64})$`)

// files answers for blobs that are there. go-containerregistry's own answer refuses ranges without an end (416), which is how containerd goes on with a transfer
// that was cut: a machine could never finish it.
func files(dir string, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := blob.FindStringSubmatch(r.URL.Path)
		if m == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
			rest.ServeHTTP(w, r)
			return
		}
		file := filepath.Join(dir, m[1], m[2])
		if _, err := os.Stat(file); err != nil {
			rest.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Docker-Content-Digest", m[1]+":"+m[2])
		http.ServeFile(w, r, file)
	})
}

// load puts the images of the layouts into the registry. Their blobs are linked, so that only manifests go over the wire.
func load(dir, address, blobs string) error {
	indexes, err := filepath.Glob(filepath.Join(dir, "*", "index.json"))
	if err != nil {
		return err
	}
	for _, file := range append(indexes, filepath.Join(dir, "index.json")) {
		if err := loadLayout(filepath.Dir(file), address, blobs); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("loading %s: %w", filepath.Dir(file), err)
		}
	}
	return nil
}

func loadLayout(dir, address, blobs string) error {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	if err := link(filepath.Join(dir, "blobs"), blobs); err != nil {
		return err
	}
	for _, d := range manifest.Manifests {
		image, err := index.Image(d.Digest)
		if err != nil {
			return err
		}
		ref, err := name.ParseReference(address+"/"+d.Annotations[refName], name.Insecure)
		if err != nil {
			return err
		}
		if err := remote.Write(ref, image); err != nil {
			return err
		}
		fmt.Println("registry: serving", d.Annotations[refName], d.Digest)
	}
	return nil
}

func link(from, to string) error {
	files, err := filepath.Glob(filepath.Join(from, "sha256", "*"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(to, "sha256"), 0o755); err != nil {
		return err
	}
	for _, file := range files {
		file, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		if err := os.Symlink(file, filepath.Join(to, "sha256", filepath.Base(file))); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}
