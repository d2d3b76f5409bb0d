package kmod

import "path"

// Match reports whether a module's alias pattern covers a device's modalias.
// The kernel's tools match with fnmatch without flags; modaliases hold no slash, so path.Match says the same.
func Match(pattern, modalias string) bool {
	ok, err := path.Match(pattern, modalias)
	return err == nil && ok
}
