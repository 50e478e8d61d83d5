package incident_test

import (
	"context"
	"encoding/json"
	"flag"
	"iter"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

var updateReports = flag.Bool("update-reports", false, "write the reports of testdata anew")

var (
	isHash = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	isSalt = regexp.MustCompile(`"salt": "[A-Z2-7]{26}"`)
)

// golden compares a text with a file of testdata.
func golden(t *testing.T, file, got string) {
	t.Helper()
	got = isHash.ReplaceAllString(isSalt.ReplaceAllString(got, `"salt": "SALT"`), "HASH") // they are others each time
	path := "testdata/" + file
	if *updateReports {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "go test -run %s -update-reports . writes it anew", t.Name())
}

// deploymentIncident is an incident from the alert to the review.
func deploymentIncident(t *testing.T, c *managerCase) string {
	ctx, m := t.Context(), c.manager
	a := firing("health_check", alert.Critical, time.Now())
	a.Summary, a.Detail, a.Entity = "app has failed 3 checks in a row", "status 503\n| <b>bad gateway</b> |", "app"
	talk := conversation{key: "c1"}
	time.Sleep(10 * time.Second)
	talk.say(t, m, alert.KindFiring, a)
	id := string(talk.prior)
	do := func(wait time.Duration, _ incident.Incident, err error) {
		require.NoError(t, err)
		time.Sleep(wait)
	}
	require.NoError(t, m.Escalated(ctx, id, 1, []string{"Ben (phone)"}, ""))
	time.Sleep(4 * time.Minute)
	i, err := m.Acknowledge(ctx, id, incident.Ack{By: "Ben", Comment: "on my way"})
	do(time.Minute, i, err)
	i, err = m.SetRole(ctx, id, "commander", "Eve", "Ben")
	do(time.Minute, i, err)
	i, err = m.AttachRun(ctx, id, "run-7", "runbook")
	do(time.Minute, i, err)
	i, err = m.AttachDeployment(ctx, id, "d-41", "Ben")
	do(time.Minute, i, err)
	i, err = m.SetSeverity(ctx, id, alert.High, "Eve", "only teachers are hurt")
	do(time.Minute, i, err)
	i, err = m.Update(ctx, id, incident.StatusUpdate{By: "Eve", Text: "We roll back the last deployment."})
	do(time.Minute, i, err)
	waited(t, c.store, id, 95*time.Second)
	time.Sleep(time.Minute)
	i, err = m.Mitigate(ctx, id, "Ben", "rolled back to d-40")
	do(time.Minute, i, err)
	talk.say(t, m, alert.KindResolved, over(a, time.Now()))
	i, err = m.AddFollowUp(ctx, id, "Eve", incident.FollowUp{Text: "a check of the migration", Owner: "Ben", Ticket: "OPS-9", Due: time.Now().AddDate(0, 0, 7)})
	do(time.Minute, i, err)
	i, err = m.AddFollowUp(ctx, id, "Eve", incident.FollowUp{Text: "tell the teachers"})
	do(time.Minute, i, err)
	i, err = m.Resolve(ctx, id, incident.Resolution{By: "Ben", Cause: "deployment d-41 had no index", Resolution: "rolled back; index added"})
	do(time.Hour, i, err)
	i, err = m.FinishFollowUp(ctx, id, "Eve", 2)
	do(time.Hour, i, err)
	return id
}

// deploymentRun is the run of that incident.
func deploymentRun(_ context.Context, id string) (incident.Run, error) {
	began := time.Date(2000, 1, 1, 0, 6, 0, 0, time.UTC)
	return incident.Run{
		ID: id, Playbook: "application-down", Title: "Application down", Severity: alert.Critical, Environment: "production", Automatic: true, Started: began,
		State: incident.StateSucceeded, Ended: began.Add(3 * time.Minute),
		Steps: []incident.StepRun{
			{StepSpec: incident.StepSpec{ID: "look", Title: "Look at the health", Kind: incident.KindCheck}, State: incident.StepDone, Began: began, Ended: began.Add(time.Second)},
			{StepSpec: incident.StepSpec{ID: "ask", Title: "May it go on?", Kind: incident.KindApprove}, State: incident.StepDone, Began: began, By: "Eve", Decided: "approve: yes"},
			{StepSpec: incident.StepSpec{ID: "roll-back", Title: "Roll back", Kind: incident.KindAction}, State: incident.StepDone, Began: began.Add(time.Minute), Ended: began.Add(2 * time.Minute), Message: "to d-40"},
			{StepSpec: incident.StepSpec{ID: "logs", Title: "Show the log", Kind: incident.KindAction}, State: incident.StepSkipped, Message: "the deployment is the cause"},
		},
	}, nil
}

// Requirement: INC-FEATURE-POSTMORTEM
func TestReport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		zone, err := health.LoadZone("Australia/Sydney")
		require.NoError(t, err)
		c := newCase(t, incident.ManagerConfig{
			Zone: zone, SLAs: map[alert.Severity]incident.SLA{
				alert.Critical: {Acknowledge: 15 * time.Minute, Mitigate: time.Hour},
				alert.High:     {Acknowledge: 30 * time.Minute, Mitigate: 2 * time.Hour, Resolve: 10 * time.Minute},
			},
			Bindings: []incident.Binding{{Name: "down", Playbook: "application-down", Automatic: true}},
		})
		id := deploymentIncident(t, c)
		r, err := c.manager.Report(t.Context(), id, incident.ReportConfig{Run: deploymentRun})
		require.NoError(t, err)
		golden(t, "report.md", r.Markdown())
		text, err := json.MarshalIndent(r, "", "  ")
		require.NoError(t, err)
		golden(t, "report.json", string(text)+"\n")

		// The head is that of the chain, for whoever keeps it.
		chain := c.timeline(t, id)
		assert.Equal(t, chain[len(chain)-1].Hash, r.Record.Head)
		assert.Contains(t, r.Markdown(), "`"+r.Record.Head+"`")
		assert.True(t, r.Record.Verified)

		// What was read from JSON is the same document.
		var again incident.Report
		require.NoError(t, json.Unmarshal(text, &again))
		assert.Equal(t, r.Markdown(), again.Markdown())

		// After the review it is final.
		_, err = c.manager.Review(t.Context(), id, "Eve", "")
		require.NoError(t, err)
		r, err = c.manager.Report(t.Context(), id, incident.ReportConfig{Zone: time.UTC})
		require.NoError(t, err)
		assert.True(t, r.Final)
		assert.NotContains(t, r.Markdown(), "Draft")
		assert.Contains(t, r.Markdown(), "2000-01-01 00:00:00 UTC", "in the zone that was named")
		_, err = c.manager.Report(t.Context(), "INC-2000-0099", incident.ReportConfig{})
		assert.ErrorIs(t, err, incident.ErrNotFound)
	})
}

func TestReportOfAnOpenExercise(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{})
		inc, err := c.manager.Open(t.Context(), incident.Opening{By: "Ana", Title: "A drill", Severity: alert.High, Simulated: true})
		require.NoError(t, err)
		_, err = c.manager.AttachRun(t.Context(), inc.ID, "run-8", "Ana")
		require.NoError(t, err)
		time.Sleep(time.Hour)
		r, err := c.manager.Report(t.Context(), inc.ID, incident.ReportConfig{
			Run: func(context.Context, string) (incident.Run, error) { return incident.Run{}, errDown },
		})
		require.NoError(t, err)
		text := r.Markdown()
		for _, want := range []string{
			"**This was an exercise.**", "*Draft: the incident was not reviewed yet.*", "not over when this was written, after 1h0m0s",
			"| somebody took care | not yet | 2000-01-01 00:30:00 UTC | **no** |", "Nobody decided anything that is recorded.",
			"- the incident is triggered, and not over", "it could not be read for this report: run run-8: the database is down",
		} {
			assert.Contains(t, text, want)
		}
	})
}

// editedStore is a store in which somebody has changed an entry.
type editedStore struct{ incident.Store }

func (s editedStore) Entries(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
	return func(yield func(incident.Entry, error) bool) {
		for e, err := range s.Store.Entries(ctx, chain, after) {
			if e.Seq == 3 {
				e.Text = "nothing happened"
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestReportOfAChangedRecord(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	inc := c.open(t, alert.High)
	for _, text := range []string{"a", "b", "c"} {
		_, err := c.manager.Note(t.Context(), inc.ID, "ben", text)
		require.NoError(t, err)
	}
	c.cfg.Store = editedStore{c.store}
	r, err := c.another(t).Report(t.Context(), inc.ID, incident.ReportConfig{})
	require.NoError(t, err)
	assert.False(t, r.Record.Verified)
	assert.EqualValues(t, 2, r.Record.Entries)
	assert.Len(t, r.Timeline, 2)
	assert.Contains(t, r.Markdown(), "**The record was changed after it was written**")
	assert.NotContains(t, r.Markdown(), "nothing happened")
	assert.Contains(t, strings.Join(r.Open, "\n"), "the record was changed")
}

// Text from outside stays text in a report.
func TestReportEscapes(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	hostile := []string{
		"# heading", "[link](https://evil.example)", "![picture](https://evil.example/x.png)", "<script>alert(1)</script>", "| a | b |",
		"`code`", "**bold**", "@everyone", "https://evil.example", "www.evil.example", "- item", "1. item", "&lt;b&gt;", "~~gone~~", "$x$", "---", "a\n\n## b", "\\[x](y)",
	}
	inc, err := c.manager.Open(t.Context(), incident.Opening{By: "ana|<b>", Title: strings.Join(hostile[:4], " "), Summary: strings.Join(hostile, "\n"), Severity: alert.High})
	require.NoError(t, err)
	for _, text := range hostile {
		_, err := c.manager.Note(t.Context(), inc.ID, "ben", text)
		require.NoError(t, err)
		_, err = c.manager.AddFollowUp(t.Context(), inc.ID, "ben", incident.FollowUp{Text: text})
		require.NoError(t, err)
	}
	r, err := c.manager.Report(t.Context(), inc.ID, incident.ReportConfig{})
	require.NoError(t, err)
	text := r.Markdown()
	for _, not := range []string{"<script", "<b>", "@everyone", "://evil", "www.evil", "\n# heading", "\n## b", "- - item", "- 1. item", "**bold**", "~~"} {
		assert.NotContains(t, text, not)
	}
	assert.NotRegexp(t, `[^\\]\]\(`, text, "no links")
	var sections []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			sections = append(sections, strings.TrimSpace(line))
		}
		if strings.HasPrefix(line, "|") {
			cells := len(regexp.MustCompile(`(?:[^\\])\|`).FindAllString(strings.TrimSpace(line), -1))
			assert.Contains(t, []int{2, 3, 4}, cells, "no cell more: %s", line)
		}
	}
	assert.Equal(t, []string{
		"## Summary", "## Impact", "## Times", "## Timeline", "## Decisions", "## What was automatic", "## Open follow-ups", "## Record",
	}, sections[1:])
}

func FuzzEscapeMarkdown(f *testing.F) {
	for _, seed := range []string{"", "a", "# a", "1) x", "[a](b)", "\\", "a|b", "&amp;", "\xff\x00", "=", "www.wWW.", "a://b", "-\n-", "\u202e"} {
		f.Add(seed)
	}
	special := regexp.MustCompile("(?:^|[^\\\\])(?:\\\\\\\\)*[`*_\\[\\]|~!$]|(?:^|[^\\\\&])(?:\\\\\\\\)*#|[<>@]|://|(?i:www\\.)|\n|^[-+=]|^[0-9]+[.)]")
	f.Fuzz(func(t *testing.T, text string) {
		escaped := incident.EscapeMarkdown(text)
		if found := special.FindString(escaped); found != "" {
			t.Errorf("%q became %q, in which %q has a meaning", text, escaped, found)
		}
	})
}

// Roles are named by people, in any language.
func TestReportOfForeignRoles(t *testing.T) {
	t.Parallel()
	text := incident.Report{Incident: incident.Incident{ID: "INC-1", Roles: map[string]string{"équipe": "ana", "": "ben"}}}.Markdown()
	assert.Contains(t, text, "| Équipe | ana |")
	assert.NotContains(t, text, "\ufffd")
}
