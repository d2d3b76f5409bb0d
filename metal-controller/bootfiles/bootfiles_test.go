package bootfiles_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/bootfiles"
)

func asset(n int, url string) *metal.Asset {
	return &metal.Asset{SHA256: fmt.Sprintf("%064x", n), URL: url}
}

func environment(name string, boot ...metal.BootAssets) metal.Environment {
	return metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.EnvironmentSpec{Boot: boot}}
}

func TestOf(t *testing.T) {
	env := environment("e", metal.BootAssets{Arch: "amd64", Kernel: asset(1, "k"), Initramfs: asset(2, "i")}, metal.BootAssets{Arch: "arm64", UKI: asset(3, "u")})
	var names []string
	for _, f := range bootfiles.Of(&env) {
		names = append(names, f.Name+"="+f.URL)
	}
	if got := strings.Join(names, " "); got != "amd64/kernel=k amd64/initramfs=i arm64/uki=u" {
		t.Errorf("got %s", got)
	}
}

// TestAll: the same list whatever the order, each digest once, and bounded.
func TestAll(t *testing.T) {
	a := environment("a", metal.BootAssets{Arch: "amd64", Kernel: asset(1, "a-k"), Initramfs: asset(2, "a-i")})
	b := environment("b", metal.BootAssets{Arch: "amd64", Kernel: asset(1, "b-k"), Initramfs: asset(3, "b-i")})
	first, second := bootfiles.All([]metal.Environment{a, b}), bootfiles.All([]metal.Environment{b, a})
	if !slices.Equal(first, second) || len(first) != 3 || first[0].URL != "a-k" {
		t.Errorf("got %v and %v", first, second)
	}
	var many []metal.Environment
	for i := range 400 {
		many = append(many, environment(fmt.Sprintf("e%03d", i), metal.BootAssets{Arch: "amd64", Kernel: asset(2*i, "k"), Initramfs: asset(2*i+1, "i")}))
	}
	if n := len(bootfiles.All(many)); n != 512 {
		t.Errorf("%d files of 800", n)
	}
}

// TestStore: the worst first, news only in steps, and a site that is silent does not count.
func TestStore(t *testing.T) {
	clock := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s := bootfiles.NewStore(func() time.Time { return clock })
	news := func(what string, want bool) {
		t.Helper()
		got := false
		select {
		case <-s.Signal():
			got = true
		default:
		}
		if got != want {
			t.Errorf("%s: news %v, want %v", what, got, want)
		}
	}
	tell := func(site, state string, percent int32) {
		s.Told(site, map[string]bootfiles.Report{"d": {State: state, Percent: percent, Message: "line\nbreak" + strings.Repeat("x", 1000)}})
	}
	tell("rack1", bootfiles.Fetching, 41)
	news("the first word", true)
	tell("rack1", bootfiles.Fetching, 44)
	news("three percent more", false)
	tell("rack1", bootfiles.Fetching, 45)
	news("a step", true)
	tell("rack2", bootfiles.Cached, 100)
	tell("rack3", bootfiles.Failed, 0)
	tell("rack4", bootfiles.Fetching, 10)
	reports, known := s.Of("d")
	var order []string
	for _, r := range reports {
		order = append(order, fmt.Sprint(r.Site, r.State, r.Percent))
		if strings.Contains(r.Message, "\n") || len(r.Message) > 404 {
			t.Errorf("message %q", r.Message)
		}
	}
	if got := strings.Join(order, " "); got != "rack3Failed0 rack4Fetching10 rack1Fetching45 rack2Cached100" {
		t.Errorf("order %s", got)
	}
	clock = clock.Add(16 * time.Minute)
	if reports, _ := s.Of("d"); len(reports) != 0 || !known("rack1") || known("rack9") {
		t.Errorf("after a quarter of an hour: %v", reports)
	}
	news("before", true)
	tell("rack1", bootfiles.Fetching, 45)
	news("it is back", true)
}

func TestStoreIsBounded(t *testing.T) {
	clock := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s := bootfiles.NewStore(func() time.Time { return clock })
	one := map[string]bootfiles.Report{"d": {State: bootfiles.Cached}}
	for i := range 300 {
		s.Told(fmt.Sprint(i), one)
	}
	if reports, known := s.Of("d"); len(reports) != 256 || known("299") {
		t.Errorf("%d sites are kept", len(reports))
	}
	clock = clock.Add(time.Hour)
	s.Told("299", one)
	if reports, _ := s.Of("d"); len(reports) != 1 {
		t.Errorf("%d sites, want the one that is new", len(reports))
	}
}
