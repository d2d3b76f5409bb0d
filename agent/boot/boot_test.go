package boot

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseArgs(t *testing.T) {
	const line = "console=ttyS0 quiet ingot.boot=b-1 ingot.url=https://10.0.0.1:7443 ingot.pin=00ff ingot.mac=52:54:00:AA:BB:CC other\n"
	want := Args{BootID: "b-1", URL: "https://10.0.0.1:7443", Pin: "00ff", MAC: "52:54:00:aa:bb:cc"}
	for name, c := range map[string]struct {
		line    string
		want    Args
		missing string
	}{
		"all":                   {line, want, ""},
		"the last one counts":   {"ingot.boot=old " + line, want, ""},
		"no boot id":            {strings.Replace(line, "ingot.boot=b-1", "", 1), Args{}, "ingot.boot="},
		"no address":            {"ingot.boot=b ingot.pin=x", Args{}, "ingot.url="},
		"an empty pin":          {"ingot.boot=b ingot.url=u ingot.pin=", Args{}, "ingot.pin="},
		"nothing":               {"", Args{}, "ingot.boot="},
		"an absurdly long pin":  {"ingot.boot=b ingot.url=u ingot.pin=" + strings.Repeat("x", maxArg+1), Args{}, "ingot.pin="},
		"a MAC that is none":    {"ingot.boot=b ingot.url=u ingot.pin=p ingot.mac=junk", Args{BootID: "b", URL: "u", Pin: "p"}, ""},
		"dashes as iPXE writes": {"ingot.boot=b ingot.url=u ingot.pin=p ingot.mac=52-54-00-aa-bb-cc", Args{"b", "u", "p", want.MAC}, ""},
	} {
		got, err := ParseArgs(c.line)
		if c.missing != "" {
			if !errors.Is(err, ErrArguments) || !strings.Contains(err.Error(), c.missing) {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func FuzzParseArgs(f *testing.F) {
	f.Add("ingot.boot=b ingot.url=u ingot.pin=p ingot.mac=00:11:22:33:44:55")
	f.Add("ingot.boot ingot.=x\x00")
	f.Fuzz(func(t *testing.T, line string) {
		a, err := ParseArgs(line)
		if err == nil && (a.BootID == "" || a.URL == "" || a.Pin == "" || len(a.URL) > maxArg) {
			t.Errorf("unusable arguments were taken: %+v", a)
		}
	})
}

func TestEntropy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var console bytes.Buffer
		start := time.Now()
		e := Entropy{
			Ready: func() (bool, error) { return time.Since(start) >= 25*time.Second, nil },
			After: time.After, Log: slog.New(slog.NewTextHandler(&console, nil)), Poll: 250 * time.Millisecond, Remind: 10 * time.Second,
		}
		if err := e.Wait(t.Context()); err != nil || time.Since(start) != 25*time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
		if n := strings.Count(console.String(), "waiting for entropy"); n != 3 {
			t.Errorf("%d messages in 25 s:\n%s", n, &console)
		}
	})
}

func TestEntropyIsSilentWhenThereIsSome(t *testing.T) {
	var console bytes.Buffer
	e := Entropy{Ready: KernelEntropy, After: time.After, Log: slog.New(slog.NewTextHandler(&console, nil)), Poll: time.Second, Remind: time.Second}
	if err := e.Wait(t.Context()); err != nil || console.Len() > 0 {
		t.Errorf("got %v, %s", err, &console)
	}
}

func TestEntropyEnds(t *testing.T) {
	broken := errors.New("no such call")
	e := Entropy{Ready: func() (bool, error) { return false, broken }, Poll: time.Second, Remind: time.Second}
	if err := e.Wait(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := func(time.Duration) <-chan time.Time { return nil }
	e = Entropy{Ready: func() (bool, error) { return false, nil }, After: never, Log: slog.New(slog.DiscardHandler), Poll: time.Second, Remind: time.Second}
	if err := e.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestOneBrokenConsoleDoesNotSilenceTheOthers(t *testing.T) {
	var good bytes.Buffer
	if n, err := (broadcast{failing{}, &good}).Write([]byte("hello")); n != 5 || err != nil || good.String() != "hello" {
		t.Errorf("got %d, %v, %q", n, err, &good)
	}
}

func TestOutcome(t *testing.T) {
	for status, want := range map[unix.WaitStatus]string{
		0: "", 1 << 8: "ended with status 1", unix.WaitStatus(unix.SIGKILL): "signal killed", 2 << 8: "ended with status 2",
	} {
		_, err := outcome(status)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%#x: got %v, want %q", status, err, want)
		}
	}
}

func TestOnlyAnOrderlyEndSwitchesOff(t *testing.T) {
	for status, want := range map[unix.WaitStatus]Ending{
		0: EndRestart, statusPowerOff << 8: EndPowerOff, 1 << 8: EndRestart, 2 << 8: EndRestart, statusPowerOff: EndRestart,
	} {
		if got, _ := outcome(status); got != want {
			t.Errorf("%#x: got %d, want %d", status, got, want)
		}
	}
}

func TestUptimeRuns(t *testing.T) {
	if first := Uptime(); first <= 0 || Uptime() < first {
		t.Errorf("got %s", first)
	}
}
