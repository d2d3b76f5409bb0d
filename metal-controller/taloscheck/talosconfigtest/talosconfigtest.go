// Package talosconfigtest makes machine configs with Talos' own generator, for tests.
package talosconfigtest

import (
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/generate"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
)

// Generate is a config as `talosctl gen config` makes it for v1.13; the kind is worker or controlplane.
func Generate(t testing.TB, kind string) []byte {
	t.Helper()
	text, err := generated(kind)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func generated(kind string) ([]byte, error) {
	contract, err := config.ParseContractFromVersion("v1.13")
	if err != nil {
		return nil, err
	}
	bundle, err := secrets.NewBundle(secrets.NewFixedClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)), contract)
	if err != nil {
		return nil, err
	}
	in, err := generate.NewInput("c1", "https://192.0.2.10:6443", "1.35.0",
		generate.WithVersionContract(contract), generate.WithSecretsBundle(bundle), generate.WithInstallDisk("/dev/sda"))
	if err != nil {
		return nil, err
	}
	role, err := machine.ParseType(kind)
	if err != nil {
		return nil, err
	}
	provider, err := in.Config(role)
	if err != nil {
		return nil, err
	}
	return provider.EncodeBytes()
}
