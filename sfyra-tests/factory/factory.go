// Package factory is an Image Factory for tests: it speaks the documented HTTP API of one, makes small files that look like Talos', or serves files of a
// folder, and misbehaves as it is told.
//
// Layer 2: the standard library and a YAML reader. What it misbehaves in is set by a test, and is off otherwise.
package factory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"ingot.dev/ingot/sfyra-tests/outage"
)

// Fault is how a factory misbehaves. The zero value is an honest one.
type Fault struct {
	// Status answers every request with it; 0 does not.
	Status int
	// Junk answers every request with a web page and 200, as a portal does that wants a password first.
	Junk bool
	// Change makes other files than before, as after a rebuild.
	Change bool
	// CutAfter ends every file after so many bytes; 0 does not.
	CutAfter int
	// BytesPerSecond is the speed of a file; 0 is as fast as it goes.
	BytesPerSecond int
	// Hold answers no file until the request ends.
	Hold bool
}

// Request is one that came.
type Request struct{ Method, Path, Agent string }

// Server is a factory. It is an http.Handler, and listens by itself when Start made it.
type Server struct {
	// Versions that it has.
	Versions []string
	// Folder with files by the name that they have at a factory, such as kernel-amd64; those that it lacks are made. Empty: all are made.
	Folder string
	// Extra are bytes more than the few that a made file has.
	Extra int

	*outage.Listener

	mu         sync.Mutex
	fault      Fault
	schematics map[string]schematic
	requests   []Request
}

// schematic is what of one is looked at. Other fields are refused, as a factory does.
type schematic struct {
	Overlay       any `yaml:"overlay"`
	Customization struct {
		ExtraKernelArgs  []string `yaml:"extraKernelArgs"`
		Meta             any      `yaml:"meta"`
		SystemExtensions struct {
			OfficialExtensions []string `yaml:"officialExtensions"`
		} `yaml:"systemExtensions"`
		SecureBoot                   any `yaml:"secureboot"`
		Bootloader                   any `yaml:"bootloader"`
		EmbeddedMachineConfiguration any `yaml:"embeddedMachineConfiguration"`
	} `yaml:"customization"`
}

// New makes a factory that does not listen, for httptest.
func New(versions ...string) *Server {
	return &Server{Versions: versions, schematics: map[string]schematic{}}
}

// Start makes one that listens on an address such as 192.0.2.1:0, until Stop.
func Start(address string, versions ...string) (*Server, error) {
	s := New(versions...)
	s.Listener = outage.New(address, s)
	return s, s.Resume()
}

// URL of a factory that listens.
func (s *Server) URL() string { return "http://" + s.Address() }

// Set replaces the fault. Transfers under way keep theirs.
func (s *Server) Set(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Requests that came, in that order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP answers as a factory does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, r.URL.Path, r.UserAgent()})
	fault := s.fault
	s.mu.Unlock()
	switch {
	case fault.Status != 0:
		http.Error(w, "as the test wants it", fault.Status)
	case fault.Junk:
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html><title>Please log in</title>"))
	case r.Method == http.MethodPost && r.URL.Path == "/schematics":
		s.submit(w, r)
	case r.Method == http.MethodGet && r.URL.Path == "/versions":
		_ = json.NewEncoder(w).Encode(s.Versions)
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/image/"):
		s.image(w, r, fault)
	default:
		http.NotFound(w, r)
	}
}

// submit takes a schematic. Its id is that of its meaning, not of its text.
func (s *Server) submit(w http.ResponseWriter, r *http.Request) {
	d := yaml.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.KnownFields(true)
	var v schematic
	if err := d.Decode(&v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	canonical, err := yaml.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	id := sum(canonical)
	s.mu.Lock()
	s.schematics[id] = v
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]string{"id": id})
}

var file = regexp.MustCompile(`^(kernel-(amd64|arm64)|initramfs-(amd64|arm64)\.xz|cmdline-metal-(amd64|arm64)(-secureboot)?|metal-(amd64|arm64)(-secureboot)?-uki\.efi)$`)

// image serves GET /image/SCHEMATIC/VERSION/FILE.
func (s *Server) image(w http.ResponseWriter, r *http.Request, fault Fault) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/image/"), "/")
	s.mu.Lock()
	known, ok := s.schematics[parts[0]]
	s.mu.Unlock()
	switch {
	case len(parts) != 3 || !ok || !slices.Contains(s.Versions, parts[1]):
		http.NotFound(w, r)
	case strings.HasSuffix(parts[2], ".sha256"), strings.HasSuffix(parts[2], ".sig"):
		http.Error(w, "checksums are for enterprises", http.StatusPaymentRequired)
	case !file.MatchString(parts[2]):
		http.NotFound(w, r)
	case strings.HasPrefix(parts[2], "cmdline-"):
		_, _ = fmt.Fprintln(w, strings.Join(append([]string{"talos.platform=metal", "console=tty0", "init_on_alloc=1"}, known.Customization.ExtraKernelArgs...), " "))
	case fault.Hold:
		<-r.Context().Done()
	default:
		send(w, r, s.content(parts[0], parts[1], parts[2], fault.Change), fault)
	}
}

// content is that of the folder, or a few bytes that begin as such a file does and then say what it is.
func (s *Server) content(id, version, name string, change bool) []byte {
	if s.Folder != "" {
		if data, err := os.ReadFile(filepath.Join(s.Folder, name)); err == nil { // name matched file
			return data
		}
	}
	head := []byte("MZ")
	if strings.HasPrefix(name, "initramfs") {
		head = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
	}
	data := fmt.Appendf(head, "\n%s of %s after %s; changed: %v\n", name, version, id, change)
	for block := 0; len(data) < s.Extra; block++ {
		data = fmt.Appendf(data, "%s %d\n", sum(data[:32]), block)
	}
	return data
}

// send sends as the fault says.
func send(w http.ResponseWriter, r *http.Request, data []byte, fault Fault) {
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	line := &outage.Line{ResponseWriter: w, Context: r.Context(), CutAfter: int64(fault.CutAfter), BytesPerSecond: int64(fault.BytesPerSecond)}
	_, _ = line.Write(data) // who does not get it all notices
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}
