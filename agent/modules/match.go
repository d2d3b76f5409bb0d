package modules

import (
	"path"
	"strings"
)

// table finds the modules for a device name. Aliases are kept by their bus, the letters that they begin with, since a machine
// has hundreds of devices and the index thousands of aliases.
type table struct {
	byBus map[string][]entry
}

type entry struct{ pattern, module string }

func newTable(modules []Module) table {
	t := table{byBus: map[string][]entry{}}
	for _, m := range modules {
		for _, a := range m.Aliases {
			t.byBus[bus(a)] = append(t.byBus[bus(a)], entry{a, normal(m.Name)})
		}
	}
	return t
}

// bus is what an alias or a device name begins with; aliases such as acpi*:PNP0501:* have a wildcard before the colon.
func bus(alias string) string {
	if end := strings.IndexAny(alias, ":*?[\\"); end >= 0 {
		return alias[:end]
	}
	return alias
}

// match returns the modules that fit, in the order of the index.
func (t table) match(modalias string) []string {
	var out []string
	for _, e := range t.byBus[bus(modalias)] {
		if ok, err := path.Match(e.pattern, modalias); err == nil && ok {
			out = append(out, e.module)
		}
	}
	return out
}
