package initramfs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ingot.dev/ingot/boot-assets/initramfs/kmod"
)

// Index is /modules/index.json: what the agent needs to load drivers.
type Index struct {
	// Modules in load order: each follows what it needs.
	Modules []IndexModule `json:"modules"`
	// Always are the modules that are loaded even if no device asks.
	Always []string `json:"always"`
}

// IndexModule is one module of the image.
type IndexModule struct {
	Name string `json:"name"`
	// File within /modules.
	File string `json:"file"`
	// Deps are loaded before; each is in the index.
	Deps []string `json:"deps,omitempty"`
	// Aliases are patterns for a device's modalias, in sysfs; `*`, `?` and `[…]` as in fnmatch.
	Aliases []string `json:"aliases,omitempty"`
}

func newIndex(order []kmod.Module, always []string) Index {
	index := Index{Always: always}
	byName := map[string]kmod.Module{}
	for _, m := range order {
		byName[m.Name] = m
		aliases := append(slices.Clone(m.Aliases), inherited(m, byName)...)
		slices.Sort(aliases)
		index.Modules = append(index.Modules, IndexModule{
			Name: m.Name, File: m.Name + ".ko", Deps: m.Deps, Aliases: slices.Compact(aliases),
		})
	}
	return index
}

// inherited are the aliases of the drivers whose auxiliary devices the module drives: "auxiliary:mlx4_core.eth" is made by
// mlx4_core (Linux, drivers/base/auxiliary.c). Such devices have no file modalias in sysfs, so nobody would ask for the
// module; it comes with its parent's device instead. A parent always stands before, as the module uses its symbols.
func inherited(m kmod.Module, before map[string]kmod.Module) []string {
	var out []string
	for _, alias := range m.Aliases {
		if device, ok := strings.CutPrefix(alias, "auxiliary:"); ok {
			parent, _, _ := strings.Cut(device, ".")
			out = append(out, before[parent].Aliases...)
		}
	}
	return out
}

func (x Index) encode() ([]byte, error) {
	data, err := json.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("writing module index: %w", err)
	}
	return append(data, '\n'), nil
}

// Drivers are the modules of the index whose aliases cover a modalias, in load order.
func (x Index) Drivers(modalias string) []string {
	var out []string
	for _, m := range x.Modules {
		if slices.ContainsFunc(m.Aliases, func(pattern string) bool { return kmod.Match(pattern, modalias) }) {
			out = append(out, m.Name)
		}
	}
	return out
}
