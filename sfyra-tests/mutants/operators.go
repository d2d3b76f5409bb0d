package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// negate turns a condition around: == becomes !=, a ! is dropped.
func (c *schema) negate(e ast.Expr) {
	to := "!(" + c.raw(e) + ")"
	switch e := e.(type) {
	case *ast.BinaryExpr:
		if other, ok := map[token.Token]string{token.EQL: "!=", token.NEQ: "=="}[e.Op]; ok {
			to = c.raw(e.X) + " " + other + " " + c.raw(e.Y)
		}
	case *ast.UnaryExpr:
		to = c.raw(e.X)
	}
	c.plant(e, "negate", to, func(id, body string) string { return "((" + body + ") != (mut_(" + id + ") == true))" })
}

// never makes an if never so: a guard that is gone.
func (c *schema) never(n *ast.IfStmt) {
	c.plant(n.Cond, "guard", "false", func(id, body string) string { return "((" + body + ") && mut_(" + id + ") == false)" })
}

// operator moves a boundary, or takes && for || and the other way round.
func (c *schema) operator(e *ast.BinaryExpr) {
	other, ok := map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.LAND: "||", token.LOR: "&&"}[e.Op]
	if !ok {
		return
	}
	to := c.raw(e.X) + " " + other + " " + c.raw(e.Y)
	c.plant(e, "operator", to, func(id, body string) string {
		return "((mut_(" + id + ") == true && (" + to + ")) || (mut_(" + id + ") == false && (" + body + ")))"
	})
}

// dropCase takes a case out of its switch.
func (c *schema) dropCase(n *ast.CaseClause, stack []ast.Node) {
	if len(n.List) == 0 {
		return
	}
	guard := func(id, body string) string { return "((" + body + ") && mut_(" + id + ") == false)" }
	if !c.tagless(stack) {
		sw, ok := stack[len(stack)-2].(*ast.SwitchStmt) // above a clause is the body of its switch
		if !ok || c.typeText(c.t.info.TypeOf(sw.Tag)) == "" {
			return
		}
		t := c.t.info.TypeOf(sw.Tag)
		drop := map[bool]string{true: "mut_dropText", false: "mut_dropNumber"}[hasKind(t, types.IsString)]
		if !hasKind(t, types.IsString|types.IsInteger) {
			return
		}
		guard = func(id, body string) string { return drop + "[" + c.typeText(t) + "](" + id + ", " + body + ")" }
	}
	before := len(c.mutants)
	c.plant(n.List[0], "case", "dropped", guard)
	if len(c.mutants) == before {
		return
	}
	id := fmt.Sprint(c.mutants[before].id)
	for _, e := range n.List[1:] {
		c.sites[e] = append(c.sites[e], func(body string) string { return guard(id, body) })
	}
}

func hasKind(t types.Type, kind types.BasicInfo) bool {
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&kind != 0
}

// deletion leaves a statement out.
func (c *schema) deletion(n ast.Stmt, stack []ast.Node) {
	if len(stack) == 0 {
		return // the body of the function itself
	}
	switch up := stack[len(stack)-1].(type) {
	case *ast.BlockStmt:
	case *ast.CaseClause:
		if !slices.Contains(up.Body, n) {
			return
		}
	default:
		return
	}
	switch n := n.(type) {
	case *ast.ExprStmt:
		if call, ok := n.X.(*ast.CallExpr); !ok || slices.Contains(notDeleted, called(call)) {
			return
		}
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			return
		}
	case *ast.ReturnStmt:
		if len(n.Results) > 0 || c.signature(stack) != nil {
			return
		}
	case *ast.IncDecStmt, *ast.BranchStmt:
	default:
		return
	}
	c.plant(n, "statement", "deleted", func(id, body string) string { return "if mut_(" + id + ") == false { " + body + " }" })
}

// results replaces what a function returns by nothing, and nothing by something. Booleans are turned around elsewhere.
func (c *schema) results(n *ast.ReturnStmt, list *ast.FieldList) {
	var kinds []ast.Expr
	if list != nil {
		for _, f := range list.List {
			for range max(len(f.Names), 1) {
				kinds = append(kinds, f.Type)
			}
		}
	}
	if len(kinds) != len(n.Results) {
		return
	}
	for i, e := range n.Results {
		c.result1(e, c.raw(kinds[i]))
	}
}

func (c *schema) result1(e ast.Expr, kind string) {
	text := c.raw(e)
	value := c.t.info.Types[e].Value
	switch {
	case text == "nil" && strings.HasPrefix(kind, "*"):
		c.plant(e, "return", "new("+kind[1:]+")", func(id, _ string) string { return "mut_some[" + kind[1:] + "](" + id + ")" })
	case text == `""`:
		c.plant(e, "return", `"mutant"`, func(id, body string) string { return "mut_pick[" + kind + "](" + id + ", " + body + `, "mutant")` })
	case text == "nil", text == kind+"{}", isTrue(c.t.info.TypeOf(e)), value != nil && !hasKind(c.t.info.TypeOf(e), types.IsString):
	default:
		c.plant(e, "return", "nothing", func(id, body string) string { return "mut_zero[" + kind + "](" + id + ", " + body + ")" })
	}
}
