// Package debian fetches pinned Debian packages and reads files out of them.
//
// It is an adapter (layer 2). Packages are named by version and SHA-256 in a lock file; apt fetches them with its own signature check from
// the archive that this machine's apt already uses, with a private configuration, so that neither the machine's sources nor its
// package lists change. Nothing that was fetched is used before its digest equals the lock's. No file is ever unpacked to
// a path that a package chooses: contents are read by name out of the tar archive.
package debian
