package kmod

import (
	"fmt"
	"slices"
)

// Module is a module with the modules of the set that must be loaded before it.
type Module struct {
	Info
	Deps []string
}

// Order puts modules so that each follows what it needs. The same set gives the same order: dependencies first, else by name.
// provides translates what a softdep names into a module, for aliases such as crc32c.
// builtin are modules that the kernel contains. It fails when a module that must be there is missing, or needs itself.
func Order(set map[string]Info, builtin map[string]bool, provides map[string]string) ([]Module, error) {
	walk := walker{set: set, builtin: builtin, provides: provides, state: map[string]int{}}
	for _, name := range sortedNames(set) {
		if err := walk.visit(name); err != nil {
			return nil, err
		}
	}
	return walk.out, nil
}

type walker struct {
	set      map[string]Info
	builtin  map[string]bool
	provides map[string]string
	state    map[string]int // 1 while its dependencies are visited, 2 when done
	out      []Module
}

func (w *walker) visit(name string) error {
	switch w.state[name] {
	case 1:
		return fmt.Errorf("module %s needs itself", name)
	case 2:
		return nil
	}
	w.state[name] = 1
	info := w.set[name]
	deps, err := w.deps(info)
	if err != nil {
		return err
	}
	for _, dep := range deps {
		if err := w.visit(dep); err != nil {
			return fmt.Errorf("%w (needed by %s)", err, name)
		}
	}
	w.state[name] = 2
	w.out = append(w.out, Module{Info: info, Deps: deps})
	return nil
}

func (w *walker) deps(info Info) ([]string, error) {
	var deps []string
	for _, dep := range info.Depends {
		if w.builtin[dep] {
			continue
		}
		if _, ok := w.set[dep]; !ok {
			return nil, fmt.Errorf("module %s needs %s, which is not there", info.Name, dep)
		}
		deps = append(deps, dep)
	}
	for _, soft := range info.Pre {
		dep := Provider(soft, w.provides)
		if _, ok := w.set[dep]; ok && dep != info.Name {
			deps = append(deps, dep)
		}
	}
	slices.Sort(deps)
	return slices.Compact(deps), nil
}

// Provider is the module that a softdep's word stands for.
func Provider(word string, provides map[string]string) string {
	if name, ok := provides[word]; ok {
		return name
	}
	return word
}

func sortedNames(set map[string]Info) []string {
	out := make([]string, 0, len(set))
	for name := range set {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
