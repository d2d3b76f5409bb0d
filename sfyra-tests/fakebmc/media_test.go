package fakebmc_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
)

// withDrive gives the machine an optical drive.
func withDrive(c *fakebmc.Config) {
	id := identity
	id.Drive = true
	c.Machine = memory.New(id)
}

const drive = "/redfish/v1/Managers/bmc/VirtualMedia/Cd"

// TestInsertMedia: an image is fetched whole over HTTP before the BMC says that it is inserted; what cannot be fetched within the limits is not.
func TestInsertMedia(t *testing.T) {
	images := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good.iso":
			_, _ = io.WriteString(w, "an image")
		case "/moved.iso":
			http.Redirect(w, r, "/good.iso", http.StatusFound)
		case "/huge.iso":
			_, _ = io.Copy(w, io.LimitReader(zeros{}, 64<<20+1))
		case "/empty.iso":
		default:
			http.NotFound(w, r)
		}
	}))
	defer images.Close()
	c := start(t, withDrive)
	insert := func(want int, uri string) {
		t.Helper()
		c.want(want, "POST", drive+"/Actions/VirtualMedia.InsertMedia", fmt.Sprintf(`{"Image":%q}`, uri))
	}
	for _, bad := range []string{images.URL + "/moved.iso", images.URL + "/huge.iso", images.URL + "/empty.iso", images.URL + "/none.iso", "nfs://192.0.2.1/good.iso", "", "http://" + strings.Repeat("x", 4096)} {
		insert(http.StatusBadRequest, bad)
		if d := c.want(200, "GET", drive, ""); d["Inserted"] != false || d["Image"] != nil {
			t.Errorf("%.60s: the drive is %v", bad, d)
		}
	}
	insert(http.StatusNoContent, images.URL+"/good.iso")
	if d := c.want(200, "GET", drive, ""); d["Inserted"] != true || d["Image"] != images.URL+"/good.iso" {
		t.Errorf("the drive is %v", d)
	}
	insert(http.StatusConflict, images.URL+"/good.iso")
	c.want(http.StatusMethodNotAllowed, "PATCH", drive, `{"Image":null,"Inserted":false}`)
	c.want(http.StatusNoContent, "POST", drive+"/Actions/VirtualMedia.EjectMedia", `{}`)
	if d := c.want(200, "GET", drive, ""); d["Inserted"] != false {
		t.Errorf("the drive is %v", d)
	}
	without := start(t, nil)
	without.want(http.StatusBadRequest, "POST", drive+"/Actions/VirtualMedia.InsertMedia", fmt.Sprintf(`{"Image":%q}`, images.URL+"/good.iso"))
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
