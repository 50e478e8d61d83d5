//go:build !race

package main_test

// raceDetector says that the race detector is on.
const raceDetector = false
