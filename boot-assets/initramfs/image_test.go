package initramfs

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"ingot.dev/ingot/boot-assets/initramfs/cpio"
	"ingot.dev/ingot/boot-assets/initramfs/cpio/cpiotest"
	"ingot.dev/ingot/boot-assets/initramfs/kmod/kmodtest"
)

func unzstd(t *testing.T, data []byte) []byte {
	t.Helper()
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out, err := r.DecodeAll(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestImage(t *testing.T) {
	parts, err := Collect(smallLists(), smallKernel(t), smallFirmware)
	if err != nil {
		t.Fatal(err)
	}
	parts.Extra = map[string][]byte{"payload/vmlinuz": []byte("kernel")}
	parts.Programs = map[string][]byte{"bin/next": []byte("next")}
	image, err := Image([]byte("agent"), parts)
	if err != nil {
		t.Fatal(err)
	}
	entries := cpiotest.Read(t, unzstd(t, image))
	var names []string
	content, runnable := map[string]string{}, ""
	for _, e := range entries {
		if e.Mode == cpio.ModeProgram {
			runnable += e.Name + " "
		}
		names = append(names, e.Name)
		content[e.Name] = string(e.Data)
	}
	want := "bin dev etc lib lib/firmware lib/firmware/nic modules payload proc run sys tmp dev/console bin/next init lib/firmware/nic/fw.bin " +
		"modules/crc_generic.ko modules/index.json modules/lib_crc.ko modules/nic.ko modules/nic_eth.ko payload/vmlinuz"
	if strings.Join(names, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(names, " "), want)
	}
	if content["init"] != "agent" || content["payload/vmlinuz"] != "kernel" || content["lib/firmware/nic/fw.bin"] != "firmware" || !strings.HasPrefix(content["modules/nic.ko"], "\x7fELF") {
		t.Error("a file does not have its content")
	}
	if runnable != "bin/next init " || content["bin/next"] != "next" {
		t.Errorf("programs are %s", runnable)
	}
	var index Index
	if err := json.Unmarshal([]byte(content["modules/index.json"]), &index); err != nil || len(index.Modules) != 4 {
		t.Errorf("index: %+v, %v", index, err)
	}
	again, err := Image([]byte("agent"), parts)
	if err != nil || !bytes.Equal(again, image) {
		t.Errorf("the same parts gave other bytes (%v)", err)
	}
}

// The words of index.json are a contract with the agent.
func TestIndexWords(t *testing.T) {
	data, err := Index{
		Modules: []IndexModule{{Name: "igb", File: "igb.ko", Deps: []string{"i2c_algo_bit"}, Aliases: []string{"pci:v*"}}, {Name: "x", File: "x.ko"}},
		Always:  []string{"virtio_net"},
	}.encode()
	want := `{"modules":[{"name":"igb","file":"igb.ko","deps":["i2c_algo_bit"],"aliases":["pci:v*"]},{"name":"x","file":"x.ko"}],"always":["virtio_net"]}` + "\n"
	if err != nil || string(data) != want {
		t.Errorf("got %s, %v", data, err)
	}
}

func TestManifest(t *testing.T) {
	m := NewManifest("amd64", "6.12", []byte("kernel"), []byte("initramfs"))
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]any
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"version", "arch", "kernel", "files", "kernelArgs"} {
		if raw[key] == nil {
			t.Errorf("no %s in %s", key, data)
		}
	}
	// sha256 of "kernel", from sha256sum.
	if f := m.Files[VmlinuzName]; f.Size != 6 || f.SHA256 != "6923dd1bc0460082c5d55a831908c24a282860b7f1cd6c2b79cf1bc8857c639c" {
		t.Errorf("vmlinuz %+v", f)
	}
	if !slices.Contains(m.KernelArgs, "console=ttyS0,115200n8") {
		t.Errorf("kernel arguments %v", m.KernelArgs)
	}
	if m := NewManifest("arm64", "6.12", []byte("kernel"), []byte("initramfs")); !slices.Contains(m.KernelArgs, "console=ttyAMA0,115200n8") || slices.Contains(m.KernelArgs, "console=ttyS0,115200n8") {
		t.Errorf("kernel arguments for arm64 %v", m.KernelArgs)
	}
	if other := NewManifest("amd64", "6.12", []byte("kernel"), []byte("initramfz")); other.Version == m.Version {
		t.Error("another image has the same version")
	}
}

func TestSizes(t *testing.T) {
	parts := Parts{
		Vmlinuz:  make([]byte, 10<<20),
		Content:  map[string][]byte{"small": make([]byte, 1<<10), "large": make([]byte, 9<<10)},
		Firmware: map[string][]byte{"fw.bin": make([]byte, 5<<10)},
	}
	sizes := NewSizes(parts, 2<<10, 30<<20)
	if err := sizes.Check(); err != nil {
		t.Errorf("exactly the limit: %v", err)
	}
	err := NewSizes(parts, 2<<10, 30<<20+1).Check()
	want := "       9 KiB  large.ko\n       5 KiB  firmware/fw.bin\n       2 KiB  init\n       1 KiB  small.ko\n"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("one byte more: %v", err)
	}
	if got := sizes.Summary(); !strings.Contains(got, "kernel 10.0 MB, initramfs 30.0 MB") || !strings.Contains(got, "together 40.0 of 40.0 MB") {
		t.Errorf("summary %q", got)
	}
}

func TestCheckProgram(t *testing.T) {
	program := kmodtest.Module("name=x")
	if err := CheckProgram(program, "amd64"); err != nil {
		t.Errorf("control: %v", err)
	}
	if err := CheckProgram(program, "arm64"); err == nil || !strings.Contains(err.Error(), "not for arm64") {
		t.Errorf("another architecture: %v", err)
	}
	if err := CheckProgram([]byte("#!/bin/sh"), "amd64"); err == nil {
		t.Error("a script was accepted")
	}
	if err := CheckProgram(dynamic(t), "amd64"); err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("a program with an interpreter: %v", err)
	}
}

// dynamic is a program that names an interpreter, and nothing else.
func dynamic(t *testing.T) []byte {
	t.Helper()
	header := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1}
	copy(header.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	var out bytes.Buffer
	for _, part := range []any{header, elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 120}} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}
