package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"ingot.dev/ingot/boot-assets/cache"
	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/boot-assets/ipxe"
	"ingot.dev/ingot/pxe-server/boot"
)

// assets are the boot files, proven once.
type assets struct {
	loaders, image *cache.Store
	version        string
	args           []string
}

// loadAssets reads the image's manifest, writes the first script for addr, and proves every file.
func loadAssets(image string, addr netip.AddrPort) (assets, error) {
	dir := os.DirFS(image)
	text, err := fs.ReadFile(dir, "manifest.json")
	if err != nil {
		return assets{}, fmt.Errorf("reading the agent image in %s: %w; build it with `make images`", image, err)
	}
	m, err := catalog.ParseManifest(text)
	if err != nil {
		return assets{}, fmt.Errorf("reading the agent image in %s: %w", image, err)
	}
	files := map[string]cache.Digest{}
	for name, f := range m.Files {
		files[name] = cache.Digest{SHA256: f.SHA256, Size: f.Size}
	}
	a := assets{image: cache.New(dir, files), version: m.Version, args: m.KernelArgs}
	if a.loaders, err = loaders(addr); err != nil {
		return assets{}, err
	}
	if err := a.image.Verify(); err != nil {
		return assets{}, fmt.Errorf("the agent image in %s is damaged, build it again: %w", image, err)
	}
	return a, a.loaders.Verify()
}

// loaders are the iPXE programs and, beside them, the script that they look for first.
func loaders(addr netip.AddrPort) (*cache.Store, error) {
	script, err := boot.FirstStage("http://"+addr.String(), catalog.FirstStagePath, catalog.ScriptPath)
	if err != nil {
		return nil, fmt.Errorf("writing the first boot script: %w", err)
	}
	sum := sha256.Sum256(script)
	files := map[string]cache.Digest{catalog.AutoExec: {SHA256: hex.EncodeToString(sum[:]), Size: int64(len(script))}}
	for name, digest := range ipxe.Digests() {
		info, err := fs.Stat(ipxe.FS(), name)
		if err != nil {
			return nil, fmt.Errorf("reading the embedded iPXE: %w", err)
		}
		files[name] = cache.Digest{SHA256: digest, Size: info.Size()}
	}
	return cache.New(cache.With(ipxe.FS(), catalog.AutoExec, script), files), nil
}
