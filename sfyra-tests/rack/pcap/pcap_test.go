package pcap

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"time"
)

func TestRoundTrip(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1700000000, 123456000)
	for _, frame := range []string{"first", "", "third"} {
		if err := w.Write(at, []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	// The header as pcap-savefile(5) gives it.
	if got := hex.EncodeToString(file.Bytes()[:24]); got != "d4c3b2a1"+"02000400"+"0000000000000000"+"ffff0000"+"01000000" {
		t.Errorf("header %s", got)
	}
	r, err := NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first", "", "third"} {
		when, frame, err := r.Next()
		if err != nil || string(frame) != want || !when.Equal(at) {
			t.Errorf("got %s %q %v", when, frame, err)
		}
	}
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v", err)
	}
}

func TestLimit(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, headerSize+recordSize+10)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(time.Unix(0, 0), make([]byte, 11)); !errors.Is(err, ErrFull) {
		t.Errorf("11 bytes: %v", err)
	}
	if err := w.Write(time.Unix(0, 0), make([]byte, 10)); err != nil {
		t.Errorf("10 bytes: %v", err)
	}
	if err := w.Write(time.Unix(0, 0), nil); !errors.Is(err, ErrFull) {
		t.Errorf("one more: %v", err)
	}
	if _, err := NewWriter(&file, headerSize-1); err == nil {
		t.Error("a limit below the header was accepted")
	}
}

func FuzzReader(f *testing.F) {
	var file bytes.Buffer
	w, err := NewWriter(&file, 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	if err := w.Write(time.Unix(1, 0), []byte("frame")); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add(file.Bytes()[:30])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := NewReader(bytes.NewReader(data))
		for err == nil {
			var frame []byte
			if _, frame, err = r.Next(); len(frame) > SnapLen {
				t.Error("a frame beyond the limit")
			}
		}
	})
}
