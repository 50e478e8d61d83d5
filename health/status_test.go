package health_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
)

const (
	unknown     = health.Unknown
	healthy     = health.Healthy
	degraded    = health.Degraded
	unhealthy   = health.Unhealthy
	maintenance = health.Maintenance
	nonsense    = health.Status(200)
)

// bySeverity lists all states, the one that decides over all others last.
var bySeverity = []health.Status{healthy, maintenance, degraded, unknown, unhealthy}

func TestWorst(t *testing.T) {
	for _, test := range []struct {
		states []health.Status
		want   health.Status
	}{
		{nil, healthy},
		{[]health.Status{healthy, healthy}, healthy},
		{[]health.Status{healthy, maintenance}, maintenance},
		{[]health.Status{maintenance, degraded, healthy}, degraded},
		{[]health.Status{degraded, unknown, maintenance}, unknown},
		{[]health.Status{unhealthy, unknown, maintenance, degraded, healthy}, unhealthy},
		{[]health.Status{healthy, nonsense}, unknown},
		{[]health.Status{nonsense, unhealthy}, unhealthy},
	} {
		assert.Equal(t, test.want, health.Worst(test.states...), "%v", test.states)
	}
	for i, a := range bySeverity {
		assert.Equal(t, a, health.Worst(a), "alone")
		for j, b := range bySeverity {
			assert.Equal(t, bySeverity[max(i, j)], health.Worst(a, b), "%v and %v", a, b)
		}
	}
}

// Maintenance of one never hides that another is down or not known.
//
// Requirement: HL-PEER-KUMA-OVERALL
func TestMaintenanceHidesNothing(t *testing.T) {
	for _, s := range []health.Status{degraded, unknown, unhealthy} {
		assert.Equal(t, s, health.Worst(maintenance, s, maintenance))
	}
}

func TestStatusOK(t *testing.T) {
	want := map[health.Status]bool{unknown: false, healthy: true, degraded: true, unhealthy: false, maintenance: true, nonsense: false}
	for s, ok := range want {
		assert.Equal(t, ok, s.OK(), "%v", s)
	}
	var zero health.Status
	assert.Equal(t, unknown, zero, "what was not looked at is not healthy")
}

func TestStatusText(t *testing.T) {
	names := map[health.Status]string{unknown: "unknown", healthy: "healthy", degraded: "degraded", unhealthy: "unhealthy", maintenance: "maintenance"}
	for s, name := range names {
		assert.Equal(t, name, s.String())
		b, err := json.Marshal(map[health.Status]health.Status{s: s})
		require.NoError(t, err)
		assert.JSONEq(t, fmt.Sprintf(`{%q: %q}`, name, name), string(b))
		for _, text := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			got := nonsense
			require.NoError(t, got.UnmarshalText([]byte(text)))
			assert.Equal(t, s, got)
		}
	}
	assert.Equal(t, "status(200)", nonsense.String())
	_, err := nonsense.MarshalText()
	require.ErrorContains(t, err, "status(200)")
	_, err = json.Marshal(nonsense)
	require.Error(t, err)
}

func TestStatusRefusesOtherText(t *testing.T) {
	for _, text := range []string{"", " ", "ok", "up", "pass", "healthy ", " healthy", "healthy\n", "un healthy", "0", "1", "status(1)", "\xff", strings.Repeat("healthy", 1000)} {
		s := degraded
		err := s.UnmarshalText([]byte(text))
		require.Error(t, err, "%q", text)
		assert.ErrorContains(t, err, "unknown, healthy, degraded, unhealthy, maintenance")
		assert.Equal(t, degraded, s, "an error changes nothing")
	}
	var s health.Status
	assert.Error(t, json.Unmarshal([]byte(`1`), &s), "numbers are no states")
}

// What is read can be written, and reads as the same again.
func FuzzStatusUnmarshalText(f *testing.F) {
	for _, s := range bySeverity {
		f.Add([]byte(s.String()))
	}
	f.Add([]byte("Healthy"))
	f.Add([]byte("un\u212anown")) // the sign for Kelvin folds to k
	f.Fuzz(func(t *testing.T, text []byte) {
		s := nonsense
		if err := s.UnmarshalText(text); err != nil {
			require.Equal(t, nonsense, s)
			return
		}
		require.Contains(t, bySeverity, s)
		require.True(t, strings.EqualFold(s.String(), string(text)))
		written, err := s.MarshalText()
		require.NoError(t, err)
		again := nonsense
		require.NoError(t, again.UnmarshalText(written))
		require.Equal(t, s, again)
	})
}
