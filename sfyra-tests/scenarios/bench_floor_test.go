//go:build e2e && bench

package scenarios

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ingot.dev/ingot/boot-assets/initramfs"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/guest/counterpart"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// What a console shows where firmware ends, and where it begins again.
const (
	iPXEStarts       = "iPXE initialising devices"
	kernelStarts     = "EFI stub:"
	osInstalled      = "testos: told that it is installed"
	leavesToFirmware = "leaving to the firmware"
	loadsFromDisk    = "testos: loading from disk" // by iPXE, from the disk
)

var (
	agentLine = regexp.MustCompile(`Kernel command line: \S+ (.*ingot\.boot=.*)`)
	ownArgs   = regexp.MustCompile(`(initrd|ingot\.boot|ingot\.mac)=\S+ ?`)
)

// agentAlone boots the agent's kernel by QEMU, with the kernel line that a server got from Ingot but for the names of boot and MAC, until Ingot has its
// inventory.
func (c *cluster) agentAlone(like string, d *rack.Direct) took {
	c.t.Helper()
	line := agentLine.FindStringSubmatch(c.serial(like))
	if line == nil {
		c.t.Fatal("the console shows no kernel line of the agent")
	}
	id := "floor-" + like
	*d = image(os.Getenv("INGOT_AGENT_IMAGE"))
	d.Line = ownArgs.ReplaceAllString(strings.TrimSpace(line[1]), "") + " ingot.boot=" + id + " ingot.mac=" + c.machine("fa").Identity().MACs[0]
	seen := c.watch("fa", kernelStarts)
	on := c.switchOn("fa")
	var reported time.Time
	c.await(bootLimit, "the agent alone reports the hardware", func() bool {
		reported = c.inventoryOf(id)
		return !reported.IsZero()
	})
	c.switchOff("fa")
	return took{reported.Sub(on), seen()[0].Sub(on)}
}

// inventoryOf is when the inventory of a boot came, whichever Server has it; zero when it did not.
func (c *cluster) inventoryOf(id string) (at time.Time) {
	list := &metal.ServerList{}
	if c.client.List(c.t.Context(), list) != nil {
		return at
	}
	for i := range list.Items {
		b := boot(&list.Items[i], id)
		if b == nil {
			continue
		}
		if n := slices.IndexFunc(b.Stages, func(s metal.BootStage) bool { return s.Stage == metal.StageInventory }); n >= 0 {
			return b.Stages[n].At.Time
		}
	}
	return at
}

// systemAlone boots the test OS by QEMU; it fetches its config from the counterpart, installs itself, restarts and runs from its disk.
func (c *cluster) systemAlone(address string, d *rack.Direct) took {
	c.t.Helper()
	other := counterpart.New(c.t, address, benchOS)
	other.Serve()
	*d = image(os.Getenv("INGOT_TESTOS_IMAGE"))
	d.Line = rack.KernelArgs() + " panic=30 ingot.pin=" + other.Pin + " ingot.config=https://" + address + counterpart.ConfigPath
	seen := c.watch("fo", kernelStarts, osInstalled, loadsFromDisk)
	on := c.switchOn("fo")
	// What a machine with an installed system does after its restart: the rack makes a new process then.
	if err := c.machine("fo").SetBootOverride(c.t.Context(), machine.BootOverride{Target: machine.TargetHdd, Once: true}); err != nil {
		c.t.Fatal(err)
	}
	other.Await(runLimit*time.Duration(c.rack.Slowness()), `POST `+counterpart.SignalPath+` {"everySeconds":5,"phase":"running"}`, 1)
	whole := time.Since(on)
	m := seen()
	c.switchOff("fo")
	return took{whole, m[0].Sub(on) + m[2].Sub(m[1])}
}

func image(dir string) rack.Direct {
	return rack.Direct{Kernel: filepath.Join(dir, initramfs.VmlinuzName), Initramfs: filepath.Join(dir, initramfs.InitramfsName)}
}

// switchOn does it without Ingot, and says when.
func (c *cluster) switchOn(name string) time.Time {
	c.t.Helper()
	if err := c.machine(name).PowerOn(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	return started(c.t, c.machine(name).PID())
}

// switchedOn waits until Ingot switched it on, and says when that was.
func (c *cluster) switchedOn(name string) time.Time {
	c.t.Helper()
	c.await(bootLimit, name+" is switched on", func() bool { return c.machine(name).PID() != 0 })
	return started(c.t, c.machine(name).PID())
}

func (c *cluster) switchOff(name string) {
	c.t.Helper()
	if err := c.machine(name).ForceOff(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// started is when a process was, to a hundredth of a second: field 22 of /proc/PID/stat counts those since the host's own start (proc(5)).
func started(t *testing.T, pid int) time.Time {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from field 3 on
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

// watch notes when the console shows each of the texts, one after the other, from now on. What it returns gives the times, and fails when one was not shown.
func (c *cluster) watch(name string, texts ...string) func() []time.Time {
	c.t.Helper()
	file, err := os.OpenFile(c.machine(name).File(qemu.SerialFile), os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan []time.Time, 1)
	go func() {
		defer file.Close()
		done <- follow(ctx, file, texts)
	}()
	return func() []time.Time {
		c.t.Helper()
		cancel()
		seen := <-done
		if len(seen) != len(texts) {
			c.t.Fatalf("the console of %s showed the first %d of %q", name, len(seen), texts)
		}
		return seen
	}
}

// follow reads on at the end of a file that grows, and gives up with ctx.
func follow(ctx context.Context, file io.Reader, texts []string) (seen []time.Time) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var text []byte
	for len(seen) < len(texts) && ctx.Err() == nil {
		more, _ := io.ReadAll(file)
		text = append(text, more...)
		for len(seen) < len(texts) {
			at := bytes.Index(text, []byte(texts[len(seen)]))
			if at < 0 {
				break
			}
			text, seen = text[at+len(texts[len(seen)]):], append(seen, time.Now())
		}
		text = text[max(0, len(text)-100):] // the beginning of the next one, at most
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return seen
}
