package main

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.acu.edu.au/runbook/health"
)

// answers is a prober whose n-th call takes n seconds; the third fails.
func answers() health.Prober {
	var calls atomic.Int64
	return health.ProberFunc(func(context.Context) health.Result {
		n := calls.Add(1)
		r := health.Result{Status: health.Healthy, Duration: time.Duration(n) * time.Second}
		time.Sleep(r.Duration)
		if n == 3 {
			r = r.Worsen(health.Unhealthy, health.CauseStatus, "answered 500")
		}
		return r
	})
}

func TestSampler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := (&sampler{prober: answers(), samples: 5}).Probe(t.Context())
		assert.Equal(t, 5*time.Second, time.Since(began), "at the same time, not one after another")
		assert.Equal(t, health.Unhealthy, r.Status)
		assert.Equal(t, health.CauseStatus, r.Cause)
		assert.Equal(t, "1 of 5 requests: answered 500", r.Message)
		assert.Equal(t, 5*time.Second, r.Duration)
		for name, want := range map[string]float64{"p50": 3000, "p95": 5000, "max": 5000, "samples": 5} {
			m, ok := r.Measurement(name)
			require.True(t, ok, name)
			assert.InDelta(t, want, m.Value, 0, name)
		}
	})
}

func TestSamplerJudgesTheNinetyFifthPercentile(t *testing.T) {
	slow := health.ProberFunc(func(context.Context) health.Result {
		return health.Result{Status: health.Healthy, Duration: 6 * time.Second}
	})
	r := (&sampler{prober: slow, samples: 5, latency: health.Budget{Warn: 5 * time.Second}}).Probe(t.Context())
	assert.Equal(t, health.Degraded, r.Status)
	assert.Equal(t, health.CauseSlow, r.Cause)
	assert.Equal(t, "the 95th percentile of 5 requests took 6s, more than 5s", r.Message)
	r = (&sampler{prober: slow, samples: 1, latency: health.Budget{Fail: 5 * time.Second}}).Probe(t.Context())
	assert.Equal(t, health.Unhealthy, r.Status)
	assert.Equal(t, "took 6s, more than 5s", r.Message)
}

func TestAFailingStatusIsNeverWell(t *testing.T) {
	for _, status := range []health.Status{health.Healthy, health.Degraded, health.Maintenance, health.Unhealthy} {
		answer := health.ProberFunc(func(context.Context) health.Result {
			return health.Result{Status: status, Measurements: []health.Measurement{{Name: "status_code", Value: 503}}}
		})
		r := (&sampler{prober: answer, samples: 1, failing: []int{503}}).Probe(t.Context())
		assert.Equal(t, health.Unhealthy, r.Status, status)
		r = (&sampler{prober: answer, samples: 1}).Probe(t.Context())
		assert.Equal(t, status, r.Status)
	}
}

func TestQuantile(t *testing.T) {
	var sorted []time.Duration
	for i := range 20 {
		sorted = append(sorted, time.Duration(i+1))
	}
	assert.Equal(t, time.Duration(10), quantile(sorted, 50))
	assert.Equal(t, time.Duration(19), quantile(sorted, 95))
	assert.Equal(t, time.Duration(1), quantile(sorted[:1], 95))
}

// A panic reaches the caller's goroutine, where the Monitor expects it.
func TestSamplerPanics(t *testing.T) {
	s := &sampler{samples: 3, prober: health.ProberFunc(func(context.Context) health.Result { panic("boom") })}
	assert.PanicsWithValue(t, "boom", func() { s.Probe(t.Context()) })
}
