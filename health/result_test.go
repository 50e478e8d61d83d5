package health_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
)

func TestResultWorsen(t *testing.T) {
	for _, test := range []struct {
		name    string
		before  health.Result
		status  health.Status
		cause   health.Cause
		message string
		want    health.Result
	}{
		{"healthy adds nothing",
			health.Result{Status: degraded, Cause: health.CauseSlow, Message: "slow"},
			healthy, health.CauseFailed, "ignored",
			health.Result{Status: degraded, Cause: health.CauseSlow, Message: "slow"}},
		{"the first finding",
			health.Result{Status: healthy},
			degraded, health.CauseThreshold, "full",
			health.Result{Status: degraded, Cause: health.CauseThreshold, Message: "full"}},
		{"a worse one decides, and is named first",
			health.Result{Status: degraded, Cause: health.CauseSlow, Message: "slow"},
			unhealthy, health.CauseThreshold, "full",
			health.Result{Status: unhealthy, Cause: health.CauseThreshold, Message: "full; slow"}},
		{"a better one is added",
			health.Result{Status: unhealthy, Cause: health.CauseThreshold, Message: "full"},
			degraded, health.CauseSlow, "slow",
			health.Result{Status: unhealthy, Cause: health.CauseThreshold, Message: "full; slow"}},
		{"of two alike the first decides",
			health.Result{Status: unhealthy, Cause: health.CauseThreshold, Message: "full"},
			unhealthy, health.CauseMissing, "none",
			health.Result{Status: unhealthy, Cause: health.CauseThreshold, Message: "full; none"}},
		{"not known outranks degraded",
			health.Result{Status: degraded, Cause: health.CauseSlow, Message: "slow"},
			unknown, health.CauseNotAsked, "no permission",
			health.Result{Status: unknown, Cause: health.CauseNotAsked, Message: "no permission; slow"}},
		{"maintenance does not hide degraded",
			health.Result{Status: degraded, Cause: health.CauseSlow, Message: "slow"},
			maintenance, health.CauseMaintenance, "planned",
			health.Result{Status: degraded, Cause: health.CauseSlow, Message: "slow; planned"}},
		{"without messages",
			health.Result{Status: healthy},
			unhealthy, health.CauseFailed, "",
			health.Result{Status: unhealthy, Cause: health.CauseFailed}},
		{"no state counts as unknown",
			health.Result{Status: healthy},
			nonsense, health.CauseFailed, "what",
			health.Result{Status: unknown, Cause: health.CauseFailed, Message: "what"}},
		{"of no state",
			health.Result{Status: nonsense},
			unhealthy, health.CauseFailed, "down",
			health.Result{Status: unhealthy, Cause: health.CauseFailed, Message: "down"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.before.Worsen(test.status, test.cause, test.message)
			assert.Empty(t, cmp.Diff(test.want, got))
		})
	}
}

func TestResultMeasurement(t *testing.T) {
	r := health.Result{Measurements: []health.Measurement{{Name: "a", Value: 1}, {Name: "b", Text: "v2"}, {Name: "a", Value: 3}}}
	got, ok := r.Measurement("a")
	assert.True(t, ok)
	assert.Equal(t, health.Measurement{Name: "a", Value: 1}, got, "the first of that name")
	_, ok = r.Measurement("A")
	assert.False(t, ok)
	_, ok = health.Result{}.Measurement("")
	assert.False(t, ok)
}

func TestMeasurementString(t *testing.T) {
	for want, m := range map[string]health.Measurement{
		"memory_usage 512 MB":   {Name: "memory_usage", Value: 512, Unit: health.Megabytes},
		"sessions 3":            {Name: "sessions", Value: 3, Unit: health.Count},
		"error_rate 0.125 %":    {Name: "error_rate", Value: 0.125, Unit: health.Percent},
		"size 1000000000 bytes": {Name: "size", Value: 1e9, Unit: health.Bytes},
		"lag -1 s":              {Name: "lag", Value: -1, Unit: health.Seconds},
		"version v1.2":          {Name: "version", Text: "v1.2", Unit: health.Seconds},
	} {
		assert.Equal(t, want, m.String())
	}
}

func TestErrorFunc(t *testing.T) {
	var probed health.Prober = health.ErrorFunc(func(context.Context) error { return nil })
	assert.Empty(t, cmp.Diff(health.Result{Status: healthy}, probed.Probe(t.Context())))

	probed = health.ErrorFunc(func(ctx context.Context) error { return fmt.Errorf("ping: %w", ctx.Err()) })
	ctx, cancel := context.WithDeadlineCause(t.Context(), longAgo, errors.New("too slow"))
	defer cancel()
	assert.Empty(t, cmp.Diff(
		health.Result{Status: unhealthy, Cause: health.CauseTimeout, Message: "ping: context deadline exceeded"},
		probed.Probe(ctx)))
}

func TestProberFunc(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "given")
	health.ProberFunc(func(got context.Context) health.Result {
		assert.Equal(t, "given", got.Value(key{}))
		return health.Result{}
	}).Probe(ctx)
}
