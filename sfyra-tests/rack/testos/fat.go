package testos

import "encoding/binary"

// Layout of the partition: FAT16, one sector per cluster, so that the 8 MiB
// hold more than the 4085 clusters that make FAT16 what it is.
const (
	partitionSectors = 16384
	reservedSectors  = 1
	fatSectors       = 64 // 64*256 entries, at least one per cluster
	rootEntries      = 512
	rootSectors      = rootEntries * 32 / sector
	dataStart        = reservedSectors + 2*fatSectors + rootSectors
	attrDirectory    = 0x10
	attrArchive      = 0x20
	endOfChain       = 0xffff
)

// Clusters in use; numbering starts at 2.
const (
	clusterEFI  = 2
	clusterBoot = 3
	clusterFile = 4
)

// fileSystem holds \EFI\BOOT\BOOTX64.EFI, where firmware looks on a disk that
// no boot entry names.
func fileSystem() []byte {
	loader := program()
	fs := make([]byte, partitionSectors*sector)
	copy(fs, bootSector())
	fat := table((len(loader) + sector - 1) / sector)
	copy(fs[reservedSectors*sector:], fat)
	copy(fs[(reservedSectors+fatSectors)*sector:], fat)
	copy(fs[(reservedSectors+2*fatSectors)*sector:], entry("EFI        ", attrDirectory, clusterEFI, 0))
	copy(cluster(fs, clusterEFI), append(dots(clusterEFI, 0), entry("BOOT       ", attrDirectory, clusterBoot, 0)...))
	copy(cluster(fs, clusterBoot), append(dots(clusterBoot, clusterEFI), entry("BOOTX64 EFI", attrArchive, clusterFile, len(loader))...))
	copy(cluster(fs, clusterFile), loader)
	return fs
}

func bootSector() []byte {
	b := make([]byte, sector)
	copy(b, []byte{0xeb, 0x3c, 0x90})
	copy(b[3:], "INGOT   ")
	binary.LittleEndian.PutUint16(b[11:], sector)
	b[13] = 1 // sectors per cluster
	binary.LittleEndian.PutUint16(b[14:], reservedSectors)
	b[16] = 2 // copies of the table
	binary.LittleEndian.PutUint16(b[17:], rootEntries)
	binary.LittleEndian.PutUint16(b[19:], partitionSectors)
	b[21] = 0xf8 // fixed disk
	binary.LittleEndian.PutUint16(b[22:], fatSectors)
	binary.LittleEndian.PutUint16(b[24:], 63)
	binary.LittleEndian.PutUint16(b[26:], 255)
	binary.LittleEndian.PutUint32(b[28:], firstLBA)
	b[36], b[38] = 0x80, 0x29
	binary.LittleEndian.PutUint32(b[39:], 0x1460704)
	copy(b[43:], "INGOT TEST FAT16   ")
	b[510], b[511] = 0x55, 0xaa
	return b
}

// table marks the two folders and the chain of the file.
func table(fileClusters int) []byte {
	fat := make([]byte, fatSectors*sector)
	put := func(cluster, value int) { binary.LittleEndian.PutUint16(fat[2*cluster:], uint16(value)) }
	put(0, 0xfff8)
	put(1, endOfChain)
	put(clusterEFI, endOfChain)
	put(clusterBoot, endOfChain)
	for i := range fileClusters - 1 {
		put(clusterFile+i, clusterFile+i+1)
	}
	put(clusterFile+fileClusters-1, endOfChain)
	return fat
}

func cluster(fs []byte, number int) []byte { return fs[(dataStart+number-2)*sector:] }

// firstDay is 1980-01-01, the earliest date that FAT knows.
const firstDay = 0x0021

func entry(name string, attributes byte, first, size int) []byte {
	e := make([]byte, 32)
	copy(e, name)
	e[11] = attributes
	for _, at := range []int{16, 18, 24} {
		binary.LittleEndian.PutUint16(e[at:], firstDay)
	}
	binary.LittleEndian.PutUint16(e[26:], uint16(first))
	binary.LittleEndian.PutUint32(e[28:], uint32(size))
	return e
}

func dots(own, parent int) []byte {
	return append(entry(".          ", attrDirectory, own, 0), entry("..         ", attrDirectory, parent, 0)...)
}
