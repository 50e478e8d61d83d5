package lti_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

// TestExamine says everything that is wrong with a token, and accepts none.
func TestExamine(t *testing.T) {
	keys, err := lti.NewKeySets(lti.KeySetsConfig{HTTP: &http.Client{Transport: platformKeys{}}})
	require.NoError(t, err)
	r := lti.CanvasRegistration(lti.CanvasTest, "10000000000042", "school.test.instructure.com")
	cfg := lti.ExamineConfig{KeySets: keys}
	reasons := func(e lti.Examination) (all []lti.Reason) {
		for _, p := range e.Problems {
			all = append(all, p.Reason)
		}
		return all
	}
	claims := canvasClaims("n", time.Now())

	e := lti.Examine(t.Context(), signRS256(claims), r, cfg)
	assert.True(t, e.Verified)
	assert.Empty(t, e.Problems)
	assert.Equal(t, []string{"10000000000042"}, e.Audience)
	assert.Equal(t, "course_navigation", e.Placement)

	bad := changed(claims, map[string]any{
		"iss": "https://canvas.instructure.com", "aud": "43", "azp": "43", "exp": seconds(-time.Hour), claim + "version": "1.1", claim + "roles": gone{},
	})
	e = lti.Examine(t.Context(), signRS256(bad), r, cfg)
	assert.Equal(t, []lti.Reason{lti.ReasonIssuer, lti.ReasonAudience, lti.ReasonParty, lti.ReasonExpired, lti.ReasonVersion, lti.ReasonMissing}, reasons(e))

	e = lti.Examine(t.Context(), signRS256(changed(claims, map[string]any{claim + "message_type": gone{}})), r, cfg)
	assert.Equal(t, []lti.Reason{lti.ReasonMessageType}, reasons(e))

	cfg.Time = time.Now().Add(2 * time.Hour)
	e = lti.Examine(t.Context(), signRS256(claims), r, cfg)
	assert.Equal(t, []lti.Reason{lti.ReasonExpired}, reasons(e))
	cfg.Time = time.Time{}

	e = lti.Examine(t.Context(), rawToken(header(map[string]any{"alg": "HS256"}), payload(bad)), r, cfg)
	assert.False(t, e.Verified)
	assert.Equal(t, lti.ReasonAlgorithm, reasons(e)[0])
	assert.Equal(t, "HS256", e.Algorithm)
	assert.Contains(t, reasons(e), lti.ReasonAudience)

	assert.Equal(t, []lti.Reason{lti.ReasonToken}, reasons(lti.Examine(t.Context(), "x", r, cfg)))
	e = lti.Examine(t.Context(), rawToken(header(nil), `{"exp":"x"}`), r, cfg)
	assert.Equal(t, []lti.Reason{lti.ReasonClaims}, reasons(e))
	assert.Contains(t, e.Problems[0].Error(), `"exp"`)
	for _, p := range e.Problems {
		assert.False(t, strings.Contains(p.Error(), "alex.example"))
	}
}
