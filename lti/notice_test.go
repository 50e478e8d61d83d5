package lti_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

// TestNotices
//
// Requirement: LTI-GOTCHA-29
func TestNotices(t *testing.T) {
	good := func(nonce string) map[string]any {
		return map[string]any{
			"iss": "https://canvas.test.instructure.com", "aud": "10000000000042", "azp": "10000000000042", "nonce": nonce,
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
			claim + "version": "1.3.0", claim + "deployment_id": "106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb",
			claim + "notice": map[string]any{"id": "n-1", "timestamp": "2026-11-01T02:03:04Z", "type": "LtiHelloWorldNotice"},
		}
	}
	f := newFlow(t, nil)
	n, err := f.tool.VerifyNotice(t.Context(), signRS256(good("a")))
	require.NoError(t, err)
	assert.Equal(t, "n-1", n.ID)
	assert.Equal(t, "LtiHelloWorldNotice", n.Type)
	assert.Equal(t, time.Date(2026, 11, 1, 2, 3, 4, 0, time.UTC), n.Time)
	_, err = f.tool.VerifyNotice(t.Context(), signRS256(good("a")))
	require.ErrorIs(t, err, lti.ReasonReplay)

	tests := map[string]struct {
		changes map[string]any
		reason  lti.Reason
	}{
		"expired":            {map[string]any{"exp": seconds(-time.Hour)}, lti.ReasonExpired},
		"other client":       {map[string]any{"aud": "1", "azp": "1"}, lti.ReasonRegistration},
		"other issuer":       {map[string]any{"iss": "https://evil.example"}, lti.ReasonRegistration},
		"extra audience":     {map[string]any{"aud": []string{"10000000000042", "evil"}}, lti.ReasonAudience},
		"no nonce":           {map[string]any{"nonce": gone{}}, lti.ReasonNonce},
		"no version":         {map[string]any{claim + "version": gone{}}, lti.ReasonVersion},
		"unknown deployment": {map[string]any{claim + "deployment_id": "x"}, lti.ReasonDeployment},
		"no notice":          {map[string]any{claim + "notice": gone{}}, lti.ReasonMissing},
		"no id":              {map[string]any{claim + "notice": map[string]any{"type": "x"}}, lti.ReasonMissing},
		"no audience":        {map[string]any{"aud": gone{}}, lti.ReasonRegistration},
		"audience a number":  {map[string]any{"aud": 3}, lti.ReasonClaims},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := f.tool.VerifyNotice(t.Context(), signRS256(changed(good(name), test.changes)))
			require.ErrorIs(t, err, test.reason)
		})
	}
	t.Run("a launch is no notice, and a notice no launch", func(t *testing.T) {
		f := newFlow(t, nil)
		f.launch(map[string]any{claim + "message_type": gone{}, claim + "notice": map[string]any{"id": "n", "type": "x"}})
		_, err := f.result()
		require.ErrorIs(t, err, lti.ReasonMessageType)
		_, err = f.tool.VerifyNotice(t.Context(), signRS256(f.claims(nil)))
		require.ErrorIs(t, err, lti.ReasonMissing)
	})
	t.Run("forged", func(t *testing.T) {
		_, err := f.tool.VerifyNotice(t.Context(), rawToken(header(map[string]any{"kid": "x"}), payload(good("z"))))
		require.ErrorIs(t, err, lti.ReasonKey)
		_, err = f.tool.VerifyNotice(t.Context(), "nonsense")
		require.ErrorIs(t, err, lti.ReasonToken)
	})
}
