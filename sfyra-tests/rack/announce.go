package rack

import (
	"context"
	"time"

	"ingot.dev/ingot/sfyra-tests/rack/lldp"
	"ingot.dev/ingot/sfyra-tests/rack/wire"
)

// announce speaks for the switch on the ports of a server while it is on. A
// Linux bridge forwards no LLDP, so each tap gets its own frame.
func (s *Server) announce(lifetime context.Context) {
	frames := s.frames()
	if len(frames) == 0 || s.config.LLDPInterval < 0 {
		return
	}
	ticker := time.NewTicker(s.config.LLDPInterval)
	defer ticker.Stop()
	for {
		for tap, frame := range frames {
			if err := sendOne(tap, frame); err != nil {
				s.config.Log.Warn("LLDP was not sent", "server", s.spec.Name, "error", err)
			}
		}
		select {
		case <-ticker.C:
		case <-lifetime.Done():
			return
		}
	}
}

// frames by tap. The spec is checked, so every neighbour can be encoded.
func (s *Server) frames() map[string][]byte {
	frames := map[string][]byte{}
	for i, nic := range s.spec.NICs {
		if nic.Neighbor == nil {
			continue
		}
		if frame, err := lldp.Encode(*nic.Neighbor); err == nil {
			frames[s.taps[i]] = frame
		}
	}
	return frames
}

func sendOne(tap string, frame []byte) error {
	port, err := wire.OpenPort(tap)
	if err != nil {
		return err
	}
	defer port.Close()
	return port.Send(frame)
}
