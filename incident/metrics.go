package incident

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Metrics reads what a platform measures of one service in one environment.
type Metrics interface {
	// Metrics returns at least one series for each metric that is asked for, in the
	// order they are asked for: one for the whole service, or one for each part,
	// which Labels tell. A series without points means that nothing was measured,
	// which is not zero. It may be called concurrently. Everything in the answer
	// belongs to the caller.
	//
	// A query that is invalid is an error without a call. The error is
	// ErrUnsupported if the platform does not measure one of them, and names it;
	// ErrNotPermitted.
	Metrics(ctx context.Context, q MetricQuery) ([]Series, error)
}

// Metric is what is measured. A platform may have others than the ones here.
type Metric string

// The metrics, with their units.
const (
	MetricCPU         Metric = "cpu"          // cores in use
	MetricCPULimit    Metric = "cpu_limit"    // cores
	MetricMemory      Metric = "memory"       // bytes in use
	MetricMemoryLimit Metric = "memory_limit" // bytes
	MetricDisk        Metric = "disk"         // bytes in use
	MetricNetworkIn   Metric = "network_in"   // bytes received
	MetricNetworkOut  Metric = "network_out"  // bytes sent
	MetricRequests    Metric = "requests"     // HTTP requests in each step
	MetricErrors      Metric = "errors"       // HTTP answers of 500 and above in each step
	MetricLatencyP50  Metric = "latency_p50"  // seconds, of HTTP requests
	MetricLatencyP95  Metric = "latency_p95"  // seconds
	MetricLatencyP99  Metric = "latency_p99"  // seconds
)

// Unit is what the values of a series are in.
type Unit string

// The units.
const (
	UnitCores   Unit = "cores"
	UnitBytes   Unit = "bytes"
	UnitSeconds Unit = "seconds"
	UnitCount   Unit = "count"
)

// Unit returns the unit of a metric of this package, whatever the platform
// measures in; and the empty one for another metric.
func (m Metric) Unit() Unit {
	switch m {
	case MetricCPU, MetricCPULimit:
		return UnitCores
	case MetricMemory, MetricMemoryLimit, MetricDisk, MetricNetworkIn, MetricNetworkOut:
		return UnitBytes
	case MetricRequests, MetricErrors:
		return UnitCount
	case MetricLatencyP50, MetricLatencyP95, MetricLatencyP99:
		return UnitSeconds
	}
	return ""
}

// MetricQuery chooses what to read.
type MetricQuery struct {
	// Metrics are what to read, each once. At least one.
	Metrics []Metric
	// From is the first moment, To the first one after the span. To zero means now.
	From, To time.Time
	// Step is the time between points. Zero means what fits the span; a platform
	// may choose another one.
	Step time.Duration
}

// Series are the values of a metric over time.
type Series struct {
	// Metric is what was measured, Unit what the values are in.
	Metric Metric
	Unit   Unit
	// Labels tell of which part it is: "region", "instance", "status". Empty means
	// the whole service.
	Labels map[string]string
	// Points are the values, the oldest first.
	Points []Point
}

// A Point is one value.
type Point struct {
	// Time is when it was measured.
	Time time.Time
	// Value is in the unit of its series.
	Value float64
}

// Validate returns everything that is wrong with the query, or nil.
func (q MetricQuery) Validate() error {
	var problems []error
	if len(q.Metrics) == 0 {
		problems = append(problems, errors.New("incident: metric query: no metric is named"))
	}
	seen := make(map[Metric]bool)
	for _, m := range q.Metrics {
		if m == "" || seen[m] {
			problems = append(problems, fmt.Errorf("incident: metric query: metric %q is empty or named twice", string(m)))
		}
		seen[m] = true
	}
	if q.From.IsZero() {
		problems = append(problems, errors.New("incident: metric query: From is missing"))
	}
	if !q.To.IsZero() && !q.From.Before(q.To) {
		problems = append(problems, errors.New("incident: metric query: From must be before To"))
	}
	if q.Step < 0 {
		problems = append(problems, errors.New("incident: metric query: Step is negative"))
	}
	return errors.Join(problems...)
}
