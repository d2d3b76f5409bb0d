// Package distributed proves the distributed mode: metal-controller in replicas against an API server that it does not own, and a pxe-server of
// its own at a site. Layer 5.
//
// The programs run as child processes with public flags only. A control plane of testapi plays the management cluster; the controllers come as
// the ServiceAccount that metal-controller/config makes, with a token of that API server, so that the manifests' rights are what is exercised.
// Everything runs in a network namespace of its own; a site and a machine get further ones, joined by virtual cables.
//
// With INGOT_BIN, metal-controller and pxe-server are taken from the same folder as that program (`make test` builds them all); without it they
// are built from this repository into a temporary folder.
package distributed
