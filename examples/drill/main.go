// Drill is a game day: an estate in memory in which things go wrong, and a host of the SDK that
// has to notice, tell people, and put them right with nothing but what it can see.
//
//	go run ./examples/drill                                # every scenario, in virtual time
//	go run ./examples/drill -list                          # which there are
//	go run ./examples/drill -scenario bad-deploy -seed 7   # one of them, drawn otherwise
//	go run ./examples/drill -html report.html              # with timelines to look at
//	go run ./examples/drill -pairs 200                     # random pairs of faults
//	go run ./examples/drill -scenario bad-deploy -realtime # as long as it really takes
//
// Program opsd has the same as its command drill. See README.md.
package main

import (
	"os"

	"go.acu.edu.au/runbook/examples/internal/drill"
)

func main() { os.Exit(drill.Main(os.Args[1:], os.Stdout, os.Stderr)) }
