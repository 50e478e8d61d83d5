package sqlhealth_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/sqlhealth"
)

func TestLatenciesText(t *testing.T) {
	var l health.Latencies
	assert.Empty(t, sqlhealth.EncodeLatencies(&l))
	l[0], l[12], l[63] = 1, 65535, 7
	assert.Equal(t, "0=1,12=65535,63=7", sqlhealth.EncodeLatencies(&l))
	for _, bad := range []string{",", "1", "1=", "=1", "64=1", "1=65536", "-1=1", "1=2,", "1=2 3=4", "1==2"} {
		_, err := sqlhealth.DecodeLatencies(bad)
		assert.Error(t, err, bad)
	}
}

// What a newer or other program wrote is an error, never another result.
func TestResultText(t *testing.T) {
	for _, bad := range []string{"", "null x", `{"status":"fine"}`, `{"measurements":[{"value":"x"}]}`, `{"time":"now"}`, "[]"} {
		_, err := sqlhealth.DecodeResult(bad)
		assert.Error(t, err, bad)
	}
	// The form in which released versions wrote it.
	r, err := sqlhealth.DecodeResult(`{"status":"degraded","cause":"slow","message":"m","measurements":` +
		`[{"name":"n","value":1.5,"unit":"ms"},{"name":"t","value":0,"text":"x"},{"name":"i","value":"+Inf"}],` +
		`"time":"2026-03-10T09:00:00.5Z","duration_ns":1000000,"added_later":true}`)
	require.NoError(t, err)
	assert.Equal(t, health.Degraded, r.Status)
	assert.Equal(t, time.Millisecond, r.Duration)
	assert.Len(t, r.Measurements, 3)
}

func FuzzDecodeLatencies(f *testing.F) {
	f.Add("0=1,12=65535,63=7")
	f.Add("63=7,0=0")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := sqlhealth.DecodeLatencies(text)
		if err != nil {
			return
		}
		again, err := sqlhealth.DecodeLatencies(sqlhealth.EncodeLatencies(&l))
		if err != nil || again != l {
			t.Errorf("%q: %v, %v after a round", text, again, err)
		}
	})
}

func FuzzDecodeResult(f *testing.F) {
	f.Add(`{"status":"degraded","cause":"slow","measurements":[{"name":"n","value":"NaN"}],"time":"2026-03-10T09:00:00Z"}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := sqlhealth.DecodeResult(text)
		if err != nil {
			return
		}
		encoded, err := sqlhealth.EncodeResult(r)
		if err != nil {
			return // a time that JSON cannot hold
		}
		again, err := sqlhealth.DecodeResult(encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if diff := cmp.Diff(r, again, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}
