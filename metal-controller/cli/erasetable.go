package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"ingot.dev/ingot/metal-controller/erase"
)

// printErase is a record for people.
func printErase(out io.Writer, r erase.Record) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, row := range [][2]string{
		{"Server", r.Server},
		{"Machine", strings.Join(nonEmpty(r.System.Manufacturer, r.System.Product, r.System.Serial), ", ")},
		{"Installation", r.Installation},
		{"Wipe", fmt.Sprintf("%s, level %s", r.Wipe.ID, r.Wipe.Level)},
		{"Confirmed by", cmp.Or(r.Wipe.AcceptRequest, "nobody: the disks were proven blank before")},
		{"Granted", r.Wipe.GrantedAt.Format(time.RFC3339)},
		{"Read back", r.Wipe.VerifiedAt.Format(time.RFC3339)},
		{"Agent", cmp.Or(r.Agent.Version, "unknown version") + ", boot " + r.Agent.BootID},
	} {
		fmt.Fprintf(w, "%s:\t%s\n", row[0], plain(cmp.Or(row[1], "unknown")))
	}
	_ = w.Flush() // here and below: a reader that is gone is no reason to stop
	fmt.Fprintln(out)
	w = tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SERIAL\tWWID\tMODEL\tSIZE\tMETHODS\tREACHED\tBLOCKS READ\tTIME\tVERDICT")
	for _, d := range r.Disks {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", plain(d.Serial), plain(d.WWID), plain(d.Model), size(d.SizeBytes), plain(strings.Join(d.Methods, ", ")),
			cmp.Or(string(d.Reached), "-"), d.BlocksRead, time.Duration(d.Seconds)*time.Second, plain(strings.TrimSpace(string(d.Verdict)+" "+d.Error)))
	}
	_ = w.Flush()
	fmt.Fprintln(out)
}

// plain keeps what disks and machines tell of themselves from moving the cursor or the columns.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	return cmp.Or(text, "-")
}

// size writes sizes of disks as vendors sell them: in powers of ten.
func size(bytes int64) string {
	if bytes <= 0 {
		return "-"
	}
	n, unit := float64(bytes)/1e9, "GB"
	if n >= 1000 {
		n, unit = n/1000, "TB"
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0") + " " + unit
}
