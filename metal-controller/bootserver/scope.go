package bootserver

import (
	"context"
	"slices"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// scope is which Servers a pxe-server hears of, and may tell of.
type scope struct {
	// site of the certificate.
	site string
	// all is the pxe-server in this process: there is no border to guard.
	all bool
}

// scope is the caller's. A remote caller whose certificate names no site got no further than guard, or its time ended since.
func (s *Server) scope(ctx context.Context) (scope, error) {
	if p, ok := peer.FromContext(ctx); ok {
		if _, remote := p.AuthInfo.(credentials.TLSInfo); !remote {
			return scope{all: true}, nil
		}
	}
	site, err := s.site(ctx)
	return scope{site: site}, err
}

// covers says that a Server is at the scope's site. One whose place nobody wrote down may be at any.
func (c scope) covers(server *metal.Server) bool {
	l := server.Spec.Location
	return c.all || l == nil || l.Site == "" || l.Site == c.site
}

// of are those Servers that the scope covers.
func (c scope) of(servers []metal.Server) []metal.Server {
	if c.all {
		return servers
	}
	return slices.DeleteFunc(slices.Clone(servers), func(s metal.Server) bool { return !c.covers(&s) })
}
