package playbooks_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/incident/playbooks"
)

// What a host says stays, what it leaves out is as the runbook has it, and its own value is
// not changed.
func TestWithDefaults(t *testing.T) {
	t.Parallel()
	assert.Empty(t, cmp.Diff(playbooks.RunbookDefaults(), playbooks.Defaults{}.WithDefaults()))
	own := playbooks.Defaults{Memory: 75, Settle: time.Minute, Security: "security@example.com"}
	want := playbooks.RunbookDefaults()
	want.Memory, want.Settle, want.Security = 75, time.Minute, "security@example.com"
	assert.Empty(t, cmp.Diff(want, own.WithDefaults()))
	assert.Zero(t, own.ErrorRate)
}
