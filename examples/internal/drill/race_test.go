//go:build race

package drill_test

// raceDetector says that the race detector is on, with which an exercise takes many times as long.
const raceDetector = true
