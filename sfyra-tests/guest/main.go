// The test OS is what the scenarios install on servers: the agent's kernel with a small program. Netbooted, it fetches its machine config with the
// capability on its kernel line, installs itself on a disk, says so and reboots; from its disk it says that it runs. It obeys the power button.
//
// Layer 4, wiring. How a Linux machine starts (mounts, drivers, network) is the agent's code; what is spoken with Ingot is written after
// docs/claims.md and shares nothing with it.
//
// Its lines on the console begin with `testos:`; tests look for them.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"ingot.dev/ingot/agent/boot"
	"ingot.dev/ingot/agent/console"
)

// failurePause is how long the last messages stay before a restart.
const failurePause = 10 * time.Second

func main() {
	switch {
	case os.Getpid() == 1:
		supervise()
	case boot.IsWorker():
		work()
	default:
		fmt.Fprintln(os.Stderr, "the test OS runs as the first process of a virtual server; `make e2e` boots it.")
		os.Exit(2)
	}
}

// supervise never returns: the kernel panics when process 1 ends.
func supervise() {
	mounted := boot.Mount()
	log := slog.New(console.New(boot.Consoles(), boot.Uptime))
	ending, err := boot.EndRestart, mounted
	if err == nil {
		ending, err = boot.Supervise()
	}
	if err != nil {
		log.Error("testos: failed", "error", err)
		boot.Pause(log, failurePause)
	}
	end := boot.Restart
	if ending == boot.EndPowerOff {
		end = boot.PowerOff
	}
	for {
		end(log)
		boot.Pause(log, failurePause)
	}
}

// work is the supervised process.
func work() {
	log := slog.New(console.New(boot.Consoles(), boot.Uptime))
	ending, err := run(context.Background(), log)
	if err != nil {
		log.Error("testos: cannot go on", "error", err)
		os.Exit(1)
	}
	boot.End(ending)
}
