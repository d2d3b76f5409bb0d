package main

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"
)

// small numbers move by one, larger ones (times and sizes) by half.
const small = 16

// constant changes a number, or takes another word of the same named type.
func (c *schema) constant(e ast.Expr, stack []ast.Node) {
	switch up := above(stack).(type) {
	case *ast.CaseClause:
		return // dropping the case says it all
	case *ast.KeyValueExpr:
		if up.Key == e {
			return
		}
	}
	tv := c.t.info.Types[e]
	kind := c.typeText(types.Default(tv.Type))
	switch {
	case kind == "":
	case hasKind(tv.Type, types.IsInteger):
		for _, to := range others(c.raw(e), tv.Value) {
			c.replace(e, kind, to)
		}
	case hasKind(tv.Type, types.IsString):
		if named, ok := tv.Type.(*types.Named); ok {
			c.replace(e, kind, c.otherWord(named, tv.Value))
		}
	}
}

func (c *schema) replace(e ast.Expr, kind, to string) {
	if to != "" {
		c.plant(e, "constant", to, func(id, body string) string { return "mut_pick[" + kind + "](" + id + ", " + body + ", " + to + ")" })
	}
}

// others are the values to try for a number.
func others(text string, v constant.Value) []string {
	n, exact := constant.Int64Val(v)
	switch {
	case !exact:
		return nil
	case n == 0:
		return []string{"1"}
	case n >= -small && n <= small:
		return []string{strconv.FormatInt(n-1, 10), strconv.FormatInt(n+1, 10)}
	}
	return []string{"(" + text + ") / 2", "(" + text + ") * 2"}
}

// otherWord is the next constant of the same named type, by name.
func (c *schema) otherWord(t *types.Named, v constant.Value) string {
	pkg := t.Obj().Pkg()
	if pkg == nil {
		return ""
	}
	var names []string
	at := 0
	for _, name := range pkg.Scope().Names() {
		k, ok := pkg.Scope().Lookup(name).(*types.Const)
		if !ok || !types.Identical(k.Type(), t) || !k.Exported() && pkg != c.t.pkg {
			continue
		}
		if constant.Compare(k.Val(), token.EQL, v) {
			at = len(names)
			continue
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return ""
	}
	prefix, _, _ := strings.Cut(c.typeText(t), ".")
	name := names[at%len(names)]
	if pkg == c.t.pkg {
		return name
	}
	return prefix + "." + name
}

// swap exchanges neighbouring arguments of one type.
func (c *schema) swap(e *ast.CallExpr) {
	if tv := c.t.info.Types[e.Fun]; tv.IsType() || tv.IsBuiltin() || e.Ellipsis.IsValid() || slices.Contains(sameEitherWay, called(e)) {
		return
	}
	for i := 1; i < len(e.Args); i++ {
		a, b := e.Args[i-1], e.Args[i]
		ta, tb := c.t.info.TypeOf(a), c.t.info.TypeOf(b)
		kind := ""
		if ta != nil && tb != nil && types.Identical(ta, tb) {
			kind = c.typeText(types.Default(ta))
		}
		ra, rb := c.raw(a), c.raw(b)
		if kind == "" || ra == rb || kind == "untyped nil" || hasFunction(a) || hasFunction(b) {
			continue
		}
		c.exchange(e, a, b, ra, rb, kind)
	}
}

// sameEitherWay are functions for which the order of arguments means nothing.
var sameEitherWay = []string{"Equal", "DeepEqual", "Identical"}

func (c *schema) exchange(e *ast.CallExpr, a, b ast.Expr, ra, rb, kind string) {
	before := len(c.mutants)
	c.plant(a, "arguments", rb+", "+ra, func(id, body string) string { return "mut_pick[" + kind + "](" + id + ", " + body + ", " + rb + ")" })
	if len(c.mutants) == before {
		return
	}
	m := c.mutants[before]
	m.from = oneLine(called(e) + "(… " + ra + ", " + rb + " …)")
	id := strconv.Itoa(m.id)
	c.sites[b] = append(c.sites[b], func(body string) string { return "mut_pick[" + kind + "](" + id + ", " + body + ", " + ra + ")" })
}

// hasFunction says that an expression holds a function literal, which is not evaluated twice.
func hasFunction(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		_, ok := n.(*ast.FuncLit)
		found = found || ok
		return true
	})
	return found
}

// typeText writes a type as this file can, or nothing when it cannot.
func (c *schema) typeText(t types.Type) string {
	if t == nil {
		return ""
	}
	ok := true
	text := types.TypeString(t, func(p *types.Package) string {
		if p == c.t.pkg {
			return ""
		}
		name := c.imports[p.Path()]
		ok = ok && name != ""
		return name
	})
	if !ok || strings.HasPrefix(text, "untyped") || strings.HasPrefix(text, "(") || text == "invalid type" {
		return ""
	}
	return text
}
