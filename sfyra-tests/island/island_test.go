package island

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func link(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestInside: the island has no link but a loopback, and its test is root there.
func TestInside(t *testing.T) {
	if !Inside(t, "-test.timeout=60s") {
		return
	}
	links, err := net.Interfaces()
	if err != nil || len(links) != 1 || links[0].Name != "lo" {
		t.Errorf("the island has %v, %v", links, err)
	}
	if os.Getuid() != 0 {
		t.Errorf("the test is user %d", os.Getuid())
	}
}

// TestHost: what is done as a host is done in another namespace, and only that.
func TestHost(t *testing.T) {
	if !Inside(t) {
		return
	}
	here, there := link(t), ""
	h := NewHost(t)
	h.Do(t, func() { there = link(t) })
	if there == "" || there == here || link(t) != here {
		t.Errorf("here is %s, there %s, and now %s", here, there, link(t))
	}
}

// The tests below prove that a failure inside is one outside: TestMisled runs them in a process of their own.
const misled = "INGOT_TEST_MISLED"

func TestFailsInside(t *testing.T) {
	if os.Getenv(misled) == "" {
		return
	}
	if Inside(t) {
		t.Error("failed on purpose")
	}
}

func TestNeverRunsInside(t *testing.T) {
	if os.Getenv(misled) == "" {
		return
	}
	Inside(t, "-test.run=^TestThatIsNotThere$") // the last of two equal flags counts
}

func TestMisled(t *testing.T) {
	for name, want := range map[string]string{
		"TestFailsInside": "the test failed in its namespace", "TestNeverRunsInside": "the test did not run in its namespace",
	} {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+name+"$", "-test.v")
		cmd.Env = append(os.Environ(), misled+"=1")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: got %v; want %q in\n%s", name, err, want, out)
		}
	}
}
