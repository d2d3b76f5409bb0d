package httpboot

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"ingot.dev/ingot/boot-assets/cache"
	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/limits"
)

// Config is what the server needs.
type Config struct {
	// Addr is the address under which machines reach this server; it is written into scripts.
	Addr netip.AddrPort
	// Loaders holds iPXE and its first script.
	Loaders *cache.Store
	// Images are the agent's, by architecture; one at least.
	Images map[string]Image
	// Blobs opens a file that an Environment names, by its SHA-256, and proves it.
	Blobs func(digest string) (*cache.Asset, error)
	// View is what the controller said last; false while it said nothing yet.
	View func() (boot.View, bool)
	// Events takes what is seen of boots.
	Events *Events
	Limits Limits
	Log    *slog.Logger
	Now    func() time.Time
	// Rand makes boot ids.
	Rand io.Reader
}

// Image is the agent's for one architecture.
type Image struct {
	// Files are its kernel and initramfs.
	Files *cache.Store
	// Args are the kernel arguments that it asks for.
	Args []string
}

// Limits bound what clients may cost. Zero fields get their default.
type Limits struct {
	// Scripts is for one source; default 4 a second, burst 20.
	Scripts limits.Rate
	// AllScripts is for everybody together; default 1000 a second, burst 2000.
	AllScripts limits.Rate
	// Connections at once: default 2048 in total and 16 of one source.
	Connections, ConnectionsPerSource int
	// InFlight is how many bytes of large files may be under way at once; who asks beyond it is told to come back, in order. Default 512 MiB.
	InFlight int64
	// HeaderTime is how long a request's header may take (default 10 s), WriteTime how long one answer may take (default 15 min:
	// 60 MB over a 1 Mbit/s line), IdleTime how long a connection may wait for its next request (default 20 s).
	HeaderTime, WriteTime, IdleTime time.Duration
}

func (l Limits) withDefaults() Limits {
	setRate(&l.Scripts, limits.Rate{PerSecond: 4, Burst: 20})
	setRate(&l.AllScripts, limits.Rate{PerSecond: 1000, Burst: 2000})
	setInt(&l.Connections, 2048)
	setInt(&l.ConnectionsPerSource, 16)
	if l.InFlight == 0 {
		l.InFlight = 512 << 20
	}
	setTime(&l.HeaderTime, 10*time.Second)
	setTime(&l.WriteTime, 15*time.Minute)
	setTime(&l.IdleTime, 20*time.Second)
	return l
}

func setRate(r *limits.Rate, d limits.Rate) {
	if *r == (limits.Rate{}) {
		*r = d
	}
}

func setInt(v *int, d int) {
	if *v == 0 {
		*v = d
	}
}

func setTime(v *time.Duration, d time.Duration) {
	if *v == 0 {
		*v = d
	}
}

func (c Config) check() error {
	if c.Loaders == nil || len(c.Images) == 0 || c.Blobs == nil || c.View == nil || c.Events == nil || c.Now == nil || c.Rand == nil {
		return errors.New("HTTP boot server: a part of its configuration is missing")
	}
	for arch, i := range c.Images {
		if i.Files == nil || !slices.Contains(catalog.Archs(), arch) {
			return fmt.Errorf("HTTP boot server: the agent image for %q has no files, or nobody boots it", arch)
		}
	}
	if !c.Addr.IsValid() || c.Addr.Addr().IsUnspecified() || c.Addr.Addr().Zone() != "" {
		return fmt.Errorf("HTTP boot server: %s is not an address that machines can reach", c.Addr)
	}
	return nil
}

func (c Config) url(path string) string { return fmt.Sprintf("http://%s%s", c.Addr, path) }
