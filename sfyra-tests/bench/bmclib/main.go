// Command bmclib reads the power of many BMCs once, with bmclib as its users have it by default: every driver is opened for every operation. It is what
// `make bench` holds Ingot's sweep against. Layer 5, proof; a module of its own, since bmclib with all drivers has many dependencies.
//
// It reads one JSON object from its input and writes one to its output; see job and result.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bmc-toolbox/bmclib/v2"
)

// operationTime bounds one operation: opening, reading, closing.
const operationTime = 2 * time.Minute

// job is what to read. All BMCs have the same account.
type job struct {
	Targets            []target
	Username, Password string
	// Parallel is how many are read at once.
	Parallel int
}

// target is where a BMC is.
type target struct {
	Host string
	Port int
}

// result is how long all took, and what came out.
type result struct {
	Nanoseconds int64
	Read        int
	// Failed are the messages of some that could not be read.
	Failed []string
}

func main() {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		fmt.Fprintln(os.Stderr, "bmclib: reading the job:", err)
		os.Exit(2)
	}
	if err := json.NewEncoder(os.Stdout).Encode(sweep(j)); err != nil {
		fmt.Fprintln(os.Stderr, "bmclib: writing the result:", err)
		os.Exit(1)
	}
}

// sweep reads all BMCs, so many at once.
func sweep(j job) (r result) {
	var work sync.WaitGroup
	var mu sync.Mutex
	room := make(chan struct{}, max(1, j.Parallel))
	begun := time.Now()
	for _, t := range j.Targets {
		room <- struct{}{}
		work.Go(func() {
			defer func() { <-room }()
			err := read(t, j.Username, j.Password)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				r.Read++
			case len(r.Failed) < 5:
				r.Failed = append(r.Failed, err.Error())
			}
		})
	}
	work.Wait()
	r.Nanoseconds = time.Since(begun).Nanoseconds()
	return r
}

// read is one operation.
func read(t target, username, password string) error {
	ctx, cancel := context.WithTimeout(context.Background(), operationTime)
	defer cancel()
	port := strconv.Itoa(t.Port)
	c := bmclib.NewClient(t.Host, username, password,

		bmclib.WithRedfishPort(port), bmclib.WithAsrockrackPort(port), bmclib.WithIpmitoolPort(port))
	if err := c.Open(ctx); err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	state, err := c.GetPowerState(ctx)
	if err == nil && !strings.Contains(strings.ToLower(state), "off") {
		err = fmt.Errorf("it reads %.40q", state)
	}
	if closing := c.Close(ctx); err == nil && closing != nil {
		err = fmt.Errorf("closing: %w", closing)
	}
	return err
}
