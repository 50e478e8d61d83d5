package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.acu.edu.au/runbook/health"
)

// sampler is a prober that asks another several times at once. Its result is the
// worst one, with the median, the 95th percentile (both by nearest rank) and the
// slowest of the answers as measurements. The latency budget is for the 95th
// percentile.
type sampler struct {
	prober  health.Prober
	samples int
	latency health.Budget
	failing []int // status codes
}

var _ health.Prober = (*sampler)(nil)

// Probe implements [health.Prober].
func (s *sampler) Probe(ctx context.Context) health.Result {
	results := make([]health.Result, s.samples)
	panics := make([]any, s.samples)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			defer func() { panics[i] = recover() }()
			results[i] = s.strict(s.prober.Probe(ctx))
		})
	}
	wg.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p) // in the goroutine of the caller, who knows what to do
		}
	}
	if s.samples == 1 {
		return s.latency.Apply(results[0])
	}
	r := combine(results)
	within := r.Cause
	r = s.latency.Apply(r)
	if r.Cause == health.CauseSlow && within != health.CauseSlow {
		r.Message = fmt.Sprintf("the 95th percentile of %d requests %s", s.samples, r.Message)
	}
	return r
}

// strict fails an answer with a failing status whose body does not say that it
// fails: a body that claims to be well is not believed against its status.
func (s *sampler) strict(r health.Result) health.Result {
	code, ok := r.Measurement("status_code")
	if ok && slices.Contains(s.failing, int(code.Value)) && r.Status != health.Unhealthy {
		return r.Worsen(health.Unhealthy, health.CauseStatus, fmt.Sprintf("answered %.0f, whatever its body says", code.Value))
	}
	return r
}

// combine makes one result of several. Its duration is the 95th percentile.
func combine(results []health.Result) health.Result {
	durations := make([]time.Duration, len(results))
	worst, failed := 0, 0
	for i, r := range results {
		durations[i] = r.Duration
		if r.Status != health.Healthy {
			failed++
		}
		if health.Worst(r.Status, results[worst].Status) != results[worst].Status {
			worst = i
		}
	}
	slices.Sort(durations)
	r := results[worst]
	if failed > 0 {
		r.Message = fmt.Sprintf("%d of %d requests: %s", failed, len(results), r.Message)
	}
	for _, m := range []struct {
		name string
		d    time.Duration
	}{{"p50", quantile(durations, 50)}, {"p95", quantile(durations, 95)}, {"max", durations[len(durations)-1]}} {
		r = health.Limit{}.Apply(r, health.Measurement{Name: m.name, Value: float64(m.d) / float64(time.Millisecond), Unit: health.Milliseconds})
	}
	r = health.Limit{}.Apply(r, health.Measurement{Name: "samples", Value: float64(len(results))})
	r.Time = results[0].Time
	r.Duration = quantile(durations, 95)
	return r
}

// quantile returns the p-th percentile of sorted durations, by nearest rank.
func quantile(sorted []time.Duration, p int) time.Duration {
	return sorted[(len(sorted)*p+99)/100-1]
}
