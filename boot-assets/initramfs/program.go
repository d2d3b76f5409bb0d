package initramfs

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
)

// machines are the ELF names of architectures.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// CheckProgram refuses what cannot be /init: the wrong architecture, or a program that needs an interpreter.
func CheckProgram(program []byte, arch string) error {
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("reading program as ELF: %w", err)
	}
	if file.Machine != machines[arch] {
		return fmt.Errorf("program is for %s, not for %s", file.Machine, arch)
	}
	for _, header := range file.Progs {
		if header.Type == elf.PT_INTERP {
			return errors.New("program is dynamically linked; build it with CGO_ENABLED=0")
		}
	}
	return nil
}
