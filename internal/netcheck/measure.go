package netcheck

import (
	"math"
	"time"

	"go.acu.edu.au/runbook/health"
)

// With returns r with further measurements. r may share memory with another
// result, which is not changed.
func With(r health.Result, m ...health.Measurement) health.Result {
	r.Measurements = append(r.Measurements[:len(r.Measurements):len(r.Measurements)], m...)
	return r
}

// Milliseconds returns a time as a measurement, to the microsecond.
func Milliseconds(name string, d time.Duration) health.Measurement {
	return health.Measurement{Name: name, Value: float64(d.Round(time.Microsecond)) / 1e6, Unit: health.Milliseconds}
}

// Days returns a time span in days, to a thousandth.
func Days(d time.Duration) float64 { return math.Round(d.Hours()/24*1000) / 1000 }
