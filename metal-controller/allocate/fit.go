package allocate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Eval says whether a CEL expression is true over the inventory and the labels of a server; see the package expr.
type Eval func(expression string, inventory *metal.ServerInventorySpec, labels map[string]string) (bool, error)

// Fit says why a server does not fit a class, all reasons of it; none when it fits. The inventory is nil until an agent reported. Each requirement for
// disks or interfaces counts for itself: one disk may fulfil several.
func Fit(class *metal.ServerClass, server *metal.Server, inventory *metal.ServerInventory, eval Eval) []Reason {
	found := selected(class.Spec.Selector, server.Labels)
	if inventory == nil {
		return append(found, Reason{reasons.NotRegistered, "no agent has reported its hardware yet: netboot it"})
	}
	i, want := &inventory.Spec, &class.Spec.Requirements
	for _, unmet := range slices.Concat(unmetSystem(want, i), unmetDisks(want.Disks, ownDisks(server, i)), unmetNICs(want.NICs, i.NICs)) {
		found = append(found, Reason{reasons.RequirementUnmet, unmet})
	}
	return append(found, expressions(want.CEL, i, server.Labels, eval)...)
}

// selected says why the labels do not fit the selector.
func selected(selector *metav1.LabelSelector, set map[string]string) []Reason {
	if selector == nil {
		return nil
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return one(reasons.InvalidClass, "the selector of the class cannot be used: "+err.Error())
	}
	if s.Matches(labels.Set(set)) {
		return nil
	}
	return one(reasons.LabelsUnmet, "its labels do not fit "+metav1.FormatLabelSelector(selector))
}

// unmetSystem are the requirements on the machine as a whole that it does not meet.
func unmetSystem(want *metal.Requirements, i *metal.ServerInventorySpec) (unmet []string) {
	add := func(format string, args ...any) { unmet = append(unmet, sprintf(format, args...)) }
	if want.Arch != "" && want.Arch != i.Arch {
		add("its architecture is %s, and the class wants %s", orNone(i.Arch), want.Arch)
	}
	if want.Manufacturer != "" && !glob(want.Manufacturer, i.System.Manufacturer) {
		add("its manufacturer is %q, and the class wants %q", i.System.Manufacturer, want.Manufacturer)
	}
	if want.Product != "" && !glob(want.Product, i.System.Product) {
		add("its product is %q, and the class wants %q", i.System.Product, want.Product)
	}
	if !counts(want.Cores, Cores(i)) {
		add("it has %d cores, and the class wants %s", Cores(i), countText(want.Cores))
	}
	if !sized(want.Memory, i.Memory.TotalBytes) {
		add("it has %s of memory, and the class wants %s", bytesText(i.Memory.TotalBytes), sizeText(want.Memory))
	}
	return unmet
}

// unmetDisks are the requirements that the server's own disks do not meet.
func unmetDisks(want []metal.DiskRequirement, own []metal.Disk) (unmet []string) {
	for n, w := range want {
		have := count(own, func(d metal.Disk) bool {
			return sized(w.Size, d.SizeBytes) && (len(w.Transports) == 0 || slices.Contains(w.Transports, d.Transport)) && (w.Rotational == nil || *w.Rotational == d.Rotational)
		})
		if !counts(orOne(w.Count), have) {
			unmet = append(unmet, sprintf("%d of its own disks fit disks[%d] of the class, which wants %s", have, n, countText(orOne(w.Count))))
		}
	}
	return unmet
}

// unmetNICs are the requirements that its network interfaces do not meet.
func unmetNICs(want []metal.NICRequirement, nics []metal.NIC) (unmet []string) {
	for n, w := range want {
		have := count(nics, func(i metal.NIC) bool { return i.SpeedMbps >= w.MinSpeedMbps })
		if !counts(orOne(w.Count), have) {
			unmet = append(unmet, sprintf("%d of its interfaces fit nics[%d] of the class, which wants %s with %d Mb/s or more", have, n, countText(orOne(w.Count)), w.MinSpeedMbps))
		}
	}
	return unmet
}

// expressions are those that are not true, or cannot be evaluated.
func expressions(list []string, i *metal.ServerInventorySpec, set map[string]string, eval Eval) (found []Reason) {
	for n, expression := range list {
		yes, err := eval(expression, i, set)
		switch {
		case err != nil:
			found = append(found, Reason{reasons.InvalidClass, sprintf("cel[%d] of the class cannot be evaluated: %v", n, err)})
		case !yes:
			found = append(found, Reason{reasons.RequirementUnmet, sprintf("cel[%d] of the class is not true: %s", n, expression)})
		}
	}
	return found
}

// glob is whether the value fits a pattern with `*`, `?` and `[a-z]`. A slash is a character like others. A pattern that is none fits nothing.
func glob(pattern, value string) bool {
	plain := func(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
	ok, err := path.Match(plain(pattern), plain(value))
	return ok && err == nil
}

// sized is whether a number of bytes is in the range; nil is any.
func sized(r *metal.QuantityRange, bytes int64) bool {
	return r == nil || (r.Min == nil || r.Min.CmpInt64(bytes) <= 0) && (r.Max == nil || r.Max.CmpInt64(bytes) >= 0)
}

// counts is whether a number is in the range; nil is any.
func counts(r *metal.CountRange, n int) bool {
	return r == nil || (r.Min == nil || int64(*r.Min) <= int64(n)) && (r.Max == nil || int64(*r.Max) >= int64(n))
}

// orOne is the range, or at least one.
func orOne(r *metal.CountRange) *metal.CountRange {
	if r != nil {
		return r
	}
	least := int32(1)
	return &metal.CountRange{Min: &least}
}

func count[T any](list []T, fits func(T) bool) (n int) {
	for _, x := range list {
		if fits(x) {
			n++
		}
	}
	return n
}

func countText(r *metal.CountRange) string {
	if r == nil {
		return "any number"
	}
	return rangeText(r.Min, r.Max, func(n int32) string { return sprintf("%d", n) })
}

func sizeText(r *metal.QuantityRange) string {
	if r == nil {
		return "any size"
	}
	return rangeText(r.Min, r.Max, func(q resource.Quantity) string { return q.String() })
}

func rangeText[T any](least, most *T, text func(T) string) string {
	switch {
	case least == nil && most == nil:
		return "any"
	case most == nil:
		return "at least " + text(*least)
	case least == nil:
		return "at most " + text(*most)
	}
	return text(*least) + " to " + text(*most)
}

func bytesText(n int64) string { return resource.NewQuantity(n, resource.BinarySI).String() }

func orNone(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }
