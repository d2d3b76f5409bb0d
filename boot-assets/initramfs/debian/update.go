package debian

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// kernelForm is Debian's name of a signed kernel: its version is part of the package's name.
var kernelForm = regexp.MustCompile(`^(linux-image-\d+\.\d+\.)(\d+)(\+deb\d+-[a-z0-9]+)$`)

// Update asks the archive for the newest version of each package in the same suite and component.
// A kernel stays within its series (6.12), so that drivers and agent are only ever tested against a stable update.
func (c *Cache) Update(ctx context.Context, packages []Package) ([]Package, error) {
	var out []Package
	err := c.inApt(ctx, packages, func(a *apt) error {
		for _, p := range packages {
			updated, err := a.newest(ctx, p)
			if err != nil {
				return fmt.Errorf("looking for %s in %s: %w", p.Name, p.Suite, err)
			}
			out = append(out, updated)
		}
		return nil
	})
	return out, err
}

func (a *apt) newest(ctx context.Context, p Package) (Package, error) {
	if kernelForm.MatchString(p.Name) {
		names, err := a.run(ctx, "apt-cache", "pkgnames", kernelForm.FindStringSubmatch(p.Name)[1])
		if err != nil {
			return p, err
		}
		p.Name = newestKernel(p.Name, strings.Fields(string(names)))
	}
	table, err := a.run(ctx, "apt-cache", "madison", p.Name)
	if err != nil {
		return p, err
	}
	if p.Version = madison(string(table), p); p.Version == "" {
		return p, fmt.Errorf("the archive does not offer it")
	}
	record, err := a.run(ctx, "apt-cache", "show", p.Name+"="+p.Version)
	if err != nil {
		return p, err
	}
	p.SHA256 = field(string(record), "SHA256")
	p.Arch = field(string(record), "Architecture")
	return p, p.validate()
}

// newestKernel is the name with the highest update number among those of the same series and flavour.
func newestKernel(name string, offered []string) string {
	want := kernelForm.FindStringSubmatch(name)
	best, _ := strconv.Atoi(want[2])
	for _, other := range offered {
		got := kernelForm.FindStringSubmatch(other)
		if got == nil || got[1] != want[1] || got[3] != want[3] {
			continue
		}
		if update, err := strconv.Atoi(got[2]); err == nil && update > best {
			best, name = update, other
		}
	}
	return name
}

// madison reads "name | version | address suite/component arch Packages"; apt lists the newest first.
func madison(table string, p Package) string {
	for line := range strings.Lines(table) {
		column := strings.Split(line, "|")
		if len(column) == 3 && strings.Contains(column[2], " "+p.Suite+"/"+p.Component+" ") {
			return strings.TrimSpace(column[1])
		}
	}
	return ""
}

// field reads the first "Name: value" of a control record.
func field(record, name string) string {
	for line := range strings.Lines(record) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
