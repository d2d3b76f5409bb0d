// Package launcher runs the providers of Cluster API that `clusterctl init` leaves as Deployments in an API that has no nodes: those that Ingot contains, in this
// process or as a child of it. It says in each Deployment's status what became of it. Layer 4, wiring.
//
// Invariants: a Deployment is Available only while what it stands for runs here, in the release that it asks for. One that Ingot has nothing for is left as it is,
// but for a condition and an event that say so. A program that ends is run again; that it ended is told.
package launcher

import (
	"context"
	"io"
	"net/netip"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Program runs one or more providers. The table of them is all that the launcher knows of Cluster API.
type Program struct {
	// Name is what people read, and its folder below "providers" in the state folder.
	Name string
	// Providers that it contains, at least one.
	Providers []Provider
	// Objects are applied before it runs, which makes it run without clusterctl. A program without any runs once a Deployment of each of its providers is there.
	Objects []*unstructured.Unstructured
	// Refuse answers with a RefusedError when what is in the API server must neither be changed nor run on; nil never refuses. It is asked before Objects are applied.
	Refuse func(ctx context.Context, c client.Client) error
	// Run runs it until ctx ends, at one place for each provider, in their order. It calls ready once the webhooks answer and the caches are full; again does nothing.
	// When it returns before ctx has ended, for whatever reason, it is run again, after a second at first and a minute at last. n counts the runs from 1.
	// Nil: it runs anyhow, as long as `ingot up` does.
	Run func(ctx context.Context, n int, places []Place, ready func()) error
}

// Provider is a row of the table: what clusterctl installs, by the names of its manifests.
type Provider struct {
	// Label is the value of cluster.x-k8s.io/provider, such as bootstrap-talos.
	Label string
	// Version is the release that the program contains, such as v0.6.12.
	Version string
	// Namespace and Deployment are what its manifests call them. In another namespace (clusterctl's --target-namespace) it is not run.
	Namespace, Deployment string
	// Account is the ServiceAccount whose rights it has. Empty when Run is nil.
	Account string
	// Service is what the API server reaches its webhooks by; empty when it has none.
	Service string
}

// Place is where one provider runs.
type Place struct {
	// REST reaches the API server as the provider's ServiceAccount; Kubeconfig is the path of the same for another program, mode 0600.
	REST       *rest.Config
	Kubeconfig string
	// Address is where its webhooks are to be served. The API server finds them there, by the name of the Service.
	Address netip.AddrPort
	// CertDir holds tls.crt and tls.key for that name. They are renewed in place, which controller-runtime's webhook server notices.
	CertDir string
	// Dir is a folder of its own, which outlives restarts.
	Dir string
	// Log is for noise.
	Log io.Writer

	name string // of its Service, in the certificate
}

// Files of a place. Key and certificate are written together, so that neither is there without the other for longer than a reader retries.
const (
	certFile = "tls.crt"
	keyFile  = "tls.key"
	caFile   = "ca.crt"
)
