package cli

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// wwidWord is how world-wide ids of disks begin, as the kernel writes them (sysfs attribute wwid) and udev does.
var wwidWord = regexp.MustCompile(`^(naa|eui|uuid|t10|nvme|wwn|0x)[.:-]?`)

// selector reads one --ignore-disk. A word that fits no disk of a server whose disks are known is a mistake.
func selector(s *metal.Server, word string) (metal.DiskSelector, error) {
	switch {
	case word == "":
		return metal.DiskSelector{}, &ExitError{Code: CodeUsage, Err: fmt.Errorf("--ignore-disk needs a serial number, a WWID, usb or removable")}
	case strings.EqualFold(word, "usb"):
		return metal.DiskSelector{Transport: "usb"}, nil
	case strings.EqualFold(word, "removable"):
		yes := true
		return metal.DiskSelector{Removable: &yes}, nil
	}
	var have []string
	for _, d := range s.Status.Disks {
		switch word {
		case d.WWID:
			return metal.DiskSelector{WWID: word}, nil
		case d.Serial:
			return metal.DiskSelector{Serial: word}, nil
		case d.Name:
			return metal.DiskSelector{}, &ExitError{Code: CodeUsage, Err: fmt.Errorf("--ignore-disk %s: that name may be another disk's at the next boot; take its serial number or WWID: %s", word, cmp.Or(d.Serial, d.WWID, "it has none"))}
		}
		have = append(have, cmp.Or(d.Serial, d.WWID))
	}
	if len(have) > 0 {
		return metal.DiskSelector{}, &ExitError{Code: CodeUsage, Err: fmt.Errorf("--ignore-disk %s: %s has no disk with that serial number or WWID; it has %s", word, s.Name, strings.Join(have, ", "))}
	}
	if wwidWord.MatchString(word) {
		return metal.DiskSelector{WWID: word}, nil
	}
	return metal.DiskSelector{Serial: word}, nil
}

func sameSelector(a, b metal.DiskSelector) bool {
	if (a.Removable == nil) != (b.Removable == nil) || a.Removable != nil && *a.Removable != *b.Removable {
		return false
	}
	return a.WWID == b.WWID && a.Serial == b.Serial && a.Transport == b.Transport
}

// selects says whether a selector fits a disk; how the disk is attached is in the inventory only.
func selects(sel metal.DiskSelector, d metal.DiskStatus, inventory []metal.Disk) bool {
	if sel.WWID != "" && sel.WWID != d.WWID || sel.Serial != "" && sel.Serial != d.Serial {
		return false
	}
	if sel.Transport == "" && sel.Removable == nil {
		return true
	}
	for _, i := range inventory {
		if i.Name == d.Name && i.Serial == d.Serial && i.WWID == d.WWID {
			return (sel.Transport == "" || sel.Transport == i.Transport) && (sel.Removable == nil || *sel.Removable == i.Removable)
		}
	}
	return false
}

// printFates is the table that a person decides by.
func printFates(out io.Writer, fates []fate) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "  DISK\tSERIAL\tWHAT IT IS\tCONTENTS\tWHAT HAPPENS")
	for _, f := range fates {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", plain(f.disk.Name), plain(cmp.Or(f.disk.Serial, f.disk.WWID)), plain(f.disk.Description), cmp.Or(string(f.disk.Contents), "?"), plain(f.text))
	}
	_ = w.Flush() // as Fprintf: a reader that is gone is no reason to stop
}

// verdictLine is what Ingot makes of a disk, for `ingot why`.
func verdictLine(d metal.DiskStatus) string {
	text := map[metal.DiskVerdict]string{metal.DiskOwn: "its own", metal.DiskIgnored: "ignored", metal.DiskBlocked: "blocks"}[d.Verdict] + because(d.Reason)
	if d.NeedsConfirmation {
		text += "; holds data that nobody confirmed"
	}
	return text
}

// printDisks is the table of `ingot why`.
func printDisks(out io.Writer, disks []metal.DiskStatus) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "DISK\tSERIAL\tWHAT IT IS\tCONTENTS\tVERDICT")
	for _, d := range disks {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", plain(d.Name), plain(cmp.Or(d.Serial, d.WWID)), plain(d.Description), cmp.Or(string(d.Contents), "?"), plain(verdictLine(d)))
	}
	_ = w.Flush() // as above
}

// progressLine is how far the wipe of one disk is.
func progressLine(p metal.DiskProgress) string {
	text := plain(p.Serial) + " " + plain(p.Phase)
	if p.Percent > 0 {
		text += fmt.Sprintf(" %d%%", p.Percent)
	}
	if p.ETASeconds > 0 {
		text += ", about " + duration.HumanDuration(time.Duration(p.ETASeconds)*time.Second) + " left"
	}
	return text
}
