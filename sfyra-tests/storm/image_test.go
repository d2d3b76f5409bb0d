//go:build bench

package storm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"ingot.dev/ingot/boot-assets/catalog"
)

// Sizes of the stand-in for the agent's image, about those of the real one.
const (
	kernelSize    = 13 << 20
	initramfsSize = 15 << 20
)

// agentImage is the folder that INGOT_AGENT_IMAGE names, or a stand-in: nobody here runs what is fetched, so only its size counts.
func agentImage(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("INGOT_AGENT_IMAGE"); dir != "" {
		return dir
	}
	dir := t.TempDir()
	m := catalog.Manifest{Version: "stand-in", Arch: catalog.AMD64, Files: map[string]catalog.File{}}
	noise := rand.NewChaCha8([32]byte{})
	for name, size := range map[string]int{catalog.Kernel: kernelSize, catalog.Initramfs: initramfsSize} {
		content := make([]byte, size)
		_, err := noise.Read(content)
		check(t, err)
		sum := sha256.Sum256(content)
		m.Files[name] = catalog.File{SHA256: hex.EncodeToString(sum[:]), Size: int64(size)}
		check(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	text, err := json.Marshal(m)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "manifest.json"), text, 0o600))
	return dir
}
