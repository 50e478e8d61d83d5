package ltitest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.acu.edu.au/runbook/lti/ltitest"
)

// FuzzAuthorize: no authentication request of a stranger makes the platform
// panic, and none gets a token, since it has no hint of a login.
func FuzzAuthorize(f *testing.F) {
	w := newWorld(f, &ltitest.Platform{Canvas: true})
	good := w.p.AuthRequest(w.p.Login(ltitest.Message{}), launchURL, "s", "n", map[string]string{"lti_message_hint": "x"})
	f.Add(good)
	f.Add(strings.Replace(good, "openid", "%zz", 1))
	f.Add(w.p.Endpoints().AuthURL + "?client_id=1&client_id=2")
	f.Add("https://sso.test.canvaslms.com:x/")
	f.Fuzz(func(t *testing.T, address string) {
		answer, err := w.p.Authorize(address)
		if err == nil && (answer.Form.Get("id_token") != "" || answer.RedirectURI != launchURL) {
			t.Fatalf("%q was answered with %v", address, answer)
		}
		_, query, _ := strings.Cut(address, "?")
		r := httptest.NewRequest(http.MethodPost, "https://sso.test.canvaslms.com/api/lti/authorize_redirect", strings.NewReader(query))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		page := httptest.NewRecorder()
		w.p.ServeHTTP(page, r)
		if strings.Contains(page.Body.String(), "id_token") {
			t.Fatalf("%q was answered with a token", query)
		}
	})
}

// FuzzAssertion: no assertion that the tool did not sign gets a token.
func FuzzAssertion(f *testing.F) {
	w := newWorld(f, &ltitest.Platform{})
	claims := w.assertion()
	f.Add(sign(f, claims, nil, ltitest.AttackerKey()))
	f.Add(sign(f, claims, map[string]any{"alg": "none"}, ltitest.ToolKey(0)))
	f.Add("e30.e30.")
	f.Add("bnVsbA.bnVsbA.AA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, assertion string) {
		form := url.Values{
			"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion": {assertion}, "scope": {ltitest.ScopeScore},
		}
		r := httptest.NewRequest(http.MethodPost, w.p.Endpoints().TokenURL, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := httptest.NewRecorder()
		w.p.ServeHTTP(answer, r)
		if answer.Code == http.StatusOK {
			t.Fatalf("granted: %s", assertion)
		}
	})
}

// FuzzServices: no body makes a service panic.
func FuzzServices(f *testing.F) {
	w := newWorld(f, &ltitest.Platform{Canvas: true})
	auth := w.bearer()
	item := w.p.AddLineItem("", "", ltitest.LineItem{Label: "x", ScoreMaximum: 1})
	handlers := text(object(w.claims(ltitest.Message{}), ltiClaim+"platformnotificationservice"), "platform_notification_service_url")
	f.Add(`{"label":"x","scoreMaximum":1}`)
	f.Add(`{"userId":"` + ltitest.Student + `","scoreGiven":1,"scoreMaximum":1,"activityProgress":"Completed","gradingProgress":"FullyGraded","timestamp":"2026-01-01T00:00:00.001Z"}`)
	f.Add(`{"notice_type":"LtiHelloWorldNotice","handler":"https://qa.example.edu/"}`)
	f.Add(`null`)
	f.Add(`{"label":[],"scoreMaximum":1e999}`)
	f.Fuzz(func(t *testing.T, body string) {
		for address, kind := range map[string][2]string{
			item.ID: {http.MethodPut, lineItemType}, item.ID + "/scores": {http.MethodPost, scoreType}, handlers: {http.MethodPut, "application/json"},
		} {
			r := httptest.NewRequest(kind[0], address, strings.NewReader(body))
			r.Header.Set("Content-Type", kind[1])
			r.Header.Set("Authorization", auth)
			r.Header.Set("User-Agent", "fuzz")
			answer := httptest.NewRecorder()
			w.p.ServeHTTP(answer, r)
			if answer.Code >= 500 || answer.Code == http.StatusUnauthorized {
				t.Fatalf("%s: %d", address, answer.Code)
			}
		}
	})
}
