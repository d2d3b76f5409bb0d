package blobs

import (
	"errors"
	"strconv"
	"strings"
)

var errContentRange = errors.New("the source answers with a range that was not asked for")

// parseContentRange reads "bytes FIRST-LAST/TOTAL" of a part that goes to the end of the file (RFC 9110 section 14.4). Total is 0 when it is unknown.
func parseContentRange(s string) (first, total int64, err error) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, size, ok2 := strings.Cut(rest, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, errContentRange
	}
	first, err1 := number(from)
	last, err2 := number(to)
	if err1 != nil || err2 != nil || last < first {
		return 0, 0, errContentRange
	}
	if size == "*" {
		return first, 0, nil
	}
	if total, err = number(size); err != nil || last != total-1 {
		return 0, 0, errContentRange
	}
	return first, total, nil
}

// number reads digits only: no sign, no blank.
func number(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errContentRange
	}
	return strconv.ParseInt(s, 10, 64)
}
