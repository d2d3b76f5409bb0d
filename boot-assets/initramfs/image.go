package initramfs

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/klauspost/compress/zstd"

	"ingot.dev/ingot/boot-assets/initramfs/cpio"
)

// MaxTotal is how large kernel and initramfs may be together, in bytes: every server fetches them at each boot.
const MaxTotal = 40 << 20

// mountPoints are the folders that the agent mounts or writes to.
var mountPoints = []string{"dev", "etc", "lib", "modules", "proc", "run", "sys", "tmp"}

// Image writes the initramfs: the program as /init, and the parts. The same inputs give the same bytes.
func Image(program []byte, parts Parts) ([]byte, error) {
	index, err := parts.Index.encode()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"modules/index.json": index}
	maps.Copy(files, parts.Extra)
	for name, data := range parts.Content {
		files["modules/"+name+".ko"] = data
	}
	for name, data := range parts.Firmware {
		files["lib/firmware/"+name] = data
	}
	programs := map[string][]byte{"init": program}
	maps.Copy(programs, parts.Programs)
	return compress(pack(programs, files))
}

func pack(programs, files map[string][]byte) []byte {
	var a cpio.Archive
	for _, dir := range folders(programs, files) {
		a.Add(cpio.Entry{Name: dir, Mode: cpio.ModeDir})
	}
	// The kernel opens it for /init before anything is mounted; major 5, minor 1 (Linux, Documentation/admin-guide/devices.txt).
	a.Add(cpio.Entry{Name: "dev/console", Mode: cpio.ModeConsole, Major: 5, Minor: 1})
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		a.Add(cpio.Entry{Name: name, Mode: cpio.ModeProgram, Data: programs[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		a.Add(cpio.Entry{Name: name, Mode: cpio.ModeFile, Data: files[name]})
	}
	return a.Close()
}

// folders are the mount points and the parents of all files, parents first.
func folders(contents ...map[string][]byte) []string {
	set := map[string]bool{}
	for _, dir := range mountPoints {
		set[dir] = true
	}
	for _, files := range contents {
		for name := range files {
			for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
				set[dir] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// compress uses zstd: as small as xz, and the kernel unpacks it about a second faster.
func compress(archive []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		return nil, fmt.Errorf("preparing zstd: %w", err)
	}
	if _, err := w.Write(archive); err != nil {
		return nil, fmt.Errorf("compressing initramfs: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing initramfs: %w", err)
	}
	return out.Bytes(), nil
}
