// Command sim attacks the decision core under virtual time; see the package engine.
package main

import (
	"flag"
	"fmt"
	"os"

	"ingot.dev/ingot/sfyra-tests/sim/engine"
)

func main() {
	seed := flag.Uint64("seed", 0, "run this seed alone")
	seeds := flag.Int("seeds", 1000, "how many seeds to run")
	servers := flag.Int("servers", 0, "how many servers; 0 lets each seed choose")
	trace := flag.Bool("trace", false, "print the trace")
	flag.Parse()
	if *seed != 0 {
		r := engine.Run(*seed, engine.Config{Servers: *servers, Trace: *trace})
		for _, l := range r.Trace {
			fmt.Println(l)
		}
		fmt.Println(r.Violation, r.Steps, r.Writes, r.Virtual)
		return
	}
	for n := range *seeds {
		r := engine.Run(uint64(n+1), engine.Config{Servers: *servers})
		if r.Violation != nil {
			fmt.Println("seed", n+1, r.Violation, r.Kinds)
		}
	}
	_ = os.Stdout
}
