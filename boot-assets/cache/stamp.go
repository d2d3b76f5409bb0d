package cache

import (
	"io/fs"
	"syscall"
)

// stampOf adds the inode's change time where there is one: unlike the modification time no program can set it back.
func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), modified: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.changed = st.Ctim.Nano() ^ int64(st.Ino<<1)
	}
	return s
}
