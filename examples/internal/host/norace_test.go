//go:build !race

package host_test

// race says that the race detector is on, with which each of these takes ten times as long.
const race = false
