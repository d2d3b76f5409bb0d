package fakebmc

import "net/http"

// handler routes, after authentication and faults.
func (b *BMC) handler() http.Handler {
	mux := http.NewServeMux()
	b.routeService(mux)
	b.routeSystem(mux)
	b.routeManager(mux)
	b.routeMedia(mux)
	if b.config.SessionLimit > 0 {
		b.routeSessions(mux)
	}
	mux.Handle("GET /console0", b.console())
	return b.guard(mux)
}

// guard logs each request, applies faults and demands credentials.
func (b *BMC) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !b.enter() {
			panic(http.ErrAbortHandler) // the way to drop a connection without an answer
		}
		defer b.work.Done()
		user, presented := b.authenticate(r)
		recorder := &statusRecorder{ResponseWriter: w}
		defer func() {
			b.note(Request{Method: r.Method, Path: r.URL.Path, User: user, Presented: presented, Status: recorder.status})
		}()
		if b.faults.Hang(r.Context(), b.ctx) != nil || b.stale(r.Context()) {
			panic(http.ErrAbortHandler)
		}
		switch fault := b.faults.Get(); {
		case fault.Garbage:
			_, _ = recorder.Write([]byte("these are no Redfish bytes at all"))
		case user == "" && !b.open(r):
			w.Header().Set("WWW-Authenticate", `Basic realm="bmc"`)
			fail(recorder, http.StatusUnauthorized, "Base.1.8.NoValidSession", "credentials are missing or wrong")
		case user != "" && fault.Status != 0:
			fail(recorder, fault.Status, "Base.1.8.GeneralError", "a fault was set")
		default:
			next.ServeHTTP(recorder, r)
		}
	})
}

// note writes a request into the log. A login brings its credentials in the body.
func (b *BMC) note(entry Request) {
	if entry.Method == http.MethodPost && entry.Path == sessionsPath {
		entry.Presented = true
		if entry.Status == http.StatusCreated {
			entry.User = b.config.Username
		}
	}
	b.requests.add(entry)
	b.config.Log.Info("bmc request", "method", entry.Method, "path", entry.Path, "user", entry.User, "status", entry.Status)
}

// open says that a request needs no credentials: the service root (DSP0266, 13.2), and a login brings its own.
func (b *BMC) open(r *http.Request) bool {
	switch r.URL.Path {
	case "/redfish", "/redfish/", "/redfish/v1", "/redfish/v1/":
		return r.Method == http.MethodGet
	case sessionsPath:
		return r.Method == http.MethodPost
	}
	return false
}

// statusRecorder remembers the status for the log. The console needs the connection below, hence Unwrap.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusRecorder) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(p)
}

// Unwrap serves http.ResponseController.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
