// Package ipxe carries the iPXE network boot programs that machines load first (layer 2, no I/O but the embedded files).
//
// The files are unchanged binaries of a Debian package; README.md beside this file names version, digest, licence and source.
package ipxe

import (
	"embed"
	"io/fs"
)

//go:embed bin/snponly.efi bin/ipxe.efi bin/ipxe-arm64.efi bin/undionly.kpxe
var files embed.FS

// Version is the version of the Debian package that the files come from.
const Version = "1.21.1+git20250501.dad20602+dfsg-1"

// FS holds snponly.efi, ipxe.efi, ipxe-arm64.efi and undionly.kpxe at its top.
func FS() fs.FS {
	sub, err := fs.Sub(files, "bin")
	if err != nil {
		return files // cannot happen: "bin" is a valid path
	}
	return sub
}

// Digests gives the SHA-256 of every file in FS, in lower-case hexadecimal.
func Digests() map[string]string {
	return map[string]string{
		"snponly.efi":    "9a624b4e05ebc25718a7658356628a352532bd278e7a50465a36ab94a7c4e580",
		"ipxe.efi":       "6095eb23f4173674a3dc124a2a6d3cdeed514172793306a10d525f57b97cdc6a",
		"ipxe-arm64.efi": "5369815eee98bf98b28a18af9a57207f9096a3b4e542ed3df1eb3f5b28d3d9a9",
		"undionly.kpxe":  "391bfe580ec9f823d046ee390765d6c389f482b9a8b9fae0f90871cd8ff57828",
	}
}
