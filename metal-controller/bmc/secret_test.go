package bmc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"

	"ingot.dev/ingot/metal-controller/bmc"
)

// TestSecretStaysSecret prints a Target in every way that Go and the loggers have.
func TestSecretStaysSecret(t *testing.T) {
	const password = "hunter2hunter2"
	target := bmc.Target{Host: "bmc7", Username: "admin", Password: bmc.NewSecret(password)}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", target, &target)
		fmt.Fprintf(&out, verb+"\n", target.Password)
	}
	fmt.Fprintln(&out, target.Password, target.Password.String(), target.Password.GoString())
	for _, v := range []any{target, target.Password, map[bmc.Secret]int{target.Password: 1}} {
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "target", target, "password", target.Password)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "target", target, "password", target.Password)
	funcr.New(func(_, args string) { out.WriteString(args) }, funcr.Options{}).Info("x", "target", target, "password", target.Password)
	got := out.String()
	for _, form := range []string{password, fmt.Sprintf("%x", password), fmt.Sprintf("%X", password)} {
		if strings.Contains(got, form) {
			t.Errorf("the password shows in:\n%s", got)
		}
	}
	if !strings.Contains(got, "REDACTED") || !strings.Contains(got, "bmc7") {
		t.Errorf("nothing was printed:\n%s", got)
	}
	if target.Password.Reveal() != password || target.Password.Empty() || !bmc.NewSecret("").Empty() {
		t.Error("Reveal and Empty")
	}
}
