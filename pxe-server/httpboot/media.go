package httpboot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"

	"ingot.dev/ingot/boot-assets/cache"
	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/boot-assets/media"
	"ingot.dev/ingot/pxe-server/boot"
)

// media makes the image of virtual media, which leads to this server; nil without a program for it. It is iPXE with drivers of its own: the one over the
// firmware's driver takes the card that it was itself loaded from, and was loaded from none here.
func (s *Server) media() (*cache.Store, error) {
	script, err := boot.MediaStage(s.cfg.url(""), catalog.FirstStagePath, catalog.ScriptPath)
	if err != nil {
		return nil, fmt.Errorf("writing the boot script of virtual media: %w", err)
	}
	var programs []media.Program
	for _, p := range [][2]string{{catalog.IPXE, "BOOTX64.EFI"}, {catalog.IPXEArm64, "BOOTAA64.EFI"}} {
		if !slices.Contains(s.cfg.Loaders.Names(), p[0]) {
			continue
		}
		data, err := whole(s.cfg.Loaders, p[0])
		if err != nil {
			return nil, fmt.Errorf("reading %s for virtual media: %w", p[0], err)
		}
		programs = append(programs, media.Program{Name: p[1], Data: data})
	}
	if len(programs) == 0 {
		return nil, nil
	}
	image, err := media.Image(programs, script)
	if err != nil {
		return nil, err
	}
	name, sum := path.Base(catalog.MediaPath), sha256.Sum256(image)
	return cache.New(cache.With(nil, name, image), map[string]cache.Digest{name: {SHA256: hex.EncodeToString(sum[:]), Size: int64(len(image))}}), nil
}

func whole(store *cache.Store, name string) ([]byte, error) {
	a, err := store.Open(name)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return io.ReadAll(a)
}
