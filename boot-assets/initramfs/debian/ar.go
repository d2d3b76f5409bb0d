package debian

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A .deb is a common ar archive (deb(5)): "!<arch>\n", then members with a header of 60 bytes, padded to even length.
const (
	arMagic   = "!<arch>\n"
	arHeader  = 60
	arEnd     = "`\n"
	maxMember = 1 << 30
	// maxMembers is far above the three that deb(5) names.
	maxMembers = 16
)

var errNoMember = errors.New("package has no data.tar member")

// dataMember finds the member that holds the files, and its name: data.tar, data.tar.xz, data.tar.zst or data.tar.gz.
func dataMember(r io.Reader) (string, io.Reader, error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return "", nil, errors.New("not a Debian package: the ar magic is missing")
	}
	for range maxMembers {
		name, size, err := arMember(r)
		if errors.Is(err, io.EOF) {
			return "", nil, errNoMember
		}
		if err != nil {
			return "", nil, err
		}
		if strings.HasPrefix(name, "data.tar") {
			return name, io.LimitReader(r, size), nil
		}
		if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
			return "", nil, fmt.Errorf("skipping member %q: %w", name, err)
		}
	}
	return "", nil, errNoMember
}

func arMember(r io.Reader) (string, int64, error) {
	header := make([]byte, arHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return "", 0, errors.New("ar archive ends in the middle of a header")
		}
		return "", 0, err
	}
	if string(header[58:]) != arEnd {
		return "", 0, errors.New("ar header has no end mark")
	}
	size, err := strconv.ParseUint(string(bytes.TrimSpace(header[48:58])), 10, 63)
	if err != nil || size > maxMember {
		return "", 0, fmt.Errorf("ar member has an impossible size %q", header[48:58])
	}
	return strings.TrimSuffix(strings.TrimRight(string(header[:16]), " "), "/"), int64(size), nil
}
