package controller

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// Limits of a view.
const (
	maxServers = 50_000
	maxMACs    = 64
	maxArgs    = 64
	maxURL     = 2048
	// An OS boot has the 64 arguments of an Environment and what the controller adds; the script's own limit is stricter in all.
	maxOSArgs = 72
	maxOSArg  = 1024
)

// ErrView is returned for a view that a controller of ours does not send.
var ErrView = errors.New("view is malformed")

// ViewOf reads a view from the wire. Words that this version does not know are kept: boot.Decide has an answer for them.
func ViewOf(m *protocol.View) (boot.View, error) {
	if n := len(m.GetServers()); n > maxServers {
		return boot.View{}, fmt.Errorf("%w: %d servers, at most %d", ErrView, n, maxServers)
	}
	a := m.GetAgent()
	if n := len(a.GetArgs()); n > maxArgs {
		return boot.View{}, fmt.Errorf("%w: %d kernel arguments, at most %d", ErrView, n, maxArgs)
	}
	v := boot.View{
		Policy:   boot.UnknownPolicy(m.GetUnknownPolicy()),
		Servers:  make([]boot.Server, 0, len(m.GetServers())),
		AgentURL: a.GetUrl(), AgentPin: a.GetPin(), AgentArgs: a.GetArgs(),
		Revision: m.GetRevision(),
	}
	if err := files(&v, m.GetAssets()); err != nil {
		return boot.View{}, err
	}
	names := make(map[string]bool, len(m.GetServers()))
	for _, s := range m.GetServers() {
		if s.GetName() == "" || names[s.GetName()] || len(s.GetMacs()) > maxMACs {
			return boot.View{}, fmt.Errorf("%w: server %q has no name, a name twice, or more than %d MACs", ErrView, s.GetName(), maxMACs)
		}
		names[s.GetName()] = true
		v.Servers = append(v.Servers, server(s))
		if o := v.Servers[len(v.Servers)-1].OS; o != nil {
			setRole(&v, o.Initramfs)
		}
	}
	return v.Indexed(), nil
}

// files reads what Environments name. Of a URL only the length is looked at here: one that cannot be fetched is told of that file, and ends nothing else.
func files(v *boot.View, assets []*protocol.Asset) error {
	if n := len(assets); n > boot.MaxFiles {
		return fmt.Errorf("%w: %d boot files, at most %d", ErrView, n, boot.MaxFiles)
	}
	v.Files = make(map[string]boot.File, len(assets))
	for i, a := range assets {
		if !isDigest(a.GetSha256()) || len(a.GetUrl()) > maxURL {
			return fmt.Errorf("%w: boot file %d has no SHA-256, or a URL of more than %d bytes", ErrView, i+1, maxURL)
		}
		v.Files[a.GetSha256()] = boot.File{URL: a.GetUrl()}
	}
	return nil
}

func setRole(v *boot.View, initramfs string) {
	if f, ok := v.Files[initramfs]; ok {
		f.Initramfs = true
		v.Files[initramfs] = f
	}
}

// osBoot reads what one server boots. What is malformed is nil, and that server waits: one Environment must not stop the boots of all others.
func osBoot(o *protocol.OSBoot) *boot.OSBoot {
	if o == nil || len(o.GetArgs()) > maxOSArgs {
		return nil
	}
	for _, a := range o.GetArgs() {
		if len(a) > maxOSArg {
			return nil
		}
	}
	for _, digest := range []string{o.GetKernel(), o.GetInitramfs(), o.GetUki()} {
		if digest != "" && !isDigest(digest) {
			return nil
		}
	}
	return &boot.OSBoot{Arch: o.GetArch(), Kernel: o.GetKernel(), Initramfs: o.GetInitramfs(), UKI: o.GetUki(), Args: o.GetArgs()}
}

func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}

func server(s *protocol.Server) boot.Server {
	return boot.Server{
		Name: s.GetName(),
		Identity: boot.Identity{
			MACs: s.GetMacs(), Manufacturer: s.GetManufacturer(), Serial: s.GetSerial(), UUID: s.GetUuid(),
		},
		Accepted: s.GetAccepted(), Registered: s.GetRegistered(),
		Target: boot.Target(s.GetTarget()), BootID: s.GetBootId(), OS: osBoot(s.GetOs()),
	}
}
