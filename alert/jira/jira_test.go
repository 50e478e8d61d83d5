package jira_test

import (
	"context"
	"encoding/base64"
	"fmt"
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
	"go.acu.edu.au/runbook/alert/internal/story"
	"go.acu.edu.au/runbook/alert/jira"
)

const (
	email = "runbook@example.edu"
	token = "ATATT3xFfGF0-not-a-real-token"
)

func notifier(t testing.TB, service *alerttest.Jira, change ...func(*jira.Config)) *jira.Notifier {
	t.Helper()
	service.Token, service.Project = token, "OPS"
	cfg := jira.Config{BaseURL: "https://example.atlassian.net", Project: "OPS", Email: email, Token: runbook.NewSecret(token), HTTP: service.Client()}
	if service.DataCenter {
		cfg.Edition, cfg.Email = jira.DataCenter, ""
	}
	service.Email = cfg.Email
	for _, c := range change {
		c(&cfg)
	}
	n, err := jira.New(cfg)
	require.NoError(t, err)
	return n
}

func seen(service *alerttest.Jira) (list []string) {
	for _, i := range service.Issues() {
		list = append(list, i.Summary+"\n\n"+i.Description)
		list = append(list, i.Comments...)
	}
	return list
}

func note(kind alert.Kind, seq int, prior alert.Receipt) alert.Notification {
	return alert.Notification{
		Key: "9f86d081", Seq: seq, Kind: kind, Severity: alert.High, Title: "it is slow", Prior: prior, At: time.Now(),
		Text: fmt.Sprintf("it is slow: %s %d\n", kind, seq), Alerts: []alert.Alert{story.Slow(time.Now())},
	}
}

func TestNotifier(t *testing.T) {
	for name, fresh := range map[string]func() *alerttest.Jira{
		"Cloud":       func() *alerttest.Jira { return &alerttest.Jira{} },
		"with a lag":  func() *alerttest.Jira { return &alerttest.Jira{Lag: time.Minute} },
		"Data Center": func() *alerttest.Jira { return &alerttest.Jira{DataCenter: true} },
	} {
		t.Run(name, func(t *testing.T) {
			alerttest.TestNotifier(t, alerttest.NotifierHarness{New: func(t testing.TB) alerttest.NotifierCase {
				service := fresh()
				c := alerttest.NotifierCase{
					Notifier: notifier(t, service), Messages: func() []string { return seen(service) },
					Conversations: func() int { return len(service.Issues()) },
					Fail:          func(next ...alerttest.Fault) bool { service.Fail(next...); return true },
					Recognises:    service.Lag == 0, Secrets: []string{token},
				}
				if service.DataCenter {
					c.Hostile, c.Escaped = "[~admin] {noformat} *loud*", "[~admin] { noformat} *loud*"
				}
				return c
			}})
		})
	}
}

// Searching uses what still exists, and only after an unknown outcome.
//
// Requirement: AL-JIRA-SEARCH
func TestSearch(t *testing.T) {
	for name, c := range map[string]struct {
		dataCenter bool
		path       string
	}{"Cloud": {false, "POST /rest/api/3/search/jql"}, "Data Center": {true, "POST /rest/api/2/search"}} {
		t.Run(name, func(t *testing.T) {
			service := &alerttest.Jira{DataCenter: c.dataCenter}
			n := notifier(t, service)
			receipt, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
			require.NoError(t, err)
			for i, kind := range []alert.Kind{alert.KindUpdate, alert.KindReminder, alert.KindResolved} {
				_, err = n.Notify(t.Context(), note(kind, i+2, receipt))
				require.NoError(t, err)
			}
			assert.NotContains(t, service.Requests(), c.path, "the receipt names the ticket")

			first := note(alert.KindFiring, 1, "")
			first.Key = "another"
			service.Fail(alerttest.Lost)
			_, err = n.Notify(t.Context(), first)
			require.False(t, runbook.SafeToRetry(err))
			assert.NotContains(t, service.Requests(), c.path)
			first.PossibleRepeat = true
			receipt, err = n.Notify(t.Context(), first)
			require.NoError(t, err)
			assert.Contains(t, service.Requests(), c.path)
			assert.Equal(t, alert.Receipt("OPS-2"), receipt)
			assert.Len(t, service.Issues(), 2)
			assert.Contains(t, service.Issues()[1].Labels, "runbook-another")
		})
	}
}

// What the search does not find yet is created, and says that it may be a repetition.
//
// Requirement: AL-JIRA-SEARCH
func TestSearchLags(t *testing.T) {
	service := &alerttest.Jira{Lag: time.Minute}
	n := notifier(t, service)
	first := note(alert.KindFiring, 1, "")
	service.Fail(alerttest.LateError)
	_, err := n.Notify(t.Context(), first)
	require.Error(t, err)
	first.PossibleRepeat = true
	_, err = n.Notify(t.Context(), first)
	require.NoError(t, err)
	require.Len(t, service.Issues(), 2)
	assert.True(t, strings.HasPrefix(service.Issues()[1].Description, "Possible repeat"))
}

// Transitions are looked up: the ID, the name and the status are the workflow's own.
//
// Requirement: AL-JIRA-TRANSITION
func TestTransitions(t *testing.T) {
	unusual := []alerttest.JiraTransition{
		{ID: "741", Name: "Begin", To: "Under way", Category: "indeterminate"},
		{ID: "742", Name: "Abandon", To: "Won't do", Category: "done"},
		{ID: "743", Name: "Finish", To: "Resolved", Category: "done"},
	}
	asking := []alerttest.JiraTransition{{ID: "1", Name: "Close", To: "Closed", Category: "done", Requires: "resolution"}}
	for name, c := range map[string]struct {
		workflow []alerttest.JiraTransition
		cfg      func(*jira.Config)
		status   string
		done     bool
		says     string
	}{
		"the usual":         {nil, nil, "Done", true, ""},
		"another workflow":  {unusual, nil, "Resolved", true, ""},
		"by name":           {unusual, func(c *jira.Config) { c.DoneTransition = "abandon" }, "Won't do", true, ""},
		"the only one":      {unusual[:2], nil, "Won't do", true, ""},
		"none":              {unusual[:1], nil, "Under way", false, "could not be closed: Jira offers no transition that leads to a status of the category done. Close it by hand."},
		"none of that name": {unusual, func(c *jira.Config) { c.DoneTransition = "Close" }, "Under way", false, "could not be closed: Jira offers no transition"},
		"a field is asked for": {
			asking, nil,
			"Closed", false, `could not be closed: Jira refuses the transition "Close": resolution: resolution is required. Close it by hand.`,
		},
		"a field is given": {
			asking,
			func(c *jira.Config) { c.DoneFields = map[string]any{"resolution": map[string]string{"name": "Done"}} }, "Closed", true, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			service := &alerttest.Jira{Workflow: c.workflow}
			n := notifier(t, service, func(cfg *jira.Config) {
				if c.cfg != nil {
					c.cfg(cfg)
				}
			})
			receipt, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
			require.NoError(t, err)
			_, err = n.Notify(t.Context(), note(alert.KindResolved, 2, receipt))
			require.NoError(t, err)
			i := service.Issues()[0]
			assert.Equal(t, c.status, i.Status)
			assert.Equal(t, c.done, i.Done)
			require.Len(t, i.Comments, 1)
			assert.Contains(t, i.Comments[0], "resolved 2")
			assert.Contains(t, i.Comments[0], c.says)
			assert.Equal(t, c.says != "", strings.Contains(i.Comments[0], "by hand"))
			state, err := n.State(t.Context(), receipt)
			require.NoError(t, err)
			assert.Equal(t, alert.Ticket{ID: "OPS-1", URL: "https://example.atlassian.net/browse/OPS-1", State: c.status, Done: c.done}, state)
		})
	}
}

// A ticket that somebody closed stays as it is, and is told.
//
// Requirement: AL-JIRA-TRANSITION
func TestClosedByHand(t *testing.T) {
	service := &alerttest.Jira{}
	n := notifier(t, service)
	receipt, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	service.Move("OPS-1", "Cancelled", true)
	_, err = n.Notify(t.Context(), note(alert.KindResolved, 2, receipt))
	require.NoError(t, err)
	assert.Equal(t, "Cancelled", service.Issues()[0].Status)
	assert.Len(t, service.Issues()[0].Comments, 1)
	assert.NotContains(t, service.Requests(), "POST /rest/api/3/issue/OPS-1/transitions")
}

// The end is told once, whichever of its requests fails.
func TestResolveGoesOn(t *testing.T) {
	for step, name := range []string{"read", "list transitions", "close", "comment"} {
		for _, fault := range []alerttest.Fault{alerttest.Limit, alerttest.ServerError, alerttest.Lost, alerttest.Unreachable} {
			t.Run(fmt.Sprint(name, fault), func(t *testing.T) {
				service := &alerttest.Jira{}
				n := notifier(t, service)
				receipt, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
				require.NoError(t, err)
				service.Fail(append(make([]alerttest.Fault, step), fault)...)
				last := note(alert.KindResolved, 2, receipt)
				_, err = n.Notify(t.Context(), last)
				require.Error(t, err)
				last.PossibleRepeat = !runbook.SafeToRetry(err)
				if step < 2 {
					assert.True(t, runbook.SafeToRetry(err), "nothing was sent before: %v", err)
				}
				_, err = n.Notify(t.Context(), last)
				require.NoError(t, err)
				i := service.Issues()[0]
				assert.True(t, i.Done)
				want := 1
				if name == "comment" && fault == alerttest.Lost {
					want = 2
					assert.Contains(t, i.Comments[1], "Possible repeat")
				}
				assert.Len(t, i.Comments, want)
			})
		}
	}
}

// Without a receipt a ticket is looked for before it is closed, and none is made.
func TestResolveWithoutReceipt(t *testing.T) {
	service := &alerttest.Jira{}
	n := notifier(t, service)
	receipt, err := n.Notify(t.Context(), note(alert.KindResolved, 1, ""))
	require.NoError(t, err)
	assert.Empty(t, receipt)
	assert.Empty(t, service.Issues())
	_, err = n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	receipt, err = n.Notify(t.Context(), note(alert.KindResolved, 2, ""))
	require.NoError(t, err)
	assert.Equal(t, alert.Receipt("OPS-1"), receipt)
	assert.True(t, service.Issues()[0].Done)
}

// A refused connection is no final answer: the router tries again, and the ticket is made.
//
// Requirement: AL-AM-REFUSED
func TestRefusedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, mail := &alerttest.Jira{}, &alerttest.Recorder{}
		service.Fail(slices.Repeat([]alerttest.Fault{alerttest.Unreachable}, 4)...)
		r, err := alert.NewRouter(alert.RouterConfig{
			Targets: []alert.Target{{Name: "jira", Notifier: notifier(t, service), Fallback: "mail"}, {Name: "mail", Notifier: mail}},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"jira"}, Wait: -1}},
		})
		require.NoError(t, err)
		require.NoError(t, r.Start(t.Context()))
		defer func() { assert.NoError(t, r.Stop(context.WithoutCancel(t.Context()))) }()
		require.NoError(t, r.Handle(t.Context(), story.Slow(time.Now())))
		time.Sleep(time.Second)
		assert.Empty(t, service.Issues())
		time.Sleep(2 * time.Minute)
		require.Len(t, service.Issues(), 1)
		assert.NotContains(t, service.Issues()[0].Description, "repeat", "it is proven that nothing was sent")
		assert.Empty(t, mail.Notifications())
		assert.Empty(t, r.Deliveries())
	})
}

func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &alerttest.Jira{PerMinute: 3}
		n := notifier(t, service, func(c *jira.Config) { c.Fields = map[string]any{"team": "x"} })
		_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
		require.ErrorIs(t, err, alert.ErrRefused)
		assert.ErrorContains(t, err, "team: Field 'team' cannot be set", "what an operator needs")
		for _, prior := range []alert.Receipt{"../OPS-1", "7", "OPS-1/comment"} {
			_, err = n.Notify(t.Context(), note(alert.KindUpdate, 2, prior))
			assert.ErrorIs(t, err, alert.ErrRefused)
			_, err = n.State(t.Context(), prior)
			assert.ErrorIs(t, err, alert.ErrRefused)
		}
		_, err = n.State(t.Context(), "OPS-7")
		require.ErrorIs(t, err, alert.ErrRefused)
		assert.ErrorContains(t, err, "Issue does not exist")
		_, err = n.State(t.Context(), "OPS-7")
		require.Error(t, err)
		_, err = n.State(t.Context(), "OPS-7")
		require.ErrorIs(t, err, alert.ErrLimited)

		service = &alerttest.Jira{}
		n = notifier(t, service, func(c *jira.Config) { c.Token = runbook.NewSecret("expired") })
		_, err = n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
		require.ErrorIs(t, err, alert.ErrRefused)
		assert.NotContains(t, err.Error(), "expired")
	})
}

func TestFields(t *testing.T) {
	service := &alerttest.Jira{}
	n := notifier(t, service, func(c *jira.Config) {
		c.IssueType, c.Labels = "Incident", []string{"qa"}
		c.Priorities = map[alert.Severity]string{alert.High: "High"}
		c.Fields = map[string]any{"components": []map[string]string{{"name": "QA"}}}
	})
	_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	f := service.Issues()[0].Fields
	assert.Equal(t, map[string]any{"name": "Incident"}, f["issuetype"])
	assert.Equal(t, map[string]any{"name": "High"}, f["priority"])
	assert.Equal(t, []any{map[string]any{"name": "QA"}}, f["components"])
	assert.Equal(t, []string{"runbook-9f86d081", "qa"}, service.Issues()[0].Labels)
}

func TestGolden(t *testing.T) {
	for name, service := range map[string]*alerttest.Jira{"cloud.txt": {}, "datacenter.txt": {DataCenter: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b strings.Builder
				story.Night(t, notifier(t, service), func(step string) {
					i := service.Issues()[0]
					if step == "firing" {
						fmt.Fprintf(&b, "=== %s: %s is %s\n%s\n---\n%s\n", step, i.Key, i.Status, i.Summary, i.Description)
						return
					}
					fmt.Fprintf(&b, "=== %s: %s is %s\n---\n%s\n", step, i.Key, i.Status, i.Comments[len(i.Comments)-1])
				})
				story.Golden(t, name, b.String())
			})
		})
	}
}

func TestNew(t *testing.T) {
	_, err := jira.New(jira.Config{
		BaseURL: "http://jira", Edition: "server", Project: `OPS" OR 1`, Labels: []string{"two words"}, Fields: map[string]any{"summary": "x"},
	})
	for _, text := range []string{"BaseURL", "edition", "Token", "project", "label", "Fields: summary"} {
		assert.ErrorContains(t, err, text)
	}
}

// Whoever prints the notifier, in a log or in the diff of a test, does not print its token.
//
// Requirement: AL-SEND-SECRET
func TestPrintsNoSecret(t *testing.T) {
	for name, n := range map[string]*jira.Notifier{"basic": notifier(t, &alerttest.Jira{}), "bearer": notifier(t, &alerttest.Jira{DataCenter: true})} {
		text := fmt.Sprintf("%v %+v %#v", n, n, n)
		assert.NotContains(t, text, token, name)
		assert.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte(email+":"+token)), name)
	}
}

// What a host does with its configuration afterwards changes nothing.
func TestConfigIsCopied(t *testing.T) {
	service := &alerttest.Jira{}
	labels, priorities := []string{"qa"}, map[alert.Severity]string{alert.High: "High"}
	n := notifier(t, service, func(c *jira.Config) { c.Labels, c.Priorities = labels, priorities })
	labels[0], priorities[alert.High] = "other", "Lowest"
	_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	require.Len(t, service.Issues(), 1)
	assert.Contains(t, service.Issues()[0].Labels, "qa")
	_, err = jira.New(jira.Config{BaseURL: "https://a", Project: "OPS", Token: runbook.NewSecret(token), Timeout: -1})
	assert.EqualError(t, err, "jira: Timeout is negative")
}
