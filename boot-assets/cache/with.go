package cache

import (
	"bytes"
	"io/fs"
	"time"
)

// With gives a file system that has one more file, from memory: a script that is written when the server starts.
func With(fsys fs.FS, name string, data []byte) fs.FS {
	return with{fsys, name, bytes.Clone(data)}
}

type with struct {
	fs.FS
	name string
	data []byte
}

func (w with) Open(name string) (fs.File, error) {
	if name != w.name {
		return w.FS.Open(name)
	}
	return &file{bytes.NewReader(w.data), name}, nil
}

// file is an open file in memory and what is known of it.
type file struct {
	*bytes.Reader
	name string
}

func (f *file) Stat() (fs.FileInfo, error) { return info{f.name, f.Reader.Size()}, nil }
func (f *file) Close() error               { return nil }

type info struct {
	name string
	size int64
}

func (i info) Name() string     { return i.name }
func (i info) Size() int64      { return i.size }
func (info) Mode() fs.FileMode  { return 0o444 }
func (info) ModTime() time.Time { return time.Time{} }
func (info) IsDir() bool        { return false }
func (info) Sys() any           { return nil }
