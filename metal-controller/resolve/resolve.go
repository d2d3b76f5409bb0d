// Package resolve finds out what a release of Talos is made of: the schematic's id, the kernel line, and each file with its digest (layer 2).
//
// An Image Factory gives no digests, so each file is fetched once, and hashed while it comes. Where a cache of boot files is at hand, the same transfer
// fills it; elsewhere nothing is kept. Nothing in here decides what is booted: whoever asks pins what was found.
package resolve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"ingot.dev/ingot/boot-assets/factory"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// vanilla is the schematic of Talos without extensions.
const vanilla = "customization: {}\n"

// ErrKeep is returned when a file came and could not be kept.
var ErrKeep = errors.New("the file could not be kept")

// Wish is what is to be found out.
type Wish struct {
	metal.TalosSource
	// Arches are the architectures whose files are wanted.
	Arches []string
}

// Found is what a release is made of.
type Found struct {
	SchematicID, Installer string
	Boot                   []metal.BootAssets
}

// Keep reads a file to its end and says what it is. It may keep it.
type Keep func(context.Context, io.Reader) (sha256 string, size int64, err error)

// Resolver asks Image Factories. Zero fields get their default.
type Resolver struct {
	// Agent is the User-Agent.
	Agent string
	// Transport asks; nil is one that refuses addresses of the link.
	Transport http.RoundTripper
	// Keep takes the files; nil only hashes them.
	Keep Keep
}

// known is what earlier tries of the same wish found: a file that came to its end is not fetched again.
type known struct {
	schematic string
	files     map[string]metal.Asset // by URL
}

// resolve asks for all of it. progress is told what is being done and how much of it came, in percent.
func (r *Resolver) resolve(ctx context.Context, w Wish, k *known, progress func(what string, percent int)) (*Found, error) {
	c, err := factory.New(factory.Config{URL: w.FactoryURL, Agent: r.Agent, Transport: r.Transport})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", factory.ErrAnswer, err)
	}
	progress("asking "+c.Host()+" for the schematic", 0)
	if err := k.submit(ctx, c, w); err != nil {
		return nil, err
	}
	release := factory.Release{Schematic: k.schematic, Version: w.Version, SecureBoot: w.SecureBoot}
	found := &Found{SchematicID: k.schematic, Installer: factory.Installer(w.FactoryURL, release)}
	for _, arch := range w.Arches {
		release.Arch = arch
		b, err := r.assets(ctx, c, release, k, progress)
		if errors.Is(err, factory.ErrMissing) {
			err = explain(ctx, c, release, err)
		}
		if err != nil {
			return nil, err
		}
		found.Boot = append(found.Boot, *b)
	}
	return found, nil
}

// submit learns the id of the schematic, once.
func (k *known) submit(ctx context.Context, c *factory.Client, w Wish) (err error) {
	switch {
	case k.schematic != "":
	case w.SchematicID != "":
		k.schematic = w.SchematicID
	case w.Schematic != "":
		k.schematic, err = c.Submit(ctx, w.Schematic)
	default:
		k.schematic, err = c.Submit(ctx, vanilla)
	}
	return err
}

// assets are the files of one architecture.
func (r *Resolver) assets(ctx context.Context, c *factory.Client, release factory.Release, k *known, progress func(string, int)) (*metal.BootAssets, error) {
	line, err := c.Cmdline(ctx, release)
	if err != nil {
		return nil, err
	}
	b := &metal.BootAssets{Arch: release.Arch, Args: Args(line)}
	if err := checkLine(b.Args); err != nil {
		return nil, err
	}
	for _, kind := range release.Kinds() {
		address := c.URL(release, kind)
		asset, ok := k.files[address]
		if !ok {
			what := fmt.Sprintf("fetching %s/%s from %s", release.Arch, kind, c.Host())
			if asset, err = r.fetch(ctx, c, release, kind, func(percent int) { progress(what, percent) }); err != nil {
				return nil, err
			}
			k.files[address] = asset
		}
		*place(b, kind) = &asset
	}
	return b, nil
}

// place is where a file of a kind goes.
func place(b *metal.BootAssets, kind factory.Kind) **metal.Asset {
	switch kind {
	case factory.Initramfs:
		return &b.Initramfs
	case factory.UKI:
		return &b.UKI
	case factory.Kernel:
	}
	return &b.Kernel
}

// fetch reads a file to its end.
func (r *Resolver) fetch(ctx context.Context, c *factory.Client, release factory.Release, kind factory.Kind, progress func(int)) (metal.Asset, error) {
	progress(0)
	f, err := c.Open(ctx, release, kind)
	if err != nil {
		return metal.Asset{}, err
	}
	defer f.Close()
	keep := r.Keep
	if keep == nil {
		keep = digest
	}
	m := &meter{file: f, progress: progress}
	sum, size, err := keep(ctx, m)
	switch {
	case m.err != nil: // it says more than what became of it
		return metal.Asset{}, m.err
	case err != nil:
		return metal.Asset{}, fmt.Errorf("%w: %w", ErrKeep, err)
	}
	return metal.Asset{URL: c.URL(release, kind), SHA256: sum, SizeBytes: size}, nil
}

// digest keeps nothing.
func digest(_ context.Context, r io.Reader) (string, int64, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	return hex.EncodeToString(sum.Sum(nil)), n, err
}

// meter tells how much came, and remembers what broke.
type meter struct {
	file     *factory.File
	got      int64
	progress func(int)
	err      error
}

// Read reads.
func (m *meter) Read(b []byte) (int, error) {
	n, err := m.file.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	if m.got += int64(n); m.file.Size > 0 {
		m.progress(int(100 * m.got / m.file.Size))
	}
	return n, err
}

// explain says whether it is the version or the schematic that a factory does not have.
func explain(ctx context.Context, c *factory.Client, r factory.Release, err error) error {
	const newest = 5
	versions, failed := c.Versions(ctx)
	if failed != nil || len(versions) == 0 {
		return err
	}
	for _, v := range versions {
		if v == r.Version {
			return fmt.Errorf("%w; it has Talos %s, so check spec.talos.schematicID (an id is known only where its schematic was posted) and the architecture %s", err, v, r.Arch)
		}
	}
	return fmt.Errorf("%w; it has no Talos %s, but for instance %s; change spec.talos.version", err, r.Version, strings.Join(versions[max(0, len(versions)-newest):], ", "))
}
