package initramfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/ulikunitz/xz"
	"golang.org/x/sync/errgroup"

	"ingot.dev/ingot/boot-assets/initramfs/kmod"
)

// maxModule bounds a module's uncompressed size; the largest, mlx5_core, has about 5 MB.
const maxModule = 64 << 20

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
	for _, name := range files.Names(modulesFolder) {
		if err := t.add(name); err != nil {
			return nil, err
		}
	}
	if t.release == "" {
		return nil, errors.New("kernel package has no modules")
	}
	return t, t.readBuiltin()
}

const modulesFolder = "usr/lib/modules"

// add takes a file of the folder in.
func (t *tree) add(name string) error {
	release, below, _ := strings.Cut(strings.TrimPrefix(name, modulesFolder+"/"), "/")
	if t.release == "" {
		t.release = release
	}
	if release != t.release {
		return fmt.Errorf("kernel package has modules of two releases, %s and %s", t.release, release)
	}
	if base, ok := moduleName(below); ok {
		t.paths[base] = name
	}
	return nil
}

func (t *tree) readBuiltin() error {
	list, err := t.files.Read(modulesFolder + "/" + t.release + "/modules.builtin")
	if err != nil {
		return fmt.Errorf("reading the list of built-in modules: %w", err)
	}
	for _, line := range strings.Fields(string(list)) {
		if base, ok := moduleName(line); ok {
			t.builtin[base] = true
		}
	}
	return nil
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
		want = slices.DeleteFunc(want, func(name string) bool { return infos[name].Name != "" || t.builtin[name] })
		slices.Sort(want)
		wave, err := t.read(slices.Compact(want))
		if err != nil {
			return nil, err
		}
		want = nil
		for _, info := range wave {
			infos[info.Name] = info
			want = slices.Concat(want, info.Depends, t.softdeps(info, lists.Provides))
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
		group.Go(func() (err error) {
			contents[i], infos[i], err = t.module(name)
			return err
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

// module reads one module. A file may not name itself otherwise than it is called, or its users would not find it.
func (t *tree) module(name string) ([]byte, kmod.Info, error) {
	content, err := t.readFile(name)
	if err != nil {
		return nil, kmod.Info{}, fmt.Errorf("module %s: %w", name, err)
	}
	info, err := kmod.Parse(content)
	if err == nil && info.Name != name {
		err = fmt.Errorf("it calls itself %s", info.Name)
	}
	if err != nil {
		return nil, kmod.Info{}, fmt.Errorf("module %s: %w", name, err)
	}
	return content, info, nil
}

func (t *tree) readFile(name string) ([]byte, error) {
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
