package main

import (
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseLine(t *testing.T) {
	for line, want := range map[string]words{
		"vmlinuz initrd=initrd ingot.config=https://x/c ingot.pin=00ff ingot.boot=b testos.truncate=100\n": {config: "https://x/c", pin: "00ff", truncate: 100},
		"ingot.config=a ingot.config=b testos.truncate=some":                                               {config: "b"},
		"vmlinuz testos.disk console=ttyS0":                                                                {fromDisk: true},
	} {
		if got := parseLine(line); got != want {
			t.Errorf("%q: got %+v", line, got)
		}
	}
}

// TestRetry: pauses grow, success ends it, and so does its bound.
func TestRetry(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	synctest.Test(t, func(t *testing.T) {
		begin, calls, failed := time.Now(), 0, errors.New("not yet")
		err := retry(t.Context(), log, "x", func() error {
			if calls++; calls < 4 {
				return failed
			}
			return nil
		})
		if err != nil || calls != 4 || time.Since(begin) != 7*time.Second {
			t.Errorf("%d calls in %s: %v", calls, time.Since(begin), err)
		}
		if err := retry(t.Context(), log, "x", func() error { return failed }); !errors.Is(err, failed) || time.Since(begin) > retryMost+time.Minute {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
	})
}
