package controlplane

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tcpListen is the state of a listening socket in /proc/net/tcp: proc(5), include/net/tcp_states.h.
const tcpListen = "0A"

// portHolder finds the process that listens on a TCP port, as far as this user may see it.
func portHolder(proc string, port uint16) (name string, pid int, ok bool) {
	inodes := map[string]bool{}
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		if data, err := os.ReadFile(filepath.Join(proc, table)); err == nil {
			listeningInodes(data, port, inodes)
		}
	}
	if len(inodes) == 0 {
		return "", 0, false
	}
	links, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*")) // the pattern is a constant, so it is never malformed
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		if pid, err = strconv.Atoi(filepath.Base(dir)); err != nil {
			continue
		}
		comm, _ := os.ReadFile(filepath.Join(dir, "comm")) // a nameless process is still worth telling
		return strings.TrimSpace(string(comm)), pid, true
	}
	return "", 0, false
}

// listeningInodes adds "socket:[N]" for every listening socket of the port. Columns: sl, local_address, rem_address, st, ..., inode is the tenth.
func listeningInodes(table []byte, port uint16, into map[string]bool) {
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != tcpListen {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		if p, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(p) == port {
			into["socket:["+f[9]+"]"] = true
		}
	}
}
