package taloscheck

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/block"
	"github.com/siderolabs/talos/pkg/machinery/cel/celenv"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/types/v1alpha1"
	"go.yaml.in/yaml/v3"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machineconfig"
)

// installOnly reads where Talos shall be installed out of a config that may hold what is not known here; nil when it cannot be read.
func installOnly(config []byte) *v1alpha1.InstallConfig {
	for d := yaml.NewDecoder(bytes.NewReader(config)); ; {
		var document struct {
			Kind    string `yaml:"kind"`
			Machine struct {
				Install struct {
					Disk         string         `yaml:"disk,omitempty"`
					DiskSelector map[string]any `yaml:"diskSelector,omitempty"`
				} `yaml:"install"`
			} `yaml:"machine"`
		}
		if d.Decode(&document) != nil {
			return nil
		}
		if document.Kind != "" {
			continue
		}
		text, err := yaml.Marshal(map[string]any{"machine": document.Machine})
		if err != nil {
			return nil
		}
		provider, err := configloader.NewFromReader(bytes.NewReader(text))
		if err != nil || provider.RawV1Alpha1() == nil {
			return nil
		}
		return provider.RawV1Alpha1().MachineConfig.MachineInstall
	}
}

// checkDisks refuses a config that lets Talos install on a disk that is not the server's own, or on none.
func checkDisks(install *v1alpha1.InstallConfig, r Request) error {
	if install == nil || r.Inventory == nil || r.Server == nil {
		return nil
	}
	if install.InstallDiskSelector == nil { // Talos prefers the selector where there are both
		return checkNamed(install.InstallDisk, r)
	}
	fits, all, err := selected(install, r.Inventory.Disks)
	if err != nil {
		return err
	}
	for _, d := range fits {
		if why := machineconfig.DiskRefusal(r.Server, d); why != "" {
			return fmt.Errorf("v1alpha1: machine.install.diskSelector fits the disk %s, which Ingot gives to no installer: %s", d.Name, why)
		}
	}
	if len(fits) == 0 && all {
		return errors.New("v1alpha1: machine.install.diskSelector fits none of the server's disks")
	}
	return nil
}

// checkNamed looks whether a path is that of a disk that must not be touched: by the name that it had at the last report, or by a link that holds its identifier.
func checkNamed(path string, r Request) error {
	for _, d := range r.Inventory.Disks {
		named := path == "/dev/"+d.Name
		if link, ok := strings.CutPrefix(path, "/dev/disk/"); ok {
			named = d.Serial != "" && strings.Contains(link, strings.ReplaceAll(d.Serial, " ", "_")) || bare(d.WWID) != "" && strings.Contains(link, bare(d.WWID))
		}
		if why := machineconfig.DiskRefusal(r.Server, d); named && why != "" {
			return fmt.Errorf("v1alpha1: machine.install.disk is the disk %s, which Ingot gives to no installer: %s", d.Name, why)
		}
	}
	return nil
}

// bare is a WWID without the word for its kind, as links of udev spell it.
func bare(wwid string) string {
	_, id, found := strings.Cut(wwid, ".")
	if !found {
		return ""
	}
	return strings.ReplaceAll(id, " ", "_")
}

// selected are the disks that a selector fits, by Talos' own matcher. What the inventory does not know is left out of it, and then more disks may fit than
// Talos would find; all says that nothing was left out.
func selected(install *v1alpha1.InstallConfig, disks []metal.Disk) (fits []metal.Disk, all bool, err error) {
	selector := *install.InstallDiskSelector
	all = selector.UUID == "" && selector.Modalias == "" && selector.BusPath == ""
	selector.UUID, selector.Modalias, selector.BusPath = "", "", ""
	selector.WWID, selector.Serial, selector.Model = blanks(selector.WWID), blanks(selector.Serial), blanks(selector.Model)
	expression, err := (&v1alpha1.InstallConfig{InstallDiskSelector: &selector}).DiskMatchExpression()
	if err != nil || expression == nil {
		return nil, false, errors.New("v1alpha1: machine.install.diskSelector is none that Talos understands")
	}
	for _, d := range disks {
		match, err := expression.EvalBool(celenv.DiskLocator(), map[string]any{"disk": specOf(d), "system_disk": false})
		if err != nil {
			return nil, false, errors.New("v1alpha1: machine.install.diskSelector cannot be matched with the server's disks")
		}
		if match {
			fits = append(fits, d)
		}
	}
	return fits, all, nil
}

// blanks writes white space as the inventory does.
func blanks(s string) string { return strings.Join(strings.Fields(s), " ") }

// specOf is a disk as Talos sees it.
func specOf(d metal.Disk) *block.DiskSpec {
	spec := &block.DiskSpec{
		Size: uint64(max(d.SizeBytes, 0)), Model: d.Model, Serial: d.Serial, Wwid: d.WWID, DevPath: "/dev/" + d.Name, Transport: d.Transport,
		Rotational: d.Rotational, Readonly: d.ReadOnly, SectorSize: uint64(max(d.SectorBytes, 0)),
	}
	if d.Transport == "virtio" {
		spec.Wwid = "" // the agent made it up
	}
	return spec
}
