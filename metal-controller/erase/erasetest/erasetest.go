// Package erasetest makes signers of erase records for tests. Layer 5, proof: only tests import it.
package erasetest

import (
	"crypto/rand"
	"testing"

	"ingot.dev/ingot/metal-controller/erase"
)

// Signer has a key of its own.
func Signer(t testing.TB) *erase.Signer {
	t.Helper()
	key, err := erase.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := erase.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
