package initramfs

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// MaxTotal is how large kernel and initramfs may be together, in bytes: every server fetches them at each boot.
const MaxTotal = 40 << 20

// mountPoints are the folders that the agent mounts or writes to.
var mountPoints = []string{"dev", "etc", "lib", "modules", "proc", "run", "sys", "tmp"}

// Image writes the initramfs: the agent as /init, and the parts. The same inputs give the same bytes.
func Image(agent []byte, parts Parts) ([]byte, error) {
	index, err := parts.Index.encode()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"modules/index.json": index}
	for name, data := range parts.Content {
		files["modules/"+name+".ko"] = data
	}
	for name, data := range parts.Firmware {
		files["lib/firmware/"+name] = data
	}
	return compress(pack(agent, files))
}

func pack(agent []byte, files map[string][]byte) []byte {
	var cpio archive
	for _, dir := range folders(files) {
		cpio.add(entry{name: dir, mode: modeDir})
	}
	// The kernel opens it for /init before anything is mounted; major 5, minor 1 (Linux, Documentation/admin-guide/devices.txt).
	cpio.add(entry{name: "dev/console", mode: modeConsole, major: 5, minor: 1})
	cpio.add(entry{name: "init", mode: modeProgram, data: agent})
	for _, name := range slices.Sorted(maps.Keys(files)) {
		cpio.add(entry{name: name, mode: modeFile, data: files[name]})
	}
	return cpio.close()
}

// folders are the mount points and the parents of all files, parents first.
func folders(files map[string][]byte) []string {
	set := map[string]bool{}
	for _, dir := range mountPoints {
		set[dir] = true
	}
	for name := range files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			set[dir] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// compress uses zstd: as small as xz, and the kernel unpacks it about a second faster.
func compress(cpio []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		return nil, fmt.Errorf("preparing zstd: %w", err)
	}
	if _, err := w.Write(cpio); err != nil {
		return nil, fmt.Errorf("compressing initramfs: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing initramfs: %w", err)
	}
	return out.Bytes(), nil
}
