package httpboot_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/httpboot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// token is the capability in the arguments of an OS boot.
const token = "kz5o2capability"

// booting is a site on which one server boots its operating system, with all files at hand.
func booting(t *testing.T, bootID string) (s *site, kernel, initramfs string) {
	t.Helper()
	k, i := []byte("the system's kernel"), []byte("its initramfs")
	kernel, initramfs = digest(k).SHA256, digest(i).SHA256
	s = newSite(t, func(s *site) {
		s.dir, s.blobs = folder(t, map[string][]byte{kernel: k, initramfs: i, digest([]byte("other")).SHA256: []byte("other")})
		s.view.Files = map[string]boot.File{kernel: {}, initramfs: {Initramfs: true}}
		s.view.AtHand = map[string]string{kernel: boot.FileCached, initramfs: boot.FileCached}
		s.view.Servers = []boot.Server{{
			Name: "s1", Identity: boot.Identity{MACs: []string{"52:54:00:78:00:01"}}, Accepted: true, Registered: true, Target: boot.OS, BootID: bootID,
			OS: &boot.OSBoot{Arch: boot.AMD64, Kernel: kernel, Initramfs: initramfs, Args: []string{"console=ttyS0", "ingot.config=https://192.0.2.1:7445/v1/config/s1/" + bootID + "/" + token}},
		}}
	})
	return s, kernel, initramfs
}

// TestOSBoot follows a machine into its operating system: script, kernel, initramfs, and what the controller hears of it.
func TestOSBoot(t *testing.T) {
	s, kernel, initramfs := booting(t, "b1")
	_, body := s.get(t, ask)
	for _, want := range []string{
		"kernel --name vmlinuz " + s.url + catalog.BlobPath + kernel + " initrd=initrd console=ttyS0 ingot.config=", token,
		"initrd --name initrd " + s.url + catalog.BlobPath + initramfs + " ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the script lacks %q:\n%s", want, body)
		}
	}
	for path, want := range map[string]string{kernel: "the system's kernel", initramfs: "its initramfs"} {
		if res, body := s.get(t, catalog.BlobPath+path); res.StatusCode != http.StatusOK || body != want || res.Header.Get("ETag") != `"`+path+`"` {
			t.Errorf("%s: status %d, %q", path, res.StatusCode, body)
		}
	}
	seen := map[string]bool{}
	s.reported(t, func(e *protocol.BootEvent) bool {
		for _, st := range e.GetStages() {
			seen[st.GetStage()] = e.GetBootId() == "b1" && e.GetTarget() == "OS"
		}
		return seen[httpboot.StageScript] && seen[httpboot.StageKernel] && seen[httpboot.StageInitramfs] && seen[httpboot.StageLoaded]
	})
}

// TestOSSecondSource: nothing of the arguments reaches a second address, and the first gets them no more.
func TestOSSecondSource(t *testing.T) {
	s, _, _ := booting(t, "b1")
	machine, neighbour := s.fromAddress(t, "127.0.0.2"), s.fromAddress(t, "127.0.0.3")
	for range 2 {
		if _, body := machine.get(t, ask); !strings.Contains(body, token) {
			t.Fatalf("control: the machine got\n%s", body)
		}
	}
	for _, who := range []*site{neighbour, machine, neighbour} {
		_, body := who.get(t, ask)
		if strings.Contains(body, token) || strings.Contains(body, "b1") || strings.Contains(body, "console=") || !strings.Contains(body, reasons.IdentityConflict) {
			t.Errorf("it got\n%s", body)
		}
	}
	all := s.reported(t, func(e *protocol.BootEvent) bool { return e.SecondSource })
	if e := all[len(all)-1]; e.Server != "s1" || e.BootId != "b1" {
		t.Errorf("events %v", all)
	}
}

// TestOSArgsAreNotTold: whatever happens to an OS boot, its capability is in no log and no event.
func TestOSArgsAreNotTold(t *testing.T) {
	s, kernel, _ := booting(t, "b1")
	s.fromAddress(t, "127.0.0.2").get(t, ask)
	s.fromAddress(t, "127.0.0.3").get(t, ask)
	server := &s.view.Servers[0]
	server.BootID = "b2"
	server.OS.Args = append(server.OS.Args, "ingot.config=second-"+token)
	if _, body := s.get(t, ask); strings.Contains(body, token) || !strings.Contains(body, reasons.BootUnsupported) {
		t.Errorf("two capabilities:\n%s", body)
	}
	server.BootID, server.OS.Args = "b3", []string{strings.Repeat(token, 500)}
	s.get(t, ask)
	server.BootID = "b4"
	s.view.AtHand[kernel] = boot.FileFailed
	s.get(t, ask)
	events := s.reported(t, func(e *protocol.BootEvent) bool { return e.BootId == "b4" })
	if text := fmt.Sprint(events); strings.Contains(text, token) || !strings.Contains(text, "b4") {
		t.Errorf("events %s", text)
	}
	for _, said := range []string{"boot decided", "two addresses", "boot script refused"} {
		if !strings.Contains(s.log.String(), said) {
			t.Errorf("control: the log lacks %q", said)
		}
	}
	if strings.Contains(s.log.String(), token) || strings.Contains(s.log.String(), "/v1/config/") {
		t.Errorf("the log tells it:\n%s", s.log.String())
	}
}

// TestBlobs: exactly the digests of the view are served, exactly as spelt, and only whole.
func TestBlobs(t *testing.T) {
	s, kernel, initramfs := booting(t, "b1")
	other := digest([]byte("other")).SHA256
	if a, err := s.blobs.Open(other); err != nil {
		t.Fatalf("control: the other file is there: %v", err)
	} else {
		a.Close()
	}
	for _, name := range []string{other, "", ".", "..", strings.ToUpper(kernel), kernel + "/", "/" + kernel, "%2e/" + kernel, kernel + "%20", "%" + kernel, kernel[:63], "../agent/" + catalog.Kernel} {
		if res, body := s.get(t, catalog.BlobPath+name); res.StatusCode != http.StatusNotFound {
			t.Errorf("%q: status %d, %q", name, res.StatusCode, body)
		}
	}
	if res, body := s.get(t, catalog.BlobPath+kernel, "Range", "bytes=4-"); res.StatusCode != http.StatusPartialContent || body != "system's kernel" {
		t.Errorf("range: status %d, %q", res.StatusCode, body)
	}
	if res, _ := s.do(t, http.MethodPost, catalog.BlobPath+kernel); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", res.StatusCode)
	}
	s.view.AtHand[kernel] = boot.FileFetching
	if res, _ := s.get(t, catalog.BlobPath+kernel); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("not at hand: status %d", res.StatusCode)
	}
	if err := os.WriteFile(filepath.Join(s.dir, initramfs), []byte("its initramfS"), 0o600); err != nil {
		t.Fatal(err)
	}
	if res, body := s.get(t, catalog.BlobPath+initramfs); res.StatusCode != http.StatusInternalServerError || strings.Contains(body, "initramfS") {
		t.Errorf("damaged: status %d, %q", res.StatusCode, body)
	}
	s.view.Files = nil // no Environment names them any more
	if res, _ := s.get(t, catalog.BlobPath+initramfs); res.StatusCode != http.StatusNotFound {
		t.Errorf("not named: status %d", res.StatusCode)
	}
}

// TestOSWaits: a machine whose files are not there waits in the boot script, and is not the first address of its boot by that.
func TestOSWaits(t *testing.T) {
	s, kernel, _ := booting(t, "b1")
	s.view.AtHand[kernel] = boot.FileFetching
	if _, body := s.fromAddress(t, "127.0.0.3").get(t, ask); !strings.Contains(body, "it waits here (AssetsFetching)") || strings.Contains(body, token) {
		t.Errorf("it got\n%s", body)
	}
	s.view.AtHand[kernel] = boot.FileCached
	if _, body := s.fromAddress(t, "127.0.0.2").get(t, ask); !strings.Contains(body, token) {
		t.Errorf("it got\n%s", body)
	}
}
