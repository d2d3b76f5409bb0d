package factory

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
)

// Release is what machines of one architecture boot: a version of Talos, made after a schematic.
type Release struct {
	// Schematic is the id of it, Version of the form v1.13.0, Arch amd64 or arm64.
	Schematic, Version, Arch string
	// SecureBoot asks for the signed image.
	SecureBoot bool
}

// Kind of a file, as Environments name it.
type Kind string

// Kinds of files.
const (
	Kernel    Kind = "kernel"
	Initramfs Kind = "initramfs"
	UKI       Kind = "uki"
)

// Kinds are the files that a release boots from: the signed image where firmware checks signatures, kernel and initramfs elsewhere.
func (r Release) Kinds() []Kind {
	if r.SecureBoot {
		return []Kind{UKI}
	}
	return []Kind{Kernel, Initramfs}
}

// name of a file at the factory.
func (r Release) name(k Kind) string {
	switch k {
	case Kernel:
		return "kernel-" + r.Arch
	case Initramfs:
		return "initramfs-" + r.Arch + ".xz"
	case UKI:
		return "metal-" + r.Arch + r.suffix() + "-uki.efi"
	}
	return string(k)
}

func (r Release) suffix() string {
	if r.SecureBoot {
		return "-secureboot"
	}
	return ""
}

// URL of a file of the release.
func (c *Client) URL(r Release, k Kind) string { return c.image(r, r.name(k)) }

// image is the address of what belongs to a release.
func (c *Client) image(r Release, name string) string {
	return c.base.JoinPath("image", r.Schematic, r.Version, name).String()
}

// Installer is the reference of the image that installs the release, for machine.install.image of its machine config. Its architecture does not matter.
// An address without a host gives none.
func Installer(factoryURL string, r Release) string {
	u, err := url.Parse(cmp.Or(factoryURL, DefaultURL))
	if err != nil || u.Host == "" {
		return ""
	}
	return fmt.Sprintf("%s/metal-installer%s/%s:%s", strings.ToLower(u.Host), r.suffix(), r.Schematic, r.Version)
}
