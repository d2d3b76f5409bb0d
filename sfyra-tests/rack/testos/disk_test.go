package testos

import (
	"bytes"
	"crypto/sha256"
	"debug/pe"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot.dev/ingot/sfyra-tests/rack/esp"
)

const size = 16 << 20

func image(t *testing.T, size int64) (*os.File, error) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return file, Write(file)
}

func content(t *testing.T) []byte {
	t.Helper()
	file, err := image(t, size)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSameBytesEveryTime(t *testing.T) {
	if sha256.Sum256(content(t)) != sha256.Sum256(content(t)) {
		t.Error("two disks differ")
	}
}

func TestTooSmall(t *testing.T) {
	if _, err := image(t, esp.MinDisk(partitionBytes)-1); err == nil || !strings.Contains(err.Error(), "smaller") {
		t.Errorf("got %v", err)
	}
	if _, err := image(t, esp.MinDisk(partitionBytes)); err != nil {
		t.Errorf("the smallest disk: %v", err)
	}
}

func TestProgramIsOnTheDisk(t *testing.T) {
	if !bytes.Contains(content(t), program()) {
		t.Error("the disk does not hold the program in one piece")
	}
}

// TestProgramIsAnEFIApplication reads it with the standard library's own parser.
func TestProgramIsAnEFIApplication(t *testing.T) {
	file, err := pe.NewFile(bytes.NewReader(program()))
	if err != nil {
		t.Fatal(err)
	}
	head, ok := file.OptionalHeader.(*pe.OptionalHeader64)
	if !ok || file.Machine != pe.IMAGE_FILE_MACHINE_AMD64 || head.Subsystem != pe.IMAGE_SUBSYSTEM_EFI_APPLICATION {
		t.Fatalf("machine %#x, header %T", file.Machine, file.OptionalHeader)
	}
	text := file.Section(".text")
	if text == nil || head.AddressOfEntryPoint != text.VirtualAddress {
		t.Fatal("the entry point is not the start of the code")
	}
	data, err := text.Data()
	if err != nil || !bytes.Contains(data, []byte(Banner)) || !bytes.Contains(data, []byte(Farewell)) {
		t.Errorf("the texts are missing: %v", err)
	}
}
