package firmware

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// global is EFI_GLOBAL_VARIABLE, the name space of boot entries (UEFI 2.10 section 3.3).
const global = "-8be4df61-93ca-11d2-aa0d-00e098032b8c"

// writable are the attributes of variables that an operating system writes: non-volatile, boot service and runtime access (UEFI 2.10 section 8.2).
const writable = 1 | 2 | 4

// maxEntries bounds what is read; firmware keeps a few dozen.
const maxEntries = 512

var entryName = regexp.MustCompile(`^Boot([0-9A-F]{4})` + global + `$`)

// Vars are the variables of the firmware.
type Vars struct {
	// Dir is where efivarfs is mounted, usually /sys/firmware/efi/efivars.
	Dir string
	// Kernel unlocks what is written; Linux on a machine.
	Kernel Kernel
	Log    *slog.Logger
}

// Kernel does what files alone cannot.
type Kernel interface {
	// Writable runs f while the mount at dir can be written to.
	Writable(dir string, f func() error) error
	// Mutable clears FS_IMMUTABLE_FL of a file, which efivarfs sets on all but a few variables.
	Mutable(f *os.File) error
}

// Mend mends the boot entries and says in one line, for people, what became of them. It is wipe.Config.Firmware.
func (v Vars) Mend(ctx context.Context) string {
	line, err := v.mend(ctx)
	if err != nil {
		v.Log.WarnContext(ctx, "cannot mend the boot entries", "error", err)
		return cut("boot entries not mended: " + err.Error())
	}
	return cut(line)
}

func (v Vars) mend(ctx context.Context) (string, error) {
	names, err := v.names()
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return "no UEFI", nil
	}
	if err != nil {
		return "", err
	}
	entries := v.entries(ctx, names)
	raw, attributes, err := v.read("BootOrder" + global)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	order, err := ParseOrder(raw)
	if err != nil {
		return "", err
	}
	c := Mend(entries, order)
	if len(c.Remove) == 0 && slices.Equal(c.Order, order) {
		return "boot entries were in order", nil
	}
	err = v.Kernel.Writable(v.Dir, func() error { return v.apply(c, order, attributes) })
	return c.line(entries), err
}

// apply writes the order first, so that it never names an entry that is gone.
func (v Vars) apply(c Change, order []uint16, attributes uint32) error {
	if !slices.Equal(c.Order, order) {
		if err := v.writeOrder(c.Order, attributes); err != nil {
			return err
		}
	}
	for _, e := range c.Remove {
		name := fmt.Sprintf("Boot%04X%s", e.Number, global)
		if err := v.remove(name); err != nil {
			return fmt.Errorf("removing boot entry %04X: %w", e.Number, err)
		}
	}
	return nil
}

// writeOrder writes BootOrder, or removes it when it has become empty: a variable without data does not exist.
func (v Vars) writeOrder(order []uint16, attributes uint32) error {
	if len(order) == 0 {
		return v.remove("BootOrder" + global)
	}
	if attributes == 0 {
		attributes = writable
	}
	data := append(binary.LittleEndian.AppendUint32(nil, attributes), formatOrder(order)...)
	if err := v.write("BootOrder"+global, data); err != nil {
		return fmt.Errorf("writing the boot order: %w", err)
	}
	back, _, err := v.read("BootOrder" + global)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, formatOrder(order)) {
		return errors.New("the firmware took the boot order, and kept another")
	}
	return nil
}

// entries reads all boot entries. One that cannot be read or understood is kept as it is, and said so.
func (v Vars) entries(ctx context.Context, names []string) []Entry {
	var out []Entry
	for _, name := range names {
		number, err := strconv.ParseUint(name[4:8], 16, 16)
		if err != nil {
			continue
		}
		data, _, err := v.read(name)
		var e Entry
		if err == nil {
			e, err = ParseEntry(uint16(number), data)
		}
		if err != nil {
			v.Log.WarnContext(ctx, "leaving a boot entry alone that cannot be read", "entry", name[:8], "error", err)
			continue
		}
		out = append(out, e)
	}
	return out
}

func (v Vars) names() ([]string, error) {
	files, err := os.ReadDir(v.Dir)
	if err != nil {
		return nil, fmt.Errorf("listing the firmware's variables: %w", err)
	}
	var out []string
	for _, f := range files {
		if (entryName.MatchString(f.Name()) || f.Name() == "BootOrder"+global) && len(out) < maxEntries {
			out = append(out, f.Name())
		}
	}
	return out, nil
}

// read returns a variable's data and its attributes, which come first in the file.
func (v Vars) read(name string) ([]byte, uint32, error) {
	f, err := os.Open(filepath.Join(v.Dir, name))
	if err != nil {
		return nil, 0, fmt.Errorf("opening a variable of the firmware: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxOption+5))
	if err != nil {
		return nil, 0, fmt.Errorf("reading a variable of the firmware: %w", err)
	}
	if len(b) < 4 {
		return nil, 0, fmt.Errorf("the variable %s has no attributes", name)
	}
	return b[4:], binary.LittleEndian.Uint32(b), nil
}

// line says what was changed.
func (c Change) line(entries []Entry) string {
	var parts []string
	if n := len(c.Remove); n > 0 {
		var names []string
		for _, e := range c.Remove {
			names = append(names, strconv.Quote(e.Description))
		}
		parts = append(parts, fmt.Sprintf("removed %d boot entries of disks (%s)", n, strings.Join(names, ", ")))
	}
	first := slices.IndexFunc(entries, func(e Entry) bool { return len(c.Order) > 0 && e.Number == c.Order[0] })
	if first >= 0 && entries[first].network() {
		parts = append(parts, "the network is first")
	} else {
		parts = append(parts, "there is no network entry to put first")
	}
	return strings.Join(parts, "; ")
}

// cut keeps a line within what a receipt holds.
func cut(s string) string {
	const most = 256
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
