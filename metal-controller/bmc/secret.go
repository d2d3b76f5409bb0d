package bmc

import (
	"fmt"
	"log/slog"
)

const redacted = "REDACTED"

// Secret is a password. It prints as REDACTED with every verb, in JSON and in logs; Reveal gives the value.
// It is comparable, so that a Target can be compared.
type Secret struct{ value string }

// NewSecret wraps a password.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal gives the password. Its callers put it on the wire and nowhere else.
func (s Secret) Reveal() string { return s.value }

// Empty says that there is no password.
func (s Secret) Empty() bool { return s.value == "" }

// String hides the value.
func (s Secret) String() string { return redacted }

// GoString hides the value from %#v.
func (s Secret) GoString() string { return redacted }

// Format hides the value from every verb, also when the Secret is a field of something printed.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalJSON hides the value.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText hides the value from encoders of text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the value from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalLog hides the value from logr.
func (s Secret) MarshalLog() any { return redacted }
