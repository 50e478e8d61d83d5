package healthtest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
)

// The scripted prober keeps the rules that real ones are held to.
func TestScriptedProber(t *testing.T) {
	healthtest.TestProber(t, healthtest.ProberHarness{
		Healthy: func(testing.TB) health.Prober { return &healthtest.Prober{} },
		Down: func(testing.TB) (health.Prober, health.Cause) {
			return &healthtest.Prober{Results: []health.Result{{Status: health.Unhealthy, Cause: health.CauseRefused, Message: "refused"}}}, health.CauseRefused
		},
		Hanging: func(testing.TB) health.Prober { return &healthtest.Prober{Delay: time.Hour} },
	})
}

func TestStubbornAndPanickingProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &healthtest.Prober{Delay: time.Minute, Stubborn: true, Panic: "oops"}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		assert.PanicsWithValue(t, "oops", func() { p.Probe(ctx) })
		assert.Equal(t, time.Minute, time.Since(start))
		assert.Equal(t, 1, p.Calls())
	})
}

// A service goes down and comes back.
func ExampleProber() {
	service := &healthtest.Prober{Results: []health.Result{
		{Status: health.Healthy},
		{Status: health.Unhealthy, Cause: health.CauseRefused, Message: "db:5432 refused the connection"},
		{Status: health.Healthy},
	}}
	for range 4 {
		r := service.Probe(context.Background())
		fmt.Println(r.Status)
	}
	// Output:
	// healthy
	// unhealthy
	// healthy
	// healthy
}
