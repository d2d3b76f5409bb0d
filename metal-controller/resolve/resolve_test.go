package resolve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ingot.dev/ingot/boot-assets/factory"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	fake "ingot.dev/ingot/sfyra-tests/factory"
)

// wire asks a factory in this process, so that a test can own the clock. down refuses connections.
type wire struct {
	*fake.Server
	mu   sync.Mutex
	down bool
}

func (w *wire) set(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	down := w.down
	w.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	res := answer.Result()
	res.ContentLength, res.Request = int64(answer.Body.Len()), r
	return res, nil
}

func newWire() *wire { return &wire{Server: fake.New("v1.12.5", "v1.13.0")} }

func wish(change func(*metal.TalosSource), arches ...string) Wish {
	w := Wish{TalosSource: metal.TalosSource{Version: "v1.13.0"}, Arches: arches}
	if change != nil {
		change(&w.TalosSource)
	}
	return w
}

func noProgress(string, int) {}

func try(t *testing.T, r *Resolver, w Wish) (*Found, error) {
	t.Helper()
	return r.resolve(t.Context(), w, &known{files: map[string]metal.Asset{}}, noProgress)
}

// TestFound: id, installer, kernel line, and files with the digests of what the factory really sends, kept or not.
func TestFound(t *testing.T) {
	w := newWire()
	kept := map[string]string{}
	keep := func(_ context.Context, r io.Reader) (string, int64, error) {
		data, err := io.ReadAll(r)
		sum := sha256.Sum256(data)
		kept[hex.EncodeToString(sum[:])] = string(data)
		return hex.EncodeToString(sum[:]), int64(len(data)), err
	}
	schematic := func(s *metal.TalosSource) {
		s.Schematic = "customization: {extraKernelArgs: [console=ttyS0, talos.config=metal-iso]}"
	}
	got, err := try(t, &Resolver{Transport: w, Keep: keep}, wish(schematic, "amd64", "arm64"))
	if err != nil {
		t.Fatal(err)
	}
	hashed, err := try(t, &Resolver{Transport: w}, wish(schematic, "amd64", "arm64"))
	if err != nil || fmt.Sprintf("%+v", deref(hashed)) != fmt.Sprintf("%+v", deref(got)) {
		t.Errorf("kept %+v, hashed %+v, %v", deref(got), deref(hashed), err)
	}
	if got.Installer != "factory.talos.dev/metal-installer/"+got.SchematicID+":v1.13.0" || len(got.Boot) != 2 || len(kept) != 4 {
		t.Errorf("%+v, %d files", got, len(kept))
	}
	for i, arch := range []string{"amd64", "arm64"} {
		b := got.Boot[i]
		line := strings.Join(b.Args, " ")
		if b.Arch != arch || b.UKI != nil || line != "talos.platform=metal console=tty0 init_on_alloc=1 console=ttyS0 talos.config={config}" {
			t.Errorf("%+v", b)
		}
		for name, a := range map[string]*metal.Asset{"kernel-" + arch: b.Kernel, "initramfs-" + arch + ".xz": b.Initramfs} {
			if data := kept[a.SHA256]; !strings.Contains(data, name+" of v1.13.0") || a.SizeBytes != int64(len(data)) || !strings.HasSuffix(a.URL, "/v1.13.0/"+name) {
				t.Errorf("%+v is %q", a, data)
			}
		}
	}
	secure, err := try(t, &Resolver{Transport: w}, wish(func(s *metal.TalosSource) { s.SecureBoot, s.SchematicID = true, got.SchematicID }, "amd64"))
	if err != nil || secure.SchematicID != got.SchematicID || secure.Boot[0].Kernel != nil || !strings.HasSuffix(secure.Boot[0].UKI.URL, "metal-amd64-secureboot-uki.efi") || !strings.Contains(secure.Installer, "metal-installer-secureboot/") {
		t.Errorf("%+v, %v", secure, err)
	}
	for _, q := range w.Requests() {
		if q.Method == http.MethodPost && q.Path != "/schematics" {
			t.Errorf("%+v", q)
		}
	}
}

// deref makes files comparable.
func deref(f *Found) []string {
	var out []string
	for _, b := range f.Boot {
		out = append(out, fmt.Sprint(b.Arch, *b.Kernel, *b.Initramfs, b.Args))
	}
	return append(out, f.SchematicID, f.Installer)
}

// TestNotFound: each trouble is told apart, with what to do.
func TestNotFound(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*metal.TalosSource)
		fault  fake.Fault
		keep   error
		want   error
		says   string
	}{
		"no such version":   {change: func(s *metal.TalosSource) { s.Version = "v1.99.0" }, want: factory.ErrMissing, says: "no Talos v1.99.0, but for instance v1.12.5, v1.13.0; change spec.talos.version"},
		"no such schematic": {change: func(s *metal.TalosSource) { s.SchematicID = strings.Repeat("0", 64) }, want: factory.ErrMissing, says: "it has Talos v1.13.0, so check spec.talos.schematicID"},
		"a bad schematic":   {change: func(s *metal.TalosSource) { s.Schematic = "x: y" }, want: factory.ErrSchematic, says: "mend spec.talos.schematic"},
		"a bad URL":         {change: func(s *metal.TalosSource) { s.FactoryURL = "https://169.254.169.254" }, want: factory.ErrAnswer, says: "address of the link"},
		"an endless line": {change: func(s *metal.TalosSource) {
			s.Schematic = "customization: {extraKernelArgs: [" + strings.Repeat("a="+strings.Repeat("b", 400)+", ", 5) + "]}"
		}, want: factory.ErrLine, says: "shorten customization.extraKernelArgs"},
		"a quoted argument": {change: func(s *metal.TalosSource) { s.Schematic = "customization: {extraKernelArgs: ['a=\"b\"']}" }, want: factory.ErrLine, says: "cannot be an argument"},
		"it is away":        {fault: fake.Fault{Status: 502}, want: factory.ErrUnreachable, says: "502"},
		"a licence":         {fault: fake.Fault{Status: 402}, want: factory.ErrForbidden, says: "402"},
		"a portal":          {fault: fake.Fault{Junk: true}, want: factory.ErrAnswer, says: "no id"},
		"no room here":      {keep: errors.New("no space left"), want: ErrKeep, says: "no space left"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.Set(c.fault)
			r := &Resolver{Transport: w}
			if c.keep != nil {
				r.Keep = func(context.Context, io.Reader) (string, int64, error) { return "", 0, c.keep }
			}
			if _, err := try(t, r, wish(c.change, "amd64")); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want %v with %q", err, c.want, c.says)
			}
			w.Set(fake.Fault{})
			if _, err := try(t, &Resolver{Transport: w}, wish(nil, "amd64")); err != nil {
				t.Errorf("control: %v", err)
			}
		})
	}
}

func TestArgs(t *testing.T) {
	for in, want := range map[string]string{
		"":                                        "talos.platform=metal console=tty0 consoleblank=0 init_on_alloc=1 slab_nomerge= pti=on printk.devkmsg=on talos.config={config}",
		"talos.platform=metal a":                  "talos.platform=metal a talos.config={config}",
		"a talos.platform=aws talos.config=none":  "talos.platform=metal a talos.config={config}",
		"a talos.config={config}?uuid=${uuid} b":  "talos.platform=metal a talos.config={config}?uuid=${uuid} b",
		"talos.platform=metal a talos.config=x b": "talos.platform=metal a b talos.config={config}",
	} {
		got := Args(strings.Fields(in))
		if strings.Join(got, " ") != want || !slices.Equal(Args(got), got) {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// TestNamed: files that a person names are taken as they are.
func TestNamed(t *testing.T) {
	s := &metal.TalosSource{Version: "v1.13.0", SchematicID: "id", FactoryURL: "https://mirror:5000", Boot: []metal.BootAssets{{Arch: "amd64", UKI: &metal.Asset{URL: "u", SHA256: "d"}, Args: []string{"a"}}}}
	got, err := Named(s)
	if err != nil || got.SchematicID != "id" || got.Installer != "mirror:5000/metal-installer/id:v1.13.0" || *got.Boot[0].UKI != *s.Boot[0].UKI || len(got.Boot[0].Args) != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if len(s.Boot[0].Args) != 1 {
		t.Error("the spec was changed")
	}
	s.Boot[0].Args = slices.Repeat([]string{"a=" + strings.Repeat("b", 400)}, 5)
	if _, err := Named(s); !errors.Is(err, factory.ErrLine) {
		t.Errorf("a line that does not fit: %v", err)
	}
}

// jobs runs Jobs in a bubble.
func jobs(t *testing.T, w *wire, keep Keep) *Jobs {
	t.Helper()
	j := NewJobs(Resolver{Transport: w, Keep: keep}, time.Now)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- j.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return j
}

// TestJobs: a factory that is away is asked again, a wish that it refuses more slowly, and what was found stays.
func TestJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.set(true)
		j := jobs(t, w, nil)
		good := wish(nil, "amd64")
		if s := j.Ask("a", good); s.Found != nil || s.Err != nil || s.Doing != "waiting for its turn" {
			t.Errorf("at first: %+v", s)
		}
		synctest.Wait()
		<-j.Changed()
		s := j.Ask("a", good)
		if !errors.Is(s.Err, factory.ErrUnreachable) || s.Again.IsZero() || time.Until(s.Again) > firstWait {
			t.Errorf("away: %+v", s)
		}
		w.set(false)
		<-time.After(firstWait)
		synctest.Wait()
		if s = j.Ask("a", good); s.Err != nil || s.Found == nil {
			t.Errorf("back: %+v", s)
		}
		asked := len(w.Requests())
		<-time.After(time.Hour)
		if n := len(w.Requests()); n != asked {
			t.Errorf("asked %d times more", n-asked)
		}
		bad := wish(func(s *metal.TalosSource) { s.Schematic = "x: y" }, "amd64")
		j.Ask("b", bad)
		<-time.After(time.Hour)
		synctest.Wait()
		if s = j.Ask("b", bad); !errors.Is(s.Err, factory.ErrSchematic) {
			t.Errorf("refused: %+v", s)
		}
		if n := len(w.Requests()) - asked; n < 12 || n > 25 {
			t.Errorf("a refused schematic was posted %d times in an hour", n)
		}
	})
}

// TestJobsReplaced: another wish, or none, ends the one before, also in the middle of a file.
func TestJobsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.Set(fake.Fault{Hold: true})
		j := jobs(t, w, nil)
		names := []string{"0", "1", "2"}
		for _, name := range names {
			j.Ask(name, wish(nil, "amd64"))
			synctest.Wait()
		}
		if s := j.Ask("2", wish(nil, "amd64")); s.Doing != "waiting for its turn" {
			t.Errorf("the third: %+v", s)
		}
		if s := j.Ask("0", wish(nil, "amd64")); s.Doing != "fetching amd64/kernel from factory.talos.dev" || s.Percent != 0 {
			t.Errorf("%+v", s)
		}
		j.Ask("0", wish(nil, "arm64"))
		synctest.Wait()
		if s := j.Ask("0", wish(nil, "arm64")); s.Found != nil || s.Err != nil {
			t.Errorf("replaced: %+v", s)
		}
		w.Set(fake.Fault{})
		for _, name := range append(names, "never") {
			j.Drop(name)
		}
		synctest.Wait()
		if s := j.Ask("x", wish(nil, "arm64")); s.Doing != "waiting for its turn" {
			t.Errorf("%+v", s)
		}
		synctest.Wait()
		if s := j.Ask("x", wish(nil, "arm64")); s.Found == nil {
			t.Errorf("the places were not given back: %+v", s)
		}
	})
}

// TestJobsGoOn: a file that came to its end is not fetched again when the next one fails; progress shows in steps.
func TestJobsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.Extra = 1 << 20
		files := 0
		var j *Jobs
		var shown []int
		j = jobs(t, w, func(ctx context.Context, r io.Reader) (string, int64, error) {
			if files++; files == 2 {
				return "", 0, errors.New("no space left")
			}
			buffer, n := make([]byte, 7000), int64(0)
			for {
				k, err := r.Read(buffer)
				n += int64(k)
				if s := j.Ask("a", wish(nil, "amd64")); len(shown) == 0 || shown[len(shown)-1] != s.Percent {
					shown = append(shown, s.Percent)
				}
				if errors.Is(err, io.EOF) {
					return strings.Repeat("0", 64), n, nil
				}
				if err != nil {
					return "", 0, err
				}
			}
		})
		j.Ask("a", wish(nil, "amd64"))
		<-time.After(time.Minute)
		synctest.Wait()
		if s := j.Ask("a", wish(nil, "amd64")); s.Found == nil || files != 3 {
			t.Errorf("%+v after %d files", s, files)
		}
		kernels := 0
		for _, q := range w.Requests() {
			if strings.HasSuffix(q.Path, "kernel-amd64") {
				kernels++
			}
		}
		if kernels != 1 || !slices.Contains(shown, 50) || slices.ContainsFunc(shown, func(p int) bool { return p%step != 0 }) {
			t.Errorf("%d kernels, progress %v", kernels, shown)
		}
	})
}
