//go:build e2e && bench

package scenarios

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/meta"

	"ingot.dev/ingot/boot-assets/initramfs"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/bench/timeline"
	"ingot.dev/ingot/sfyra-tests/guest/counterpart"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

const (
	// benchRounds is how often each way is measured, its floor right after it.
	benchRounds = 2
	// leastNamed is the share of a way's time that Ingot itself has to explain.
	leastNamed = 0.95
	// benchOS is what the test OS is told, with Ingot and without.
	benchOS = "everySeconds: 5\n"
)

// marker finds on the console what the firmware starts: iPXE from a disk, or the kernel as an EFI program.
var (
	iPXEStarts   = regexp.MustCompile(`iPXE initialising devices`)
	kernelStarts = regexp.MustCompile(`EFI stub:`)
	commandLine  = regexp.MustCompile(`(?:Command line|Kernel command line): (.*ingot\.boot=.*)`)
	ourArgs      = regexp.MustCompile(`(initrd|ingot\.boot|ingot\.mac)=\S+ ?`)
)

// took is one way, or its floor.
type took struct {
	whole, firmware time.Duration
}

func (a took) over(b took) string {
	return fmt.Sprintf("ratio %.2f; firmware %.1f s of it and %.1f s of the floor, ratio without that %.2f",
		a.whole.Seconds()/b.whole.Seconds(), a.firmware.Seconds(), b.firmware.Seconds(), (a.whole-a.firmware).Seconds()/(b.whole-b.firmware).Seconds())
}

// TestBenchBoot measures power-on → Available and claim → Running of a server that Ingot runs, beside the same kernels booted by QEMU on the same hardware.
// The share of the time that has a name comes from what Ingot recorded.
func TestBenchBoot(t *testing.T) {
	agent, system := direct(small("fa", 0x91)), direct(small("fo", 0x92))
	specs := []rack.Spec{agent, system}
	for i := range benchRounds {
		specs = append(specs, small(fmt.Sprintf("p%d", i+1), byte(0xa1+i)))
	}
	c := newCluster(t, specs...)
	c.offer("testos")
	c.open(class, "testos", metal.Requirements{})
	for i := range benchRounds {
		name := fmt.Sprintf("p%d", i+1)
		load, _ := os.ReadFile("/proc/loadavg")
		fmt.Printf("round %d, load %s", i+1, load)
		available, wipe := c.toAvailable(name)
		floor := c.agentAlone(name, agent.Direct)
		floor.whole += wipe
		fmt.Printf("power-on to Available: %.1f s; floor %.1f s (to the inventory, and %.1f s that the wipe took); %s\n",
			available.whole.Seconds(), floor.whole.Seconds(), wipe.Seconds(), available.over(floor))
		running := c.toRunning(name)
		floor = c.systemAlone(fmt.Sprintf("%s:%d", c.host(), 17445+i), system.Direct)
		fmt.Printf("claim to Running: %.1f s; floor %.1f s; %s\n", running.whole.Seconds(), floor.whole.Seconds(), running.over(floor))
	}
}

// direct gives a server a kernel of QEMU's own, which is named later.
func direct(s rack.Spec) rack.Spec {
	s.Direct = &rack.Direct{}
	return s
}

// toAvailable lets Ingot take a server that was never seen, from power-on; wipe is what its agent took for the wipe alone.
func (c *cluster) toAvailable(name string) (way took, wipe time.Duration) {
	c.t.Helper()
	c.declare(name)
	c.awaitServer(name, "its BMC reads off", bootLimit, func(v *metal.Server) bool { return v.Status.Power != nil && v.Status.Power.State == metal.PowerOff })
	c.ingot("accept", name, "--wipe-data", "--yes")
	c.await(bootLimit, name+" is switched on", func() bool { return c.machine(name).PID() != 0 })
	from := started(c.t, c.machine(name).PID())
	v := c.awaitServer(name, "it is Available", wipeLimit, available)
	all := timeline.Within(c.recorded(v, v.Spec.Record.Wipe.BootID), from, time.Now())
	way = c.explain("power-on to Available", all)
	for _, s := range all {
		if s.Name == timeline.Wipe {
			wipe = s.Length()
		}
	}
	return way, wipe
}

// toRunning claims the server.
func (c *cluster) toRunning(name string) took {
	c.t.Helper()
	from := time.Now()
	c.claim(name, class, benchOS)
	c.awaitRunning(name)
	to := time.Now()
	claim := c.awaitClaim(name, "it runs", bootLimit, func(v *metal.ServerClaim) bool { return meta.IsStatusConditionTrue(v.Status.Conditions, reasons.Ready) })
	var v *metal.Server
	v = c.awaitServer(name, "its timeline is whole", bootLimit, func(v *metal.Server) bool {
		b := boot(v, v.Spec.Record.Installed.BootID)
		return b != nil && strings.Contains(fmt.Sprint(b.Stages), metal.StageRunning)
	})
	stages := c.recorded(v, v.Spec.Record.Installed.BootID)
	if at := v.Spec.Record.Claim.BoundAt; at != nil && len(stages) > 0 && !at.After(stages[0].From) {
		bind := timeline.Stretch{Name: "the claim is bound to a server", From: claim.CreationTimestamp.Time, To: stages[0].From}
		stages = append([]timeline.Stretch{bind}, stages...)
	}
	way := c.explain("claim to Running", timeline.Within(stages, from, to))
	if err := c.machine(name).ForceOff(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	return way
}

// boot is a timeline of a server; nil when it shows none of that boot.
func boot(v *metal.Server, id string) *metal.BootTimeline {
	for i := range v.Status.Boots {
		if v.Status.Boots[i].ID == id {
			return &v.Status.Boots[i]
		}
	}
	return nil
}

// recorded are the stretches of a boot, as the Server's status has them.
func (c *cluster) recorded(v *metal.Server, id string) []timeline.Stretch {
	c.t.Helper()
	b := boot(v, id)
	if b == nil {
		c.t.Fatalf("%s shows no timeline of the boot %s", v.Name, id)
	}
	return timeline.Of(b.Stages)
}

// explain prints where the time went, by Ingot's record.
func (c *cluster) explain(what string, all []timeline.Stretch) took {
	c.t.Helper()
	for _, s := range all {
		name := s.Name
		if name == "" {
			name = "(no name)"
		}
		fmt.Printf("  %6.1f s  %s\n", s.Length().Seconds(), name)
	}
	named := timeline.Named(all)
	fmt.Printf("  %5.1f %% of the time of %s has a name in Ingot's record\n", 100*named, what)
	if named < leastNamed {
		c.t.Errorf("%s: %.1f %% of the time has a name, want %.0f %%", what, 100*named, 100*leastNamed)
	}
	return took{
		whole:    timeline.Sum(all, func(timeline.Stretch) bool { return true }),
		firmware: timeline.Sum(all, func(s timeline.Stretch) bool { return s.Firmware }),
	}
}

// agentAlone boots the agent's kernel by QEMU, with the kernel line of the boot before but another boot and MAC, to its inventory.
func (c *cluster) agentAlone(like string, d *rack.Direct) took {
	c.t.Helper()
	line := commandLine.FindStringSubmatch(c.serial(like))
	if line == nil {
		c.t.Fatal("the console shows no kernel line of the agent")
	}
	id := "floor-" + like
	d.Kernel, d.Initramfs = filepath.Join(os.Getenv("INGOT_AGENT_IMAGE"), initramfs.VmlinuzName), filepath.Join(os.Getenv("INGOT_AGENT_IMAGE"), initramfs.InitramfsName)
	d.Line = ourArgs.ReplaceAllString(strings.TrimSpace(line[1]), "") + " ingot.boot=" + id + " ingot.mac=" + c.machine("fa").Identity().MACs[0]
	marks := c.watch("fa", kernelStarts)
	c.switchOn("fa")
	from := started(c.t, c.machine("fa").PID())
	var to time.Time
	c.await(bootLimit, "the agent alone reports the hardware", func() bool {
		list := &metal.ServerList{}
		if c.client.List(c.t.Context(), list) != nil {
			return false
		}
		for i := range list.Items {
			if b := boot(&list.Items[i], id); b != nil {
				for _, s := range b.Stages {
					if s.Stage == metal.StageInventory {
						to = s.At.Time
					}
				}
			}
		}
		return !to.IsZero()
	})
	c.switchOff("fa")
	return took{whole: to.Sub(from), firmware: marks()[0].Sub(from)}
}

// systemAlone boots the test OS by QEMU, which installs itself and runs from its disk.
func (c *cluster) systemAlone(address string, d *rack.Direct) took {
	c.t.Helper()
	other := counterpart.New(c.t, address, benchOS)
	other.Serve()
	dir := os.Getenv("INGOT_TESTOS_IMAGE")
	d.Kernel, d.Initramfs = filepath.Join(dir, initramfs.VmlinuzName), filepath.Join(dir, initramfs.InitramfsName)
	d.Line = rack.KernelArgs() + " panic=30 ingot.pin=" + other.Pin + " ingot.config=https://" + address + counterpart.ConfigPath
	limit := runLimit * time.Duration(c.rack.Slowness())
	marks := c.watch("fo", kernelStarts, regexp.MustCompile(`testos: told that it is installed`), iPXEStarts)
	c.switchOn("fo")
	from := started(c.t, c.machine("fo").PID())
	if err := c.machine("fo").SetBootOverride(c.t.Context(), machine.BootOverride{Target: machine.TargetHdd, Once: true}); err != nil {
		c.t.Fatal(err)
	}
	other.Await(limit, `POST `+counterpart.SignalPath+` {"everySeconds":5,"phase":"running"}`, 1)
	to := time.Now()
	c.switchOff("fo")
	m := marks()
	return took{whole: to.Sub(from), firmware: m[0].Sub(from) + m[2].Sub(m[1])}
}

func (c *cluster) switchOn(name string) {
	c.t.Helper()
	if err := c.machine(name).PowerOn(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) switchOff(name string) {
	c.t.Helper()
	if err := c.machine(name).ForceOff(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// watch notes when the console shows each of the texts, one after the other, from now on. The function that it returns ends it and gives the times.
func (c *cluster) watch(name string, texts ...*regexp.Regexp) func() []time.Time {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan []time.Time)
	at := len(c.serial(name))
	go func() { done <- c.follow(ctx, name, at, texts) }()
	return func() []time.Time {
		c.t.Helper()
		cancel()
		seen := <-done
		if len(seen) != len(texts) {
			c.t.Fatalf("the console of %s showed %d of %v", name, len(seen), texts)
		}
		return seen
	}
}

func (c *cluster) follow(ctx context.Context, name string, at int, texts []*regexp.Regexp) (seen []time.Time) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil && len(seen) < len(texts) {
		text := c.serial(name)
		if found := texts[len(seen)].FindStringIndex(text[min(at, len(text)):]); found != nil {
			seen, at = append(seen, time.Now()), at+found[1]
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return seen
}

// started is when a process was, to a hundredth of a second: field 22 of /proc/PID/stat counts those since the host's own start (proc(5)).
func started(t *testing.T, pid int) time.Time {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // from field 3 on
	ticks, err := strconv.ParseInt(fields[22-3], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		t.Fatal(err)
	}
	return time.Now().Add(time.Duration(ticks)*10*time.Millisecond - time.Duration(up.Nano()))
}
