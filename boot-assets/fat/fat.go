// Package fat writes file systems that firmware reads: FAT16 with given files (layer 1: pure). The same bytes come out every time.
//
// Sources: the Microsoft FAT specification of 2000; UEFI 2.10 section 13.3.
package fat

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Layout of the file system: FAT16, which any firmware reads, of clusters as
// small as its limits allow.
const (
	sector          = 512
	reservedSectors = 1
	rootEntries     = 512
	rootSectors     = rootEntries * entryBytes / sector
	leastClusters   = 4085  // fewer make a FAT12
	mostClusters    = 65524 // more make a FAT32
	endOfChain      = 0xffff
)

// File is one file.
type File struct {
	// Path from the root, with slashes and without one in front.
	Path string
	Data []byte
}

// Piece is a run of bytes and where it stands in the file system. What is between the pieces is zero, or does not matter.
type Piece struct {
	At   int64
	Data []byte
}

// geometry is what the boot sector says.
type geometry struct {
	// hidden is how many sectors are before the file system on its disk.
	hidden                                    int
	sectors, perCluster, fatSectors, clusters int
}

func newGeometry(bytes int64, hidden int) (geometry, error) {
	g := geometry{hidden: hidden, sectors: int(bytes / sector), perCluster: 1}
	for g.sectors/g.perCluster > mostClusters {
		g.perCluster *= 2
	}
	g.fatSectors = (2*(g.sectors/g.perCluster+2) + sector - 1) / sector
	g.clusters = (g.sectors - g.rootStart() - rootSectors) / g.perCluster
	if g.clusters < leastClusters || g.perCluster > 64 {
		return g, fmt.Errorf("%d bytes make no FAT16", bytes)
	}
	return g, nil
}

func (g geometry) rootStart() int { return reservedSectors + 2*g.fatSectors }
func (g geometry) size() int      { return g.perCluster * sector }

// place is where a cluster stands; numbering starts at 2.
func (g geometry) place(cluster int) int64 {
	return int64((g.rootStart() + rootSectors + (cluster-2)*g.perCluster) * sector)
}

// node is a file or a folder. Folders keep the order in which they were named.
type node struct {
	name     string
	folder   bool
	data     []byte
	children []*node
	cluster  int
}

// child finds a folder's entry, or makes it.
func (n *node) child(name string) *node {
	for _, c := range n.children {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}
	n.children = append(n.children, &node{name: name})
	return n.children[len(n.children)-1]
}

func newTree(files []File) *node {
	root := &node{folder: true}
	for _, f := range files {
		at := root
		for part := range strings.SplitSeq(f.Path, "/") {
			at.folder = true
			at = at.child(part)
		}
		at.data = f.Data
	}
	return root
}

// writer gives clusters to nodes, one after the other.
type writer struct {
	geometry
	table  []byte
	next   int
	pieces []Piece
}

// Layout is everything of a file system of so many bytes that is not empty; hidden is how many sectors of 512 bytes are before it on its disk.
func Layout(bytes int64, hidden int, files []File) ([]Piece, error) {
	g, err := newGeometry(bytes, hidden)
	if err != nil {
		return nil, err
	}
	w := &writer{geometry: g, table: make([]byte, g.fatSectors*sector), next: 2}
	w.link(0, 0xfff8)
	w.link(1, endOfChain)
	root := newTree(files)
	if err := w.layOut(root, 0); err != nil {
		return nil, err
	}
	folder := make([]byte, rootSectors*sector)
	if copied := copy(folder, entries(root.children)); copied < len(entries(root.children)) {
		return nil, fmt.Errorf("the root folder has room for %d entries", rootEntries)
	}
	return append(
		w.pieces,
		Piece{0, g.bootSector()},
		Piece{reservedSectors * sector, w.table},
		Piece{int64(reservedSectors+g.fatSectors) * sector, w.table},
		Piece{int64(g.rootStart()) * sector, folder},
	), nil
}

func (w *writer) link(cluster, value int) {
	binary.LittleEndian.PutUint16(w.table[2*cluster:], uint16(value))
}

// layOut lays out what a folder holds, then what its folders hold. own is its cluster, 0 for the root.
func (w *writer) layOut(folder *node, own int) error {
	for _, c := range folder.children {
		data := c.data
		if c.folder {
			data = make([]byte, 2*entryBytes+len(entries(c.children)))
		}
		if err := w.give(c, len(data)); err != nil {
			return err
		}
		if !c.folder {
			w.pieces = append(w.pieces, Piece{w.place(c.cluster), data})
			continue
		}
		if err := w.layOut(c, c.cluster); err != nil {
			return err
		}
		content := make([]byte, (len(data)+w.size()-1)/w.size()*w.size()) // the rest of the cluster must be zero
		copy(content, append(dots(c.cluster, own), entries(c.children)...))
		w.pieces = append(w.pieces, Piece{w.place(c.cluster), content})
	}
	return nil
}

// give chains the clusters for so many bytes.
func (w *writer) give(n *node, bytes int) error {
	count := max(1, (bytes+w.size()-1)/w.size())
	if w.next+count > w.clusters+2 {
		return fmt.Errorf("%s does not fit: the file system has %d bytes", n.name, w.sectors*sector)
	}
	n.cluster = w.next
	for range count - 1 {
		w.link(w.next, w.next+1)
		w.next++
	}
	w.link(w.next, endOfChain)
	w.next++
	return nil
}

func (g geometry) bootSector() []byte {
	b := make([]byte, sector)
	copy(b, []byte{0xeb, 0x3c, 0x90})
	copy(b[3:], "INGOT   ")
	binary.LittleEndian.PutUint16(b[11:], sector)
	b[13] = byte(g.perCluster)
	binary.LittleEndian.PutUint16(b[14:], reservedSectors)
	b[16] = 2 // copies of the table
	binary.LittleEndian.PutUint16(b[17:], rootEntries)
	if g.sectors < 1<<16 {
		binary.LittleEndian.PutUint16(b[19:], uint16(g.sectors))
	} else {
		binary.LittleEndian.PutUint32(b[32:], uint32(g.sectors))
	}
	b[21] = 0xf8 // fixed disk
	binary.LittleEndian.PutUint16(b[22:], uint16(g.fatSectors))
	binary.LittleEndian.PutUint16(b[24:], 63)
	binary.LittleEndian.PutUint16(b[26:], 255)
	binary.LittleEndian.PutUint32(b[28:], uint32(g.hidden))
	b[36], b[38] = 0x80, 0x29
	binary.LittleEndian.PutUint32(b[39:], 0x1460704)
	copy(b[43:], "INGOT      FAT16   ")
	b[510], b[511] = 0x55, 0xaa
	return b
}
