package incidenttest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/jira"
	"go.acu.edu.au/runbook/alert/servicenow"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

func TestMemoryTickets(t *testing.T) {
	t.Parallel()
	incidenttest.TestTicketer(t, incidenttest.TicketerHarness{New: func(testing.TB) incidenttest.TicketerCase {
		k := &incidenttest.Tickets{}
		refused := &alert.Error{Service: "tickets", Op: "notify", Kind: alert.ErrRefused}
		return incidenttest.TicketerCase{
			Ticketer: k, Tickets: func() int { return len(k.Tickets()) }, LoseAnswer: k.LoseAnswer, Forbid: func() { k.Fail(refused) },
			Said: func() (all []string) {
				for _, ticket := range k.Tickets() {
					all = append(all, ticket.Said...)
				}
				return all
			},
		}
	}})
}

// The notifiers that keep tickets are ticketers as they are.
func TestJiraIsTicketer(t *testing.T) {
	t.Parallel()
	incidenttest.TestTicketer(t, incidenttest.TicketerHarness{New: func(t testing.TB) incidenttest.TicketerCase {
		service := &alerttest.Jira{Token: "ATATT-not-real", Email: "runbook@example.edu", Project: "OPS"}
		n, err := jira.New(jira.Config{
			BaseURL: "https://example.atlassian.net", Project: "OPS", Email: service.Email, Token: runbook.NewSecret(service.Token), HTTP: service.Client(),
		})
		require.NoError(t, err)
		return incidenttest.TicketerCase{
			Ticketer: n, Tickets: func() int { return len(service.Issues()) },
			LoseAnswer: func() { service.Fail(alerttest.Lost) }, Forbid: func() { service.Fail(alerttest.Refuse, alerttest.Refuse, alerttest.Refuse) },
			Said: func() (all []string) {
				for _, issue := range service.Issues() {
					all = append(append(all, issue.Description), issue.Comments...)
				}
				return all
			},
		}
	}})
}

func TestServiceNowIsTicketer(t *testing.T) {
	t.Parallel()
	incidenttest.TestTicketer(t, incidenttest.TicketerHarness{New: func(t testing.TB) incidenttest.TicketerCase {
		service := &alerttest.ServiceNow{Username: "runbook", Password: "not-a-real-password"}
		n, err := servicenow.New(servicenow.Config{
			BaseURL: "https://example.service-now.com", Username: service.Username, Password: runbook.NewSecret(service.Password),
			CloseCode: "Solution provided", HTTP: service.Client(),
		})
		require.NoError(t, err)
		return incidenttest.TicketerCase{
			Ticketer: n, Tickets: func() int { return len(service.Incidents()) },
			LoseAnswer: func() { service.Fail(alerttest.Lost) }, Forbid: func() { service.Fail(alerttest.Refuse, alerttest.Refuse, alerttest.Refuse) },
			Said: func() (all []string) {
				for _, i := range service.Incidents() {
					all = append(append(all, i.Fields["description"]), i.Notes...)
				}
				return all
			},
		}
	}})
}

func TestTicketsFail(t *testing.T) {
	t.Parallel()
	k := &incidenttest.Tickets{}
	k.Fail(nil, assert.AnError)
	n := alert.Notification{Key: "INC-1", Seq: 1, Kind: alert.KindFiring, Text: "it is down"}
	receipt, err := k.Notify(t.Context(), n)
	require.NoError(t, err)
	_, err = k.Notify(t.Context(), n)
	require.ErrorIs(t, err, assert.AnError)
	n.Prior, n.Kind = "TICKET-9", alert.KindUpdate
	_, err = k.Notify(t.Context(), n)
	require.ErrorIs(t, err, alert.ErrRefused)
	none, err := k.Notify(t.Context(), alert.Notification{Key: "INC-2", Kind: alert.KindResolved})
	require.NoError(t, err, "there is no ticket to close")
	assert.Empty(t, none)
	assert.Equal(t, "open", k.Tickets()[0].State)
	assert.Equal(t, alert.Receipt(k.Tickets()[0].ID), receipt)
}
