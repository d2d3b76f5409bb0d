//go:build e2e_talos

package talos

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
)

// TestImagesResume: a machine whose transfer of a layer was cut asks for the rest of it (a range without an end), and gets it.
func TestImagesResume(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop, err := open(t).ServeImages(address, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	base := "http://" + address + "/v2/siderolabs/installer/"
	var manifest struct {
		Config struct {
			Digest string `json:"digest"`
		} `json:"config"`
	}
	if err := json.Unmarshal(fetch(t, base+"manifests/"+Version, "", http.StatusOK), &manifest); err != nil {
		t.Fatal(err)
	}
	blob := base + "blobs/" + manifest.Config.Digest
	whole := fetch(t, blob, "", http.StatusOK)
	if rest := fetch(t, blob, "bytes=20-", http.StatusPartialContent); len(whole) < 40 || !bytes.Equal(rest, whole[20:]) {
		t.Errorf("of %d bytes the rest is %d", len(whole), len(rest))
	}
	fetch(t, blob, "bytes=99999999-", http.StatusRequestedRangeNotSatisfiable)
}

// fetch asks for a range, or for all, and wants a status.
func fetch(t *testing.T, url, of string, status int) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if of != "" {
		r.Header.Set("Range", of)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status {
		t.Fatalf("%s %s: %s, %v", url, of, answer.Status, err)
	}
	return body
}
