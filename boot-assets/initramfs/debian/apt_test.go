package debian

import (
	"testing"
)

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestArchiveFromEnv(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want Archive
	}{
		{nil, Archive{}},
		{map[string]string{"DEBIAN_ARCHIVE": "http://mirror.test/debian"}, Archive{"http://mirror.test/debian", "http://mirror.test/debian-security"}},
		{map[string]string{"DEBIAN_ARCHIVE": "http://mirror.test/debian/"}, Archive{"http://mirror.test/debian/", "http://mirror.test/debian-security"}},
		{map[string]string{"DEBIAN_ARCHIVE": "http://mirror.test/d"}, Archive{Main: "http://mirror.test/d"}},
		{map[string]string{"DEBIAN_ARCHIVE": "http://a.test/debian", "DEBIAN_SECURITY_ARCHIVE": "http://b.test/sec"}, Archive{"http://a.test/debian", "http://b.test/sec"}},
	} {
		if got := ArchiveFromEnv(env(c.env)); got != c.want {
			t.Errorf("%v: got %v, want %v", c.env, got, c.want)
		}
	}
}

func TestFill(t *testing.T) {
	const targets = "tools http://tools.test/repo/\n" +
		"bookworm http://mirror.test/debian/\n" +
		"bookworm-security http://mirror.test/debian-security/\n" +
		"bookworm-updates http://other.test/debian/\n"
	var a Archive
	a.fill(targets)
	if want := (Archive{"http://mirror.test/debian/", "http://mirror.test/debian-security/"}); a != want {
		t.Errorf("got %v, want %v", a, want)
	}
	chosen := Archive{Main: "http://mine.test/debian"}
	chosen.fill(targets)
	if chosen.Main != "http://mine.test/debian" {
		t.Errorf("what the user chose was replaced by %s", chosen.Main)
	}
	var none Archive
	none.fill("noble http://mirror.test/ubuntu/\nnoble-security http://mirror.test/ubuntu/\n")
	if none != (Archive{}) {
		t.Errorf("took %v for Debian", none)
	}
}

func TestSources(t *testing.T) {
	a := Archive{"http://m.test/debian", "http://m.test/debian-security"}
	got := a.sources([]Package{
		{Suite: "bookworm-security", Component: "main"},
		{Suite: "trixie", Component: "non-free-firmware"},
		{Suite: "trixie", Component: "non-free-firmware"},
	}, "amd64")
	want := "deb [arch=amd64 signed-by=" + keyring + "] http://m.test/debian-security bookworm-security main\n" +
		"deb [arch=amd64 signed-by=" + keyring + "] http://m.test/debian trixie non-free-firmware\n"
	if got != want {
		t.Errorf("got:\n%s", got)
	}
}

func TestNewestKernel(t *testing.T) {
	offered := []string{
		"linux-image-6.12.99+deb12-amd64", "linux-image-6.12.117+deb12-amd64", "linux-image-6.12.118+deb12-amd64-dbg",
		"linux-image-6.12.119+deb12-cloud-amd64", "linux-image-6.12.120+deb12-amd64-unsigned", "linux-image-6.12.121+deb12-amd64", "linux-image-6.13.1+deb12-amd64",
	}
	for name, want := range map[string]string{
		"linux-image-6.12.117+deb12-amd64": "linux-image-6.12.121+deb12-amd64",
		"linux-image-6.12.130+deb12-amd64": "linux-image-6.12.130+deb12-amd64",
	} {
		if got := newestKernel(name, offered); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestMadisonAndField(t *testing.T) {
	const table = " firmware-bnx2 | 20250808-1 | http://m.test/debian sid/non-free-firmware amd64 Packages\n" +
		" firmware-bnx2 | 20250410-2 | http://m.test/debian trixie/non-free-firmware amd64 Packages\n" +
		" firmware-bnx2 | 20250410-1 | http://m.test/debian trixie/non-free-firmware amd64 Packages\n"
	p := Package{Suite: "trixie", Component: "non-free-firmware"}
	if got := madison(table, p); got != "20250410-2" {
		t.Errorf("madison = %q", got)
	}
	if got := madison(table, Package{Suite: "bookworm", Component: "non-free-firmware"}); got != "" {
		t.Errorf("another suite's version: %q", got)
	}
	const record = "Package: x\nArchitecture: all\nDescription: SHA256: no\nSHA256: " + sum + "\n"
	if got := field(record, "SHA256"); got != sum {
		t.Errorf("field = %q", got)
	}
	if got := field(record, "Absent"); got != "" {
		t.Errorf("absent field = %q", got)
	}
}
