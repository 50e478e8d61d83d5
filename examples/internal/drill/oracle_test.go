package drill_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/drill"
)

func texts(findings []drill.Finding) string {
	var all []string
	for _, f := range findings {
		all = append(all, f.Text)
	}
	return strings.Join(all, "\n")
}

// What was handled as the runbook says keeps its oracle.
func TestOracleKept(t *testing.T) {
	t.Parallel()
	assert.Empty(t, texts(drill.Judge(scenarioOf("bad-deploy"), good())))
}

// Each way of doing something wrong breaks the oracle, and the finding says which.
func TestOracleBroken(t *testing.T) {
	t.Parallel()
	act := func(minutes float64, kind, detail string) func(*drill.History) {
		return func(h *drill.History) {
			h.Acts = append(h.Acts, drill.Act{At: at(minutes), Environment: "production", Kind: kind, Detail: detail})
		}
	}
	without := func(kind string) func(*drill.History) {
		return func(h *drill.History) {
			var rest []drill.Act
			for _, a := range h.Acts {
				if a.Kind != kind {
					rest = append(rest, a)
				}
			}
			h.Acts = rest
		}
	}
	for name, c := range map[string]struct {
		change func(*drill.History)
		want   string
	}{
		"nobody was paged":           {without("page"), "missing: page, 0 of 1"},
		"no rollback":                {without("rollback"), "missing: rollback"},
		"two rollbacks":              {act(8, "rollback", "0000000"), "too often: rollback, 2 times, at most 1"},
		"rollback twice in any case": {act(8, "rollback", "0000000"), "forbidden in any case, rollback twice"},
		"restart":                    {act(7, "restart", "app"), "forbidden: restart app"},
		"something not asked for":    {act(7, "purge-nonces", "expired"), "not asked for: purge-nonces"},
		"a new kind of change":       {act(7, "repaint", "app"), "not asked for: repaint"},
		"freeze after the rollback":  {func(h *drill.History) { h.Acts[5].At = at(6) }, "too early: rollback"},
		"a secret in a message":      {act(7, "secret-told", "SECRET_KEY"), "forbidden in any case, secret told"},
		"another environment":        {func(h *drill.History) { h.Acts[5].Environment = "beta" }, "another environment: freeze app in beta"},
		"detected late":              {func(h *drill.History) { h.Incidents[0].Opened = at(5) }, "late: detected after 5m00s, at most 3m00s"},
		"never resolved":             {func(h *drill.History) { h.Incidents[0].Resolved = time.Time{} }, "never resolved"},
		"not mitigated":              {func(h *drill.History) { h.Unserved[0].To = time.Time{} }, "never mitigated"},
		"not taken for severe":       {func(h *drill.History) { h.Incidents[0].Severity = alert.Medium }, "the worst incident is medium, and it is at least critical"},
		"said to be over": {func(h *drill.History) {
			h.Incidents[0].Resolved = at(8)
			act(8, "incident-resolved", "INC-1")(h)
		}, "forbidden in any case, said to be over"},
		"data lost":                    {func(h *drill.History) { h.Whole = false }, "data lost"},
		"frozen, and nobody was told":  {func(h *drill.History) { h.Acts[8].Text = "It works again." }, "left behind: freeze of which nobody was told"},
		"rollback after it was mended": {func(h *drill.History) { h.Faults[0].To = at(4) }, "rollback without a cause"},
		"restored with no approval":    {act(7, "restore", "postgres"), "destruction without approval: restore"},
		"it could not be carried out":  {func(h *drill.History) { h.Failure = "no host" }, "the exercise could not go on: no host"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := good()
			c.change(h)
			assert.Contains(t, texts(drill.Judge(scenarioOf("bad-deploy"), h)), c.want)
		})
	}
}

// What is forbidden in any case is looked for in pairs too, of which nothing is required.
func TestPairsAreJudged(t *testing.T) {
	t.Parallel()
	list := drill.Pairs(200, 1, []string{"bad-deploy", "canvas-down", "railway-incident"})
	require.Len(t, list, 200)
	h := &drill.History{Began: began, Ended: at(60), Whole: true}
	assert.Empty(t, drill.Judge(list[0], h))
	h.Faults = []drill.Span{{From: at(0), What: "canvas-down"}}
	h.Acts = []drill.Act{{At: at(5), Environment: "production", Kind: "rollback", Detail: "x"}}
	assert.Contains(t, texts(drill.Judge(list[0], h)), "rollback without a cause")
	for _, s := range list {
		assert.NotEqual(t, s.Faults[0].Kind, s.Faults[1].Kind)
	}
}

// What comes back a fourth time has to have been told in these words, whatever alerts say.
func TestComesBackUntold(t *testing.T) {
	t.Parallel()
	pair := drill.Pairs(1, 1, []string{"bad-deploy", "canvas-down"})[0]
	history := func(more ...drill.Act) *drill.History {
		h := &drill.History{Began: began, Ended: at(600), Whole: true, Faults: []drill.Span{{From: at(0), What: "memory-leak"}}}
		for i := range 4 {
			h.Acts = append(h.Acts, drill.Act{At: at(float64(60 * (i + 1))), Environment: "production", Kind: "incident-reopened", Detail: "INC-1 memory is short"})
		}
		h.Acts = append(h.Acts, drill.Act{At: at(61), Environment: "production", Kind: "incident-reopened", Detail: "INC-2 it is slow"})
		h.Acts = append(h.Acts, more...)
		return h
	}
	says := func(minutes float64, text string) drill.Act {
		return drill.Act{At: at(minutes), Kind: "slack", Detail: "#qa-automation-alerts", Text: text}
	}
	const want = "forbidden in any case, comes back untold: incident-reopened INC-1"
	assert.Contains(t, texts(drill.Judge(pair, history())), want)
	assert.Contains(t, texts(drill.Judge(pair, history(says(70, "HIGH production: memory is short")))), want)
	assert.Contains(t, texts(drill.Judge(pair, history(says(250, "It comes back")))), want, "too late")
	assert.Empty(t, drill.Judge(pair, history(says(130, "INC-1 comes back, for the 2nd time"))))
}
