//go:build !race

package drill_test

// raceDetector says that the race detector is on.
const raceDetector = false
