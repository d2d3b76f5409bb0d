package bootserver

import (
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// osBoot is what a server boots to get its operating system: nil unless its record expects that boot now, and the Environment has files for its
// architecture. It holds the capability for the machine config, so it is never logged.
func osBoot(s *metal.Server, env *metal.Environment, arch string, links capability.Links, pin string) *protocol.OSBoot {
	r := s.Spec.Record
	if r == nil || r.Boot == nil || r.Claim == nil || env == nil || links.HTTPS == "" {
		return nil
	}
	b := r.Boot
	live := b.Phase == metal.BootSwitchingOn || b.Phase == metal.BootBooting
	if b.Target != metal.BootTargetOS || !live || b.BindingID != r.Claim.BindingID || env.Name != r.Claim.Environment {
		return nil
	}
	for _, a := range env.Boots() {
		if a.Arch == arch && arch != "" {
			return &protocol.OSBoot{
				Arch: arch, Kernel: digest(a.Kernel), Initramfs: digest(a.Initramfs), Uki: digest(a.UKI),
				Args: links.Args(a.Args, s.Name, b.ID, r.Claim.PlainConfig, pin),
			}
		}
	}
	return nil
}

func digest(a *metal.Asset) string {
	if a == nil {
		return ""
	}
	return a.SHA256
}

// systems finds what servers boot.
type systems struct {
	servers      map[string]*metal.Server
	environments map[string]*metal.Environment
	arches       map[string]string // by server
	links        capability.Links
	pin          string
}

// systems are those of one view.
func (s *Server) systems(servers []metal.Server, inventories []metal.ServerInventory, environments []metal.Environment) systems {
	y := systems{servers: map[string]*metal.Server{}, environments: map[string]*metal.Environment{}, arches: map[string]string{}, links: s.cfg.Links, pin: s.cfg.Agent.GetPin()}
	for i := range servers {
		y.servers[servers[i].Name] = &servers[i]
	}
	for i := range environments {
		y.environments[environments[i].Name] = &environments[i]
	}
	for i := range inventories {
		y.arches[inventories[i].Name] = inventories[i].Spec.Arch
	}
	return y
}

// of is the operating system of a row of the view, if that is what the row's boot is for.
func (y systems) of(row boot.Server) *protocol.OSBoot {
	s := y.servers[row.Name]
	if row.Target != boot.OS || s == nil || s.Spec.Record == nil || s.Spec.Record.Boot == nil || s.Spec.Record.Boot.ID != row.BootID || s.Spec.Record.Claim == nil {
		return nil
	}
	return osBoot(s, y.environments[s.Spec.Record.Claim.Environment], y.arches[row.Name], y.links, y.pin)
}
