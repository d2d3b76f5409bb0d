package httpboot

import (
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/limits"
)

// script decides for one machine and answers with its script.
func (s *Server) script(w http.ResponseWriter, r *http.Request) {
	from := limits.AddrOf(r.RemoteAddr)
	if !s.scripts.Allow(limits.Source(from)) || !s.allScripts.Allow(struct{}{}) {
		s.cfg.Events.count(Limited)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many scripts were asked for", http.StatusTooManyRequests)
		return
	}
	_, query, _ := cutQuery(r.RequestURI)
	a, err := parseQuery(query)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.Firmware = s.cfg.Events.firmware(a.mac, a.Firmware)
	d, view, err := s.decide(a, from, r.Method == http.MethodGet)
	if err != nil {
		s.cfg.Log.Error("no boot id", "error", err)
		http.Error(w, "no randomness", http.StatusInternalServerError)
		return
	}
	text, d := s.render(d, view, a)
	s.cfg.Log.Info("boot decided", "mac", a.mac, "source", from, "server", d.Server, "by", d.By, "target", d.Target, "reason", d.Reason, "boot", d.BootID, "arch", a.Arch, "firmware", a.Firmware, "product", a.product, "isolated", view.Isolated)
	if r.Method == http.MethodGet && !contested(d) {
		s.cfg.Events.decided(from, a, d)
	}
	s.cfg.Events.count(string(d.Target))
	if text == nil {
		http.Error(w, "Ingot has no answer for this machine: "+d.Reason, http.StatusNotFound)
		return
	}
	writeScript(w, r, text)
}

// decide asks the pure core, and makes a boot id where an agent boots that the controller does not expect. get says that the answer is sent.
func (s *Server) decide(a asked, from netip.Addr, get bool) (boot.Decision, boot.View, error) {
	view, ok := s.cfg.View()
	if !ok {
		return s.withoutView(a.mac), view, nil
	}
	view.Images = slices.Sorted(maps.Keys(s.cfg.Images))
	d := boot.Decide(a.Request, view)
	switch {
	case d.Target == boot.NoAnswer && d.Reason == reasons.ControllerAway:
		return s.letGo(d, a.mac), view, nil
	case d.Target != boot.Agent && d.Target != boot.OS:
		return d, view, nil
	case d.BootID != "" && get && !s.sources.sole(d.BootID, from):
		return s.contest(d, a, from), view, nil
	case d.BootID != "":
		return d, view, nil
	}
	var id [16]byte
	if _, err := io.ReadFull(s.cfg.Rand, id[:]); err != nil {
		return d, view, err
	}
	d.BootID = hex.EncodeToString(id[:])
	return d, view, nil
}

// contested says that a decision is the answer to a second address. Contradicting evidence gets a machine its own disk, and never lets it wait.
func contested(d boot.Decision) bool {
	return d.Target == boot.Idle && d.Reason == reasons.IdentityConflict
}

// contest tells the controller that two addresses asked for the script of one expected boot, and lets this one wait without it: at most one of
// them is the machine, and the boot is void for both.
func (s *Server) contest(d boot.Decision, a asked, from netip.Addr) boot.Decision {
	s.cfg.Log.Warn("two addresses asked for the script of one expected boot", "server", d.Server, "boot", d.BootID, "mac", a.mac, "source", from)
	s.cfg.Events.contested(a, d)
	d.Target, d.Reason, d.BootID, d.OS = boot.Idle, reasons.IdentityConflict, "", nil
	return d
}

// letGo keeps a machine that the controller would have let in for as long as a controller takes to come back, and then lets it go on without us.
func (s *Server) letGo(d boot.Decision, mac string) boot.Decision {
	if !s.patience.over(mac) {
		d.Target = boot.Idle
	}
	return d
}

// withoutView lets machines wait for a while and then hands them back to their own disk.
func (s *Server) withoutView(mac string) boot.Decision {
	d := boot.Decision{Target: boot.Idle, Reason: reasons.ControllerAway}
	if s.patience.over(mac) {
		d.Target = boot.LocalDisk
	}
	return d
}

// render writes the script. When a value cannot be written safely the machine waits and says so; text is nil for no answer.
func (s *Server) render(d boot.Decision, v boot.View, a asked) ([]byte, boot.Decision) {
	p := boot.Params{
		Firmware:   a.Firmware,
		FirstStage: s.cfg.url(catalog.FirstStagePath),
		Kernel:     s.cfg.url(catalog.AgentFile(a.Arch, catalog.Kernel)),
		Initrd:     s.cfg.url(catalog.AgentFile(a.Arch, catalog.Initramfs)),
		Files:      s.cfg.url(catalog.BlobPath),
		BootMAC:    a.mac,
		AgentURL:   v.AgentURL, AgentPin: v.AgentPin, AgentArgs: v.AgentArgs,
		ImageArgs: s.cfg.Images[a.Arch].Args,
	}
	text, err := boot.Script(d, p)
	switch {
	case errors.Is(err, boot.ErrNoAnswer):
		return nil, d
	case err != nil:
		s.cfg.Log.Error("boot script refused", "mac", a.mac, "server", d.Server, "target", d.Target, "error", err)
		d.Target, d.Reason, d.OS = boot.Idle, reasons.BootUnsupported, nil
		text, _ = boot.Script(d, p)
	}
	return text, d
}

func writeScript(w http.ResponseWriter, r *http.Request, text []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType(catalog.AutoExec))
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(text)
	}
}
