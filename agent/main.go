// The agent is the first program of a netbooted machine. It finds out what hardware the machine has, reports it to the
// controller and does what the controller says. It writes to no disk but those that an order of the controller names.
//
// Layer 4, wiring. As process 1 it supervises itself (package boot); run by hand it touches nothing: `agent --inventory` prints what
// it would report, as JSON.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"ingot.dev/ingot/agent/boot"
	"ingot.dev/ingot/agent/console"
	"ingot.dev/ingot/crds/version"
)

// failurePause is how long the last messages stay on the screen before a restart.
const failurePause = 60 * time.Second

func main() {
	switch {
	case os.Getpid() == 1:
		supervise()
	case boot.IsWorker():
		work()
	default:
		byHand()
	}
}

// supervise never returns: the kernel panics when process 1 ends.
func supervise() {
	mounted := boot.Mount()
	log := slog.New(console.New(boot.Consoles(), boot.Uptime))
	log.Info("this is Ingot's agent " + version.String())
	ending, err := boot.EndRestart, mounted
	if err == nil {
		ending, err = boot.Supervise()
	}
	if err != nil {
		log.Error("the agent failed", "error", err)
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
		log.Error("the agent cannot go on", "error", err)
		os.Exit(1)
	}
	boot.End(ending)
}

// byHand serves tests and curious people.
func byHand() {
	show := flag.Bool("inventory", false, "print the inventory of this machine as JSON and change nothing")
	showVersion := flag.Bool("version", false, "print the version")
	flag.Parse()
	switch {
	case *showVersion:
		fmt.Println(version.String())
	case *show:
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		inv := collector(log).Collect(context.Background())
		fmt.Println(protojson.MarshalOptions{Multiline: true}.Format(inv))
	default:
		fmt.Fprintln(os.Stderr, "ingot-agent runs as the first process of a netbooted machine; by hand it has --inventory and --version.")
		os.Exit(2)
	}
}
