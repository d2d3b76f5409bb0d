package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestSecondInstance(t *testing.T) {
	p := start(t, stateDir(t))
	want(t, refused(t, nil, p.Dir, "--api-port", "0"), fmt.Sprintf("PID %d", p.PID()), p.Dir, "in use")
	if err := clientset(t, p.AdminConfig).Discovery().RESTClient().Get().AbsPath("/readyz").Do(t.Context()).Error(); err != nil {
		t.Errorf("the first suffered: %v", err)
	}
}

func TestNewerFolder(t *testing.T) {
	dir := stateDir(t)
	stop(t, start(t, dir), syscall.SIGTERM)
	state := filepath.Join(dir, "state.json")
	older, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, []byte(`{"layoutVersion":2,"version":"v9.9.9"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	want(t, refused(t, nil, dir, "--api-port", "0"), dir, "v9.9.9", "layout version 2", "Nothing was changed")
	if snapshot(t, dir) != before {
		t.Error("the folder was changed")
	}
	if err := os.WriteFile(state, older, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, dir) // the control
	if snapshot(t, dir) == before {
		t.Error("control: the snapshot does not see a start")
	}
}

// nobody is a user without rights; the program has to be where that user can reach it.
func nobody(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("not root: the folder is closed to this user instead")
		return nil
	}
	bin := filepath.Join(stateDir(t)+"-bin", "ingot")
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return func(cmd *exec.Cmd) {
		cmd.Path, cmd.Dir = bin, "/"
		cmd.Env = append(os.Environ(), "HOME=/nonexistent")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
}

func TestNoRights(t *testing.T) {
	asNobody := nobody(t)
	closed := stateDir(t)
	mode := os.FileMode(0o700) // closed to others; for one who is not root, closed to the owner too
	if asNobody == nil {
		mode = 0o500
	}
	if err := os.Mkdir(closed, mode); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, closed)
	want(t, refused(t, asNobody, closed, "--api-port", "0"), closed, "no permission", "--state-dir")
	below := filepath.Join(closed, "new")
	want(t, refused(t, asNobody, below, "--api-port", "0"), below, "no permission", "--state-dir")
	if snapshot(t, closed) != before {
		t.Error("the folder was changed")
	}
	if asNobody != nil {
		runsAs(t, asNobody)
	}
}

// runsAs is the control: the same user can run Ingot on a folder of its own.
func runsAs(t *testing.T, as func(*exec.Cmd)) {
	t.Helper()
	own := stateDir(t)
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(own, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary(t), "up", "--control-plane-only", "--api-port", "0", "--state-dir", own)
	as(cmd)
	p, err := testapi.Spawn(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	waitFile(t, p, filepath.Join(own, "run", "etcd.sock"))
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	dir := stateDir(t)
	said := refused(t, nil, dir, "--api-port", port)
	want(t, said, "port "+port, fmt.Sprintf("PID %d", os.Getpid()), strings.TrimSpace(string(comm)), "--api-port")
	if _, err := os.Stat(filepath.Join(dir, "pki")); err == nil {
		t.Error("keys were made though nothing could start")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, dir, "--api-port", port) // the control: free again
}

func TestBadFlags(t *testing.T) {
	for flags, parts := range map[string][]string{
		"--api-port=70000":         {"70000", "65535"},
		"--api-port=-1":            {"-1"},
		"--api-address=nowhere":    {"nowhere", "127.0.0.1"},
		"--api-address=192.0.2.77": {"192.0.2.77", "--api-address"},
		"--state-dir=":             {"--state-dir"},
		"--nonsense":               {"--nonsense"},
	} {
		want(t, refused(t, nil, stateDir(t), flags), parts...)
	}
}
