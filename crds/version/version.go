// Package version says which build of Ingot this is. It is a leaf: every program imports it, and it imports only the standard library.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version is the release, set by the linker (-X ingot.dev/ingot/crds/version.Version=v0.1.0). A build without it is a development build.
var Version = "v0.1.0-dev"

// Kubernetes is the version of the Kubernetes modules that Ingot is built with; the embedded API server reports it.
const Kubernetes = "v1.37.1"

// Commit is the revision that the Go tool recorded in this build, with "-dirty" when the tree had changes; empty when unknown.
func Commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var commit, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if commit == "" {
		return ""
	}
	return commit[:min(12, len(commit))] + dirty
}

// String is one line for people: version, commit, Go and platform.
func String() string {
	s := Version
	if c := Commit(); c != "" {
		s += " (" + c + ")"
	}
	return fmt.Sprintf("%s %s %s/%s", s, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
