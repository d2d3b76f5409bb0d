//go:build bench

package drivers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/drivers"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

const (
	benchBMCs   = 1000
	benchDead   = benchBMCs * 5 / 100
	benchRounds = 7
	bmclibVar   = "INGOT_BENCH_BMCLIB" // the program of sfyra-tests/bench/bmclib
	// bmclibAtOnce is how many BMCs bmclib reads at once: with all of them, as the plane does it, it runs out of time and of sessions.
	bmclibAtOnce = 50
)

// benchFleet is many fake BMCs; the first of them obey faults.
type benchFleet struct {
	faults  *fakebmc.Faults
	bmcs    []*fakebmc.BMC
	targets []bmc.Target
	ports   string // which they have, for people
}

// TestBenchSweep times a first reading of all healthy BMCs of 1,000, TLS handshakes and logins included: with none dead, which is the floor, and with 5 %
// that take connections and never answer. The rounds alternate; medians are compared. Then it reads them through the sessions that are open, and through
// bmclib. The BMCs count their sessions. `make bench` runs it, or:
//
//	(cd sfyra-tests/bench/bmclib && go build -o /tmp/bmclib .)
//	INGOT_BENCH_BMCLIB=/tmp/bmclib go test -tags bench -count=1 -run TestBenchSweep -v ./metal-controller/bmc/drivers
func TestBenchSweep(t *testing.T) {
	program := os.Getenv(bmclibVar)
	if program == "" {
		t.Fatalf("set %s to the program of sfyra-tests/bench/bmclib", bmclibVar)
	}
	f := newBenchFleet(t)
	healthy, hurt := f.rounds(t)
	none, dead := median(healthy), median(hurt)
	ours := f.sessions()
	t.Logf("sweep of %d BMCs at %s, median of %d: %s with none dead (%s to %s), %s with %d dead (%s to %s), ratio %.3f", benchBMCs, f.ports, benchRounds,
		ms(none), ms(healthy[0]), ms(healthy[benchRounds-1]), ms(dead), benchDead, ms(hurt[0]), ms(hurt[benchRounds-1]), float64(dead)/float64(none))
	t.Logf("sessions of one BMC at once, by its own count: %d at most; %d logins for %d sweeps of %d BMCs, half of them without the dead",
		ours.Most, ours.Opened, 2*(benchRounds+1), benchBMCs)
	if ours.Most > 1 {
		t.Errorf("%d sessions were open at one BMC", ours.Most)
	}
	kept := f.kept(t)
	t.Logf("reading all once more through the open sessions, median of %d: %s", benchRounds, ms(kept))
	before := f.sessions()
	took := f.bmclib(t, program, bmclibAtOnce)
	after := f.sessions()
	t.Logf("bmclib v2.3.5 with all its drivers, opened for each reading, %d at once: %s; %.1f times our first reading, %.0f times one through an open session",
		bmclibAtOnce, ms(took), float64(took)/float64(none), float64(took)/float64(kept))
	t.Logf("its sessions of one BMC at once: %d at most; %.1f logins for each reading", after.Most, float64(after.Opened-before.Opened)/benchBMCs)
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// newBenchFleet starts the BMCs, each at an address of its own. Some drivers of bmclib know port 443 alone, so the BMCs have that where a process may open it.
func newBenchFleet(t *testing.T) *benchFleet {
	f := &benchFleet{faults: &fakebmc.Faults{}, ports: "port 443"}
	port := 443
	if l, err := net.Listen("tcp", "127.1.255.1:443"); err != nil {
		f.ports, port = "ports of their own (443 is closed to this user, so three drivers of bmclib reach nobody)", 0
	} else {
		_ = l.Close()
	}
	for i := range benchBMCs {
		addr := net.JoinHostPort(fmt.Sprintf("127.1.%d.%d", i/250, 1+i%250), strconv.Itoa(port))
		config := fakebmc.Config{Addr: addr, Machine: memory.New(machine.Identity{}), Username: "u", Password: "p"}
		if i < benchDead {
			config.Faults = f.faults
		}
		fake, err := fakebmc.Start(context.Background(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = fake.Close() })
		ipmi, err := rmcp.Start(context.Background(), rmcp.Config{Addr: fake.Addr(), Machine: config.Machine, Username: "u", Password: "p"}) // bmclib's ipmitool asks there
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ipmi.Close() })
		f.bmcs, f.targets = append(f.bmcs, fake), append(f.targets, targetOf(t, fake.Addr(), bmc.Redfish))
	}
	return f
}

// rounds sweeps in turn with none dead and with some, and gives both lists sorted. The first round of each warms up and does not count.
func (f *benchFleet) rounds(t *testing.T) (healthy, hurt []time.Duration) {
	for range benchRounds + 1 {
		f.faults.Set(fakebmc.Fault{})
		healthy = append(healthy, sweep(t, f.targets))
		f.faults.Set(fakebmc.Fault{Dead: true})
		hurt = append(hurt, sweep(t, f.targets))
	}
	f.faults.Set(fakebmc.Fault{})
	healthy, hurt = healthy[1:], hurt[1:]
	slices.Sort(healthy)
	slices.Sort(hurt)
	return healthy, hurt
}

// sweep is the time from nothing until every BMC that is never dead has been read.
func sweep(t *testing.T, targets []bmc.Target) time.Duration {
	wake := make(chan string, 64*benchBMCs)
	plane := bmc.NewPlane(bmc.Options{Open: drivers.Open, Interval: time.Hour, Wake: func(server string) { wake <- server }})
	defer plane.Close()
	start := time.Now()
	for i, target := range targets {
		plane.Ensure(fmt.Sprint(i), target)
	}
	missing := map[string]bool{}
	for i := benchDead; i < len(targets); i++ {
		missing[fmt.Sprint(i)] = true
	}
	for len(missing) > 0 {
		server := <-wake
		switch r := plane.Latest(server); {
		case r.Err != nil && missing[server]:
			t.Fatal(r.Err)
		case r.Power == bmc.Off:
			delete(missing, server)
		}
	}
	return time.Since(start)
}

// kept is the median time of reading all at once through drivers that are open.
func (f *benchFleet) kept(t *testing.T) time.Duration {
	var open []bmc.Driver
	for _, target := range f.targets {
		d, err := drivers.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close(context.Background()) }()
		open = append(open, d)
	}
	var times []time.Duration
	var failed atomic.Int64
	for range benchRounds {
		var work sync.WaitGroup
		start := time.Now()
		for _, d := range open {
			work.Go(func() {
				if state, err := d.Power(t.Context()); err != nil || state != bmc.Off {
					failed.Add(1)
				}
			})
		}
		work.Wait()
		times = append(times, time.Since(start))
	}
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d readings through open sessions failed: is the machine too busy?", n, benchRounds*len(open))
	}
	return median(times)
}

// bmclib is how long the program took that reads all with bmclib, so many at once, by its own clock. Sessions from before are forgotten.
func (f *benchFleet) bmclib(t *testing.T, program string, atOnce int) time.Duration {
	type place struct {
		Host string
		Port int
	}
	var job struct {
		Targets            []place
		Username, Password string
		Parallel           int
	}
	for i, target := range f.targets {
		job.Targets = append(job.Targets, place{target.Host, target.Port})
		f.bmcs[i].DropSessions()
	}
	job.Username, job.Password, job.Parallel = "u", "p", atOnce
	input, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Nanoseconds int64
		Read        int
		Failed      []string
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), os.Stderr
	output, err := cmd.Output()
	if err != nil || json.Unmarshal(output, &result) != nil {
		t.Fatalf("%s: %v: %.200s", program, err, output)
	}
	if result.Read != benchBMCs {
		t.Logf("bmclib read %d of %d; some of the rest: %.400q", result.Read, benchBMCs, result.Failed)
	}
	return time.Duration(result.Nanoseconds)
}

// sessions adds up what the BMCs counted; Most is of the one that had most.
func (f *benchFleet) sessions() (sum fakebmc.Tally) {
	for _, b := range f.bmcs {
		tally := b.Tally()
		sum.Opened, sum.Refused, sum.Most = sum.Opened+tally.Opened, sum.Refused+tally.Refused, max(sum.Most, tally.Most)
	}
	return sum
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
