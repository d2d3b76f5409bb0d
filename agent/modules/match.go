package modules

import (
	"path"
	"strings"
)

// table finds the modules for a device name. Aliases are kept by what stands before the first wildcard's bus, since a
// machine has hundreds of devices and the index thousands of aliases.
type table struct {
	byBus map[string][]entry
}

type entry struct{ pattern, module string }

func newTable(modules []Module) table {
	t := table{byBus: map[string][]entry{}}
	for _, m := range modules {
		for _, a := range m.Aliases {
			bus, _, _ := strings.Cut(a, ":")
			t.byBus[bus] = append(t.byBus[bus], entry{a, normal(m.Name)})
		}
	}
	return t
}

// match returns the modules that fit, in the order of the index.
func (t table) match(modalias string) []string {
	bus, _, _ := strings.Cut(modalias, ":")
	var out []string
	for _, e := range t.byBus[bus] {
		if ok, err := path.Match(e.pattern, modalias); err == nil && ok {
			out = append(out, e.module)
		}
	}
	return out
}
