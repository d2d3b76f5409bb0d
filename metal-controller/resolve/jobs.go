package resolve

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"ingot.dev/ingot/boot-assets/factory"
	"ingot.dev/ingot/boot-assets/pace"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Waits between tries, how much is done at once, and when a percentage is news: each costs a write of status.
const (
	firstWait   = 5 * time.Second
	longestWait = 5 * time.Minute
	parallel    = 2
	step        = 5
)

// State is how a wish fares.
type State struct {
	// Found is what was found; nil until then.
	Found *Found
	// Err is why the last try failed; nil while nothing failed. Again is when the next one begins, zero while one is under way.
	Err   error
	Again time.Time
	// Doing says what is being done, and Percent how much of that.
	Doing   string
	Percent int
}

// proceed notes progress. What failed before is over once bytes come.
func (s *State) proceed(what string, percent int) {
	s.Doing, s.Percent, s.Again = what, percent/step*step, time.Time{}
	if percent > 0 {
		s.Err = nil
	}
}

// Jobs resolves what is asked for in the background, again and again until it is found. It is safe for concurrent use.
type Jobs struct {
	resolver Resolver
	now      func() time.Time
	places   chan struct{}
	kick     chan struct{}
	changed  chan struct{}

	mu   sync.Mutex
	jobs map[string]*job
}

// job is one wish. Its state is guarded by the lock of Jobs.
type job struct {
	wish  Wish
	state State
	// stop is nil until it was begun, gone says that nobody wants it any more.
	stop context.CancelFunc
	gone bool
}

// NewJobs makes them. Nothing is asked before Start.
func NewJobs(r Resolver, now func() time.Time) *Jobs {
	return &Jobs{
		resolver: r, now: now, places: make(chan struct{}, parallel), kick: make(chan struct{}, 1), changed: make(chan struct{}, 1), jobs: map[string]*job{},
	}
}

// Ask says how a wish fares, and begins it. Another wish under the same name replaces the one before.
func (j *Jobs) Ask(name string, w Wish) State {
	j.mu.Lock()
	defer j.mu.Unlock()
	if old := j.jobs[name]; old != nil && reflect.DeepEqual(old.wish, w) {
		return old.state
	}
	j.drop(name)
	next := &job{wish: w, state: State{Doing: "waiting for its turn"}}
	next.wish.TalosSource = *w.TalosSource.DeepCopy()
	j.jobs[name] = next
	pace.Signal(j.kick)
	return next.state
}

// Drop ends what is done under a name.
func (j *Jobs) Drop(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drop(name)
}

func (j *Jobs) drop(name string) {
	if old := j.jobs[name]; old != nil {
		old.gone = true
		if old.stop != nil {
			old.stop()
		}
		delete(j.jobs, name)
	}
}

// Changed gets a value after a state changed.
func (j *Jobs) Changed() <-chan struct{} { return j.changed }

// Start works until ctx ends.
func (j *Jobs) Start(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		j.begin(ctx, &running)
		select {
		case <-ctx.Done():
			return nil
		case <-j.kick:
		}
	}
}

// begin begins what is new.
func (j *Jobs) begin(ctx context.Context, running *sync.WaitGroup) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, next := range j.jobs {
		if next.stop != nil {
			continue
		}
		own, stop := context.WithCancel(ctx)
		next.stop = stop
		running.Go(func() {
			defer stop()
			j.follow(own, next)
		})
	}
}

// follow tries until it is found, ever more slowly.
func (j *Jobs) follow(ctx context.Context, this *job) {
	k := &known{files: map[string]metal.Asset{}}
	for pause := firstWait; ; pause = min(2*pause, longestWait) {
		if !pace.Take(ctx, j.places) {
			return
		}
		have := len(k.files)
		found, err := j.resolver.resolve(ctx, this.wish, k, func(what string, percent int) {
			j.set(this, func(s *State) { s.proceed(what, percent) })
		})
		<-j.places
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			j.set(this, func(s *State) { *s = State{Found: found} })
			return
		}
		if len(k.files) > have {
			pause = firstWait // it gets on
		}
		if !passing(err) {
			pause = longestWait
		}
		wait := pace.Jitter(pause)
		j.set(this, func(s *State) { *s = State{Err: err, Again: j.now().Add(wait)} })
		if !pace.Wait(ctx, wait) {
			return
		}
	}
}

// passing says whether trying again soon may help.
func passing(err error) bool {
	return errors.Is(err, factory.ErrUnreachable) || errors.Is(err, ErrKeep)
}

func (j *Jobs) set(this *job, change func(*State)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	before := this.state
	change(&this.state)
	if !this.gone && this.state != before {
		pace.Signal(j.changed)
	}
}
