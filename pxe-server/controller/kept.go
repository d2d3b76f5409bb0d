package controller

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"ingot.dev/ingot/boot-assets/pace"
	"ingot.dev/ingot/pxe-server/protocol"
)

// MaxKept bounds what is kept of a view, in bytes.
const MaxKept = maxMessage

// Kept is the part of a view that still counts while the controller cannot be heard. Boot ids, capabilities and what goes on kernel lines are left out: nothing
// is begun then, so no secret needs to be on a disk. So is the revision: a view that says nothing new needs no writing.
func Kept(m *protocol.View) *protocol.View {
	out := &protocol.View{UnknownPolicy: m.GetUnknownPolicy(), Assets: m.GetAssets()}
	for _, s := range m.GetServers() {
		out.Servers = append(out.Servers, &protocol.Server{
			Name: s.GetName(), Macs: s.GetMacs(), Manufacturer: s.GetManufacturer(), Serial: s.GetSerial(), Uuid: s.GetUuid(),
			Accepted: s.GetAccepted(), Registered: s.GetRegistered(), Target: s.GetTarget(),
		})
	}
	return out
}

// Word is what there is to keep.
type Word struct {
	// View is nil while the controller was never heard.
	View *protocol.View
	// Heard is when the controller was there last: now, while it is connected.
	Heard     time.Time
	Connected bool
}

// Word says what the controller said last. Nobody may change the view.
func (c *Client) Word() Word {
	w := c.word.Load()
	switch {
	case w == nil:
		return Word{}
	case w.connected:
		return Word{View: w.said, Heard: c.Clock(), Connected: true}
	}
	return Word{View: w.said, Heard: w.heard}
}

// Resume takes what was kept before this start: the word of a controller that was heard last at that time. It is called before Run. What is malformed or
// older than MaxAge is refused, and changes nothing.
func (c *Client) Resume(data []byte, heard time.Time) error {
	m := &protocol.View{}
	if err := proto.Unmarshal(data, m); err != nil {
		return fmt.Errorf("%w: %w", ErrView, err)
	}
	m = Kept(m)
	v, err := ViewOf(m)
	if err != nil {
		return err
	}
	if age := c.Clock().Sub(heard); age > MaxAge {
		return fmt.Errorf("it is %s old, and counts for %s", age.Round(time.Minute), MaxAge)
	}
	c.word.Store(&word{view: v, said: m, heard: heard})
	pace.Signal(c.changed)
	c.log.Info("begun with what the controller said before; until it is heard, servers with a system boot their own disk, and nothing is begun", "servers", len(v.Servers), "heard", heard.UTC())
	return nil
}
