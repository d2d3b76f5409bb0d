package inventory

import (
	"io"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Limits of files that are read. Files of sysfs are at most a page.
const (
	maxText = 4096
	maxDMI  = 1 << 20
)

// bytes reads at most most bytes of a file; nil when it cannot be read.
func (c *Collector) bytes(name string, most int64) []byte {
	f, err := c.Root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil
	}
	return b
}

// text reads a short file without the white space around it.
func (c *Collector) text(name string) string {
	return strings.TrimSpace(string(c.bytes(name, maxText)))
}

// number reads a decimal number; 0 when there is none.
func (c *Collector) number(name string) int64 {
	n, err := strconv.ParseInt(c.text(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// names lists a folder in order; nil when there is none.
func (c *Collector) names(dir string) []string {
	entries, err := fs.ReadDir(c.Root, dir)
	if err != nil {
		return nil
	}
	out := make([]string, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func (c *Collector) exists(name string) bool {
	_, err := fs.Stat(c.Root, name)
	return err == nil
}

// target is where a symbolic link of sysfs leads, as a path below the root; empty when it is none.
func (c *Collector) target(name string) string {
	to, err := fs.ReadLink(c.Root, name)
	if err != nil {
		return ""
	}
	return path.Join(path.Dir(name), to)
}

// base is the last element of a link's target: the name of a driver, for instance.
func (c *Collector) base(name string) string {
	to := c.target(name)
	if to == "" {
		return ""
	}
	return path.Base(to)
}

var pciAddress = regexp.MustCompile(`^[0-9a-f]{4,6}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)

// pciOf is the last PCI address in a device's path: the function that the device hangs on.
func pciOf(devicePath string) string {
	last := ""
	for part := range strings.SplitSeq(devicePath, "/") {
		if pciAddress.MatchString(part) {
			last = part
		}
	}
	return last
}
