package blobs

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"ingot.dev/ingot/boot-assets/pace"
)

// sweepEvery is how often the folder is looked through for what nobody names.
const sweepEvery = time.Hour

// Wanted is a file that an Environment names.
type Wanted struct {
	// SHA256 in lower-case hexadecimal.
	SHA256 string
	// URL to fetch it from.
	URL string
}

// Phase says how a wanted file fares. It is the protocol's word, so that nobody has to convert a map of them for each request.
type Phase = string

// Phases, as the protocol to the controller names them.
const (
	Cached   Phase = "Cached"
	Fetching Phase = "Fetching"
	Failed   Phase = "Failed"
)

// State is how one wanted file fares.
type State struct {
	SHA256 string
	Phase  Phase
	// Received and Total are in bytes; Total is 0 while the source has not told.
	Received, Total int64
	// Message says why it failed. It holds the host and the path of the URL, nothing else of it, and stays the same while the trouble does.
	Message string
	// OtherBytes: it failed because the source has another file than the digest names.
	OtherBytes bool
}

// job is one wanted file. Its state is guarded by the Cache's lock.
type job struct {
	want  Wanted
	state State
	// again says that the file is needed though it was there; stop ends what is done for it, nil before Run started it.
	again chan struct{}
	stop  context.CancelFunc
}

// Want replaces the list of wanted files. What is wanted still goes on undisturbed; the same digest under another URL starts anew from there.
func (c *Cache) Want(files []Wanted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, next := c.cfg.Now(), make(map[string]*job, len(files))
	for _, f := range files {
		if !IsDigest(f.SHA256) || next[f.SHA256] != nil {
			continue
		}
		if old := c.jobs[f.SHA256]; old != nil && old.want == f {
			next[f.SHA256] = old
			continue
		}
		next[f.SHA256] = &job{want: f, state: State{SHA256: f.SHA256, Phase: Fetching}, again: make(chan struct{}, 1)}
	}
	for digest, old := range c.jobs {
		c.named[digest] = now
		if next[digest] != old && old.stop != nil {
			old.stop()
		}
	}
	c.jobs, c.told = next, true
	c.show()
	pace.Signal(c.kick)
	pace.Signal(c.changed)
}

// States tells how every wanted file fares, by digest.
func (c *Cache) States() []State {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]State, 0, len(c.jobs))
	for _, j := range c.jobs {
		out = append(out, j.state)
	}
	slices.SortFunc(out, func(a, b State) int { return strings.Compare(a.SHA256, b.SHA256) })
	return out
}

// Changed gets a value after States changed.
func (c *Cache) Changed() <-chan struct{} { return c.changed }

// Phases maps the digest of every wanted file to its phase. It is shared: nobody may change it.
func (c *Cache) Phases() map[string]Phase { return *c.phases.Load() }

// show makes Phases anew. The lock is held.
func (c *Cache) show() {
	m := make(map[string]Phase, len(c.jobs))
	for digest, j := range c.jobs {
		m[digest] = j.state.Phase
	}
	if !maps.Equal(m, c.Phases()) {
		c.phases.Store(&m)
	}
}

// set changes a job's state.
func (c *Cache) set(j *job, change func(*State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := j.state
	change(&j.state)
	if j.state == before {
		return
	}
	if j.state.Phase != before.Phase {
		c.show()
	}
	pace.Signal(c.changed)
}

// missing says that a wanted file is not there, or not any more.
func (c *Cache) missing(digest string) {
	c.mu.Lock()
	j := c.jobs[digest]
	c.mu.Unlock()
	if j == nil {
		return
	}
	c.set(j, func(s *State) {
		if s.Phase == Cached {
			*s = State{SHA256: digest, Phase: Fetching}
		}
	})
	pace.Signal(j.again)
}

// Run fetches what is wanted until ctx ends.
func (c *Cache) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		c.start(ctx, &running)
		c.sweep()
		select {
		case <-ctx.Done():
			return nil
		case <-c.kick:
		case <-tick.C:
		}
	}
}

// start begins the jobs that are new.
func (c *Cache) start(ctx context.Context, running *sync.WaitGroup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range c.jobs {
		if j.stop != nil {
			continue
		}
		own, stop := context.WithCancel(ctx)
		j.stop = stop
		running.Go(func() {
			defer stop()
			c.follow(own, j)
		})
	}
}
