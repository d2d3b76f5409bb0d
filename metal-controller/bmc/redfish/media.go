package redfish

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	schema "github.com/stmcginnis/gofish/redfish"

	"ingot.dev/ingot/metal-controller/bmc"
)

// maxDrives bounds how many virtual drives are looked at; Lenovo's XCC shows ten, others two to four.
const maxDrives = 16

// drive is what the driver needs of VirtualMedia (DSP0268). Image and Inserted are null in some empty drives.
type drive struct {
	ID       string   `json:"@odata.id"`
	ETag     string   `json:"@odata.etag"`
	Types    []string `json:"MediaTypes"`
	Image    string
	Inserted bool
	Actions  struct {
		Insert action `json:"#VirtualMedia.InsertMedia"`
		Eject  action `json:"#VirtualMedia.EjectMedia"`
	}
}

type action struct {
	Target string `json:"target"`
}

// takesCD says that an optical medium can be inserted. A drive that names no types is taken to take any.
func (v drive) takesCD() bool {
	return len(v.Types) == 0 || slices.Contains(v.Types, "CD") || slices.Contains(v.Types, "DVD")
}

// holds says that an image is in the drive.
func (v drive) holds(uri string) bool { return v.Inserted && v.Image == uri }

// insertable says that a medium can be put in: by its action, or, where it has none at all, by writing its properties.
func (v drive) insertable() bool { return v.Actions.Insert.Target != "" || v.patched() }

// patched says that the drive has no actions, as before VirtualMedia 1.2: its properties are written (Lenovo SD530, by sushy's virtual_media.py).
func (v drive) patched() bool { return v.Actions.Insert.Target == "" && v.Actions.Eject.Target == "" }

// choose finds the drive that holds an image, or the first empty one that takes it. What is in the others is somebody else's.
func choose(drives []drive, uri string) (drive, *bmc.Error) {
	other := ""
	for _, v := range drives {
		if v.holds(uri) {
			return v, nil
		}
	}
	for _, v := range drives {
		switch {
		case !v.insertable():
		case !v.Inserted:
			return v, nil
		default:
			other = v.Image
		}
	}
	if other != "" {
		return drive{}, bmc.Fail(bmc.ErrUnsupported, "", "its virtual drive holds %.80q, which Ingot did not insert: eject it at the BMC if nobody needs it", other)
	}
	return drive{}, bmc.Fail(bmc.ErrUnsupported, "", "its virtual drive is in use, or takes no image from a URI (some BMCs want a licence for that); leave virtualMediaURI out if so")
}

// insertions are the bodies of InsertMedia to try, one after the other while the BMC answers 400. Inserted and WriteProtected are true when they are left out
// (DSP0268), and Supermicro's X11 refuses them; others want the protocol named, and some the method (sushy, virtual_media.py).
func insertions(uri string) []map[string]any {
	scheme, _, _ := strings.Cut(uri, ":")
	protocol := strings.ToUpper(scheme)
	return []map[string]any{
		{"Image": uri},
		{"Image": uri, "TransferProtocolType": protocol},
		{"Image": uri, "TransferProtocolType": protocol, "TransferMethod": "Stream"},
	}
}

// bootMedia inserts the target's image unless it is in a drive, and lets the next boot be from it; both are read back. It is not done for every boot: a machine
// would boot our image for ever.
func (d *driver) bootMedia(ctx context.Context, once bool) error {
	const doing = "setting next boot to virtual media"
	if !once {
		return d.failed(bmc.ErrUnsupported, doing, "an image is booted once, not always")
	}
	if err := d.insertMedia(ctx); err != nil {
		return err
	}
	return d.do(ctx, doing, func(context.Context) error {
		system, now, err := d.readBoot()
		if err != nil {
			return err
		}
		target, ok := now.first([]schema.BootSourceOverrideTarget{byCD, usbCD})
		if !ok {
			return bmc.Fail(bmc.ErrUnsupported, doing, "it offers no boot from a CD; enable it in the firmware setup")
		}
		return d.override(doing, system, now, bootOrder{Enabled: schema.OnceBootSourceOverrideEnabled, Target: target}, "")
	})
}

// insertMedia fills a drive and reads it back. Each question is a call of its own, since what the wire saw explains the end of a call.
func (d *driver) insertMedia(ctx context.Context) error {
	const doing = "inserting virtual media"
	uri := d.target.MediaURI
	drives, err := d.readDrives(ctx, doing)
	if err != nil {
		return err
	}
	v, none := choose(drives, uri)
	if none != nil {
		return d.failed(none.Class, doing, "%s", none.Detail)
	}
	if v.holds(uri) {
		return nil
	}
	if err := d.fill(ctx, doing, v, uri); err != nil {
		return err
	}
	return d.checkMedia(ctx, doing, true)
}

func (d *driver) fill(ctx context.Context, doing string, v drive, uri string) (err error) {
	for _, body := range insertions(uri) {
		err = d.do(ctx, doing, func(context.Context) error {
			if v.patched() {
				body["Inserted"], body["WriteProtected"] = true, true // SD530 inserts nothing without
				return d.patchDrive(v, body)
			}
			return closed(d.direct.Post(v.Actions.Insert.Target, body))
		})
		if !badRequest(err) {
			return err
		}
	}
	return err
}

// badRequest says that the BMC did not like what was sent.
func badRequest(err error) bool {
	var failure *bmc.Error
	return errors.As(err, &failure) && failure.Code == http.StatusBadRequest
}

// gone says that a resource is not there, which a BMC that was reset or updated may say of one that was.
func gone(err error) bool {
	var failure *bmc.Error
	return errors.As(err, &failure) && failure.Code == http.StatusNotFound
}

// MediaInserted implements bmc.MediaDriver.
func (d *driver) MediaInserted(ctx context.Context) (bool, error) {
	if d.target.MediaURI == "" {
		return false, nil
	}
	drives, err := d.readDrives(ctx, "reading virtual media")
	return slices.ContainsFunc(drives, func(v drive) bool { return v.holds(d.target.MediaURI) }), err
}

// EjectMedia implements bmc.MediaDriver.
func (d *driver) EjectMedia(ctx context.Context) error {
	const doing = "ejecting virtual media"
	if d.target.MediaURI == "" {
		return nil
	}
	drives, err := d.readDrives(ctx, doing)
	if err != nil {
		return err
	}
	ejected := false
	for _, v := range drives {
		if !v.holds(d.target.MediaURI) {
			continue
		}
		ejected = true
		if err := d.do(ctx, doing, func(context.Context) error { return d.empty(v) }); err != nil {
			return err
		}
	}
	if !ejected {
		return nil
	}
	return d.checkMedia(ctx, doing, false)
}

// empty takes the medium out. HPE's iLO wants a body, if an empty one.
func (d *driver) empty(v drive) error {
	if v.Actions.Eject.Target == "" {
		return d.patchDrive(v, map[string]any{"Image": nil, "Inserted": false})
	}
	return closed(d.direct.Post(v.Actions.Eject.Target, map[string]any{}))
}

func (d *driver) patchDrive(v drive, body map[string]any) error {
	var header map[string]string
	if v.ETag != "" {
		header = map[string]string{"If-Match": v.ETag}
	}
	return closed(d.direct.PatchWithHeaders(v.ID, body, header))
}

// checkMedia reads back whether the image is in a drive.
func (d *driver) checkMedia(ctx context.Context, doing string, want bool) error {
	drives, err := d.readDrives(ctx, doing)
	if err != nil {
		return err
	}
	var images []string
	for _, v := range drives {
		if want && v.holds(d.target.MediaURI) {
			return nil
		}
		if v.Inserted {
			images = append(images, v.Image)
		}
	}
	if !want && !slices.Contains(images, d.target.MediaURI) {
		return nil
	}
	return d.failed(bmc.ErrLied, doing, "its virtual drives hold %.120q afterwards, and the image is %.120q", images, d.target.MediaURI)
}

// readDrives reads the virtual drives that take a CD. They are looked for once, and again when they are not there any more.
func (d *driver) readDrives(ctx context.Context, doing string) (drives []drive, err error) {
	if d.cds != nil {
		err = d.do(ctx, doing, func(context.Context) error {
			drives, err = d.drivesAt(d.cds)
			return err
		})
		if !gone(err) {
			return drives, err
		}
	}
	d.cds = nil
	err = d.do(ctx, doing, func(context.Context) error {
		drives, err = d.findDrives()
		for _, v := range drives {
			d.cds = append(d.cds, v.ID)
		}
		return err
	})
	return drives, err
}

// findDrives looks below the system, where newer BMCs have virtual media (ComputerSystem 1.13), and below its managers, where they were before.
func (d *driver) findDrives() ([]drive, error) {
	system, err := d.system()
	if err != nil {
		return nil, err
	}
	var owner struct {
		VirtualMedia link
		Links        struct{ ManagedBy []link }
	}
	if err := json.Unmarshal(system.RawData, &owner); err != nil {
		return nil, bmc.Fail(bmc.ErrUnsupported, "", "its system makes no sense")
	}
	collections := []link{owner.VirtualMedia}
	for _, manager := range owner.Links.ManagedBy[:min(len(owner.Links.ManagedBy), 2)] {
		var m struct{ VirtualMedia link }
		if err := d.get(manager.ID, &m); err != nil {
			return nil, err
		}
		collections = append(collections, m.VirtualMedia)
	}
	for _, c := range collections {
		if found, err := d.drivesOf(c.ID); err != nil || len(found) > 0 {
			return found, err
		}
	}
	return nil, bmc.Fail(bmc.ErrUnsupported, "", "it has no virtual drive for a CD; leave virtualMediaURI out, or enable virtual media at the BMC")
}

// drivesOf are the drives of a collection that take a CD; none without a collection.
func (d *driver) drivesOf(collection string) ([]drive, error) {
	if collection == "" {
		return nil, nil
	}
	var list struct{ Members []link }
	if err := d.get(collection, &list); err != nil {
		return nil, err
	}
	var paths []string
	for _, member := range list.Members[:min(len(list.Members), maxDrives)] {
		paths = append(paths, member.ID)
	}
	all, err := d.drivesAt(paths)
	return slices.DeleteFunc(all, func(v drive) bool { return !v.takesCD() }), err
}

func (d *driver) drivesAt(paths []string) (drives []drive, err error) {
	for _, path := range paths {
		v := drive{ID: path}
		if err := d.get(path, &v); err != nil {
			return nil, err
		}
		v.ID = path // where it was found, whatever it says of itself
		drives = append(drives, v)
	}
	return drives, nil
}

// get reads one resource.
func (d *driver) get(path string, into any) error {
	answer, err := d.direct.Get(path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		return bmc.Fail(bmc.ErrUnsupported, "", "what it says of its virtual media makes no sense")
	}
	return nil
}

// closed drops the body of an answer.
func closed(answer *http.Response, err error) error {
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
