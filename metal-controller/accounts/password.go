package accounts

import (
	"bytes"
	"fmt"
	"io"
)

const (
	// passwordSize is what every BMC that speaks IPMI 2.0 keeps whole: 20 bytes are the standard's, and not every maker's (22.30).
	passwordSize = 16
	letters      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// newPassword draws 16 letters and digits, 95 bits, again until there is one of each kind: many BMCs refuse others.
func newPassword(random io.Reader) ([]byte, error) {
	for {
		password, err := draw(random)
		if err != nil {
			return nil, fmt.Errorf("drawing a password: %w", err)
		}
		if bytes.ContainsAny(password, letters[:26]) && bytes.ContainsAny(password, letters[26:52]) && bytes.ContainsAny(password, letters[52:]) {
			return password, nil
		}
	}
}

// draw takes six bits at a time and leaves out what is no letter, so that all are equally likely.
func draw(random io.Reader) ([]byte, error) {
	var password []byte
	var b [2 * passwordSize]byte
	for len(password) < passwordSize {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return nil, err
		}
		for _, x := range b {
			if x &= 0x3f; int(x) < len(letters) && len(password) < passwordSize {
				password = append(password, letters[x])
			}
		}
	}
	return password, nil
}
