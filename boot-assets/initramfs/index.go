package initramfs

import (
	"encoding/json"
	"fmt"
	"slices"

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
	for _, m := range order {
		aliases := slices.Clone(m.Aliases)
		slices.Sort(aliases)
		index.Modules = append(index.Modules, IndexModule{
			Name: m.Name, File: m.Name + ".ko", Deps: m.Deps, Aliases: slices.Compact(aliases),
		})
	}
	return index
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
