package wipe

import (
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	sda := Disk{Name: "sda", WWID: "naa.1", Serial: "S1", Transport: "sata"}
	with := func(f func(*Disk)) Disk { d := sda; f(&d); return d }
	sdb := Disk{Name: "sdb", WWID: "naa.2", Serial: "S2", Transport: "sas"}
	ns2 := Disk{Name: "nvme0n2", WWID: "eui.2", Serial: "N", Transport: "nvme"}
	ns1 := Disk{Name: "nvme0n1", WWID: "eui.1", Serial: "N", Transport: "nvme"}
	tests := []struct {
		name    string
		present []Disk
		grant   []DiskID
		want    string // the disk
		refused string // part of the error
	}{
		{"both fit", []Disk{sdb, sda}, []DiskID{{"naa.1", "S1"}}, "sda", ""},
		{"only the WWID is set", []Disk{sdb, sda}, []DiskID{{WWID: "naa.1"}}, "sda", ""},
		{"only the serial is set", []Disk{sdb, sda}, []DiskID{{Serial: "S1"}}, "sda", ""},
		{"cleaned on the way", []Disk{with(func(d *Disk) { d.Serial = " S1\x00 " })}, []DiskID{{"naa.1", "S1"}}, "sda", ""},
		{"one of two namespaces", []Disk{ns1, ns2}, []DiskID{{"eui.2", "N"}}, "nvme0n2", ""},
		{"long names are cut", []Disk{with(func(d *Disk) { d.Serial = strings.Repeat("x", 200) })}, []DiskID{{"naa.1", strings.Repeat("x", 128)}}, "sda", ""},
		{"nothing is set", []Disk{sda}, []DiskID{{}}, "", "without saying which"},
		{"gone", []Disk{sdb}, []DiskID{{"naa.1", "S1"}}, "", "not present"},
		{"WWID fits, serial does not", []Disk{sda}, []DiskID{{"naa.1", "S2"}}, "", "not present"},
		{"serial fits, WWID does not", []Disk{sda}, []DiskID{{"naa.2", "S1"}}, "", "not present"},
		{"two paths", []Disk{sda, with(func(d *Disk) { d.Name = "sdz" })}, []DiskID{{"naa.1", "S1"}}, "", "multipath"},
		{"two paths, one without a serial", []Disk{sda, with(func(d *Disk) { d.Name, d.Serial = "sdz", "" })}, []DiskID{{"naa.1", "S1"}}, "", "multipath"},
		{"two paths, spelled differently", []Disk{sda, with(func(d *Disk) { d.Name, d.WWID = "sdz", "NAA.1" })}, []DiskID{{"naa.1", "S1"}}, "", "multipath"},
		{"a serial that two namespaces have", []Disk{ns1, ns2}, []DiskID{{Serial: "N"}}, "", "shows 2 times"},
		{"named twice", []Disk{sda}, []DiskID{{WWID: "naa.1"}, {Serial: "S1"}}, "", "names sda twice"},
		{"removable", []Disk{with(func(d *Disk) { d.Removable = true })}, []DiskID{{"naa.1", "S1"}}, "", "removable"},
		{"read-only", []Disk{with(func(d *Disk) { d.ReadOnly = true })}, []DiskID{{"naa.1", "S1"}}, "", "read-only"},
		{"usb", []Disk{with(func(d *Disk) { d.Transport = "usb" })}, []DiskID{{"naa.1", "S1"}}, "", "no direct attachment"},
		{"iscsi", []Disk{with(func(d *Disk) { d.Transport = "iscsi" })}, []DiskID{{"naa.1", "S1"}}, "", "no direct attachment"},
		{"fc", []Disk{with(func(d *Disk) { d.Transport = "fc" })}, []DiskID{{"naa.1", "S1"}}, "", "no direct attachment"},
		{"a transport of tomorrow", []Disk{with(func(d *Disk) { d.Transport = "cxl" })}, []DiskID{{"naa.1", "S1"}}, "", "no direct attachment"},
		{"no transport", []Disk{with(func(d *Disk) { d.Transport = "" })}, []DiskID{{"naa.1", "S1"}}, "", "no direct attachment"},
		{"a disk that says nothing", []Disk{{Name: "sda", Transport: "sata"}}, []DiskID{{"naa.1", "S1"}}, "", "not present"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			d, err := choose(tc.present, tc.grant, 0)
			switch {
			case tc.refused == "" && (err != nil || d.Name != tc.want):
				t.Errorf("chose %q, %v", d.Name, err)
			case tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)):
				t.Errorf("chose %q, %v; want a refusal with %q", d.Name, err, tc.refused)
			}
		})
	}
}

func TestShort(t *testing.T) {
	if got := short(strings.Repeat("ä", 300)); len([]rune(got)) != 256 {
		t.Errorf("%d characters", len([]rune(got)))
	}
	if got := short("two\nlines\x1b[31m"); got != "two lines[31m" {
		t.Errorf("%q", got)
	}
}
