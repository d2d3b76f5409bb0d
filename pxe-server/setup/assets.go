package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"ingot.dev/ingot/boot-assets/cache"
	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/boot-assets/ipxe"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/httpboot"
)

// agentImage is the agent's for one architecture, proven once.
type agentImage struct {
	arch, version string
	httpboot.Image
}

// loadImages reads all of them by architecture, and says which versions they are.
func loadImages(folders []string) (map[string]httpboot.Image, string, error) {
	images, versions := map[string]httpboot.Image{}, []string{}
	for _, folder := range folders {
		i, err := loadImage(folder)
		if err != nil {
			return nil, "", err
		}
		if _, twice := images[i.arch]; twice {
			return nil, "", fmt.Errorf("the agent image in %s is a second one for %s; name one for each architecture", folder, i.arch)
		}
		images[i.arch] = i.Image
		versions = append(versions, i.arch+" "+i.version)
	}
	return images, strings.Join(versions, ", "), nil
}

// loadImage reads the image's manifest and proves every file.
func loadImage(folder string) (agentImage, error) {
	dir := os.DirFS(folder)
	text, err := fs.ReadFile(dir, "manifest.json")
	if err != nil {
		return agentImage{}, fmt.Errorf("reading the agent image in %s: %w; build it with `make images`", folder, err)
	}
	m, err := catalog.ParseManifest(text)
	if err != nil {
		return agentImage{}, fmt.Errorf("reading the agent image in %s: %w", folder, err)
	}
	files := map[string]cache.Digest{}
	for name, f := range m.Files {
		files[name] = cache.Digest{SHA256: f.SHA256, Size: f.Size}
	}
	i := agentImage{arch: m.Arch, version: m.Version, Image: httpboot.Image{Files: cache.New(dir, files), Args: m.KernelArgs}}
	if err := i.Files.Verify(); err != nil {
		return agentImage{}, fmt.Errorf("the agent image in %s is damaged, build it again: %w", folder, err)
	}
	return i, nil
}

// loaders are the iPXE programs and, beside them, the script that they look for first, which leads to addr; all proven.
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
	store := cache.New(cache.With(ipxe.FS(), catalog.AutoExec, script), files)
	return store, store.Verify()
}
