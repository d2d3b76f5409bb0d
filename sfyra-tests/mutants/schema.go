package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"
)

// mutant is one small fault.
type mutant struct {
	id       int
	folder   string
	file     string
	line     int
	function string
	operator string
	from, to string
	// nth counts mutants of one function that read alike.
	nth int
}

// key names the mutant in equivalent.txt; it holds no line number, so that it outlives changes elsewhere.
func (m *mutant) key() string {
	k := fmt.Sprintf("%s/%s %s: %s: %s => %s", m.folder, m.file, m.function, m.operator, m.from, m.to)
	if m.nth > 1 {
		k += " #" + strconv.Itoa(m.nth)
	}
	return k
}

func (m *mutant) String() string {
	return fmt.Sprintf("%s/%s:%d %s: %s: %s => %s", m.folder, m.file, m.line, m.function, m.operator, m.from, m.to)
}

// wrap puts the guard of one mutant around the text of a node, in which the mutants below are planted already.
type wrap func(body string) string

// schema plants mutants in one file.
type schema struct {
	t    *target
	s    *source
	next *int
	// without names mutants that did not compile.
	without  map[int]bool
	function string
	result   *ast.FieldList
	sites    map[ast.Node][]wrap
	mutants  []*mutant
	imports  map[string]string // path to name in this file
}

// render is the file with all its mutants.
func (c *schema) render() string {
	for _, d := range c.s.syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body != nil {
				c.function, c.result = functionName(d), d.Type.Results
				c.walk(d.Body)
			}
		case *ast.GenDecl:
			c.tables(d)
		}
	}
	return c.text(c.s.syntax)
}

// tables are package-level variables: rules that can be read are code as well.
func (c *schema) tables(d *ast.GenDecl) {
	if d.Tok != token.VAR {
		return
	}
	for _, spec := range d.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		c.function, c.result = v.Names[0].Name, nil
		for _, e := range v.Values {
			c.walk(e)
		}
	}
}

func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	return strings.TrimPrefix(types.ExprString(f.Recv.List[0].Type), "*") + "." + f.Name.Name
}

// plant adds a mutant at a node. guard gets the mutant's number.
func (c *schema) plant(n ast.Node, operator, to string, guard func(id string, body string) string) {
	*c.next++
	id := *c.next
	if c.without[id] {
		return
	}
	m := &mutant{
		id: id, folder: c.t.folder, file: c.s.name, line: c.t.fset.Position(n.Pos()).Line, function: c.function,
		operator: operator, from: oneLine(c.raw(n)), to: oneLine(to), nth: 1,
	}
	for _, old := range c.mutants {
		if old.function == m.function && old.operator == m.operator && old.from == m.from && old.to == m.to {
			m.nth++
		}
	}
	c.mutants = append(c.mutants, m)
	c.sites[n] = append(c.sites[n], func(body string) string { return guard(strconv.Itoa(id), body) })
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:97], "") + "..."
	}
	return s
}

// raw is the source of a node as it was.
func (c *schema) raw(n ast.Node) string {
	return string(c.s.text[c.offset(n.Pos()):c.offset(n.End())])
}

func (c *schema) offset(p token.Pos) int {
	return c.t.fset.Position(p).Offset
}

// text is the source of a node with the mutants in it.
func (c *schema) text(n ast.Node) string {
	var inner []ast.Node
	ast.Inspect(n, func(x ast.Node) bool {
		if x == nil || x == n {
			return true
		}
		if len(c.sites[x]) > 0 {
			inner = append(inner, x)
			return false
		}
		return true
	})
	slices.SortFunc(inner, func(a, b ast.Node) int { return int(a.Pos() - b.Pos()) })
	from, to := c.bounds(n)
	var b strings.Builder
	for _, x := range inner {
		b.Write(c.s.text[from:c.offset(x.Pos())])
		b.WriteString(c.text(x))
		from = c.offset(x.End())
	}
	b.Write(c.s.text[from:to])
	body := b.String()
	for _, w := range c.sites[n] {
		body = w(body)
	}
	return body
}

// bounds of a node; a file begins before its package clause.
func (c *schema) bounds(n ast.Node) (from, to int) {
	if _, ok := n.(*ast.File); ok {
		return 0, len(c.s.text)
	}
	return c.offset(n.Pos()), c.offset(n.End())
}
