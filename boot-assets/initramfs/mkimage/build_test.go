package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"ingot.dev/ingot/boot-assets/initramfs"
	"ingot.dev/ingot/boot-assets/initramfs/cpio/cpiotest"
	"ingot.dev/ingot/boot-assets/initramfs/debian"
	"ingot.dev/ingot/boot-assets/initramfs/kmod/kmodtest"
)

// agentFile is what passes for a static program of amd64.
func agentFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(name, kmodtest.Module("name=agent"), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// The real packages, fetched once into the user's cache: the image is whole, says the truth about itself, and is the same each time.
func TestBuild(t *testing.T) {
	agent, first, second := agentFile(t), t.TempDir(), t.TempDir()
	for _, out := range []string{first, second} {
		if err := run(t.Context(), []string{"--agent", agent, "--out", out}); err != nil {
			t.Fatal(err)
		}
	}
	var manifest initramfs.Manifest
	if err := json.Unmarshal(file(t, first, "manifest.json"), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Arch != "amd64" || !strings.HasSuffix(manifest.Kernel, "-amd64") || len(manifest.Files) != 2 {
		t.Errorf("manifest %+v", manifest)
	}
	for name, want := range manifest.Files {
		data := file(t, first, name)
		sum := sha256.Sum256(data)
		if hex.EncodeToString(sum[:]) != want.SHA256 || int64(len(data)) != want.Size {
			t.Errorf("%s is not what the manifest says", name)
		}
	}
	for _, name := range []string{"vmlinuz", "initramfs.zst", "manifest.json"} {
		if !bytes.Equal(file(t, first, name), file(t, second, name)) {
			t.Errorf("%s differs between two builds", name)
		}
	}
	if left, _ := os.ReadDir(first); len(left) != 3 {
		t.Errorf("%d files in the image's folder", len(left))
	}
	// The certificate's subject lies in the kernel's signature; without it shim starts nothing.
	if !bytes.Contains(file(t, first, "vmlinuz"), []byte("Debian Secure Boot")) {
		t.Error("the kernel is not signed by Debian")
	}
}

// An image of few drivers carries what was added, and the kernel once more.
func TestBuildOther(t *testing.T) {
	list, out := filepath.Join(t.TempDir(), "list"), t.TempDir()
	if err := os.WriteFile(list, []byte("load virtio_rng\npack virtio_net\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"--agent", agentFile(t), "--out", out, "--modules", list, "--add", "payload/list=" + list, "--kernel-as", "payload/vmlinuz"}); err != nil {
		t.Fatal(err)
	}
	r, err := zstd.NewReader(bytes.NewReader(file(t, out, "initramfs.zst")))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	archive, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{}
	for _, e := range cpiotest.Read(t, archive) {
		content[e.Name] = e.Data
	}
	if !bytes.Equal(content["payload/vmlinuz"], file(t, out, "vmlinuz")) || !bytes.HasPrefix(content["payload/list"], []byte("load")) {
		t.Error("what was added is not there")
	}
	if content["modules/virtio_net.ko"] == nil || content["modules/nvme.ko"] != nil || len(content["modules/index.json"]) == 0 {
		t.Error("the drivers are not those of the list")
	}
}

func file(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Every PCI id of devices.list has its driver in the image, and the driver everything that it needs.
func TestEveryDeviceResolves(t *testing.T) {
	lists, err := initramfs.ReadLists("amd64")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := initramfs.DefaultCache()
	if err != nil {
		t.Fatal(err)
	}
	cache := &debian.Cache{Dir: dir, Arch: "amd64", Archive: debian.ArchiveFromEnv(os.Getenv), Progress: func(text string) { t.Log(text) }}
	parts, err := initramfs.Load(t.Context(), cache, lists)
	if err != nil {
		t.Fatal(err)
	}
	if err := initramfs.Check(lists, parts); err != nil {
		t.Error(err)
	}
	for _, d := range lists.Devices {
		wholeDriver(t, d, parts)
	}
	// Controls: a device that no driver claims, and one that is left out on purpose.
	for _, modalias := range []string{
		"pci:v0000FFFFd0000FFFFsv00000000sd00000000bc02sc00i00", "pci:v00001077d00002532sv00000000sd00000000bc0Csc04i00",
	} {
		if drivers := parts.Index.Drivers(modalias); len(drivers) != 0 {
			t.Errorf("%s is driven by %v", modalias, drivers)
		}
	}
	// The interface of a ConnectX-3 is made by a second driver.
	if got := parts.Index.Drivers("pci:v000015B3d00001003sv00000000sd00000000bc02sc00i00"); !slices.Equal(got, []string{"mlx4_core", "mlx4_en"}) {
		t.Errorf("ConnectX-3 is driven by %v", got)
	}
}

// wholeDriver follows the driver's needs through the index, as the agent does.
func wholeDriver(t *testing.T, d initramfs.Device, parts initramfs.Parts) {
	t.Helper()
	for want := []string{d.Driver}; len(want) > 0; want = want[1:] {
		at := slices.IndexFunc(parts.Index.Modules, func(m initramfs.IndexModule) bool { return m.Name == want[0] })
		if at < 0 || len(parts.Content[want[0]]) == 0 {
			t.Fatalf("%s needs %s, which is not in the image", d.Product, want[0])
		}
		want = append(want, parts.Index.Modules[at].Deps...)
		for _, m := range parts.Order {
			if m.Name == want[0] && !strings.HasPrefix(m.Vermagic, parts.Kernel+" ") {
				t.Fatalf("%s was built for %q, not for %s", m.Name, m.Vermagic, parts.Kernel)
			}
		}
	}
}

// An image that is too large is not written, and the error says what makes it large.
func TestTooLarge(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	parts := initramfs.Parts{Kernel: "6", Vmlinuz: make([]byte, 1<<20), Content: map[string][]byte{"mlx5_core": make([]byte, 5<<20)}}
	err := write(options{arch: "amd64", out: out}, parts, make([]byte, initramfs.MaxTotal), 1<<20)
	if err == nil || !strings.Contains(err.Error(), "5120 KiB  mlx5_core.ko") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
	if err := write(options{arch: "amd64", out: out}, parts, make([]byte, initramfs.MaxTotal-1<<20), 1<<20); err != nil {
		t.Errorf("control, exactly the limit: %v", err)
	}
}

// Each architecture's packages are asked for together, in a world of its own, and the order of the lock stays.
func TestUpdateEach(t *testing.T) {
	packages := []debian.Package{{Name: "k-amd64", Arch: "amd64"}, {Name: "k-arm64", Arch: "arm64"}, {Name: "fw", Arch: "all"}}
	var asked []string
	got, err := updateEach(packages, func(arch string, some []debian.Package) ([]debian.Package, error) {
		out := slices.Clone(some)
		for i := range out {
			asked = append(asked, arch+" "+out[i].Name)
			out[i].Version = "2 of " + arch
		}
		return out, nil
	})
	want := []debian.Package{{Name: "k-amd64", Arch: "amd64", Version: "2 of amd64"}, {Name: "k-arm64", Arch: "arm64", Version: "2 of arm64"}, {Name: "fw", Arch: "all", Version: "2 of amd64"}}
	if err != nil || !slices.Equal(got, want) || strings.Join(asked, ", ") != "amd64 k-amd64, amd64 fw, arm64 k-arm64" {
		t.Errorf("got %+v, %v; asked %v", got, err, asked)
	}
	if _, err := updateEach(packages, func(string, []debian.Package) ([]debian.Package, error) { return nil, io.ErrUnexpectedEOF }); err == nil {
		t.Error("an archive that does not answer is no error")
	}
}

func TestRunRefuses(t *testing.T) {
	script, broken := filepath.Join(t.TempDir(), "script"), filepath.Join(t.TempDir(), "lock")
	for name, text := range map[string]string{script: "#!/bin/sh\n", broken: "one two\n"} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing":            {nil, "--agent and --out are needed"},
		"other architecture": {[]string{"--arch", "riscv64", "--agent", script, "--out", out}, "amd64 and arm64"},
		"another's agent":    {[]string{"--arch", "arm64", "--agent", agentFile(t), "--out", out}, "not for arm64"},
		"no agent":           {[]string{"--agent", script + "x", "--out", out}, "build it first"},
		"a script":           {[]string{"--agent", script, "--out", out}, "as ELF"},
		"no lock file":       {[]string{"--update-lock", "--lock", script + "x"}, "--lock"},
		"broken lock file":   {[]string{"--update-lock", "--lock", broken, "--cache", t.TempDir()}, "line 1"},
		"unknown flag":       {[]string{"--agnet", script}, "agnet"},
		"no name":            {[]string{"--agent", agentFile(t), "--out", out, "--add", script}, "NAME=FILE"},
		"a path of the host": {[]string{"--agent", agentFile(t), "--out", out, "--add", "/x=" + script}, "NAME=FILE"},
		"no list":            {[]string{"--agent", agentFile(t), "--out", out, "--modules", script + "x"}, "--modules"},
		"broken list":        {[]string{"--agent", agentFile(t), "--out", out, "--modules", broken}, "line 1"},
		"no added file":      {[]string{"--agent", agentFile(t), "--out", out, "--add", "x=" + script + "x"}, "--add"},
	} {
		if err := run(t.Context(), c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
	if err := run(t.Context(), []string{"--help"}); err != nil {
		t.Errorf("help: %v", err)
	}
}
