package main

import (
	"strconv"
	"strings"

	"ingot.dev/ingot/sfyra-tests/guest/install"
)

// words are what the kernel line says.
type words struct {
	// config (ingot.config) is where the machine config is, pin (ingot.pin) the authority behind it.
	config, pin string
	// truncate (testos.truncate) breaks the first fetch off after so many bytes.
	truncate int64
	fromDisk bool
}

// parseLine reads the kernel line. The last of several equal words counts, as in the kernel.
func parseLine(line string) words {
	var w words
	for field := range strings.FieldsSeq(line) {
		switch key, value, _ := strings.Cut(field, "="); key {
		case "ingot.config":
			w.config = value
		case "ingot.pin":
			w.pin = value
		case "testos.truncate":
			w.truncate, _ = strconv.ParseInt(value, 10, 64) // what is no number is not wanted
		case install.DiskArg:
			w.fromDisk = true
		}
	}
	return w
}
