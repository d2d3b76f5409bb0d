package firmware

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// NetworkEntry is the entry to boot from the network once: the one that the machine is booted from now if that is one, otherwise the first active one of the
// order, or outside of it. The order and all entries stay as they are: the disks are not erased yet.
func NetworkEntry(entries []Entry, order []uint16, current uint16) (Entry, bool) {
	for _, n := range slices.Concat([]uint16{current}, order, outside(entries, order)) {
		i := slices.IndexFunc(entries, func(e Entry) bool { return e.Number == n && e.network() && (e.Active || n == current) })
		if i >= 0 {
			return entries[i], true
		}
	}
	return Entry{}, false
}

// Next makes the network the next boot, once (BootNext of UEFI 2.10 section 3.1.2), and says in one line, for people, what became of that. A machine with a
// BIOS boots by the order of its set-up.
func (v Vars) Next(ctx context.Context) string {
	line, err := v.next(ctx)
	if err != nil {
		v.Log.WarnContext(ctx, "cannot let the firmware boot from the network next", "error", err)
		return cut("the firmware boots by its own order: " + err.Error())
	}
	return cut(line)
}

func (v Vars) next(ctx context.Context) (string, error) {
	names, err := v.names()
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return "no UEFI: the firmware boots by its own order", nil
	}
	if err != nil {
		return "", err
	}
	order, err := v.numbers("BootOrder")
	if err != nil {
		return "", err
	}
	current, err := v.numbers("BootCurrent")
	if err != nil {
		return "", err
	}
	e, ok := NetworkEntry(v.entries(ctx, names), order, append(current, 0xffff)[0])
	if !ok {
		return "the firmware has no network entry: it boots by its own order", nil
	}
	if err := v.Kernel.Writable(v.Dir, func() error { return v.writeNext(e.Number) }); err != nil {
		return "", err
	}
	return fmt.Sprintf("the firmware boots from the network (%q)", e.Description), nil
}

// numbers reads a variable that holds numbers of entries; none when there is no such variable.
func (v Vars) numbers(name string) ([]uint16, error) {
	raw, _, err := v.read(name + global)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ParseOrder(raw)
}

func (v Vars) writeNext(number uint16) error {
	data := append(binary.LittleEndian.AppendUint32(nil, writable), formatOrder([]uint16{number})...)
	if err := v.write("BootNext"+global, data); err != nil {
		return fmt.Errorf("writing the next boot: %w", err)
	}
	back, _, err := v.read("BootNext" + global)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data[4:]) {
		return errors.New("the firmware took the next boot, and kept another")
	}
	return nil
}
