// Package modules loads kernel modules: those that every machine needs, then those that fit the devices that are there.
//
// Layer 2, adapter. The index and the modules come from our own image, the device names from hardware.
package modules

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
)

// Index is /modules/index.json of the image.
type Index struct {
	Modules []Module `json:"modules"`
	// Always are the names of modules that every machine loads, in order.
	Always []string `json:"always"`
}

// Module is one kernel module.
type Module struct {
	// Name as the kernel shows it, with underscores.
	Name string `json:"name"`
	// File below /modules.
	File string `json:"file"`
	// Deps are the names of modules that must be loaded before, in any order; those that the kernel has built in may be listed.
	Deps []string `json:"deps"`
	// Aliases are shell patterns over device names, such as pci:v00008086d00001521sv*sd*bc*sc*i*.
	Aliases []string `json:"aliases"`
}

// ReadIndex reads the index.
func ReadIndex(image fs.FS) (Index, error) {
	b, err := fs.ReadFile(image, "index.json")
	if err != nil {
		return Index{}, fmt.Errorf("opening the index of modules: %w", err)
	}
	var index Index
	if err := json.Unmarshal(b, &index); err != nil {
		return Index{}, fmt.Errorf("reading the index of modules: %w", err)
	}
	return index, nil
}

// normal makes names comparable: the kernel takes - and _ for the same.
func normal(name string) string { return strings.ReplaceAll(name, "-", "_") }
