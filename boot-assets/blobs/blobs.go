// Package blobs keeps the boot files that Environments name in one folder, each under its SHA-256, and fetches those that are missing (layer 2).
//
// Invariants:
//   - A file has its digest as its name only after all of its bytes were hashed and synced; the rename that gives it is the last step. A process that
//     dies at any moment leaves whole files, and parts that the next one goes on with or removes.
//   - A file is proven before its first byte leaves, also when it was changed on disk since (boot-assets/cache). A damaged one is removed and fetched again.
//   - Sources are not trusted: only http and https, bounded in size and in time, and no way from there to addresses of this machine's own link.
//   - What a URL holds besides host and path, perhaps a password or a signature, reaches no log, no error and no state.
package blobs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ingot.dev/ingot/boot-assets/pace"
	"ingot.dev/ingot/boot-assets/web"
)

// Defaults of a Config.
const (
	DefaultMaxFile  = 4 << 30
	DefaultBudget   = 64 << 30
	DefaultKeep     = 7 * 24 * time.Hour
	defaultParallel = 2
	defaultStall    = 30 * time.Second
)

// Errors that say why a file is not there. What Failed states say is made of them.
var (
	// ErrDigest is returned for bytes that do not have the digest that was asked for.
	ErrDigest = errors.New("the source has another file than the Environment names")
	// ErrTooBig is returned for a file over the limit of one file.
	ErrTooBig = errors.New("the file is larger than the cache takes")
	// ErrNoRoom is returned when the files that Environments name are larger than the cache may be.
	ErrNoRoom = errors.New("the cache has no room; remove Environments that nobody uses, or make the cache larger")
	// ErrSource is returned for a URL or an address that is not asked.
	ErrSource = web.ErrSource
	// ErrStalled is returned for a source that sends nothing, or next to nothing.
	ErrStalled = web.ErrStalled
)

// Config says where files are kept and what fetching them may cost. Zero fields get their default.
type Config struct {
	// Dir is the folder; it is made when it is missing.
	Dir string
	// MaxFile bounds one file, Budget all files together, in bytes.
	MaxFile, Budget int64
	// Keep is how long a file stays that no Environment names any more.
	Keep time.Duration
	// Parallel is how many files are fetched at once.
	Parallel int
	// Stall is how long a source may take for 16 KiB, or for its first word.
	Stall time.Duration
	// Transport asks sources; nil is one that refuses addresses of the link.
	Transport http.RoundTripper
	// Wait pauses between tries; it is false when ctx ended. Nil uses a timer.
	Wait func(ctx context.Context, d time.Duration) bool
	Log  *slog.Logger
	Now  func() time.Time
}

func (c Config) withDefaults() Config {
	c.MaxFile = orDefault(c.MaxFile, DefaultMaxFile)
	c.Budget = orDefault(c.Budget, DefaultBudget)
	c.Keep = orDefault(c.Keep, DefaultKeep)
	c.Parallel = orDefault(c.Parallel, defaultParallel)
	c.Stall = orDefault(c.Stall, defaultStall)
	if c.Transport == nil {
		c.Transport = web.NewTransport(c.Stall)
	}
	if c.Wait == nil {
		c.Wait = pace.Wait
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// Cache is the folder, and what is being done to fill it. It is safe for concurrent use.
type Cache struct {
	cfg    Config
	root   *os.Root
	client *http.Client
	// fetching and proving bound what runs at once.
	fetching, proving chan struct{}
	// kick wakes Run, changed wakes who watches States.
	kick, changed chan struct{}
	phases        atomic.Pointer[map[string]Phase]

	mu      sync.Mutex
	entries map[string]*entry
	jobs    map[string]*job
	told    bool // Want was called: what is not wanted is known
	// named is when each file was last wanted, to the knowledge of this process.
	named map[string]time.Time
	since time.Time
	// reserved is how large the files on their way become, as far as their sources told.
	reserved map[string]int64
}

// Open opens the folder. Nothing is fetched before Run. The caller closes the Cache.
func Open(cfg Config) (*Cache, error) {
	cfg = cfg.withDefaults()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for boot files: %w", err)
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder for boot files: %w", err)
	}
	c := &Cache{
		cfg: cfg, root: root, client: web.NewClient(cfg.Transport),
		fetching: make(chan struct{}, cfg.Parallel), proving: make(chan struct{}, cfg.Parallel),
		kick: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		entries: map[string]*entry{}, jobs: map[string]*job{}, named: map[string]time.Time{}, reserved: map[string]int64{}, since: cfg.Now(),
	}
	c.phases.Store(&map[string]Phase{})
	return c, nil
}

// Close gives the folder back. Run must have ended.
func (c *Cache) Close() error {
	c.client.CloseIdleConnections()
	return c.root.Close()
}

// IsDigest says whether s is a SHA-256 in lower-case hexadecimal.
func IsDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}
