// Package kmod reads what kernel modules say of themselves, and puts them into load order.
//
// It is pure (layer 1): bytes in, data out. It replaces depmod, since Debian's kernel packages carry no modules.dep:
// everything needed stands in each module's ELF section .modinfo (Linux, include/linux/module.h, MODULE_INFO).
// Names are always in the kernel's spelling, with underscores.
package kmod
