// Package pcap writes and reads the classic capture file, for evidence that
// other tools can open.
//
// Layer 1, pure but for the stream it is given. Source of the format:
// draft-ietf-opsawg-pcap (libpcap's savefile, pcap-savefile(5)).
//
// Invariant: a Writer never writes more than its limit, and a file that it
// wrote is valid after every Write.
package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	magicMicroseconds = 0xa1b2c3d4
	linkEthernet      = 1
	headerSize        = 24
	recordSize        = 16
	// SnapLen is the longest frame that is kept; longer ones are cut.
	SnapLen = 65535
)

// ErrFull says that the limit is reached; the frame was not written.
var ErrFull = errors.New("capture is full")

// Writer appends frames to a capture.
type Writer struct {
	to   io.Writer
	left int64
}

// NewWriter writes the file's header. limit is the size of the whole file in bytes.
func NewWriter(to io.Writer, limit int64) (*Writer, error) {
	if limit < headerSize {
		return nil, fmt.Errorf("starting a capture: the limit of %d bytes holds not even the header", limit)
	}
	header := binary.LittleEndian.AppendUint32(nil, magicMicroseconds)
	header = binary.LittleEndian.AppendUint16(header, 2) // version 2.4
	header = binary.LittleEndian.AppendUint16(header, 4)
	header = binary.LittleEndian.AppendUint64(header, 0) // time zone and accuracy, always zero
	header = binary.LittleEndian.AppendUint32(header, SnapLen)
	header = binary.LittleEndian.AppendUint32(header, linkEthernet)
	if _, err := to.Write(header); err != nil {
		return nil, fmt.Errorf("starting a capture: %w", err)
	}
	return &Writer{to: to, left: limit - headerSize}, nil
}

// Write appends one frame. ErrFull when it does not fit any more.
func (w *Writer) Write(at time.Time, frame []byte) error {
	kept := frame[:min(len(frame), SnapLen)]
	size := int64(recordSize + len(kept))
	if size > w.left {
		return ErrFull
	}
	record := binary.LittleEndian.AppendUint32(nil, uint32(at.Unix()))
	record = binary.LittleEndian.AppendUint32(record, uint32(at.Nanosecond()/1000))
	record = binary.LittleEndian.AppendUint32(record, uint32(len(kept)))
	record = binary.LittleEndian.AppendUint32(record, uint32(len(frame)))
	if _, err := w.to.Write(append(record, kept...)); err != nil {
		return fmt.Errorf("writing a captured frame: %w", err)
	}
	w.left -= size
	return nil
}

// Reader reads captures of Ethernet in this byte order, as Writer makes them.
type Reader struct{ from io.Reader }

// NewReader reads the file's header.
func NewReader(from io.Reader) (*Reader, error) {
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(from, header); err != nil {
		return nil, fmt.Errorf("reading the capture's header: %w", err)
	}
	if binary.LittleEndian.Uint32(header) != magicMicroseconds || binary.LittleEndian.Uint32(header[20:]) != linkEthernet {
		return nil, errors.New("reading the capture's header: no little-endian capture of Ethernet")
	}
	return &Reader{from: from}, nil
}

// Next reads one frame; io.EOF after the last.
func (r *Reader) Next() (time.Time, []byte, error) {
	record := make([]byte, recordSize)
	if _, err := io.ReadFull(r.from, record); err != nil {
		if errors.Is(err, io.EOF) {
			return time.Time{}, nil, io.EOF
		}
		return time.Time{}, nil, fmt.Errorf("reading a captured frame: %w", err)
	}
	size := binary.LittleEndian.Uint32(record[8:])
	if size > SnapLen {
		return time.Time{}, nil, fmt.Errorf("reading a captured frame: %d bytes are more than %d", size, SnapLen)
	}
	frame := make([]byte, size)
	if _, err := io.ReadFull(r.from, frame); err != nil {
		return time.Time{}, nil, fmt.Errorf("reading a captured frame: %w", err)
	}
	seconds, micro := binary.LittleEndian.Uint32(record), binary.LittleEndian.Uint32(record[4:])
	return time.Unix(int64(seconds), int64(micro)*1000), frame, nil
}
