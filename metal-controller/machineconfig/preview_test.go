package machineconfig_test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machineconfig"
)

func preview(t *testing.T, show bool, patches ...machineconfig.Patch) string {
	t.Helper()
	r, err := machineconfig.Build([]byte(talos), patches)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, l := range machineconfig.Preview(r, show) {
		fmt.Fprintf(&all, "%s|%s|%s|%s\n", l.Document, l.Path, l.Value, l.Origin)
	}
	return all.String()
}

// TestPreview: every value has its origin; values show when asked to, and secrets never.
func TestPreview(t *testing.T) {
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "rack1-01"}, Spec: metal.ServerSpec{Patches: []string{"machine: {install: {disk: /dev/sdz}}"}}}
	claim := &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "web"}, Spec: metal.ServerClaimSpec{Patches: []string{
		"machine: {network: {nameservers: [192.0.2.9]}, env: {proxy: 'http://me:" + "s3cret@192.0.2.3'}, x: {a.b: 1}}",
		"machine: {files: [{content: s3cret, path: /etc/x}], install: {disk: /dev/sdy}}",
	}}}
	class := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "large"}, Spec: metal.ServerClassSpec{Patches: []string{"machine: {install: {wipe: true}, e: {}, l: []}"}}}
	callback, err := machineconfig.Callback{URL: "https://192.0.2.1:7445/v1/signal/s3cret", Pin: "s3cret", Boot: "b1", Server: "rack1-01"}.Patch()
	if err != nil {
		t.Fatal(err)
	}
	patches := append(machineconfig.Patches(class, claim, server), callback)
	shown := preview(t, true, patches...)
	for _, want := range []string{
		`v1alpha1|machine.type|"worker"|secret`,
		`v1alpha1|machine.install.disk|"/dev/sdz"|server rack1-01, patch 1`,
		`v1alpha1|machine.install.wipe|"true"|class large, patch 1`,
		`v1alpha1|machine.e|{}|class large, patch 1`,
		`v1alpha1|machine.l|[]|class large, patch 1`,
		`v1alpha1|machine.network.nameservers[0]|"192.0.2.1"|secret`,
		`v1alpha1|machine.network.nameservers[1]|"192.0.2.9"|claim team/web, patch 1`,
		`v1alpha1|machine.env.proxy|(secret)|claim team/web, patch 1`,
		`v1alpha1|machine.x."a.b"|"1"|claim team/web, patch 1`,
		`v1alpha1|machine.files[0].content|(secret)|claim team/web, patch 2`,
		`v1alpha1|machine.token|(secret)|secret`,
		`v1alpha1|cluster.ca.crt|(secret)|secret`,
		`v1alpha1/LinkConfig eth0|mtu|"1500"|secret`,
		`ingot.dev/v1alpha1/Callback|url|(secret)|ingot`,
		`ingot.dev/v1alpha1/Callback|providerID|"ingot://rack1-01"|ingot`,
	} {
		if !strings.Contains(shown, want+"\n") {
			t.Errorf("there is no line %s", want)
		}
	}
	hidden := preview(t, false, patches...)
	if strings.Contains(shown+hidden, "s3cret") {
		t.Errorf("a secret is shown:\n%s%s", shown, hidden)
	}
	if strings.Contains(hidden, "sdz") || strings.Count(hidden, "\n") != strings.Count(shown, "\n") || !strings.Contains(hidden, "v1alpha1|machine.type|(hidden)|secret\n") {
		t.Errorf("without values:\n%s", hidden)
	}
	if t.Failed() {
		t.Log(shown)
	}
}

// TestCallback: the document takes the place of one that somebody wrote into the config.
func TestCallback(t *testing.T) {
	callback, err := machineconfig.Callback{URL: "https://192.0.2.1:7445/v1/signal/a/b/c", Pin: "00ff", Boot: "b1", Server: "rack1-01"}.Patch()
	if err != nil {
		t.Fatal(err)
	}
	want := "apiVersion: ingot.dev/v1alpha1\nboot: b1\nkind: Callback\npin: 00ff\nproviderID: ingot://rack1-01\nserver: rack1-01\nurl: https://192.0.2.1:7445/v1/signal/a/b/c\n"
	for base, before := range map[string]string{"": "", "a: 1\n": "a: 1\n---\n", "apiVersion: ingot.dev/v1alpha1\nkind: Callback\nurl: https://evil.example\nextra: 1\n": ""} {
		if got := build(t, base, callback.YAML); got != before+want {
			t.Errorf("after %q:\n%s", base, got)
		}
	}
	twin, err := machineconfig.Callback{Pin: "12345678"}.Patch()
	if err != nil || !strings.Contains(build(t, "", twin.YAML), `pin: "12345678"`) {
		t.Errorf("a pin of digits is a number: %v\n%s", err, twin.YAML)
	}
}
