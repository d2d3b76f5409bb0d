package controller_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/protocol"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func full() *protocol.View {
	return &protocol.View{
		UnknownPolicy: "register-once", Revision: 7, Agent: &protocol.AgentBoot{Url: "https://u", Pin: "p", Args: []string{"secret-arg"}},
		Assets: []*protocol.Asset{{Sha256: digestA, Url: "https://h/k"}},
		Servers: []*protocol.Server{
			{Name: "a", Macs: []string{"m"}, Manufacturer: "v", Serial: "s", Uuid: "u", Accepted: true, Registered: true, Target: "LocalDisk"},
			{Name: "b", Target: "OS", BootId: "secret-boot", Os: &protocol.OSBoot{Arch: "amd64", Kernel: digestA, Initramfs: digestB, Args: []string{"ingot.config=secret-capability"}}},
		},
	}
}

// TestKept: what identifies a server and its target are kept; nothing that is a secret, or begins a boot, is.
func TestKept(t *testing.T) {
	data, err := proto.Marshal(controller.Kept(full()))
	if err != nil || strings.Contains(string(data), "secret") {
		t.Fatalf("kept %q, %v", data, err)
	}
	c := controller.New(nil, nil)
	c.Clock = func() time.Time { return noon }
	if w := c.Word(); w.View != nil || w.Connected {
		t.Errorf("a word before any: %+v", w)
	}
	if err := c.Resume(data, noon.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	v, ok := c.View()
	if !ok || !v.Isolated || v.Policy != boot.RegisterOnce || len(v.Servers) != 2 || len(v.Files) != 1 {
		t.Fatalf("%+v, %v", v, ok)
	}
	if s := v.Servers[0]; s.Name != "a" || s.MACs[0] != "m" || s.Manufacturer != "v" || s.Serial != "s" || s.UUID != "u" || !s.Accepted || !s.Registered || s.Target != boot.LocalDisk {
		t.Errorf("%+v", s)
	}
	if s := v.Servers[1]; s.Target != boot.OS || s.BootID != "" || s.OS != nil {
		t.Errorf("%+v", s)
	}
	if w := c.Word(); w.Connected || !w.Heard.Equal(noon.Add(-time.Hour)) || len(w.View.GetServers()) != 2 {
		t.Errorf("word %+v", w)
	}
	<-c.Changed() // the cache of boot files hears of it
}

// TestResumeRefuses: what is damaged, malformed or too old changes nothing; a clock that was set back is no reason.
func TestResumeRefuses(t *testing.T) {
	good, err := proto.Marshal(controller.Kept(full()))
	if err != nil {
		t.Fatal(err)
	}
	twice, err := proto.Marshal(&protocol.View{Servers: []*protocol.Server{{Name: "a"}, {Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		data  []byte
		heard time.Time
		want  string
	}{
		"control":        {good, noon.Add(-controller.MaxAge), ""},
		"of the future":  {good, noon.Add(48 * time.Hour), ""},
		"too old":        {good, noon.Add(-controller.MaxAge - time.Second), "counts for"},
		"no message":     {[]byte("\xff\xff"), noon, "malformed"},
		"malformed view": {twice, noon, "malformed"},
	} {
		c := controller.New(nil, nil)
		c.Clock = func() time.Time { return noon }
		err := c.Resume(tc.data, tc.heard)
		if _, ok := c.View(); ok != (tc.want == "") || (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, a view: %v", name, err, ok)
		}
	}
}

// TestIsolated: a view says that it is isolated from the end of its stream to the next view, and counts no longer than MaxAge.
func TestIsolated(t *testing.T) {
	f, c := start(t)
	f.views <- full()
	<-c.Connected()
	if v, ok := c.View(); !ok || v.Isolated || v.Servers[1].OS == nil {
		t.Errorf("control: %+v, %v", v, ok)
	}
	f.fail <- nil
	await(t, func() bool { return !c.Word().Connected })
	v, ok := c.View()
	if !ok || !v.Isolated || v.Servers[0].Target != boot.LocalDisk {
		t.Errorf("%+v, %v", v, ok)
	}
	f.views <- &protocol.View{Revision: 8}
	<-c.Connected()
	if v, ok := c.View(); !ok || v.Isolated || v.Revision != 8 {
		t.Errorf("after it came back: %+v, %v", v, ok)
	}
}

// TestTooOld: also a view in memory ends.
func TestTooOld(t *testing.T) {
	now := noon
	c := controller.New(nil, nil)
	c.Clock = func() time.Time { return now }
	data, err := proto.Marshal(controller.Kept(full()))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Resume(data, noon); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]bool{0: true, controller.MaxAge: true, controller.MaxAge + time.Second: false} {
		now = noon.Add(after)
		if _, ok := c.View(); ok != want {
			t.Errorf("after %v: a view: %v", after, ok)
		}
	}
}

// await waits for what another goroutine does next.
func await(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); !cond(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it did not come to pass")
		}
	}
}
