package server

import (
	"fmt"
	"strconv"
	"strings"
)

// Defaults of the limit (rule 6 of DESIGN section 3).
const (
	defaultCount   = 5
	defaultPercent = 10
)

// Limit says how many wipes may be granted in an hour, on all servers together. The zero value is the default: 5, or 10 % of the accepted servers,
// whichever is larger.
type Limit struct {
	set            bool
	count, percent int
}

// ParseLimit reads a number such as "5", or a share of the accepted servers such as "10%". Empty is the default.
func ParseLimit(text string) (Limit, error) {
	if text == "" {
		return Limit{}, nil
	}
	digits, share := strings.CutSuffix(text, "%")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || share && n > 100 {
		return Limit{}, fmt.Errorf("--destructive-limit %q: give a number such as 5, or a share of the accepted servers such as 10%%", text)
	}
	if share {
		return Limit{set: true, percent: int(n)}, nil
	}
	return Limit{set: true, count: int(n)}, nil
}

// Of is how many wipes may be granted in an hour when so many servers are accepted. A share is rounded down, and is one at least unless it is 0 %.
func (l Limit) Of(accepted int) int {
	switch {
	case !l.set:
		return max(defaultCount, accepted*defaultPercent/100)
	case l.percent > 0:
		return max(1, accepted*l.percent/100)
	}
	return l.count
}
