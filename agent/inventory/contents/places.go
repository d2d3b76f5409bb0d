package contents

// Place is a part of a disk, in bytes.
type Place struct{ Offset, Length int64 }

const (
	mib = 1 << 20
	gib = 1 << 30
	// edge is how far from each end a blank disk has to be zeros. The first partition begins 1 MiB into the disk, since partitioning tools align to that;
	// its file system, LVM label or LUKS header is there even when the partition table is gone.
	edge = 4 * mib
	// copyLength is more than any copy of a superblock is long, and a multiple of every sector.
	copyLength = 64 << 10
)

// copies are where further superblocks and labels lie that outlive the beginning of a disk.
var copies = []int64{
	64 * mib,   // btrfs, second superblock
	1 * gib,    // Ceph BlueStore, copies of its label since Squid
	10 * gib,   //
	100 * gib,  //
	256 * gib,  // btrfs, third superblock
	1000 * gib, // Ceph BlueStore
}

// Places are what else has to be zeros on a disk of that size for it to be blank, when both its Windows are. All of them lie in what every wipe of
// ours leaves as zeros (plan.SignaturePlaces of agent/wipe), so a disk that was wiped is blank.
func Places(size int64) []Place {
	if size <= 2*edge {
		if middle := size - 2*Window; middle > 0 {
			return []Place{{Window, middle}}
		}
		return nil
	}
	out := []Place{{Window, edge - Window}}
	for _, at := range copies {
		if at+copyLength <= size-edge {
			out = append(out, Place{at, copyLength})
		}
	}
	return append(out, Place{size - edge, edge - Window})
}

// Zeros says whether there is nothing in b.
func Zeros(b []byte) bool { return zero(b) }
