package rack

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// InsertMedia implements machine.Drive: the image is a file of the server, and a server that runs sees the medium change.
func (s *Server) InsertMedia(ctx context.Context, image []byte) error {
	if !s.spec.Drive {
		return fmt.Errorf("inserting a medium into %s: %w: it has no optical drive", s.spec.Name, machine.ErrInvalid)
	}
	s.power.Lock()
	defer s.power.Unlock()
	if err := s.empty(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(s.File(qemu.MediaFile), image, 0o600); err != nil {
		return fmt.Errorf("inserting a medium into %s: %w", s.spec.Name, err)
	}
	s.inserted = true
	return s.change(ctx, "blockdev-change-medium", map[string]any{"id": qemu.OpticalID, "filename": qemu.MediaFile, "format": "raw", "force": true})
}

// EjectMedia implements machine.Drive.
func (s *Server) EjectMedia(ctx context.Context) error {
	s.power.Lock()
	defer s.power.Unlock()
	return s.empty(ctx)
}

// empty takes the medium out, also when the guest has locked the drive. The caller holds power.
func (s *Server) empty(ctx context.Context) error {
	if !s.inserted {
		return nil
	}
	if err := s.change(ctx, "eject", map[string]any{"id": qemu.OpticalID, "force": true}); err != nil {
		return err
	}
	s.inserted = false
	if err := os.Remove(s.File(qemu.MediaFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("ejecting the medium of %s: %w", s.spec.Name, err)
	}
	return nil
}

// change tells a server that runs. One that is off finds its drive as it is when it starts.
func (s *Server) change(ctx context.Context, command string, arguments any) error {
	r := s.running()
	if r == nil {
		return nil
	}
	if err := r.process.Monitor.Execute(ctx, command, arguments, nil); err != nil {
		return fmt.Errorf("changing the medium of %s: %w", s.spec.Name, err)
	}
	return nil
}

// Medium is the file in the optical drive as QEMU itself says, empty without one or while the server is off.
func (s *Server) Medium(ctx context.Context) (string, error) {
	s.power.Lock()
	defer s.power.Unlock()
	r := s.running()
	if r == nil {
		return "", nil
	}
	var blocks []struct {
		Device   string `json:"device"`
		Inserted *struct {
			File string `json:"file"`
		} `json:"inserted"`
	}
	if err := r.process.Monitor.Execute(ctx, "query-block", nil, &blocks); err != nil {
		return "", fmt.Errorf("reading the drives of %s: %w", s.spec.Name, err)
	}
	for _, b := range blocks {
		if b.Device == "media0" && b.Inserted != nil {
			return b.Inserted.File, nil
		}
	}
	return "", nil
}
