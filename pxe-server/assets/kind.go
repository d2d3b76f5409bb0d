package assets

import (
	"bytes"
	"errors"
	"io"
)

// kind is what a file seems to be, for the sake of a hint.
type kind struct{ text, field string }

var (
	kernel    = kind{"a kernel", "kernel"}
	initramfs = kind{"an initramfs", "initramfs"}
	uki       = kind{"an EFI program, perhaps a UKI", "uki"}
	other     = kind{"of a kind that Ingot does not know", "{kernel|initramfs|uki}"}
)

// headSize is enough for every mark below.
const headSize = 4 << 10

// archives are what an initramfs begins with: cpio, gzip, zstd, xz, lz4, bzip2.
var archives = [][]byte{[]byte("070701"), {0x1f, 0x8b}, {0x28, 0xb5, 0x2f, 0xfd}, {0xfd, '7', 'z', 'X', 'Z'}, {0x02, 0x21, 0x4c, 0x18}, []byte("BZh")}

// identify looks at the first bytes and gives a reader of all of them.
func identify(r io.Reader) (kind, io.Reader, error) {
	head := make([]byte, headSize)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return kind{}, nil, err
	}
	head = head[:n]
	return kindOf(head), io.MultiReader(bytes.NewReader(head), r), nil
}

// kindOf knows kernels by the marks of their boot protocols (Linux, Documentation/arch/x86/boot and arch/arm64/booting): both are EFI programs too.
func kindOf(head []byte) kind {
	at := func(offset int, mark string) bool {
		return len(head) >= offset+len(mark) && string(head[offset:offset+len(mark)]) == mark
	}
	switch {
	case at(0x202, "HdrS"), at(0x38, "ARM\x64"):
		return kernel
	case at(0, "MZ"):
		return uki
	}
	for _, mark := range archives {
		if bytes.HasPrefix(head, mark) {
			return initramfs
		}
	}
	return other
}
