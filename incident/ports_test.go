package incident_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

func TestAuditQuery(t *testing.T) {
	now := time.Now()
	q := incident.AuditQuery{From: now, Kinds: []incident.AuditKind{incident.AuditChange}}
	require.NoError(t, q.Validate())
	assert.True(t, q.Wants(incident.AuditChange))
	assert.False(t, q.Wants(incident.AuditAuthentication))
	assert.True(t, incident.AuditQuery{}.Wants(incident.AuditAuthentication))
	err := incident.AuditQuery{To: now, Kinds: []incident.AuditKind{"rumour"}}.Validate()
	require.ErrorContains(t, err, "From is missing")
	require.ErrorContains(t, err, `kind "rumour"`)
}

func TestValidateKey(t *testing.T) {
	for _, key := range []string{"a", "maintenance-2026-12-05", "A.b_c-1", strings.Repeat("x", 64)} {
		assert.NoError(t, incident.ValidateKey(key), key)
	}
	for _, key := range []string{"", "a b", "a]b", "a/b", "é", strings.Repeat("x", 65)} {
		assert.Error(t, incident.ValidateKey(key), key)
	}
}
