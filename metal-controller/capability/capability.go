// Package capability makes and checks capabilities: tokens that say by themselves what their holder may ask for, so that nobody keeps them.
//
// It is pure (layer 1). A token is an HMAC-SHA256 (RFC 2104) over a purpose and what it is for, under a key that only the controllers have.
// Whoever holds the key can make every token, so it prints as REDACTED everywhere.
package capability

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
)

const (
	// KeySize of a key, in bytes: that of the hash (RFC 2104 section 3).
	KeySize = 32
	// TokenSize of a token, in characters: 256 bits in base64url without padding (RFC 4648 section 5).
	TokenSize = 43

	redacted = "REDACTED"
)

// Key makes tokens. The zero Key makes none that any Check accepts.
type Key struct{ secret []byte }

// NewKey wraps the bytes of a key. Errors do not hold them.
func NewKey(secret []byte) (Key, error) {
	if len(secret) != KeySize {
		return Key{}, errors.New("a key for capabilities has 32 bytes, and this one has not")
	}
	return Key{append([]byte(nil), secret...)}, nil
}

// Token is the capability for a purpose and its parts. Different lists of parts never give the same token, whatever characters they hold.
func (k Key) Token(purpose string, parts ...string) string {
	return base64.RawURLEncoding.EncodeToString(k.sum(purpose, parts))
}

// Check says whether a token is the capability for a purpose and its parts. It takes the same time whatever the token is.
func (k Key) Check(token, purpose string, parts ...string) bool {
	if len(k.secret) != KeySize {
		return false
	}
	return hmac.Equal([]byte(token), []byte(k.Token(purpose, parts...)))
}

// sum is the HMAC over every word with its length before it.
func (k Key) sum(purpose string, parts []string) []byte {
	h := hmac.New(sha256.New, k.secret)
	for _, word := range append([]string{purpose}, parts...) {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(word)))) // a hash never fails
		_, _ = h.Write([]byte(word))
	}
	return h.Sum(nil)
}

// String hides the key.
func (k Key) String() string { return redacted }

// GoString hides the key from %#v.
func (k Key) GoString() string { return redacted }

// Format hides the key from every verb, also when it is a field of something printed.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalJSON hides the key.
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText hides the key from encoders of text.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the key from log/slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalLog hides the key from logr.
func (k Key) MarshalLog() any { return redacted }
