package qmp

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// maxPath is the longest path of a unix socket on Linux: 108 bytes with the final zero (unix(7)).
const maxPath = 107

// Dial connects to the monitor socket of a running QEMU. The path may be
// longer than a unix address can hold.
func Dial(ctx context.Context, path string) (*Client, error) {
	conn, err := dialUnix(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("connecting to qemu's monitor: %w", err)
	}
	return New(ctx, conn)
}

func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	var dialer net.Dialer
	if len(path) <= maxPath {
		return dialer.DialContext(ctx, "unix", path)
	}
	// The kernel resolves the folder through its open descriptor, which is short.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}
