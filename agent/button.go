package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"ingot.dev/ingot/agent/boot"
)

// errButton says that somebody, or a BMC, pressed the power button.
var errButton = errors.New("the power button was pressed")

func button(log *slog.Logger) boot.Button {
	return boot.Button{
		Root: os.DirFS("/"), Open: boot.OpenInput, After: time.After, Log: log, Poll: 5 * time.Second, Most: time.Minute,
	}
}

// obeyButton ends the agent at a press of the power button. quiesce says whether it may: a wipe that has begun is not cut short.
func obeyButton(ctx context.Context, presses <-chan struct{}, quiesce func() bool, end func(error), log *slog.Logger) {
	for {
		select {
		case <-presses:
			if quiesce() {
				log.Info("the power button was pressed")
				end(errButton)
				return
			}
			log.Warn("the power button is ignored: disks are being wiped; press it again when that has ended")
		case <-ctx.Done():
			return
		}
	}
}
