package lti_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ags"
	"go.acu.edu.au/runbook/lti/ltitest"
	"go.acu.edu.au/runbook/lti/nrps"
	"go.acu.edu.au/runbook/lti/pns"
)

// Where nothing may be changed, what changes something at a platform is refused before
// even a token is asked for, and what reads works.
func TestReadOnlyServices(t *testing.T) {
	onPlatforms(t, func(t *testing.T, l *launched) {
		only := runbook.ReadOnly(t.Context())
		grades, err := ags.New(ags.Config{Service: l.service, Scopes: l.launch.AGS.Scopes, LineItems: l.launch.AGS.LineItems, LineItem: l.launch.AGS.LineItem})
		require.NoError(t, err)
		made, err := grades.CreateLineItem(t.Context(), ags.LineItem{Label: "Essay", ScoreMaximum: 10})
		require.NoError(t, err)
		fresh, err := lti.NewService(lti.ServiceConfig{Registration: l.service.Registration(), Keys: serviceKeys(t), HTTP: l.p.Client()})
		require.NoError(t, err)
		plan, err := ags.New(ags.Config{Service: fresh, Scopes: l.launch.AGS.Scopes, LineItems: l.launch.AGS.LineItems, LineItem: l.launch.AGS.LineItem})
		require.NoError(t, err)
		planned, err := pns.New(pns.Config{Service: fresh, URL: l.launch.PNS.URL})
		require.NoError(t, err)
		l.p.ResetLog()
		for name, change := range map[string]func() error{
			"create a line item": func() error {
				_, err := plan.CreateLineItem(only, ags.LineItem{Label: "Other", ScoreMaximum: 10})
				return err
			},
			"update a line item": func() error { _, err := plan.UpdateLineItem(only, made); return err },
			"delete a line item": func() error { return plan.DeleteLineItem(only, made.ID) },
			"post a score": func() error {
				return plan.PostScore(only, made.ID, ags.Score{UserID: l.launch.Subject, Timestamp: time.Now(), ActivityProgress: ags.Completed, GradingProgress: ags.FullyGraded})
			},
			"register for notices": func() error { return planned.Register(only, pns.HelloWorld, toolHost+"/lti/notices") },
			"unregister":           func() error { return planned.Unregister(only, pns.HelloWorld) },
			"any call": func() error {
				_, err := fresh.Do(only, lti.ServiceCall{Op: "x", Method: "PUT", URL: made.ID, Scopes: []string{ags.ScopeLineItem}, Idempotent: true})
				return err
			},
		} {
			err := change()
			require.ErrorIs(t, err, runbook.ErrReadOnly, name)
			assert.True(t, runbook.SafeToRetry(err), name)
			require.NotErrorIs(t, err, lti.ErrUnknownOutcome, name)
		}
		assert.Empty(t, l.p.Requests(), "not even a token was asked for")

		people, err := nrps.New(nrps.Config{Service: fresh, URL: l.launch.NRPS.URL})
		require.NoError(t, err)
		for _, err := range people.Members(only, nil) {
			require.NoError(t, err)
		}
		got, err := plan.GetLineItem(only, made.ID)
		require.NoError(t, err)
		assert.Equal(t, "Essay", got.Label)
		_, err = planned.Handlers(only)
		require.NoError(t, err)
		assert.NotZero(t, l.p.Count(ltitest.TokenEndpoint), "a grant uses nothing up")
	})
}

// A ring of keys is read where nothing may be changed, and not changed, whatever its
// store would say.
func TestReadOnlyKeyRing(t *testing.T) {
	store := &faultyStore{MemoryCredentials: new(runbook.MemoryCredentials)}
	only := runbook.ReadOnly(t.Context())
	_, err := lti.NewKeyRing(only, lti.KeyRingConfig{Store: store, Name: ringName})
	require.ErrorIs(t, err, runbook.ErrReadOnly, "its first key would be made")
	assert.True(t, runbook.SafeToRetry(err))
	_, err = lti.NewKeyRing(t.Context(), lti.KeyRingConfig{Store: store, Name: ringName})
	require.NoError(t, err)
	require.Equal(t, 1, store.puts)

	ring, err := lti.NewKeyRing(only, lti.KeyRingConfig{Store: store, Name: ringName})
	require.NoError(t, err)
	require.NoError(t, ring.Reload(only))
	before := ring.Keys()
	_, rotate := ring.Rotate(only)
	for name, err := range map[string]error{"rotate": rotate, "revoke": ring.Revoke(only, before[0].Kid)} {
		require.ErrorIs(t, err, runbook.ErrReadOnly, name)
		require.NotErrorIs(t, err, lti.ErrUnknownOutcome, name)
		assert.True(t, runbook.SafeToRetry(err), name)
	}
	assert.Equal(t, 1, store.puts)
	assert.Equal(t, before, ring.Keys())
	_, err = ring.Rotate(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
}
