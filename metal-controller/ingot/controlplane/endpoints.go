package controlplane

import (
	"fmt"
	"net/netip"
	"net/url"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Endpoints say where the API server finds the webhooks behind a Service: there is no network of pods that would lead to it. The TLS server name stays that of the
// Service, so that webhook configurations need no change.
type Endpoints struct {
	mu    sync.RWMutex
	where map[types.NamespacedName]netip.AddrPort
}

// Set says where a Service is.
func (e *Endpoints) Set(namespace, name string, at netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.where == nil {
		e.where = map[types.NamespacedName]netip.AddrPort{}
	}
	e.where[types.NamespacedName{Namespace: namespace, Name: name}] = at
}

// Remove says that a Service is nowhere.
func (e *Endpoints) Remove(namespace, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.where, types.NamespacedName{Namespace: namespace, Name: name})
}

// ResolveEndpoint is what the API server asks. The error is what a person reads whose write needed the webhook.
func (e *Endpoints) ResolveEndpoint(namespace, name string, _ int32) (*url.URL, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	at, ok := e.where[types.NamespacedName{Namespace: namespace, Name: name}]
	if !ok {
		return nil, fmt.Errorf("nothing serves the Service %s in %s: `ingot up` runs no pods, and its Cluster API may be off or not ready (kubectl get deployments -A)", name, namespace)
	}
	return &url.URL{Scheme: "https", Host: at.String()}, nil
}
