package ipmi

import (
	"context"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/ipmi/sol"
)

// OpenFast opens a driver that waits for hundredths of seconds where others wait for seconds.
func OpenFast(ctx context.Context, target bmc.Target) (bmc.Driver, error) {
	return open(ctx, target, pace{
		waits: []time.Duration{250 * time.Millisecond, 500 * time.Millisecond}, farewell: []time.Duration{250 * time.Millisecond}, alive: time.Hour,
	})
}

// OpenOnce opens a driver that asks once and waits, for a BMC that takes a repeated order for another one.
func OpenOnce(ctx context.Context, target bmc.Target) (bmc.Driver, error) {
	return open(ctx, target, pace{waits: []time.Duration{3 * time.Second}, farewell: []time.Duration{250 * time.Millisecond}, alive: time.Hour})
}

// OpenAlive is the same with a sign of life at each interval.
func OpenAlive(ctx context.Context, target bmc.Target, interval time.Duration) (bmc.Driver, error) {
	return open(ctx, target, pace{
		waits: []time.Duration{time.Second, time.Second}, farewell: []time.Duration{150 * time.Millisecond}, alive: interval,
	})
}

// OpenConsoleFast opens a console that waits for hundredths of seconds where others wait for seconds.
func OpenConsoleFast(ctx context.Context, target bmc.Target, options ConsoleOptions) (*Console, error) {
	return OpenConsoleAlive(ctx, target, options, time.Hour)
}

// OpenConsoleAlive is the same with a sign of life at each interval.
func OpenConsoleAlive(ctx context.Context, target bmc.Target, options ConsoleOptions, interval time.Duration) (*Console, error) {
	return openConsole(ctx, target, options, patience{
		pace{
			waits: []time.Duration{250 * time.Millisecond, 500 * time.Millisecond}, farewell: []time.Duration{250 * time.Millisecond}, alive: interval,
		},
		sol.Tempo{Retry: 50 * time.Millisecond, Tries: 20, Pause: 20 * time.Millisecond},
	})
}
