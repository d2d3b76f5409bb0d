package httpboot

import (
	"errors"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"ingot.dev/ingot/boot-assets/cache"
	"ingot.dev/ingot/pxe-server/limits"
)

// asset serves one file that open proves, with ranges, its digest as ETag, and stage in the timeline of the machine that fetched it.
func (s *Server) asset(open func(string) (*cache.Asset, error), name, stage string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := open(name)
		if err != nil {
			s.refuse(w, name, err)
			return
		}
		defer a.Close()
		leave, ok := s.turn(w, r, stage, a.Size)
		if !ok {
			return
		}
		defer leave()
		h := w.Header()
		h.Set("Content-Type", contentType(name))
		h.Set("ETag", `"`+a.SHA256+`"`)
		if ranges := r.Header.Values("Range"); len(ranges) > 1 || strings.Contains(strings.Join(ranges, ""), ",") {
			r.Header.Del("Range") // one range is enough for a download that goes on; RFC 9110 section 14.2 allows to ignore it
		}
		if stage != "" && r.Method == http.MethodGet {
			s.cfg.Events.fetched(limits.AddrOf(r.RemoteAddr), stage)
		}
		http.ServeContent(w, r, name, time.Time{}, a.ReadSeekCloser) // the bare file, so that the kernel can send it
		if stage == StageInitramfs && r.Method == http.MethodGet && r.Context().Err() == nil {
			s.cfg.Events.fetched(limits.AddrOf(r.RemoteAddr), StageLoaded)
		}
	}
}

// turn lets a download begin, or tells when to ask again. iPXE, which fetches all that is large, obeys Retry-After (src/net/tcp/httpcore.c); firmware may not, but
// what it fetches itself, boot loaders, is small and always sent.
func (s *Server) turn(w http.ResponseWriter, r *http.Request, stage string, size int64) (leave func(), ok bool) {
	if r.Method != http.MethodGet || stage != StageKernel && stage != StageInitramfs {
		return func() {}, true
	}
	leave, ahead := s.turns.Enter(limits.Source(limits.AddrOf(r.RemoteAddr)), size)
	if leave == nil {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter(ahead, s.turns.Budget)))
		http.Error(w, "other machines are fetching their files; ask again", http.StatusServiceUnavailable)
	}
	return leave, leave != nil
}

// retryAfter is in how many seconds to ask again with so many bytes ahead: each budgetful is taken to last two.
func retryAfter(ahead, budget int64) int { return int(min(2+2*(ahead/max(budget, 1)), 20)) }

// refuse never serves a byte of a file that is not what the catalog says.
func (s *Server) refuse(w http.ResponseWriter, name string, err error) {
	s.cfg.Log.Error("boot file refused", "file", name, "error", err)
	if errors.Is(err, cache.ErrMismatch) {
		http.Error(w, "this file is not what it should be; see the log of the pxe-server", http.StatusInternalServerError)
		return
	}
	http.Error(w, "this file cannot be read; see the log of the pxe-server", http.StatusServiceUnavailable)
}

// contentType: UEFI 2.10 section 24.7.3 names application/efi for HTTP boot; firmware also goes by the suffix.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".efi":
		return "application/efi"
	case ".ipxe":
		return mime.FormatMediaType("text/plain", map[string]string{"charset": "us-ascii"})
	}
	return "application/octet-stream"
}
