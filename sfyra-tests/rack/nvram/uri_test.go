package nvram

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// names lists what a store holds.
func names(t *testing.T, s []byte) (out []string) {
	t.Helper()
	variables, err := parse(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range variables {
		out = append(out, v.name)
	}
	return out
}

// TestBootURI: the entry and BootNext are there, what was there before stays, and both go again. That firmware takes them is TestBootURI of the scenarios.
func TestBootURI(t *testing.T) {
	disk, pxeEntry, _ := entries()
	s := store(disk, pxeEntry)
	for range 3 { // the last one counts
		if err := BootURI(s, "http://192.0.2.1/x.efi"); errors.Is(err, ErrFull) {
			break // 8 KiB announced, 256 bytes there: as a store is before the firmware tidies up
		} else if err != nil {
			t.Fatal(err)
		}
	}
	large := append(store(disk, pxeEntry), bytes.Repeat([]byte{0xff}, 4096)...)
	for _, uri := range []string{"http://192.0.2.1/old.efi", "http://192.0.2.1/x.efi"} {
		if err := BootURI(large, uri); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, large); !slices.Equal(got, []string{"Boot0001", "Boot0002", "Boot7E57", "BootNext"}) {
		t.Errorf("the store holds %v", got)
	}
	variables, _ := parse(large)
	if p := path(variables[2].data); !bytes.Equal(p, append([]byte{3, 24, 26, 0}, "http://192.0.2.1/x.efi\x7f\xff\x04\x00"...)) {
		t.Errorf("the path of the entry is %q", p)
	}
	if !bytes.Equal(variables[3].data, []byte{0x57, 0x7e}) {
		t.Errorf("BootNext is %x", variables[3].data)
	}
	if err := ForgetURI(large); err != nil {
		t.Fatal(err)
	}
	if got := names(t, large); !slices.Equal(got, []string{"Boot0001", "Boot0002"}) {
		t.Errorf("afterwards the store holds %v", got)
	}
}

// TestBootURIKeepsOthers: BootNext of somebody else is left alone, and bytes that are no store are refused.
func TestBootURIKeepsOthers(t *testing.T) {
	s := store(variableOf("BootNext", stateAdded, []byte{3, 0}))
	if err := ForgetURI(s); err != nil || len(names(t, s)) != 1 {
		t.Errorf("%v, %v", err, names(t, s))
	}
	if err := BootURI(make([]byte, 4096), "http://x"); !errors.Is(err, ErrNoStore) {
		t.Errorf("zeros: %v", err)
	}
	small := store()
	if err := BootURI(small, "http://"+string(bytes.Repeat([]byte{'x'}, 4096))); !errors.Is(err, ErrFull) {
		t.Errorf("no room: %v", err)
	}
}

func FuzzBootURI(f *testing.F) {
	disk, _, httpEntry := entries()
	f.Add(store(disk, httpEntry), "http://192.0.2.1/x.efi")
	f.Fuzz(func(t *testing.T, data []byte, uri string) {
		before, length := bytes.Clone(data), len(data)
		if err := BootURI(data, uri); errors.Is(err, ErrNoStore) && !bytes.Equal(before, data) || len(data) != length {
			t.Error("something changed that is no store")
		}
	})
}
