package rack

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// Server is one machine of the rack. It implements machine.Machine.
type Server struct {
	config *Config
	spec   *Spec
	dir    string
	taps   []string

	// power orders power changes; a reading waits for one that is under way,
	// so the gap of a cold restart is never reported as off.
	power   sync.Mutex
	current *run
	closed  bool

	override override
	inserted bool // an image is in the optical drive; power is held
	work     sync.WaitGroup
}

// run is one time from power-on to the end of QEMU.
type run struct {
	process *qemu.Process
	console *console
	stop    context.CancelFunc
}

func newServer(config *Config, index int) (*Server, error) {
	spec := &config.Servers[index]
	s := &Server{config: config, spec: spec, dir: filepath.Join(config.Dir, spec.Name)}
	for nic := range spec.NICs {
		s.taps = append(s.taps, fmt.Sprintf("srv%dn%d", index, nic))
	}
	_, vars := config.firmware(spec)
	if err := readyFiles(s.dir, spec, vars); err != nil {
		return nil, fmt.Errorf("readying server %s: %w", spec.Name, err)
	}
	return s, nil
}

// Taps are the switch's devices of the NICs, in order.
func (s *Server) Taps() []string { return slices.Clone(s.taps) }

// File is the path of one of the server's files, as qemu.SerialFile.
func (s *Server) File(name string) string { return filepath.Join(s.dir, name) }

// PID is the process id of the running server, 0 when it is off. Tests use it
// beside /proc as a witness that is not ours.
func (s *Server) PID() int {
	s.power.Lock()
	defer s.power.Unlock()
	if r := s.running(); r != nil {
		return r.process.PID()
	}
	return 0
}
