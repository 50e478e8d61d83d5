package host_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/jira"
	"go.acu.edu.au/runbook/alert/servicenow"
	"go.acu.edu.au/runbook/alert/statuspageio"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/incident"
)

// A desk is a system of tickets: what it was told of the only ticket in it.
type desk struct {
	tickets incident.Ticketer
	// all returns the tickets: title, comments, and whether each is closed.
	all func() []ticket
}

type ticket struct {
	title    string
	comments []string
	closed   bool
}

// desks are the systems of tickets of the runbook.
var desks = map[string]func(t *testing.T) desk{
	"jira": func(t *testing.T) desk {
		service := &alerttest.Jira{Project: "OPS", Email: "runbook@acu.edu.au", Token: "jira-token"}
		n, err := jira.New(jira.Config{BaseURL: "https://acu.atlassian.net", Email: "runbook@acu.edu.au", Token: runbook.NewSecret("jira-token"), Project: "OPS", HTTP: service.Client()})
		require.NoError(t, err)
		return desk{n, func() (all []ticket) {
			for _, i := range service.Issues() {
				all = append(all, ticket{i.Summary, i.Comments, i.Done})
			}
			return all
		}}
	},
	"servicenow": func(t *testing.T) desk {
		service := &alerttest.ServiceNow{Username: "runbook", Password: "now-password"}
		n, err := servicenow.New(servicenow.Config{BaseURL: "https://acu.service-now.com", Username: "runbook", Password: runbook.NewSecret("now-password"), CloseCode: "Solution provided", HTTP: service.Client()})
		require.NoError(t, err)
		return desk{n, func() (all []ticket) {
			for _, i := range service.Incidents() {
				all = append(all, ticket{i.Fields["short_description"], i.Notes, i.Fields["state"] == "6"})
			}
			return all
		}}
	},
}

// Alerts reach the operators where the runbook says, what somebody writes about the incident
// reaches the stakeholders in all three places, and the incident has one ticket from its
// beginning to its end.
//
// Requirement: RB-CHANNEL-STATUS-SLACK, RB-CHANNEL-STATUS-EMAIL, RB-CHANNEL-STATUS-PAGE, RB-CHANNEL-TICKETS, RB-ALERT-SLACK, RB-ALERT-EMAIL
func TestWhereTheRunbookTellsPeople(t *testing.T) {
	t.Parallel()
	for name, open := range desks {
		t.Run(name, func(t *testing.T) {
			desk := open(t)
			page := &alerttest.Statuspage{Page: "page1", APIKey: "page-key"}
			writes, err := statuspageio.New(statuspageio.Config{Page: "page1", APIKey: runbook.NewSecret("page-key"), HTTP: page.Client()})
			require.NoError(t, err)
			change := func(cfg *host.Config) {
				observing(cfg)
				cfg.Connections = cfg.Connections[2:] // production
				cfg.Channels.StatusPage, cfg.Channels.Tickets = writes, desk.tickets
			}
			onStage(t, change, func(s *stage) { toldWhere(s, desk, page) })
		})
	}
}

// toldWhere goes through an incident from the alert to its end.
func toldWhere(s *stage, desk desk, page *alerttest.Statuspage) {
	defer s.story()
	began := time.Now()
	f, err := s.host.Engine().Feed(alert.Source{Input: "application", Environment: "production", Entity: "production/extra"}, nil)
	require.NoError(s, err)
	// pass lets time pass in which the check finds one thing.
	pass := func(d time.Duration, fails bool, finds string) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(30 * time.Second) {
			f.Result(fails, finds)
		}
	}
	pass(4*time.Minute, true, "it answers 502")
	inc, ok := s.of("application-down")
	require.True(s, ok)
	about := func(line string) bool { return strings.Contains(line, "production/extra has failed 3 checks in a row") }
	assert.True(s, slices.ContainsFunc(s.told("slack", "#qa-automation-alerts", began), about), "the chat of the operators")
	assert.True(s, slices.ContainsFunc(s.told("mail", "on-call-team@acu.edu.au", began), about), "the mail of those on call")
	for _, to := range []string{"#qa-automation-status", "qa-automation-alerts@acu.edu.au"} {
		assert.Empty(s, append(s.told("slack", to, began), s.told("mail", to, began)...), "stakeholders read no alert: %s", to)
	}
	assert.Empty(s, page.Incidents())
	require.Len(s, desk.all(), 1)
	assert.Contains(s, desk.all()[0].title, inc.ID)
	assert.False(s, desk.all()[0].closed)

	for _, text := range []string{"We look into it.", "A deployment was the cause."} {
		_, err = s.host.Manager().Update(s.Context(), inc.ID, incident.StatusUpdate{By: "Ana Silva", Title: "QA automation does not answer", Text: text})
		require.NoError(s, err)
		pass(time.Minute, true, "it answers 502")
	}
	both := []string{"QA automation does not answer", "QA automation does not answer"}
	assert.Equal(s, both, s.told("slack", "#qa-automation-status", began))
	assert.Equal(s, both, s.told("mail", "qa-automation-alerts@acu.edu.au", began))
	require.Len(s, page.Incidents(), 1, "one incident, with updates")
	shown := page.Incidents()[0]
	assert.Equal(s, "QA automation does not answer", shown.Name)
	assert.Equal(s, "investigating", shown.Status)
	require.Len(s, shown.Updates, 2)
	assert.Contains(s, shown.Updates[0].Body, "A deployment was the cause.")
	comments := strings.Join(desk.all()[0].comments, "\n")
	assert.Contains(s, comments, "We look into it.")
	assert.Contains(s, comments, "A deployment was the cause.")

	pass(25*time.Minute, false, "it answers")
	inc, _ = s.of("application-down")
	require.Equal(s, incident.Resolved, inc.State)
	_, err = s.host.Manager().Update(s.Context(), inc.ID, incident.StatusUpdate{By: "Ana Silva", Title: "QA automation answers again", Text: "The deployment was taken back."})
	require.NoError(s, err)
	pass(time.Minute, false, "it answers")
	synctest.Wait()
	assert.Equal(s, "resolved", page.Incidents()[0].Status)
	assert.Len(s, s.told("slack", "#qa-automation-status", began), 3)
	assert.Len(s, s.told("mail", "qa-automation-alerts@acu.edu.au", began), 3)
	require.Len(s, desk.all(), 1, "it was opened once")
	assert.True(s, desk.all()[0].closed, "the end of the incident is that of the ticket")
}
