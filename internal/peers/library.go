package main

import (
	"context"
	"net/http"
	"time"
)

// A check is what every library runs, in its own form.
type check func(context.Context) error

// A library is one column of the table. What it cannot do is nil.
type library struct {
	name string
	// round returns a function that runs all checks at once, at most
	// concurrency of them at the same time (0 means the library's default), and
	// reports whether all passed.
	round func(checks []check, concurrency int) (run func() bool)
	// start runs every check at once and then every interval. Where the library
	// leaves it to its host, the first runs are spread over the interval if
	// spread is true.
	start func(checks []check, interval, timeout time.Duration, spread bool) *running
	// everything, states and overall return handlers: with all that is known of
	// each check, with names and states alone, and with the overall status
	// alone. They belong to what start returned, or to nil if start is nil.
	everything, states, overall func(of *running, checks []check) http.Handler
}

// A running is a started library.
type running struct {
	// read reads the state of every check and reports whether all passed; status
	// reads the overall status alone. Nil if there is no such call.
	read, status func() bool
	// of is the library's own value.
	of   any
	stop func()
}
