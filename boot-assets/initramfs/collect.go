package initramfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/ulikunitz/xz"
	"golang.org/x/sync/errgroup"

	"ingot.dev/ingot/boot-assets/initramfs/kmod"
)

// maxModule bounds a module's uncompressed size; the largest, mlx5_core, has about 4 MB.
const maxModule = 64 << 20

// Files reads the content of a package by name, without leading slash.
type Files interface {
	Names(folder string) []string
	Read(name string) ([]byte, error)
}

// Parts is what an image is made of, beside the agent.
type Parts struct {
	// Kernel is the release, as `uname -r` says it.
	Kernel  string
	Vmlinuz []byte
	// Order has every module after what it needs; Content has their bytes by name.
	Order   []kmod.Module
	Content map[string][]byte
	// Firmware by path below /lib/firmware.
	Firmware map[string][]byte
	Index    Index
}

// Collect reads what the lists ask for out of the kernel's package and the firmware packages.
func Collect(lists Lists, kernel Files, firmware []Files) (Parts, error) {
	tree, err := newTree(kernel)
	if err != nil {
		return Parts{}, err
	}
	parts := Parts{Kernel: tree.release}
	if parts.Vmlinuz, err = kernel.Read("boot/vmlinuz-" + tree.release); err != nil {
		return Parts{}, fmt.Errorf("reading kernel: %w", err)
	}
	infos, err := tree.closure(lists)
	if err != nil {
		return Parts{}, err
	}
	parts.Content = tree.content
	if parts.Order, err = kmod.Order(infos, tree.builtin, lists.Provides); err != nil {
		return Parts{}, fmt.Errorf("ordering modules: %w", err)
	}
	parts.Index = newIndex(parts.Order, lists.always(tree.builtin))
	parts.Firmware, err = collectFirmware(lists, parts.Order, firmware)
	return parts, err
}

// always leaves out what the kernel contains.
func (l *Lists) always(builtin map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(l.Always), func(name string) bool { return builtin[name] })
}

// tree is the modules folder of a kernel package.
type tree struct {
	files   Files
	release string
	paths   map[string]string
	builtin map[string]bool
	content map[string][]byte
}

func newTree(files Files) (*tree, error) {
	t := &tree{files: files, paths: map[string]string{}, builtin: map[string]bool{}, content: map[string][]byte{}}
	for _, name := range files.Names("usr/lib/modules") {
		release, below, _ := strings.Cut(strings.TrimPrefix(name, "usr/lib/modules/"), "/")
		if t.release == "" {
			t.release = release
		}
		if release != t.release {
			return nil, fmt.Errorf("kernel package has modules of two releases, %s and %s", t.release, release)
		}
		if base, ok := moduleName(below); ok {
			t.paths[base] = name
		}
	}
	if t.release == "" {
		return nil, errors.New("kernel package has no modules")
	}
	list, err := files.Read("usr/lib/modules/" + t.release + "/modules.builtin")
	if err != nil {
		return nil, fmt.Errorf("reading the list of built-in modules: %w", err)
	}
	for _, line := range strings.Fields(string(list)) {
		if base, ok := moduleName(line); ok {
			t.builtin[base] = true
		}
	}
	return t, nil
}

// moduleName is the canonical name of the module in a file such as kernel/drivers/hid/hid-generic.ko.xz.
func moduleName(file string) (string, bool) {
	base, _, ok := strings.Cut(path.Base(file), ".ko")
	return kmod.Canonical(base), ok
}

// closure reads the wanted modules and, wave by wave, those that they need.
func (t *tree) closure(lists Lists) (map[string]kmod.Info, error) {
	infos := map[string]kmod.Info{}
	for want := lists.roots(); len(want) > 0; {
		want = slices.DeleteFunc(want, func(name string) bool { _, have := infos[name]; return have || t.builtin[name] })
		slices.Sort(want)
		want = slices.Compact(want)
		wave, err := t.read(want)
		if err != nil {
			return nil, err
		}
		want = nil
		for _, info := range wave {
			infos[info.Name] = info
			want = append(want, info.Depends...)
			want = append(want, t.softdeps(info, lists.Provides)...)
		}
	}
	return infos, nil
}

// softdeps are those that the kernel package has; the others are aliases or parts of other configurations.
func (t *tree) softdeps(info kmod.Info, provides map[string]string) []string {
	var out []string
	for _, word := range info.Pre {
		if name := kmod.Provider(word, provides); t.paths[name] != "" {
			out = append(out, name)
		}
	}
	return out
}

// read decompresses and parses modules, as many at a time as there are processors: xz is the slow part of a build.
func (t *tree) read(names []string) ([]kmod.Info, error) {
	infos := make([]kmod.Info, len(names))
	contents := make([][]byte, len(names))
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for i, name := range names {
		group.Go(func() error {
			var err error
			if contents[i], err = t.module(name); err == nil {
				infos[i], err = kmod.Parse(contents[i])
			}
			if err != nil {
				return fmt.Errorf("module %s: %w", name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, info := range infos {
		t.content[info.Name] = contents[i]
	}
	return infos, nil
}

func (t *tree) module(name string) ([]byte, error) {
	file, ok := t.paths[name]
	if !ok {
		return nil, fmt.Errorf("kernel %s does not have it", t.release)
	}
	data, err := t.files.Read(file)
	if err != nil || !strings.HasSuffix(file, ".xz") {
		return data, err
	}
	return unxz(data, maxModule)
}

func unxz(data []byte, limit int64) ([]byte, error) {
	r, err := xz.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("reading xz: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("decompressing xz: %w", err)
	}
	if int64(len(out)) > limit {
		return nil, fmt.Errorf("more than %d bytes uncompressed", limit)
	}
	return out, nil
}

// collectFirmware finds every file that the modules name and that the list does not leave out.
func collectFirmware(lists Lists, order []kmod.Module, packages []Files) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, module := range order {
		for _, name := range module.Firmware {
			if out[name] != nil || lists.LeftOut[name] != "" {
				continue
			}
			data, err := findFirmware(name, packages)
			if err != nil {
				return nil, fmt.Errorf("firmware of %s: %w; add its package to packages.lock, or the file to firmware.list with the reason", module.Name, err)
			}
			out[name] = data
		}
	}
	return out, nil
}

func findFirmware(name string, packages []Files) ([]byte, error) {
	for _, files := range packages {
		data, err := files.Read("usr/lib/firmware/" + name)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return nil, fmt.Errorf("no package has %s: %w", name, fs.ErrNotExist)
}
