package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/liggitt/tabwriter"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/printers"
)

// tableView shows the API server's table: whole and in place on a screen, otherwise each changed row as a line.
type tableView struct {
	env     *Env
	options printers.PrintOptions
	screen  *screen
	out     *tabwriter.Writer // remembers the widths of columns, so that changes line up with what was there
	columns []metav1.TableColumnDefinition
	rows    map[string]metav1.TableRow
}

func (v *tableView) replace(object runtime.Object) error {
	t, ok := object.(*metav1.Table)
	if !ok {
		return fmt.Errorf("the API server answered with %T, not with a table", object)
	}
	v.columns = t.ColumnDefinitions
	now := map[string]metav1.TableRow{}
	var changed []metav1.TableRow
	for _, row := range t.Rows {
		key := rowKey(row)
		now[key] = row
		if old, known := v.rows[key]; !known || v.differs(old, row) {
			changed = append(changed, row)
		}
	}
	for key := range v.rows {
		if _, still := now[key]; !still {
			v.gone(key)
		}
	}
	v.rows = now
	return v.show(changed)
}

func (v *tableView) change(event watch.EventType, object runtime.Object) error {
	t, ok := object.(*metav1.Table)
	if !ok {
		return fmt.Errorf("the API server answered with %T, not with a table", object)
	}
	var changed []metav1.TableRow
	for _, row := range t.Rows {
		key := rowKey(row)
		old, known := v.rows[key]
		switch {
		case event == watch.Deleted:
			delete(v.rows, key)
			v.gone(key)
			continue
		case !known, v.differs(old, row):
			changed = append(changed, row)
		}
		v.rows[key] = row
	}
	return v.show(changed)
}

// gone tells where lines cannot be taken back.
func (v *tableView) gone(key string) {
	if v.screen == nil {
		fmt.Fprintf(v.env.Streams.ErrOut, "%s is gone\n", strings.TrimPrefix(key, "/"))
	}
}

// differs says whether a person would see a difference; that time went by is none.
func (v *tableView) differs(a, b metav1.TableRow) bool {
	if len(a.Cells) != len(b.Cells) || len(a.Cells) != len(v.columns) {
		return true
	}
	for i, column := range v.columns {
		if column.Type != "date" && (column.Priority == 0 || v.options.Wide) && !equality.Semantic.DeepEqual(a.Cells[i], b.Cells[i]) {
			return true
		}
	}
	return false
}

// show prints the whole table on a screen, the changed rows elsewhere.
func (v *tableView) show(changed []metav1.TableRow) error {
	if v.screen != nil {
		var all []metav1.TableRow
		for _, key := range slices.Sorted(maps.Keys(v.rows)) {
			all = append(all, v.rows[key])
		}
		var text bytes.Buffer
		w := printers.GetNewTabWriter(&text)
		if err := errors.Join(v.print(all, w), w.Flush()); err != nil {
			return err
		}
		return v.screen.draw(text.String())
	}
	if len(changed) == 0 {
		return nil
	}
	err := errors.Join(v.print(changed, v.out), v.out.Flush())
	v.options.NoHeaders = true
	return err
}

func (v *tableView) print(rows []metav1.TableRow, out io.Writer) error {
	table := &metav1.Table{ColumnDefinitions: v.columns, Rows: rows}
	if err := printers.NewTablePrinter(v.options).PrintObj(table, out); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// rowKey is namespace/name of a row's object.
func rowKey(row metav1.TableRow) string {
	o, err := meta.Accessor(row.Object.Object)
	if err != nil {
		return fmt.Sprint(row.Cells...)
	}
	return o.GetNamespace() + "/" + o.GetName()
}

// objectView prints whole objects in a format of kubectl's.
type objectView struct {
	printer  printers.ResourcePrinter
	out      io.Writer
	versions map[string]string // by namespace/name
}

func (v *objectView) replace(object runtime.Object) error {
	if !meta.IsListType(object) {
		return v.change(watch.Modified, object)
	}
	return meta.EachListItem(object, func(o runtime.Object) error { return v.change(watch.Modified, o) })
}

func (v *objectView) change(event watch.EventType, object runtime.Object) error {
	o, err := meta.Accessor(object)
	if err != nil {
		return fmt.Errorf("reading an answer of the API server: %w", err)
	}
	key := o.GetNamespace() + "/" + o.GetName()
	if event != watch.Deleted && v.versions[key] == o.GetResourceVersion() {
		return nil
	}
	v.versions[key] = o.GetResourceVersion()
	if err := v.printer.PrintObj(object, v.out); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// screen is a terminal on which a text is replaced by the next one.
type screen struct {
	out  *os.File
	size func() (width, height int)
	last int // lines that are on it
}

// newScreen is nil when out is no terminal.
func newScreen(out io.Writer) *screen {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &screen{out: f, size: func() (int, int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width < 1 || height < 2 {
			return 80, 24
		}
		return width, height
	}}
}

// draw replaces what was drawn before (ECMA-48: CUU, ED).
func (s *screen) draw(text string) error {
	lines := fit(text, s.size)
	back := ""
	if s.last > 0 {
		back = fmt.Sprintf("\x1b[%dA", s.last)
	}
	s.last = len(lines)
	_, err := fmt.Fprint(s.out, back+"\x1b[J"+strings.Join(lines, "\n")+"\n")
	return err
}

// fit cuts a text to what a terminal can take back: a line that wraps, or has scrolled away, cannot be.
func fit(text string, size func() (width, height int)) []string {
	width, height := size()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if more := len(lines) - (height - 1); more > 0 {
		lines = append(lines[:max(1, height-2)], fmt.Sprintf("... and %d more; the terminal is too low", more+1))
	}
	for i, line := range lines {
		if runes := []rune(line); len(runes) > width {
			lines[i] = string(runes[:width])
		}
	}
	return lines
}
