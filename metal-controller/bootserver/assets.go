package bootserver

import (
	"context"
	"regexp"
	"slices"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/bootfiles"
	"ingot.dev/ingot/metal-controller/networks"
	"ingot.dev/ingot/pxe-server/protocol"
)

// localSite is the name of the pxe-server in this process: no certificate gives it one.
const localSite = "local"

var (
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	fileStates = []string{bootfiles.Cached, bootfiles.Fetching, bootfiles.Failed}
)

// assets are the files that sites should have in their caches.
func assets(environments []metal.Environment) []*protocol.Asset {
	var out []*protocol.Asset
	for _, f := range bootfiles.All(environments) {
		out = append(out, &protocol.Asset{Sha256: f.SHA256, Url: f.URL})
	}
	return out
}

// files takes in how the files of the caller's site fare. No list at all is a report of boots only.
func (s *Server) files(ctx context.Context, states []*protocol.AssetState) {
	if len(states) == 0 {
		return
	}
	reports := make(map[string]bootfiles.Report, len(states))
	for _, a := range states {
		if digestForm.MatchString(a.GetSha256()) && slices.Contains(fileStates, a.GetState()) {
			reports[a.GetSha256()] = bootfiles.Report{
				State: a.GetState(), Percent: percent(a.GetReceivedBytes(), a.GetTotalBytes()), Message: a.GetMessage(), OtherBytes: a.GetOtherBytes(),
			}
		}
	}
	s.cfg.Files.Told(s.siteOr(ctx), reports)
}

// networks takes in what is known of the other DHCP servers on the networks of the caller's site.
func (s *Server) networks(ctx context.Context, list []*protocol.Network) {
	if len(list) == 0 {
		return
	}
	var out []networks.Network
	for _, n := range list {
		out = append(out, networks.Network{Interface: n.GetInterface(), Trouble: n.GetTrouble(), Servers: n.GetServers()})
	}
	s.cfg.Networks.Told(s.siteOr(ctx), out)
}

// siteOr is the caller's site; remote callers without one do not get this far.
func (s *Server) siteOr(ctx context.Context) string {
	if site, err := s.site(ctx); err == nil {
		return site
	}
	return localSite
}

// percent is 0 while the total is not known.
func percent(received, total int64) int32 {
	if received <= 0 || total <= 0 {
		return 0
	}
	return int32(100 * (float64(min(received, total)) / float64(total)))
}
