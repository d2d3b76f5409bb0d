// Package initramfs builds the image that a server netboots before Ingot knows it: Debian's signed kernel, unchanged, and a
// small initramfs with one static program (the agent) as /init, the drivers of common server hardware and their firmware.
//
// It is an adapter (layer 2). What goes in is decided by checked-in lists:
//
//	packages.lock   the Debian packages, by version and digest
//	devices.list    PCI ids of server NICs, HBAs and RAID cards, each with its driver
//	modules.list    drivers beside those, and which of them the agent loads without being asked by a device
//	firmware.list   firmware that a driver names but that is left out, with the reason
//
// The initramfs holds /init, /modules/*.ko (uncompressed, still signed), /modules/index.json (type Index), /lib/firmware,
// /dev/console and empty mount points. Firmware lies there uncompressed: the kernel could read .xz and .zst, but the
// whole is compressed anyway, and better so.
//
// The same inputs give the same bytes: entries are sorted, times are zero, inode numbers count up, zstd runs in one thread.
package initramfs
