package boot

import (
	"fmt"
	"os"
)

// Cmdline reads the kernel's command line.
func Cmdline() (string, error) {
	b, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return "", fmt.Errorf("reading the kernel line: %w", err)
	}
	return string(b), nil
}
