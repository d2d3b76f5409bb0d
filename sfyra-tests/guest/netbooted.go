package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"time"

	"ingot.dev/ingot/agent/boot"
	"ingot.dev/ingot/sfyra-tests/guest/client"
	"ingot.dev/ingot/sfyra-tests/guest/config"
	"ingot.dev/ingot/sfyra-tests/guest/install"
)

// netbooted fetches the config, installs, and tells. The machine reboots afterwards.
func netbooted(ctx context.Context, log *slog.Logger, line string, w words) error {
	if w.config == "" {
		return errors.New("the kernel line has no ingot.config=URL: boot this system with the script of a claim")
	}
	c, text, err := fetch(ctx, log, w)
	if err != nil {
		return err
	}
	log.Info(fmt.Sprintf("testos: config fetched sha256=%x", sha256.Sum256(text)))
	showCanary(log, c)
	if err := installOn(ctx, log, line, c, text); err != nil {
		return err
	}
	callback, err := client.New(c.Callback.URL, c.Callback.Pin)
	if err != nil {
		return err
	}
	body, _ := json.Marshal(map[string]string{"phase": "installed", "boot": c.Callback.Boot}) // strings always encode
	if err := retry(ctx, log, "telling that it is installed", func() error { return callback.Post(ctx, body) }); err != nil {
		return err
	}
	log.Info("testos: told that it is installed; rebooting")
	return nil
}

// showCanary lets a test see that the secret arrived without its being on the console.
func showCanary(log *slog.Logger, c config.Config) {
	if c.OS.Secret != "" {
		log.Info(fmt.Sprintf("testos: canary sha256=%x", sha256.Sum256([]byte(c.OS.Secret))))
	}
}

// fetch gets the config, at the first attempt not the whole of it if the kernel line says so.
func fetch(ctx context.Context, log *slog.Logger, w words) (c config.Config, text []byte, err error) {
	source, err := client.New(w.config, w.pin)
	if err != nil {
		return c, nil, fmt.Errorf("reading ingot.config and ingot.pin: %w", err)
	}
	if w.truncate > 0 {
		n, err := source.BreakOff(ctx, w.truncate)
		log.Info(fmt.Sprintf("testos: broke the first fetch off after %d bytes", n), "error", err)
	}
	err = retry(ctx, log, "fetching the machine config", func() error {
		if text, err = source.Get(ctx, config.MaxBytes); err != nil {
			return err
		}
		c, err = config.Parse(text)
		return err
	})
	return c, text, err
}

// installOn puts the running system on the disk that the config names.
func installOn(ctx context.Context, log *slog.Logger, line string, c config.Config, text []byte) error {
	system, err := install.Read(os.DirFS("/"))
	if err != nil {
		return err
	}
	system.KernelLine, system.Config = line, text
	disk, err := findDisk(ctx, c.OS.Disk)
	if err != nil {
		return err
	}
	device, err := os.OpenFile(path.Join("/dev", disk.Name), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening the disk: %w", err)
	}
	defer device.Close()
	if err := install.Write(device, disk.Bytes, system); err != nil {
		return err
	}
	marks := 0
	if c.OS.Marks {
		if marks, err = install.WriteMarks(device, disk.Bytes); err != nil {
			return err
		}
	}
	if err := device.Sync(); err != nil {
		return fmt.Errorf("writing to the disk: %w", err)
	}
	log.Info("testos: installed", "disk", disk.Name, "serial", disk.Serial, "marks", marks, "seconds", boot.Uptime().Seconds())
	return nil
}

// Bounds of retry.
const (
	firstPause   = time.Second
	longestPause = 15 * time.Second
	retryMost    = 10 * time.Minute
)

// retry does f until it succeeds, with growing pauses, and gives up after ten minutes.
func retry(ctx context.Context, log *slog.Logger, what string, f func() error) error {
	deadline := time.After(retryMost)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := f()
		if err == nil {
			return nil
		}
		log.Warn("testos: "+what+" failed", "error", err, "again in", pause)
		select {
		case <-time.After(pause):
		case <-deadline:
			return fmt.Errorf("%s: %w", what, err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
