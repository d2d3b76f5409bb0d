package fakebmc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// Limits of fetching an image.
const (
	maxImage  = 64 << 20
	imageTime = 30 * time.Second
)

// mediaHome is the resource that virtual media are below of: the manager, or, since ComputerSystem 1.13 (DSP0268), the system.
func (b *BMC) mediaHome() string {
	if b.config.MediaAtSystem {
		return systemPath
	}
	return managerPath
}

func (b *BMC) mediaPath() string { return b.mediaHome() + "/VirtualMedia" }
func (b *BMC) drivePath() string { return b.mediaPath() + "/Cd" }

// linkMedia adds the link to virtual media where they are.
func (b *BMC) linkMedia(to object, path string) {
	if path == b.mediaHome() && !b.faults.Get().NoMedia {
		to["VirtualMedia"] = ref(b.mediaPath())
	}
}

// routeMedia serves virtual media: the drive, and a floppy that takes no CD.
func (b *BMC) routeMedia(mux *http.ServeMux) {
	inner := http.NewServeMux()
	mux.Handle(b.mediaPath()+"/", b.withMedia(inner))
	mux.Handle(b.mediaPath(), b.withMedia(inner))
	b.routeDrives(inner)
}

// withMedia hides all of it from a BMC that has none.
func (b *BMC) withMedia(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.faults.Get().NoMedia {
			fail(w, http.StatusNotFound, "Base.1.8.ResourceMissingAtURI", "there are no virtual media")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (b *BMC) routeDrives(mux *http.ServeMux) {
	floppy := b.mediaPath() + "/Floppy"
	serveCollection(mux, b.mediaPath(), "VirtualMediaCollection", func() []string { return []string{floppy, b.drivePath()} })
	serve(mux, floppy, func() object { return b.empty(floppy, "Floppy", "Floppy", "USBStick") })
	serve(mux, b.drivePath(), b.drive)
	mux.HandleFunc("PATCH "+b.drivePath(), b.patchDrive)
	mux.HandleFunc("POST "+b.action("InsertMedia"), b.postInsert)
	// Clients eject before they insert; ejecting from an empty drive succeeds, as on real BMCs.
	mux.HandleFunc("POST "+b.action("EjectMedia"), func(w http.ResponseWriter, r *http.Request) { b.answer(w, b.eject(r.Context())) })
}

func (b *BMC) action(name string) string { return b.drivePath() + "/Actions/VirtualMedia." + name }

// empty is a drive without a medium and without actions.
func (b *BMC) empty(path, id string, types ...string) object {
	return object{
		"@odata.id": path, "@odata.type": "#VirtualMedia.v1_3_0.VirtualMedia", "Id": id, "Name": id,
		"MediaTypes": types, "Image": nil, "Inserted": false, "ConnectedVia": "NotConnected",
	}
}

// drive offers InsertMedia where the server has a drive: the BMC does not pretend.
func (b *BMC) drive() object {
	d := b.empty(b.drivePath(), "Cd", "CD", "DVD")
	if image := b.Media(); image != "" {
		d["Image"], d["Inserted"], d["ConnectedVia"], d["WriteProtected"] = image, true, "URI", true
	}
	if b.faults.Get().MediaByPatch {
		return d
	}
	actions := object{"#VirtualMedia.EjectMedia": object{"target": b.action("EjectMedia")}}
	if b.config.Machine.Identity().Drive {
		actions["#VirtualMedia.InsertMedia"] = object{"target": b.action("InsertMedia")}
	}
	d["Actions"] = actions
	return d
}

// Media is the URI of the image in the drive, empty without one.
func (b *BMC) Media() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.image
}

// insertion is the body of InsertMedia, and of a PATCH in its place (DSP0268, VirtualMedia). Absent members stay as they are.
type insertion struct {
	Image                *string
	Inserted             *bool
	WriteProtected       *bool
	TransferProtocolType *string
}

func (b *BMC) postInsert(w http.ResponseWriter, r *http.Request) {
	var in insertion
	if !read(w, r, &in) {
		return
	}
	if b.faults.Get().MediaWantsProtocol && in.TransferProtocolType == nil {
		fail(w, http.StatusBadRequest, "Base.1.8.ActionParameterMissing", "TransferProtocolType is missing")
		return
	}
	b.answer(w, b.insert(r.Context(), or(in.Image, "")))
}

// patchDrive is how a drive without actions is filled and emptied.
func (b *BMC) patchDrive(w http.ResponseWriter, r *http.Request) {
	var in insertion
	if !read(w, r, &in) {
		return
	}
	switch {
	case !b.faults.Get().MediaByPatch:
		fail(w, http.StatusMethodNotAllowed, "Base.1.8.ActionNotSupported", "its actions fill and empty this drive")
	case in.Inserted != nil && *in.Inserted && in.Image != nil:
		b.answer(w, b.insert(r.Context(), *in.Image))
	default:
		b.answer(w, b.eject(r.Context()))
	}
}

func (b *BMC) answer(w http.ResponseWriter, err error) {
	if err != nil {
		failMachine(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// insert fetches an image whole and puts it into the drive, unless something is there.
func (b *BMC) insert(ctx context.Context, uri string) error {
	b.media.Lock()
	defer b.media.Unlock()
	drive, ok := b.config.Machine.(machine.Drive)
	switch {
	case !ok || !b.config.Machine.Identity().Drive:
		return fmt.Errorf("%w: there is no drive", machine.ErrInvalid)
	case b.Media() != "":
		return fmt.Errorf("%w: the drive holds an image", machine.ErrBusy)
	case b.faults.Get().IgnoreMedia:
		return nil
	}
	image, err := fetchImage(ctx, uri)
	if err != nil {
		return fmt.Errorf("%w: %w", machine.ErrInvalid, err)
	}
	if err := drive.InsertMedia(ctx, image); err != nil {
		return err
	}
	b.setImage(uri)
	return nil
}

// eject empties the drive.
func (b *BMC) eject(ctx context.Context) error {
	b.media.Lock()
	defer b.media.Unlock()
	if b.Media() == "" || b.faults.Get().IgnoreMedia {
		return nil
	}
	if err := b.config.Machine.(machine.Drive).EjectMedia(ctx); err != nil {
		return err
	}
	b.setImage("")
	return nil
}

func (b *BMC) setImage(uri string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.image = uri
}

// Insert is a person who puts an image into the drive in the BMC's own web page.
func (b *BMC) Insert(ctx context.Context, uri string) error { return b.insert(ctx, uri) }

// fetchImage reads an image over HTTP or HTTPS, of at most maxImage bytes, without redirects.
func fetchImage(ctx context.Context, uri string) ([]byte, error) {
	at, err := url.Parse(uri)
	if err != nil || len(uri) > maxURI || at.Scheme != "http" && at.Scheme != "https" {
		return nil, errors.New("the image's URI is none of HTTP")
	}
	ctx, cancel := context.WithTimeout(ctx, imageTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, errors.New("the image's URI is none of HTTP")
	}
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		return nil, errors.New("the image's server does not answer")
	}
	defer answer.Body.Close()
	image, err := io.ReadAll(io.LimitReader(answer.Body, maxImage+1))
	switch {
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the image's server answers status %d", answer.StatusCode)
	case err != nil || len(image) == 0 || len(image) > maxImage:
		return nil, fmt.Errorf("the image is empty, broken off, or larger than %d MiB", maxImage>>20)
	}
	return image, nil
}
