package initramfs_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"testing/fstest"

	"ingot.dev/ingot/agent/modules"
	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/boot-assets/initramfs"
)

// The programs that read what this package writes do not import it, so these tests hold both sides to one format.

// TestAgentReadsTheIndex: nothing of the index is lost on the way to the agent.
func TestAgentReadsTheIndex(t *testing.T) {
	written := initramfs.Index{
		Modules: []initramfs.IndexModule{{Name: "igb", File: "igb.ko", Deps: []string{"dca"}, Aliases: []string{"pci:v00008086d00001521sv*sd*bc*sc*i*"}}},
		Always:  []string{"loop"},
	}
	data, err := json.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	read, err := modules.ReadIndex(fstest.MapFS{"index.json": {Data: data}})
	want := modules.Index{Modules: []modules.Module{modules.Module(written.Modules[0])}, Always: written.Always}
	if err != nil || !reflect.DeepEqual(read, want) {
		t.Errorf("got %+v, %v; want %+v", read, err, want)
	}
}

// TestCatalogReadsTheManifest: a boot server takes the manifest of an image and finds both files in it.
func TestCatalogReadsTheManifest(t *testing.T) {
	written := initramfs.NewManifest(catalog.AMD64, "6.12", []byte("kernel"), []byte("initramfs"))
	data, err := written.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := catalog.ParseManifest(data)
	if err != nil || read.Version != written.Version || !reflect.DeepEqual(read.KernelArgs, written.KernelArgs) {
		t.Fatalf("got %+v, %v", read, err)
	}
	for name, want := range map[string]initramfs.File{catalog.Kernel: written.Files[initramfs.VmlinuzName], catalog.Initramfs: written.Files[initramfs.InitramfsName]} {
		if got := read.Files[name]; want.Size == 0 || got != catalog.File(want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}
