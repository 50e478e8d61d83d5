package statuspageio_test

import (
	"context"
	"fmt"
	"io"
	"math"
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
	"go.acu.edu.au/runbook/alert/statuspageio"
)

const (
	pageID = "kctbh9vrtdwd"
	apiKey = "89a229ce1a8dbcf9ff30430fbe35eb4c0426574bca932061892cefd2138aa4b1"
	app    = "8kbf7d35c070"
	grades = "vtnh60py4yd7"
)

func fresh(t testing.TB, change ...func(*statuspageio.Config)) (*alerttest.Statuspage, *statuspageio.Notifier) {
	t.Helper()
	service := &alerttest.Statuspage{Page: pageID, APIKey: apiKey, Components: map[string]string{app: "operational", grades: "operational"}}
	cfg := statuspageio.Config{
		Page: pageID, APIKey: runbook.NewSecret(apiKey), HTTP: service.Client(),
		Components: map[string]string{"QA automation": app, "Grade sync": grades},
	}
	for _, c := range change {
		c(&cfg)
	}
	n, err := statuspageio.New(cfg)
	require.NoError(t, err)
	return service, n
}

func texts(service *alerttest.Statuspage) (list []string) {
	for _, i := range service.Incidents() {
		for at := len(i.Updates) - 1; at >= 0; at-- {
			list = append(list, i.Updates[at].Body)
		}
	}
	return list
}

func note(seq int, status string, prior alert.Receipt, components map[string]string) alert.Notification {
	p := &alert.Post{ID: "incident-7", Title: "QA automation does not answer", Body: fmt.Sprintf("Post %d.", seq), Status: status, Components: components, By: "ana"}
	return alert.Notification{Key: "9f86d081", Seq: seq, Kind: alert.KindPost, Title: p.Title, Text: p.Body, Post: p, Prior: prior, At: time.Now()}
}

func TestNotifier(t *testing.T) {
	alerttest.TestNotifier(t, alerttest.NotifierHarness{Run: synctest.Test, New: func(t testing.TB) alerttest.NotifierCase {
		service, n := fresh(t)
		return alerttest.NotifierCase{
			Notifier: n, Messages: func() []string { return texts(service) }, Conversations: func() int { return len(service.Incidents()) },
			Fail:       func(next ...alerttest.Fault) bool { service.Fail(next...); return true },
			Recognises: true, Post: true, Secrets: []string{apiKey},
		}
	}})
}

// Requirement: AL-STATUSPAGE-RATE
func TestOneRequestASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, n := fresh(t)
		began := time.Now()
		var prior alert.Receipt
		for i := range 70 {
			r, err := n.Notify(t.Context(), note(i+1, "investigating", prior, nil))
			require.NoError(t, err, "request %d", i+1)
			prior = r
		}
		assert.Equal(t, 69*time.Second, time.Since(began))
		assert.Len(t, service.Requests(), 70)

		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := n.Notify(ctx, note(71, "investigating", prior, nil))
		assert.ErrorIs(t, err, alert.ErrLimited, "it does not wait for longer than it may")
		assert.True(t, runbook.SafeToRetry(err))
		assert.Len(t, service.Requests(), 70)
	})
}

// Another program uses the key as well: 420 means what 429 means.
//
// Requirement: AL-STATUSPAGE-RATE
func TestEnhanceYourCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, n := fresh(t)
		for range 60 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.statuspage.io/v1/pages/"+pageID+"/incidents", nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "OAuth "+apiKey)
			resp, err := service.Client().Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
		_, err := n.Notify(t.Context(), note(1, "investigating", "", nil))
		require.ErrorIs(t, err, alert.ErrLimited)
		assert.ErrorContains(t, err, "420")
		time.Sleep(time.Minute)
		_, err = n.Notify(t.Context(), note(1, "investigating", "", nil))
		require.NoError(t, err)
	})
}

// Requirement: AL-STATUSPAGE-TWICE
func TestOpenIncidentsAreListedFirst(t *testing.T) {
	for status, list := range map[string]string{"investigating": "/unresolved", "scheduled": "/scheduled", "in_progress": "/active_maintenance", "resolved": ""} {
		t.Run(status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service, n := fresh(t)
				first := note(1, status, "", map[string]string{"QA automation": "under_maintenance"})
				first.Post.From, first.Post.To = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
				other := first
				other.Key = "another"
				_, err := n.Notify(t.Context(), other)
				require.NoError(t, err)
				service.Fail(alerttest.Lost)
				_, err = n.Notify(t.Context(), first)
				require.False(t, runbook.SafeToRetry(err))
				require.Len(t, service.Incidents(), 2)

				first.PossibleRepeat = true
				receipt, err := n.Notify(t.Context(), first)
				require.NoError(t, err)
				require.Len(t, service.Incidents(), 2)
				assert.Contains(t, string(receipt), service.Incidents()[1].ID)
				assert.Len(t, service.Incidents()[1].Updates, 1)
				assert.Contains(t, service.Requests(), "GET /v1/pages/"+pageID+"/incidents"+list)
			})
		})
	}
}

// An update whose answer was lost is not written on the public page again.
//
// Requirement: AL-STATUSPAGE-TWICE
func TestUpdateIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, n := fresh(t)
		prior, err := n.Notify(t.Context(), note(1, "investigating", "", map[string]string{"QA automation": "major_outage"}))
		require.NoError(t, err)
		for _, fault := range []alerttest.Fault{alerttest.LateError, alerttest.Reset} {
			update := note(2, "identified", prior, nil)
			update.Post.Body = fmt.Sprint("with fault ", fault)
			service.Fail(fault)
			_, err = n.Notify(t.Context(), update)
			require.Error(t, err)
			update.PossibleRepeat = true
			prior, err = n.Notify(t.Context(), update)
			require.NoError(t, err)
		}
		assert.Equal(t, []string{"Post 1.", "with fault 5", "with fault 7"}, texts(service))
		_, err = n.Notify(t.Context(), note(3, "resolved", prior, nil))
		require.NoError(t, err)
		assert.Equal(t, "operational", service.Component(app), "what was changed is known still")
	})
}

func TestComponents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, n := fresh(t)
		prior, err := n.Notify(t.Context(), note(1, "investigating", "", map[string]string{"QA automation": "major_outage", "Canvas": "degraded_performance"}))
		require.NoError(t, err)
		assert.Equal(t, "major_outage", service.Component(app))
		assert.Equal(t, "Post 1.\n\nAlso concerned: Canvas (degraded performance).", texts(service)[0])
		prior, err = n.Notify(t.Context(), note(2, "monitoring", prior, map[string]string{"QA automation": "partial_outage", "Grade sync": "degraded_performance"}))
		require.NoError(t, err)
		assert.Equal(t, "partial_outage", service.Component(app))
		_, err = n.Notify(t.Context(), note(3, "resolved", prior, map[string]string{"Grade sync": "degraded_performance"}))
		require.NoError(t, err)
		assert.Equal(t, "operational", service.Component(app), "it is over, and the post does not name it")
		assert.Equal(t, "degraded_performance", service.Component(grades), "the post says otherwise")
		assert.Equal(t, []string{app, grades}, service.Incidents()[0].Concerned)
	})
}

func TestMaintenance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, n := fresh(t, func(c *statuspageio.Config) { c.Silent = true })
		planned := note(1, "scheduled", "", map[string]string{"QA automation": "under_maintenance"})
		_, err := n.Notify(t.Context(), planned)
		require.ErrorIs(t, err, alert.ErrRefused)
		assert.ErrorContains(t, err, "from and to")
		sydney := time.FixedZone("AEDT", 11*60*60)
		planned.Post.From, planned.Post.To = time.Date(2026, 10, 10, 2, 0, 0, 0, sydney), time.Date(2026, 10, 10, 6, 0, 0, 0, sydney)
		prior, err := n.Notify(t.Context(), planned)
		require.NoError(t, err)
		i := service.Incidents()[0]
		assert.Equal(t, time.Date(2026, 10, 9, 15, 0, 0, 0, time.UTC), *i.ScheduledFor)
		assert.Equal(t, time.Date(2026, 10, 9, 19, 0, 0, 0, time.UTC), *i.ScheduledUntil)
		assert.True(t, i.Quiet)
		assert.Equal(t, "operational", service.Component(app), "it works until it begins")
		prior, err = n.Notify(t.Context(), note(2, "in_progress", prior, map[string]string{"QA automation": "under_maintenance"}))
		require.NoError(t, err)
		assert.Equal(t, "under_maintenance", service.Component(app))
		_, err = n.Notify(t.Context(), note(3, "completed", prior, nil))
		require.NoError(t, err)
		assert.Equal(t, "operational", service.Component(app))
		assert.Equal(t, "completed", service.Incidents()[0].Status)
	})
}

func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, n := fresh(t)
		badState := note(1, "investigating", "", map[string]string{"QA automation": "broken"})
		badReceipt := note(1, "identified", "12", nil)
		alerts := alert.Notification{Key: "k", Kind: alert.KindFiring, Title: "x", Alerts: []alert.Alert{story.Down(time.Now())}}
		for _, n2 := range []alert.Notification{badState, badReceipt, alerts, note(1, "", "", nil)} {
			_, err := n.Notify(t.Context(), n2)
			assert.ErrorIs(t, err, alert.ErrRefused)
		}
		assert.Empty(t, service.Requests(), "nothing of it was sent")
		_, err := n.Notify(t.Context(), note(1, "identified", `{"id":"gone"}`, nil))
		require.ErrorIs(t, err, alert.ErrRefused)
		assert.ErrorContains(t, err, "Incident not found")
		long := note(1, "investigating", "", nil)
		long.Post.Title, long.Post.Body = strings.Repeat("é", 300), strings.Repeat("é", 30_000)
		_, err = n.Notify(t.Context(), long)
		require.NoError(t, err)
	})
}

// A test shows nothing to the public, and finds a wrong key.
func TestTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, key := range map[string]string{"right": apiKey, "wrong": "another"} {
			service, n := fresh(t, func(c *statuspageio.Config) { c.APIKey = runbook.NewSecret(key) })
			r, err := alert.NewRouter(alert.RouterConfig{
				Targets: []alert.Target{{Name: "page", Notifier: n, Audience: alert.Everyone}, {Name: "mail", Notifier: &alerttest.Recorder{}}},
				Routes:  []alert.Route{{Name: "all", Targets: []string{"mail"}}},
			})
			require.NoError(t, err)
			err = r.Test(t.Context(), "page", "ana")
			if name == "right" {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, alert.ErrRefused)
				assert.ErrorContains(t, err, "Could not authenticate")
			}
			assert.Empty(t, service.Incidents())
		}
	})
}

// An incident from its first post to its last, as the public reads it.
func TestGolden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, time.October, 5, 3, 20, 0, 0, time.UTC)))
		service, n := fresh(t)
		r, err := alert.NewRouter(alert.RouterConfig{
			Targets: []alert.Target{{Name: "page", Notifier: n, Audience: alert.Everyone}, {Name: "mail", Notifier: &alerttest.Recorder{}}},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"mail"}}},
		})
		require.NoError(t, err)
		require.NoError(t, r.Start(t.Context()))
		defer func() { assert.NoError(t, r.Stop(context.WithoutCancel(t.Context()))) }()
		posts := []alert.Post{
			{Status: "investigating", Body: "Checks of courses do not start. We look into it, and write again by 04:00 UTC.", Components: map[string]string{"QA automation": "major_outage", "Canvas": "degraded_performance"}},
			{Status: "identified", Body: "A release of this night is the cause. We take it back.", Components: map[string]string{"QA automation": "partial_outage"}},
			{Status: "resolved", Body: "Checks run again. Those that were started since 03:00 UTC run by themselves.", Last: true},
		}
		var b strings.Builder
		for _, p := range posts {
			p.ID, p.Title, p.By = "incident-7", "QA automation does not answer", "ana"
			require.NoError(t, r.Post(t.Context(), p))
			time.Sleep(10 * time.Minute)
			i := service.Incidents()[0]
			fmt.Fprintf(&b, "=== %s (%s)\n%s: %s\ncomponent QA automation: %s\n\n", i.Name, i.Status, i.Updates[0].CreatedAt.UTC().Format("15:04"), i.Updates[0].Body, service.Component(app))
		}
		require.Len(t, service.Incidents(), 1)
		story.Golden(t, "incident.txt", b.String())
	})
}

func TestNew(t *testing.T) {
	_, err := statuspageio.New(statuspageio.Config{URL: "http://x", PerSecond: -1, Components: map[string]string{"app": ""}})
	for _, text := range []string{"URL", "Page", "APIKey", "PerSecond", `component "app"`} {
		assert.ErrorContains(t, err, text)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The published example of a list has no incident of ours.
func TestPublishedExample(t *testing.T) {
	list, err := os.ReadFile("testdata/incidents.json")
	require.NoError(t, err)
	created := false
	n, err := statuspageio.New(statuspageio.Config{
		Page: pageID, APIKey: runbook.NewSecret(apiKey), PerSecond: 1000,
		HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body := string(list)
			if r.Method == http.MethodPost {
				created, body = true, `{"id":"p31zjtct2jer"}`
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})},
	})
	require.NoError(t, err)
	first := note(1, "scheduled", "", nil)
	first.PossibleRepeat, first.Post.From, first.Post.To = true, time.Now(), time.Now().Add(time.Hour)
	receipt, err := n.Notify(t.Context(), first)
	require.NoError(t, err)
	assert.True(t, created)
	assert.Equal(t, alert.Receipt(`{"id":"p31zjtct2jer"}`), receipt)
}

// FuzzReceipt feeds receipts, which come from a store.
func FuzzReceipt(f *testing.F) {
	for _, r := range []string{`{"id":"x"}`, `{"id":"../..","components":["a"]}`, `{`, `[]`, `{"id":1}`} {
		f.Add(r)
	}
	f.Fuzz(func(t *testing.T, receipt string) {
		n, err := statuspageio.New(statuspageio.Config{
			Page: pageID, APIKey: runbook.NewSecret(apiKey), PerSecond: 1e6,
			HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if !strings.HasPrefix(r.URL.EscapedPath(), "/v1/pages/"+pageID+"/incidents") {
					t.Errorf("%s is asked for", r.URL.EscapedPath())
				}
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"id":"x"}`)), Request: r}, nil
			})},
		})
		require.NoError(t, err)
		again, err := n.Notify(t.Context(), note(2, "resolved", alert.Receipt(receipt), nil))
		if err != nil {
			assert.ErrorIs(t, err, alert.ErrRefused)
			return
		}
		assert.NotEmpty(t, again)
	})
}

// Whoever prints the notifier, in a log or in the diff of a test, does not print its key.
//
// Requirement: AL-SEND-SECRET
func TestPrintsNoSecret(t *testing.T) {
	_, n := fresh(t)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", n, n, n), apiKey)
}

// What a host does with its configuration afterwards changes nothing, and what cannot be is
// said at once.
func TestConfigIsCopied(t *testing.T) {
	components := map[string]string{"QA automation": app}
	service, n := fresh(t, func(c *statuspageio.Config) { c.Components = components })
	delete(components, "QA automation")
	_, err := n.Notify(t.Context(), note(1, "investigating", "", map[string]string{"QA automation": "major_outage"}))
	require.NoError(t, err)
	assert.Equal(t, "major_outage", service.Components[app])
	_, err = statuspageio.New(statuspageio.Config{Page: pageID, APIKey: runbook.NewSecret(apiKey), PerSecond: math.NaN(), Timeout: -1})
	assert.EqualError(t, err, "statuspageio: PerSecond is negative, or no number\nstatuspageio: Timeout is negative")
}
