package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"ingot.dev/ingot/sfyra-tests/guest/client"
	"ingot.dev/ingot/sfyra-tests/guest/config"
	"ingot.dev/ingot/sfyra-tests/guest/install"
)

// runFromDisk is the installed system: it tells that it runs, as often as its config says, until the power button ends it.
func runFromDisk(ctx context.Context, log *slog.Logger) error {
	text, err := os.ReadFile("/" + install.ConfigPath)
	if err != nil {
		return fmt.Errorf("reading the config on the disk: %w", err)
	}
	c, err := config.Parse(text)
	if err != nil {
		return err
	}
	callback, err := client.New(c.Callback.URL, c.Callback.Pin)
	if err != nil {
		return err
	}
	showCanary(log, c)
	body, _ := json.Marshal(map[string]any{"phase": "running", "everySeconds": c.OS.EverySeconds}) // these always encode
	if err := retry(ctx, log, "telling that it runs", func() error { return callback.Post(ctx, body) }); err != nil {
		return err
	}
	log.Info("testos: running server=" + c.Callback.Server + " from disk")
	if c.OS.EverySeconds == 0 {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return keepTelling(ctx, log, time.Duration(c.OS.EverySeconds)*time.Second, func() error { return callback.Post(ctx, body) })
}

// keepTelling goes on when nobody hears: that is the controller's business, not the workload's.
func keepTelling(ctx context.Context, log *slog.Logger, every time.Duration, tell func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := tell(); err != nil {
				log.Warn("testos: nobody heard that it runs", "error", err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
