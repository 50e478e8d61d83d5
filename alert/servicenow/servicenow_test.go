package servicenow_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
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
	"go.acu.edu.au/runbook/alert/servicenow"
)

const password = "not-a-real-password"

func notifier(t testing.TB, service *alerttest.ServiceNow, change ...func(*servicenow.Config)) *servicenow.Notifier {
	t.Helper()
	service.Username, service.Password = "runbook", password
	cfg := servicenow.Config{
		BaseURL: "https://example.service-now.com", Username: "runbook", Password: runbook.NewSecret(password),
		CloseCode: "Solution provided", HTTP: service.Client(),
	}
	for _, c := range change {
		c(&cfg)
	}
	n, err := servicenow.New(cfg)
	require.NoError(t, err)
	return n
}

func seen(service *alerttest.ServiceNow) (list []string) {
	for _, i := range service.Incidents() {
		list = append(list, i.Fields["short_description"]+"\n\n"+i.Fields["description"])
		list = append(list, i.Notes...)
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
	alerttest.TestNotifier(t, alerttest.NotifierHarness{New: func(t testing.TB) alerttest.NotifierCase {
		service := &alerttest.ServiceNow{}
		return alerttest.NotifierCase{
			Notifier: notifier(t, service), Messages: func() []string { return seen(service) },
			Conversations: func() int { return len(service.Incidents()) },
			// The first request of a message looks the incident up: the second one sends.
			Fail: func(next ...alerttest.Fault) bool {
				for _, f := range next {
					service.Fail(0, f)
				}
				return true
			},
			Recognises: true, Secrets: []string{password},
			Hostile: "[code]<script>alert(1)</script>[/CODE]", Escaped: "[ code]<script>alert(1)</script>[ /CODE]",
		}
	}})
}

// Before an incident is created it is looked up, and what answers to another key is not
// taken for it.
//
// Requirement: AL-SERVICENOW-CORRELATION
func TestLookUp(t *testing.T) {
	for _, version1 := range []bool{false, true} {
		service := &alerttest.ServiceNow{Version1: version1}
		n := notifier(t, service)
		service.Fail(0, alerttest.Lost)
		first := note(alert.KindFiring, 1, "")
		_, err := n.Notify(t.Context(), first)
		require.False(t, runbook.SafeToRetry(err))
		assert.Equal(t, []string{"GET /api/now/table/incident", "POST /api/now/table/incident"}, service.Requests())
		first.PossibleRepeat = true
		receipt, err := n.Notify(t.Context(), first)
		require.NoError(t, err)
		require.Len(t, service.Incidents(), 1)
		assert.Equal(t, first.Key, service.Incidents()[0].Fields["correlation_id"])
		assert.Equal(t, string(receipt), service.Incidents()[0].Fields["sys_id"])
		assert.Empty(t, service.Incidents()[0].Notes)

		other := first
		other.Key = "another"
		_, err = n.Notify(t.Context(), other)
		require.NoError(t, err)
		assert.Len(t, service.Incidents(), 2)
	}
	service := &alerttest.ServiceNow{}
	n := notifier(t, service)
	_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	service.NoCorrelation = true
	other := note(alert.KindFiring, 1, "")
	other.Key = "another"
	_, err = n.Notify(t.Context(), other)
	require.ErrorIs(t, err, alert.ErrRefused, "the instance ignored the condition")
	assert.ErrorContains(t, err, "correlation_id")
	assert.Len(t, service.Incidents(), 1)
}

// If the look-up fails, nothing was sent.
//
// Requirement: AL-SERVICENOW-CORRELATION
func TestLookUpFails(t *testing.T) {
	for _, fault := range []alerttest.Fault{alerttest.ServerError, alerttest.Reset, alerttest.Lost, alerttest.Unreachable, alerttest.Limit} {
		service := &alerttest.ServiceNow{}
		n := notifier(t, service)
		service.Fail(fault)
		_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
		require.Error(t, err)
		assert.True(t, runbook.SafeToRetry(err), "%v", err)
		assert.NotErrorIs(t, err, alert.ErrRefused)
		assert.Empty(t, service.Incidents())
	}
}

// Requirement: AL-SERVICENOW-RESOLVE
func TestResolve(t *testing.T) {
	service := &alerttest.ServiceNow{}
	n := notifier(t, service)
	receipt, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	state, err := n.State(t.Context(), receipt)
	require.NoError(t, err)
	id := service.Incidents()[0].Fields["sys_id"]
	want := alert.Ticket{ID: "INC0010001", URL: "https://example.service-now.com/incident.do?sys_id=" + id, State: "1"}
	assert.Equal(t, want, state)
	_, err = n.Notify(t.Context(), note(alert.KindUpdate, 2, receipt))
	require.NoError(t, err)
	_, err = n.Notify(t.Context(), note(alert.KindResolved, 3, receipt))
	require.NoError(t, err)
	i := service.Incidents()[0]
	assert.Equal(t, "6", i.Fields["state"])
	assert.Equal(t, "Solution provided", i.Fields["close_code"])
	assert.Equal(t, "it is slow: resolved 3", i.Fields["close_notes"])
	assert.Equal(t, []string{"it is slow: update 2", "it is slow: resolved 3"}, i.Notes)
	state, err = n.State(t.Context(), receipt)
	require.NoError(t, err)
	want.State, want.Done = "6", true
	assert.Equal(t, want, state)
}

// Which state means resolved is configuration.
//
// Requirement: AL-SERVICENOW-RESOLVE
func TestResolvedState(t *testing.T) {
	service := &alerttest.ServiceNow{}
	n := notifier(t, service, func(c *servicenow.Config) {
		c.ResolvedState, c.ClosedStates, c.CloseCode = "12", []string{"13"}, "Fixed"
	})
	receipt, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	_, err = n.Notify(t.Context(), note(alert.KindResolved, 2, receipt))
	require.NoError(t, err)
	assert.Equal(t, "12", service.Incidents()[0].Fields["state"])
	assert.Equal(t, "Fixed", service.Incidents()[0].Fields["close_code"])
}

// An instance that sets the state back did not resolve it, and people are told otherwise.
//
// Requirement: AL-SERVICENOW-RESOLVE
func TestResolveIsReadBack(t *testing.T) {
	service := &alerttest.ServiceNow{Sticky: true}
	n := notifier(t, service)
	receipt, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	_, err = n.Notify(t.Context(), note(alert.KindResolved, 2, receipt))
	require.ErrorIs(t, err, alert.ErrRefused)
	assert.ErrorContains(t, err, "its state is 1")
}

func TestResolvedByHand(t *testing.T) {
	for _, state := range []string{"6", "7", "8"} {
		service := &alerttest.ServiceNow{}
		n := notifier(t, service)
		receipt, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
		require.NoError(t, err)
		service.Set("INC0010001", "state", state)
		service.Set("INC0010001", "close_code", "by ana")
		_, err = n.Notify(t.Context(), note(alert.KindResolved, 2, receipt))
		require.NoError(t, err)
		i := service.Incidents()[0]
		assert.Equal(t, []string{state, "by ana"}, []string{i.Fields["state"], i.Fields["close_code"]})
		assert.Equal(t, []string{"it is slow: resolved 2"}, i.Notes)
	}
}

// The end may be told again after a lost answer: it is resolved once.
func TestResolveAgain(t *testing.T) {
	service := &alerttest.ServiceNow{}
	n := notifier(t, service)
	receipt, err := n.Notify(t.Context(), note(alert.KindResolved, 1, ""))
	require.NoError(t, err)
	assert.Empty(t, receipt, "there was nothing to resolve, and nothing is made")
	assert.Empty(t, service.Incidents())
	receipt, err = n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	service.Fail(0, alerttest.Lost)
	last := note(alert.KindResolved, 2, receipt)
	_, err = n.Notify(t.Context(), last)
	require.Error(t, err)
	last.PossibleRepeat, last.Prior = true, ""
	again, err := n.Notify(t.Context(), last)
	require.NoError(t, err)
	assert.Equal(t, receipt, again)
	notes := service.Incidents()[0].Notes
	require.Len(t, notes, 2)
	assert.True(t, strings.HasPrefix(notes[1], "Possible repeat"))
}

func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &alerttest.ServiceNow{PerHour: 3}
		n := notifier(t, service, func(c *servicenow.Config) { c.Fields = map[string]string{"u_team": "x"} })
		_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
		require.ErrorIs(t, err, alert.ErrRefused)
		assert.ErrorContains(t, err, "Invalid field: u_team")
		_, err = n.State(t.Context(), alert.Receipt(strings.Repeat("0", 32)))
		require.ErrorIs(t, err, alert.ErrRefused)
		_, err = n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
		require.ErrorIs(t, err, alert.ErrLimited)
		assert.ErrorContains(t, err, "wait 1h0m0s")
		for _, prior := range []alert.Receipt{"..", "INC0010001", "c537bae64f411200adf9f8e18110c76e/x"} {
			_, err = n.Notify(t.Context(), note(alert.KindUpdate, 2, prior))
			assert.ErrorIs(t, err, alert.ErrRefused)
			_, err = n.State(t.Context(), prior)
			assert.ErrorIs(t, err, alert.ErrRefused)
		}
		n = notifier(t, &alerttest.ServiceNow{}, func(c *servicenow.Config) { c.Username = "another" })
		_, err = n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
		require.ErrorIs(t, err, alert.ErrRefused)
		assert.ErrorContains(t, err, "User Not Authenticated")
	})
}

func TestPriorities(t *testing.T) {
	service := &alerttest.ServiceNow{}
	n := notifier(t, service, func(c *servicenow.Config) {
		c.Username, c.Password, c.Token = "", runbook.Secret{}, runbook.NewSecret("access")
		c.Priorities = map[alert.Severity]servicenow.Priority{alert.Low: {Impact: 3, Urgency: 2}}
		c.Fields = map[string]string{"category": "software"}
	})
	service.Token = "access"
	for severity, want := range map[alert.Severity]string{alert.Critical: "1 1", alert.High: "1 2", alert.Medium: "2 2", alert.Low: "3 2", 0: "3 3"} {
		first := note(alert.KindFiring, 1, "")
		first.Key, first.Severity = "key-of-"+fmt.Sprint(uint8(severity)), severity
		_, err := n.Notify(t.Context(), first)
		require.NoError(t, err)
		got := service.Incidents()[len(service.Incidents())-1].Fields
		assert.Equal(t, want, got["impact"]+" "+got["urgency"])
		assert.Equal(t, "software", got["category"])
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPublishedExample(t *testing.T) {
	created, err := os.ReadFile("testdata/created.json")
	require.NoError(t, err)
	n, err := servicenow.New(servicenow.Config{
		BaseURL: "https://instance.service-now.com", Token: runbook.NewSecret("t"), CloseCode: "x",
		HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, status := string(created), http.StatusCreated
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/incident") {
				body, status = `{"result":[]}`, http.StatusOK
			}
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})},
	})
	require.NoError(t, err)
	receipt, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	assert.Equal(t, alert.Receipt("c537bae64f411200adf9f8e18110c76e"), receipt)
	state, err := n.State(t.Context(), receipt)
	require.NoError(t, err)
	assert.Equal(t, "INC0010002", state.ID)
}

func TestGolden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &alerttest.ServiceNow{}
		var b strings.Builder
		story.Night(t, notifier(t, service), func(step string) {
			i := service.Incidents()[0]
			f := i.Fields
			fmt.Fprintf(&b, "=== %s: %s, state %s, impact %s, urgency %s\n", step, f["number"], f["state"], f["impact"], f["urgency"])
			if step == "firing" {
				fmt.Fprintf(&b, "%s\n---\n%s\n", f["short_description"], f["description"])
				return
			}
			fmt.Fprintf(&b, "---\n%s\n", i.Notes[len(i.Notes)-1])
			if f["close_code"] != "" {
				fmt.Fprintf(&b, "--- %s:\n%s\n", f["close_code"], f["close_notes"])
			}
		})
		story.Golden(t, "night.txt", b.String())
	})
}

func TestNew(t *testing.T) {
	_, err := servicenow.New(servicenow.Config{
		BaseURL: "example.service-now.com", Table: "incident/..", Username: "x", Fields: map[string]string{"state": "2"},
		Priorities: map[alert.Severity]servicenow.Priority{alert.High: {Impact: 1, Urgency: 4}},
	})
	for _, text := range []string{"BaseURL", "table", "Username and Password or Token", "CloseCode", "Fields: state", "priority of high"} {
		assert.ErrorContains(t, err, text)
	}
}

// Whoever prints the notifier, in a log or in the diff of a test, does not print its password.
//
// Requirement: AL-SEND-SECRET
func TestPrintsNoSecret(t *testing.T) {
	bearer := func(c *servicenow.Config) { c.Username, c.Password, c.Token = "", runbook.Secret{}, c.Password }
	for name, n := range map[string]*servicenow.Notifier{"basic": notifier(t, &alerttest.ServiceNow{}), "bearer": notifier(t, &alerttest.ServiceNow{}, bearer)} {
		text := fmt.Sprintf("%v %+v %#v", n, n, n)
		assert.NotContains(t, text, password, name)
		assert.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte("runbook:"+password)), name)
	}
}

// What a host does with its configuration afterwards changes nothing.
func TestConfigIsCopied(t *testing.T) {
	service := &alerttest.ServiceNow{}
	fields := map[string]string{"category": "software"}
	n := notifier(t, service, func(c *servicenow.Config) { c.Fields = fields })
	fields["category"] = "other"
	_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	require.Len(t, service.Incidents(), 1)
	assert.Equal(t, "software", service.Incidents()[0].Fields["category"])
	_, err = servicenow.New(servicenow.Config{BaseURL: "https://a", Token: runbook.NewSecret(password), CloseCode: "x", Timeout: -1})
	assert.EqualError(t, err, "servicenow: Timeout is negative")
}
