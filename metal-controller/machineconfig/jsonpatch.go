package machineconfig

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of what an error translates: operations, steps of a path, and items or keys of a value.
const (
	maxShown = 4
	maxSteps = 16
	maxItems = 6
)

// plainKey is a key that needs no quotes in YAML and is no index of a list.
var plainKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]{0,62}$`)

// index is a step that names an item of a list.
var index = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})$`)

// refuseList explains a list in a patch's place. One of RFC 6902 cannot say which document it means, so it is translated, operation by operation and without its
// values.
func refuseList(n *yaml.Node) error {
	for _, op := range n.Content {
		if scalar(op, "op") == "" || value(op, "path") == nil {
			return fmt.Errorf("line %d: %w", op.Line, errList)
		}
	}
	if len(n.Content) == 0 {
		return errList
	}
	var shown, left []string
	for i, op := range n.Content {
		switch steps, why := strategic(op); {
		case why != "":
			left = append(left, fmt.Sprintf("operation %d has no equivalent: %s", i+1, why))
		default:
			shown = append(shown, steps)
		}
	}
	err := "it is a JSON patch (RFC 6902), which cannot be applied to a config of several documents: write a strategic merge patch, as docs/machine-config.md describes"
	if len(shown) > 0 {
		err += "; with your values for VALUE it is " + some(shown, " and ")
	}
	if len(left) > 0 {
		err += "; " + some(left, "; ")
	}
	return fmt.Errorf("%s", err)
}

func some(all []string, between string) string {
	if n := len(all) - maxShown; n > 0 {
		return strings.Join(all[:maxShown], between) + between + strconv.Itoa(n) + " more"
	}
	return strings.Join(all, between)
}

// strategic is the merge patch for one operation, or why there is none.
func strategic(op *yaml.Node) (patch, why string) {
	steps, ok := pointer(scalar(op, "path"))
	if !ok {
		return "", "its path is not one of plain keys"
	}
	last := steps[len(steps)-1]
	for i, s := range steps[:len(steps)-1] {
		if index.MatchString(s) {
			return relisted(steps[:i]), ""
		}
	}
	switch what := scalar(op, "op"); {
	case what == "add" && (last == "-" || index.MatchString(last)) && len(steps) > 1: // lists are appended
		return nest(steps[:len(steps)-1], "[VALUE]"), ""
	case index.MatchString(last) && len(steps) > 1:
		return relisted(steps[:len(steps)-1]), ""
	case !plainKey.MatchString(last):
		return "", "its path is not one of plain keys"
	case what == "remove":
		return nest(steps, removed), ""
	case what == "add" || what == "replace":
		return written(steps, value(op, "value")), ""
	case what == "test":
		return "", "a merge patch asks nothing, leave it out"
	case what == "move" || what == "copy":
		return "", "write the value at its new place" + map[string]string{"move": ", and at the old one " + removed}[what]
	}
	return "", "it is none of RFC 6902"
}

// removed removes what it stands in.
const removed = "{" + directive + ": " + remove + "}"

// pointer is a path of RFC 6901 as steps, which are plain keys, indices or the end of a list.
func pointer(text string) ([]string, bool) {
	rest, ok := strings.CutPrefix(text, "/")
	steps := strings.Split(rest, "/")
	if !ok || len(steps) > maxSteps {
		return nil, false
	}
	for i, s := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
		if !plainKey.MatchString(steps[i]) && !index.MatchString(steps[i]) && (steps[i] != "-" || i < len(steps)-1) {
			return nil, false
		}
	}
	return steps, plainKey.MatchString(steps[0])
}

// nest puts a value at a path.
func nest(steps []string, inner string) string {
	for i := len(steps) - 1; i >= 0; i-- {
		inner = "{" + steps[i] + ": " + inner + "}"
	}
	return inner
}

// relisted writes a list anew: its items have no names that a merge patch could use.
func relisted(steps []string) string {
	return nest(steps, removed) + " followed by another patch with the whole list, " + nest(steps, "[VALUE]")
}

// written is a patch after which nothing but the value is at its path, as RFC 6902 wants it.
func written(steps []string, v *yaml.Node) string {
	switch {
	case v != nil && v.Kind == yaml.SequenceNode:
		items := strings.TrimSuffix(strings.Repeat("VALUE, ", min(len(v.Content), maxItems)), ", ")
		return nest(steps, removed) + " followed by another patch, " + nest(steps, "["+items+"]")
	case v != nil && v.Kind == yaml.MappingNode:
		inner := "{" + directive + ": " + replace
		for i := 0; i < len(v.Content) && i < 2*maxItems; i += 2 {
			if key := v.Content[i].Value; plainKey.MatchString(key) {
				inner += ", " + key + ": VALUE"
			}
		}
		return nest(steps, inner+"}")
	}
	return nest(steps, "VALUE")
}
