package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// notDeleted are calls whose absence changes no decision: they only ask to be called again, or end the program.
var notDeleted = []string{"again", "panic", "Helper"}

// walk looks at every node and plants what fits there. The stack holds the nodes above, the outermost first.
func (c *schema) walk(root ast.Node) {
	var stack []ast.Node
	ast.Inspect(root, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		if !c.visit(n, stack) {
			return false // ast.Inspect tells no end of a node that it did not enter
		}
		stack = append(stack, n)
		return true
	})
}

// visit plants the mutants of one node and says whether to look below it.
func (c *schema) visit(n ast.Node, stack []ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok == token.VAR
	case *ast.ArrayType, *ast.MapType, *ast.FuncType, *ast.StructType, *ast.InterfaceType, *ast.ChanType:
		return false
	case *ast.IfStmt:
		c.never(n)
	case *ast.CaseClause:
		c.dropCase(n, stack)
	case *ast.ReturnStmt:
		c.results(n, c.signature(stack))
		c.deletion(n, stack)
	case ast.Stmt:
		c.deletion(n, stack)
	case ast.Expr:
		return c.expression(n, stack)
	}
	return true
}

// expression plants the mutants of an expression. Below a constant there is nothing to change.
func (c *schema) expression(e ast.Expr, stack []ast.Node) bool {
	if isTrue(c.t.info.Types[e].Type) && c.decides(e, stack) {
		c.negate(e)
	}
	if c.t.info.Types[e].Value != nil {
		c.constant(e, stack)
		return false
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		c.operator(e)
	case *ast.CallExpr:
		c.swap(e)
		return !slices.Contains(notDeleted, called(e))
	}
	return true
}

// isTrue says that a type is a boolean.
func isTrue(t types.Type) bool {
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsBoolean != 0
}

// above is the closest node above that is no parenthesis.
func above(stack []ast.Node) ast.Node {
	for i := len(stack) - 1; i >= 0; i-- {
		if _, ok := stack[i].(*ast.ParenExpr); !ok {
			return stack[i]
		}
	}
	return nil
}

// decides says that a boolean expression stands where its value decides something; to turn it around elsewhere (below a !) would be the same twice.
func (c *schema) decides(e ast.Expr, stack []ast.Node) bool {
	if _, ok := e.(*ast.ParenExpr); ok {
		return false
	}
	switch up := above(stack).(type) {
	case *ast.IfStmt, *ast.ForStmt, *ast.ReturnStmt, *ast.ValueSpec:
		return true
	case *ast.CaseClause:
		return c.tagless(stack)
	case *ast.BinaryExpr:
		return (up.Op == token.LAND || up.Op == token.LOR) && !logical(e)
	case *ast.AssignStmt:
		return slices.Contains(up.Rhs, e)
	case *ast.CallExpr:
		return slices.Contains(up.Args, e)
	case *ast.KeyValueExpr:
		return up.Value == e
	}
	return false
}

func logical(e ast.Expr) bool {
	b, ok := e.(*ast.BinaryExpr)
	return ok && (b.Op == token.LAND || b.Op == token.LOR)
}

// tagless says that the closest switch has no tag, so that its cases are conditions.
func (c *schema) tagless(stack []ast.Node) bool {
	for i := len(stack) - 1; i >= 0; i-- {
		switch s := stack[i].(type) {
		case *ast.SwitchStmt:
			return s.Tag == nil
		case *ast.TypeSwitchStmt, *ast.SelectStmt:
			return false
		}
	}
	return false
}

// signature is the list of results of the closest function.
func (c *schema) signature(stack []ast.Node) *ast.FieldList {
	for i := len(stack) - 1; i >= 0; i-- {
		if f, ok := stack[i].(*ast.FuncLit); ok {
			return f.Type.Results
		}
	}
	return c.result
}

// called is the last name of what a call calls.
func called(e *ast.CallExpr) string {
	switch f := ast.Unparen(e.Fun).(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}
