package initramfs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Size is one line of the size table, in bytes before compression.
type Size struct {
	Name  string
	Bytes int
}

// Sizes says what makes the image large.
type Sizes struct {
	// Items are modules (NAME.ko), firmware (firmware/PATH), the program (init) and more files, the largest first.
	Items []Size
	// Vmlinuz and Initramfs are the finished files.
	Vmlinuz, Initramfs int
}

// NewSizes measures an image.
func NewSizes(parts Parts, agent, initramfs int) Sizes {
	s := Sizes{Vmlinuz: len(parts.Vmlinuz), Initramfs: initramfs, Items: []Size{{"init", agent}}}
	for name, data := range parts.Content {
		s.Items = append(s.Items, Size{name + ".ko", len(data)})
	}
	for name, data := range parts.Firmware {
		s.Items = append(s.Items, Size{"firmware/" + name, len(data)})
	}
	for name, data := range parts.Extra {
		s.Items = append(s.Items, Size{name, len(data)})
	}
	slices.SortFunc(s.Items, func(a, b Size) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	return s
}

// Total of the finished files, in bytes.
func (s Sizes) Total() int { return s.Vmlinuz + s.Initramfs }

// Check fails with the table when the image is larger than MaxTotal.
func (s Sizes) Check() error {
	if s.Total() <= MaxTotal {
		return nil
	}
	return fmt.Errorf("image has %d bytes, more than %d; take something off devices.list or modules.list, or list its firmware in firmware.list:\n%s",
		s.Total(), MaxTotal, s.Table())
}

// Table has a line per item, in KiB before compression.
func (s Sizes) Table() string {
	var out strings.Builder
	for _, item := range s.Items {
		fmt.Fprintf(&out, "%8d KiB  %s\n", item.Bytes>>10, item.Name)
	}
	return out.String()
}

// Summary is one line.
func (s Sizes) Summary() string {
	modules, firmware := 0, 0
	for _, item := range s.Items {
		switch {
		case strings.HasSuffix(item.Name, ".ko"):
			modules += item.Bytes
		case strings.HasPrefix(item.Name, "firmware/"):
			firmware += item.Bytes
		}
	}
	return fmt.Sprintf("kernel %.1f MB, initramfs %.1f MB (before compression: modules %.1f MB, firmware %.1f MB), together %.1f of %.1f MB",
		mb(s.Vmlinuz), mb(s.Initramfs), mb(modules), mb(firmware), mb(s.Total()), mb(MaxTotal))
}

func mb(n int) float64 { return float64(n) / (1 << 20) }
