package source

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// flipped is a file with one bit changed.
type flipped struct {
	file *os.File
	at   int64
	now  int64
}

// Read implements io.Reader.
func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	if i := f.at - f.now; i >= 0 && i < int64(n) {
		p[i] ^= 1
	}
	f.now += int64(n)
	return n, err
}

// Seek implements io.Seeker.
func (f *flipped) Seek(offset int64, whence int) (int64, error) {
	now, err := f.file.Seek(offset, whence)
	f.now = now
	return now, err
}

var errCut = errors.New("the transfer was cut")

// line is the way to the client.
type line struct {
	http.ResponseWriter
	ctx   context.Context
	fault Fault
	begin time.Time
	sent  int64
}

// Write implements io.Writer. An error makes net/http close the connection, since fewer bytes came than it promised.
func (l *line) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := l.some(p[done:])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// some sends as much as may go at once.
func (l *line) some(p []byte) (int, error) {
	if most := l.fault.CutAfter; most > 0 {
		if l.sent >= most {
			return 0, errCut
		}
		p = p[:min(int64(len(p)), most-l.sent)]
	}
	if speed := l.fault.BytesPerSecond; speed > 0 {
		p = p[:min(int64(len(p)), max(1, speed/10))]
		due := l.begin.Add(time.Duration(float64(l.sent+int64(len(p))) / float64(speed) * float64(time.Second)))
		if err := l.wait(time.Until(due)); err != nil {
			return 0, err
		}
	}
	n, err := l.ResponseWriter.Write(p)
	l.sent += int64(n)
	return n, err
}

func (l *line) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
}

var _ io.ReadSeeker = (*flipped)(nil)
