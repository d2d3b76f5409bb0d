// Package expr evaluates the CEL expressions of ServerClasses over the inventory and the labels of a server.
//
// It stands beside the pure package allocate, which gets Evaluator.Eval handed in: an evaluator remembers what it compiled. It does no I/O. Expressions
// come from outside, so their length, their depth and the work of each evaluation are bounded. What an expression sees is typed: a field that a
// ServerInventory does not have is refused when the expression is compiled, and a field that is empty reads as the zero value.
//
// Expressions have CEL's standard functions and macros, optional values (`labels[?"rack"].orValue("")`) and cel-go's extensions for strings and lists.
package expr

import (
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Limits of one expression.
const (
	// maxLength in characters, as the API has it.
	maxLength = 2048
	// maxDepth of the parser.
	maxDepth = 64
	// maxCost of one evaluation, in CEL's units; a loop over all that an inventory may hold of one kind, with a comparison in it, costs about 5,000.
	maxCost = 50_000
	// maxPrograms that are remembered. When there are more, all are forgotten and compiled again when they are needed.
	maxPrograms = 1024
)

// Evaluator evaluates expressions. It is safe for concurrent use.
type Evaluator struct {
	env *cel.Env

	mu       sync.Mutex
	programs map[string]compiled
}

// compiled is an expression that was compiled, or why it could not be.
type compiled struct {
	program cel.Program
	err     error
}

// New makes an evaluator. It fails only if this build of CEL and the API types do not fit each other.
func New() (*Evaluator, error) {
	inventory := reflect.TypeFor[metal.ServerInventorySpec]()
	env, err := cel.NewEnv(
		cel.OptionalTypes(), ext.Strings(), ext.Lists(),
		ext.NativeTypes(inventory, ext.ParseStructTag("json")), // after the types of the others
		cel.Variable("inventory", cel.ObjectType("v1alpha1.ServerInventorySpec")),
		cel.Variable("labels", cel.MapType(cel.StringType, cel.StringType)),
		cel.ParserExpressionSizeLimit(maxLength), cel.ParserRecursionLimit(maxDepth),
	)
	if err != nil {
		return nil, fmt.Errorf("making the CEL environment of ServerClasses: %w", err)
	}
	return &Evaluator{env: env, programs: map[string]compiled{}}, nil
}

// Check says why an expression cannot be used with any server, for people; nil when it can.
func (e *Evaluator) Check(expression string) error {
	_, err := e.program(expression)
	return err
}

// Eval says whether an expression is true for a server with these labels. Neither is changed.
func (e *Evaluator) Eval(expression string, inventory *metal.ServerInventorySpec, labels map[string]string) (bool, error) {
	program, err := e.program(expression)
	if err != nil {
		return false, err
	}
	if labels == nil {
		labels = map[string]string{}
	}
	out, _, err := program.Eval(map[string]any{"inventory": inventory, "labels": labels})
	if err != nil {
		return false, fmt.Errorf("evaluating it: %w", err)
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, errNotBool
	}
	return yes, nil
}

var errNotBool = errors.New("it must say true or false")

// program compiles an expression, or remembers what came of it.
func (e *Evaluator) program(expression string) (cel.Program, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.programs[expression]
	if !ok {
		c.program, c.err = e.compile(expression)
		if len(e.programs) >= maxPrograms {
			clear(e.programs)
		}
		e.programs[expression] = c
	}
	return c.program, c.err
}

func (e *Evaluator) compile(expression string) (cel.Program, error) {
	ast, issues := e.env.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("compiling it: %w", err)
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("%w, and it says %s", errNotBool, ast.OutputType())
	}
	program, err := e.env.Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("compiling it: %w", err)
	}
	return program, nil
}
