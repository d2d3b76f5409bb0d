package inventory

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes a string of hardware fit for the API: valid UTF-8 without control characters, trimmed, runs of space made one,
// at most most characters (MaxLength of the API counts characters).
func Clean(s string, most int) string {
	s = s[:min(len(s), 4*most+64)]
	s = strings.Map(printable, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > most {
		s = strings.TrimSpace(string([]rune(s)[:most]))
	}
	return s
}

// printable turns white space into spaces and drops what is invisible: controls, and marks that change the direction of text.
func printable(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case r == utf8.RuneError, unicode.Is(unicode.C, r):
		return -1
	}
	return r
}

// int32Of keeps a number within the API's type.
func int32Of[T int | int64 | uint64](n T) int32 {
	if n < 0 {
		return 0
	}
	return int32(min(uint64(n), math.MaxInt32))
}
