package machineconfig

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxShown bounds how many operations are translated in an error.
const maxShown = 4

// plainKey is a key that needs no quotes in YAML and is no index of a list.
var plainKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]{0,62}$`)

// refuseList explains a list in a patch's place. One of RFC 6902 cannot say which document it means, so it is translated, without its values, where that is simple.
func refuseList(n *yaml.Node) error {
	var shown []string
	for _, op := range n.Content {
		if scalar(op, "op") == "" || value(op, "path") == nil {
			return fmt.Errorf("line %d: %w", op.Line, errList)
		}
		if s := strategic(scalar(op, "op"), scalar(op, "path")); s != "" && len(shown) < maxShown {
			shown = append(shown, s)
		}
	}
	if len(n.Content) == 0 {
		return errList
	}
	err := "it is a JSON patch (RFC 6902), which cannot be applied to a config of several documents: write a strategic merge patch"
	if len(shown) == 0 {
		return fmt.Errorf("%s, as docs/claims.md describes", err)
	}
	return fmt.Errorf("%s, with your values for VALUE: %s", err, strings.Join(shown, " and "))
}

// strategic is the merge patch for one operation; empty where there is no simple one.
func strategic(op, pointer string) string {
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	inner := "VALUE"
	switch {
	case op == "add" && steps[len(steps)-1] == "-":
		steps, inner = steps[:len(steps)-1], "[VALUE]"
	case op == "remove":
		inner = "{" + directive + ": " + remove + "}"
	case op != "add" && op != "replace":
		return ""
	}
	if len(steps) == 0 || len(steps) > 16 {
		return ""
	}
	for i := len(steps) - 1; i >= 0; i-- {
		key := strings.NewReplacer("~1", "/", "~0", "~").Replace(steps[i])
		if !plainKey.MatchString(key) {
			return ""
		}
		inner = "{" + key + ": " + inner + "}"
	}
	return inner
}
