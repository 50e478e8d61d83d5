package doctor_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/lti/ltitest"
)

var _ incident.Nonces = lti.NonceStore(nil) // every store can be purged of what expired

// Nothing is found in a tool of package lti that is set up as it should be, in
// Canvas and elsewhere.
func TestHealthy(t *testing.T) {
	for name, p := range map[string]*ltitest.Platform{
		"Canvas": {Canvas: true, Environment: "prod"}, "another platform": {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStageAt(t, p)
			s.cfg.Token = asSecret(s.token(t, ltitest.Message{}))
			d := s.diagnose(t)
			assert.True(t, d.Clear(), "%v", d)
			t.Log(d)
		})
	}
}

func TestNew(t *testing.T) {
	_, err := doctor.New(doctor.Config{})
	require.ErrorContains(t, err, "nothing to look at")
	_, err = doctor.New(doctor.Config{JWKSURL: toolKeys, NonceLife: -1, Timeout: -1, UserAgent: "\n"})
	require.ErrorContains(t, err, "NonceLife must not be negative")
	require.ErrorContains(t, err, "Timeout must not be negative")
	require.ErrorContains(t, err, "UserAgent must be visible text")
	d, err := doctor.New(doctor.Config{JWKSURL: "nonsense"})
	require.NoError(t, err, "what is wrong with the tool is a finding")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.Diagnose(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
