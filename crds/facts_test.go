// Package crds_test checks what all kinds of Ingot's API have in common.
package crds_test

import (
	"bufio"
	"os"
	"reflect"
	"strings"
	"testing"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// factsFile has a row for every persisted field: its one writer, its evidence, and whether it survives a move.
const factsFile = "../docs/facts.md"

// TestFactsCoverEveryField fails on a field of the API without a row in docs/facts.md, and on a row without a field.
func TestFactsCoverEveryField(t *testing.T) {
	rows := readFacts(t)
	used := map[string]bool{}
	for _, kind := range []any{
		metal.Server{},
		metal.ServerInventory{},
		metal.ServerClass{},
		metal.ServerClaim{},
		metal.Environment{},
		infra.IngotCluster{},
		infra.IngotClusterTemplate{},
		infra.IngotMachine{},
		infra.IngotMachineTemplate{},
		infra.IngotRemediation{},
		infra.IngotRemediationTemplate{},
	} {
		typ := reflect.TypeOf(kind)
		for _, path := range fields(typ, typ.Name()) {
			row, ok := rowFor(rows, path)
			if !ok {
				t.Errorf("%s has no row in docs/facts.md", path)
			}
			used[row] = true
		}
	}
	for row := range rows {
		if !used[row] {
			t.Errorf("docs/facts.md has a row for %s, which is no field", row)
		}
	}
}

// TestFactsNoticesAMissingRow is the positive control: the check above can fail.
func TestFactsNoticesAMissingRow(t *testing.T) {
	rows := readFacts(t)
	if _, ok := rowFor(rows, "Server.spec.fieldThatNobodyWroteDown"); ok {
		t.Fatal("an unknown field of the spec found a row")
	}
	if _, ok := rowFor(rows, "Server.spec.record.claim.name"); !ok {
		t.Fatal("a known field found no row")
	}
}

// rowFor finds the row of a path: its own, or the nearest one above that ends in ".*".
func rowFor(rows map[string][]string, path string) (string, bool) {
	if _, ok := rows[path]; ok {
		return path, true
	}
	for i := strings.LastIndexByte(path, '.'); i > 0; i = strings.LastIndexByte(path[:i], '.') {
		if row := path[:i] + ".*"; rows[row] != nil {
			return row, true
		}
	}
	return "", false
}

// readFacts returns the cells of each row by path. A row has five cells, none empty.
func readFacts(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open(factsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := map[string][]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		cells := strings.Split(strings.Trim(s.Text(), "| "), "|")
		path := strings.Trim(strings.TrimSpace(cells[0]), "`")
		if !strings.HasPrefix(s.Text(), "| `") || !strings.Contains(path, ".") {
			continue
		}
		if len(cells) != 4 {
			t.Errorf("the row of %s has %d cells, not 4", path, len(cells))
		}
		for _, c := range cells {
			if strings.TrimSpace(c) == "" {
				t.Errorf("the row of %s has an empty cell", path)
			}
		}
		rows[path] = cells
	}
	return rows
}

// fields lists the JSON paths of a kind's own fields; types of other packages are leaves, and list items share their list's path.
func fields(typ reflect.Type, path string) []string {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || !strings.HasPrefix(typ.PkgPath(), "ingot.dev/ingot/crds/") {
		return []string{path}
	}
	var all []string
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "metadata" {
			continue
		}
		all = append(all, fields(typ.Field(i).Type, path+"."+name)...)
	}
	return all
}
