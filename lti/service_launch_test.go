package lti_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ags"
	"go.acu.edu.au/runbook/lti/ltitest"
	"go.acu.edu.au/runbook/lti/nrps"
	"go.acu.edu.au/runbook/lti/pns"
)

const toolHost = "https://qa.example.edu"

// A launched is a tool that was launched at a platform, with its services.
type launched struct {
	p       *ltitest.Platform
	tool    ltitest.Tool
	launch  *lti.Launch
	service *lti.Service
	notices []string // ids of those stored
}

// launchAt installs a tool at a platform, and launches it as the student.
func launchAt(t *testing.T, p *ltitest.Platform) *launched {
	t.Helper()
	l := &launched{p: p}
	mux := http.NewServeMux()
	l.tool = p.AddTool(ltitest.Tool{
		LoginURL: toolHost + "/lti/login", RedirectURIs: []string{toolHost + "/lti/launch"}, TargetLinkURI: toolHost + "/lti/course",
		JWKSURL: toolHost + "/jwks.json", Handler: mux,
	})
	e := p.Endpoints()
	registration := lti.Registration{
		Issuer: e.Issuer, ClientID: l.tool.ClientID, AuthURL: e.AuthURL, JWKSURL: e.JWKSURL, Deployments: l.tool.Deployments,
		TokenURL: strings.Replace(e.TokenURL, e.ServiceHost, "{host}", 1), ServiceHosts: []string{e.ServiceHost},
	}
	tool, err := lti.New(lti.Config{
		LaunchURL: toolHost + "/lti/launch", StateKeys: []runbook.Secret{runbook.NewSecret(strings.Repeat("k", 32))},
		Registrations: []lti.Registration{registration}, HTTP: p.Client(),
	})
	require.NoError(t, err)
	l.service, err = lti.NewService(lti.ServiceConfig{Registration: registration, Keys: serviceKeys(t), HTTP: p.Client()})
	require.NoError(t, err)
	receiver, err := pns.NewReceiver(pns.ReceiverConfig{
		Verify: tool.VerifyNotice,
		Handle: func(_ context.Context, n lti.Notice) error {
			l.notices = append(l.notices, n.ID)
			return nil
		},
	})
	require.NoError(t, err)
	mux.Handle("/lti/login", tool.LoginHandler())
	mux.Handle("/lti/launch", tool.LaunchHandler(func(w http.ResponseWriter, r *http.Request, in *lti.Launch) {
		l.launch = in
		http.Redirect(w, r, "/session", http.StatusSeeOther)
	}))
	mux.Handle("/jwks.json", serviceKeys(t).Handler())
	mux.Handle("POST /lti/notices", receiver)
	resp, err := p.Launch(t.Context(), nil, ltitest.Message{User: ltitest.Student})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NotNil(t, l.launch, "status %d", resp.StatusCode)
	return l
}

// onPlatforms runs a test for a hosted Canvas, and for a platform that is awkward
// in other ways.
func onPlatforms(t *testing.T, test func(t *testing.T, l *launched)) {
	serviceKeys(t)
	for name, canvas := range map[string]bool{"Canvas": true, "another platform": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, launchAt(t, &ltitest.Platform{Canvas: canvas})) })
		})
	}
}

// requests returns what the platform got at an endpoint.
func (l *launched) requests(e ltitest.Endpoint) (out []ltitest.Request) {
	for _, r := range l.p.Requests() {
		if r.Endpoint == e {
			out = append(out, r)
		}
	}
	return out
}

// Requirement: LTI-CERT-N1, LTI-CERT-N2, LTI-CERT-N3, LTI-CERT-N4, LTI-CERT-N5, LTI-GOTCHA-25, LTI-CANVAS-TOKEN-HOST, LTI-CANVAS-USER-AGENT, LTI-SERVICE-STATUS-DEFAULT
func TestMembersAfterLaunch(t *testing.T) {
	onPlatforms(t, func(t *testing.T, l *launched) {
		require.NotNil(t, l.launch.NRPS, "the claim")
		people, err := nrps.New(nrps.Config{Service: l.service, URL: l.launch.NRPS.URL})
		require.NoError(t, err)
		list := people.List(&nrps.Options{Limit: 2})
		found := make(map[string]nrps.Status)
		for m, err := range list.Members(t.Context()) {
			require.NoError(t, err)
			found[m.UserID] = m.Status
		}
		assert.Equal(t, nrps.Active, found[ltitest.Instructor])
		assert.Equal(t, nrps.Active, found[l.launch.Subject])
		assert.Equal(t, l.launch.Context.ID, list.Context().ID)
		got := l.requests(ltitest.Memberships)
		require.NotEmpty(t, got)
		for _, r := range got {
			assert.Equal(t, "200 application/vnd.ims.lti-nrps.v2.membershipcontainer+json", fmt.Sprint(r.Status, " ", r.Accept))
			assert.NotEmpty(t, r.UserAgent)
		}
		require.Len(t, l.requests(ltitest.TokenEndpoint), 1)
		assert.Equal(t, l.p.Endpoints().ServiceHost, l.requests(ltitest.TokenEndpoint)[0].Host)
	})
}

// Requirement: LTI-CERT-A1, LTI-GOTCHA-26, LTI-SERVICE-PATH
func TestGradesAfterLaunch(t *testing.T) {
	onPlatforms(t, func(t *testing.T, l *launched) {
		require.NotNil(t, l.launch.AGS, "the claim")
		grades, err := ags.New(ags.Config{Service: l.service, Scopes: l.launch.AGS.Scopes, LineItems: l.launch.AGS.LineItems, LineItem: l.launch.AGS.LineItem})
		require.NoError(t, err)
		var made []ags.LineItem
		for i := range 3 {
			item, err := grades.CreateLineItem(t.Context(), ags.LineItem{Label: fmt.Sprint("Practical ", i), ScoreMaximum: 20, ResourceID: "practical", Tag: fmt.Sprint("t", i)})
			require.NoError(t, err)
			made = append(made, item)
		}
		made[0].Label = "Practical 0, corrected"
		changed, err := grades.UpdateLineItem(t.Context(), made[0])
		require.NoError(t, err)
		assert.Equal(t, "Practical 0, corrected", changed.Label)
		require.NoError(t, grades.DeleteLineItem(t.Context(), made[2].ID))
		var labels []string
		for item, err := range grades.LineItems(t.Context(), &ags.LineItemsOptions{ResourceID: "practical", Limit: 1}) {
			require.NoError(t, err)
			labels = append(labels, item.Label)
		}
		assert.Equal(t, []string{"Practical 0, corrected", "Practical 1"}, labels)

		for given := range 3 { // at the same moment of the clock
			require.NoError(t, grades.PostScore(t.Context(), made[0].ID, ags.Score{
				UserID: l.launch.Subject, Given: ags.Points(float64(given)), Maximum: 10, ActivityProgress: ags.Completed, GradingProgress: ags.FullyGraded,
			}))
		}
		var results []ags.Result
		for r, err := range grades.Results(t.Context(), made[0].ID, &ags.ResultsOptions{UserID: l.launch.Subject}) {
			require.NoError(t, err)
			results = append(results, r)
		}
		require.Len(t, results, 1)
		require.NotNil(t, results[0].Score)
		assert.InDelta(t, 0.2, *results[0].Score/results[0].Maximum, 1e-9, "the last one counts")
		_, err = grades.GetLineItem(t.Context(), made[2].ID)
		require.ErrorIs(t, err, lti.ErrNotFound)
		assert.Len(t, l.requests(ltitest.TokenEndpoint), 1, "one token for everything")
	})
}

// The answer to a score is lost: nobody knows, and it is not sent again. Tokens
// that end before their time are replaced.
func TestServiceFaults(t *testing.T) {
	onPlatforms(t, func(t *testing.T, l *launched) {
		grades, err := ags.New(ags.Config{Service: l.service, Scopes: l.launch.AGS.Scopes, LineItems: l.launch.AGS.LineItems})
		require.NoError(t, err)
		item, err := grades.CreateLineItem(t.Context(), ags.LineItem{Label: "Practical", ScoreMaximum: 20})
		require.NoError(t, err)
		score := ags.Score{UserID: l.launch.Subject, ActivityProgress: ags.Started, GradingProgress: ags.NotReady}
		for _, f := range []ltitest.Fault{
			{Endpoint: ltitest.Scores, Reset: true, Effect: true}, {Endpoint: ltitest.Scores, Status: 502, Effect: true},
		} {
			l.p.ResetLog()
			l.p.Inject(f)
			err := grades.PostScore(t.Context(), item.ID, score)
			require.ErrorIs(t, err, lti.ErrUnknownOutcome)
			assert.False(t, runbook.SafeToRetry(err))
			assert.Len(t, l.requests(ltitest.Scores), 1)
		}
		l.p.RevokeTokens()
		require.NoError(t, grades.PostScore(t.Context(), item.ID, score))

		l.p.RevokeTokens()
		l.p.Inject(ltitest.Fault{Endpoint: ltitest.TokenEndpoint, Status: 503, Times: -1})
		err = grades.PostScore(t.Context(), item.ID, score)
		require.ErrorIs(t, err, lti.ErrUnavailable)
		assert.True(t, runbook.SafeToRetry(err), "without a token it was not sent, and 401 is proof")
		l.p.ClearFaults()
		time.Sleep(time.Minute)
		require.NoError(t, grades.PostScore(t.Context(), item.ID, score))
	})
}

// Clocks that differ by half a minute do no harm.
//
// Requirement: LTI-GOTCHA-25
func TestServiceClocks(t *testing.T) {
	for _, skew := range []time.Duration{-30 * time.Second, 30 * time.Second} {
		onPlatforms(t, func(t *testing.T, l *launched) {
			l.p.SetClockSkew(skew)
			_, err := l.service.Token(t.Context(), l.launch.NRPS.URL, nrps.Scope)
			require.NoError(t, err, "%v", skew)
		})
	}
}

// Requirement: LTI-GOTCHA-29, LTI-SERVICE-NOTICE-ONCE
func TestNoticesAfterLaunch(t *testing.T) {
	onPlatforms(t, func(t *testing.T, l *launched) {
		require.NotNil(t, l.launch.PNS, "the claim")
		client, err := pns.New(pns.Config{Service: l.service, URL: l.launch.PNS.URL})
		require.NoError(t, err)
		require.ErrorIs(t, l.p.SendNotices(t.Context(), nil, ltitest.Notice{Type: pns.ContextCopy}), ltitest.ErrNoHandler)
		require.NoError(t, client.Register(t.Context(), pns.ContextCopy, toolHost+"/lti/notices"))
		require.ErrorIs(t, client.Register(t.Context(), pns.ContextCopy, "https://elsewhere.test/notices"), lti.ErrInvalid)
		registered, err := client.Handlers(t.Context())
		require.NoError(t, err)
		assert.Contains(t, registered, pns.Handler{Type: pns.ContextCopy, URL: toolHost + "/lti/notices"})

		copied := func(id string) ltitest.Notice { return ltitest.Notice{Type: pns.ContextCopy, ID: id} }
		require.NoError(t, l.p.SendNotices(t.Context(), nil, copied("a"), copied("b"), copied("a")))
		assert.Equal(t, []string{"a", "b"}, l.notices, "the one that came twice was stored once")
		forged := copied("c")
		forged.Signing.Key = ltitest.AttackerKey()
		require.ErrorContains(t, l.p.SendNotices(t.Context(), nil, forged, copied("d")), "status 400")
		assert.Equal(t, []string{"a", "b", "d"}, l.notices, "the good one was stored")
		require.ErrorContains(t, l.p.SendNotices(t.Context(), nil, forged), "status 401")

		require.NoError(t, client.Unregister(t.Context(), pns.ContextCopy))
		require.ErrorIs(t, l.p.SendNotices(t.Context(), nil, copied("e")), ltitest.ErrNoHandler)
	})
}
