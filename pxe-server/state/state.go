// Package state keeps a few bytes of a pxe-server over its restart: each file has one writer, is written whole, and is read back whole or not at all.
//
// It is an adapter (layer 2), standard library only. It knows nothing of what it keeps.
package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A file is two lines and the data. The digest is that of all that follows its line.
//
//	ingot-pxe-server <kind> <format> <sha256, hexadecimal>
//	<when, microseconds since 1970> <origin, quoted as Go does>
const (
	magic  = "ingot-pxe-server"
	format = 1
)

// Why a file cannot be used. A file that is not there is fs.ErrNotExist.
var (
	ErrDamaged = errors.New("it is damaged")
	ErrNewer   = errors.New("a newer program wrote it")
)

// Record is what a file holds.
type Record struct {
	// Origin is whose word it is; whoever reads it compares.
	Origin string
	// At is when it was true.
	At   time.Time
	Data []byte
}

// File is one of the state folder.
type File struct {
	Path string
	// Kind is one word: a file of another kind is damaged.
	Kind string
	// Max bounds the data, in bytes.
	Max int
}

// Encode is what a file of a kind holds.
func Encode(kind string, r Record) []byte {
	body := append(fmt.Appendf(nil, "%d %s\n", r.At.UnixMicro(), strconv.Quote(r.Origin)), r.Data...)
	sum := sha256.Sum256(body)
	return append(fmt.Appendf(nil, "%s %s %d %s\n", magic, kind, format, hex.EncodeToString(sum[:])), body...)
}

// Decode reads what Encode wrote. The error is ErrDamaged or ErrNewer.
func Decode(kind string, text []byte) (Record, error) {
	head, body, _ := bytes.Cut(text, []byte("\n"))
	words := strings.Fields(string(head[:min(len(head), 256)]))
	if len(words) != 4 || words[0] != magic || words[1] != kind {
		return Record{}, fmt.Errorf("%w: it is no file of kind %s", ErrDamaged, kind)
	}
	if n, err := strconv.Atoi(words[2]); err != nil || n != format {
		if err == nil && n > format {
			return Record{}, fmt.Errorf("%w: its format is %d, this program knows %d", ErrNewer, n, format)
		}
		return Record{}, fmt.Errorf("%w: its format is no number of ours", ErrDamaged)
	}
	if sum := sha256.Sum256(body); words[3] != hex.EncodeToString(sum[:]) {
		return Record{}, fmt.Errorf("%w: its digest is another", ErrDamaged)
	}
	line, data, _ := bytes.Cut(body, []byte("\n"))
	at, quoted, _ := strings.Cut(string(line), " ")
	micros, err1 := strconv.ParseInt(at, 10, 64)
	origin, err2 := strconv.Unquote(quoted)
	if errors.Join(err1, err2) != nil {
		return Record{}, fmt.Errorf("%w: its second line is none of ours", ErrDamaged)
	}
	return Record{Origin: origin, At: time.UnixMicro(micros), Data: data}, nil
}

// Save replaces the file: after a crash there is the old one or the new one.
func (f File) Save(r Record) error {
	if len(r.Data) > f.Max {
		return fmt.Errorf("writing %s: it would have %d bytes, at most %d are kept", f.Path, len(r.Data), f.Max)
	}
	if err := f.replace(Encode(f.Kind, r)); err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	return nil
}

func (f File) replace(text []byte) error {
	fresh := f.Path + ".new"
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, f.Path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(f.Path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Remove removes the file, if there is one.
func (f File) Remove() error {
	if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %s: %w", f.Path, err)
	}
	return nil
}

// Load reads the file. The error wraps fs.ErrNotExist, ErrDamaged, ErrNewer, or what the file system says.
func (f File) Load() (Record, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return Record{}, fmt.Errorf("reading %s: %w", f.Path, err)
	}
	defer file.Close()
	limit := int64(f.Max) + 4096
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%w: it has more than %d bytes", ErrDamaged, limit)
	}
	var r Record
	if err == nil {
		r, err = Decode(f.Kind, text)
	}
	if err != nil {
		return Record{}, fmt.Errorf("reading %s: %w", f.Path, err)
	}
	return r, nil
}
