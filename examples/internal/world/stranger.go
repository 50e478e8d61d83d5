package world

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// Where the application asks Canvas from, and where somebody else does.
const (
	usualAddress    = "192.0.2.77"
	strangerAddress = "203.0.113.66"
)

// stranger lets somebody else use the token that belongs to the developer key, as it shows
// in Canvas: in the page views of its user, in the log of the courses, and by a sign-in from
// where nobody was before. Before that there is what is usual.
func (f *fault) stranger() {
	e := f.e
	user, course := e.tokenUser, e.testCourse
	view := func(at time.Time, address, method, path string) string {
		row := e.canvas.Add(canvastest.PageViews, user, canvastest.Object{
			"created_at": at, "app_name": "QA Automation", "url": "https://" + e.canvasAt + path, "http_method": method, "remote_ip": address,
			"user_agent": map[bool]string{true: "qa-automation/2.4.1", false: "python-requests/2.32"}[address == usualAddress],
			"links":      canvastest.Object{"user": user, "context": nil, "asset": nil, "real_user": nil, "account": canvastest.RootAccount},
		})
		id, _ := e.canvas.Get(canvastest.PageViews, row)["id"].(string)
		return id
	}
	for hours := 70; hours > 0; hours -= 2 {
		view(f.began.Add(-time.Duration(hours)*time.Hour), usualAddress, "GET", "/api/v1/courses")
	}
	signed := func(at time.Time, address string) {
		e.canvas.Add(canvastest.AuthenticationEvents, user, canvastest.Object{
			"created_at": at, "links": canvastest.Object{"login": nil, "account": canvastest.RootAccount, "user": user, "page_view": view(at, address, "POST", "/login/canvas")},
		})
	}
	signed(f.began.Add(-65*time.Hour), usualAddress)
	signed(f.began.Add(-4*time.Hour), strangerAddress)
	for minutes := 200; minutes > 0; minutes -= 10 {
		view(f.began.Add(-time.Duration(minutes)*time.Minute), strangerAddress, "GET", "/api/v1/accounts/1/users")
	}
	changed := f.began.Add(-30 * time.Minute)
	e.canvas.Add(canvastest.CourseEvents, course, canvastest.Object{
		"created_at": changed, "event_type": "updated", "event_source": "api", "links": canvastest.Object{
			"course": course, "user": user, "page_view": view(changed, strangerAddress, "PUT", "/api/v1/courses/1"), "copied_from": nil, "copied_to": nil, "sis_batch": nil, "account": canvastest.RootAccount,
		},
	})
}

// NewKey makes a new developer key for the tool in the Canvas of production, as an
// administrator does there, and returns its client id. It is no act of whoever is rehearsed.
// Made again, it is another one.
func (w *World) NewKey() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(time.Now())
	e := w.production
	id := developerKey + int64(len(e.newKeys)) + 1
	client := strconv.FormatInt(id, 10)
	e.canvas.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"id": id, "name": "QA Automation, new", "is_lti_key": true})
	base := "https://" + e.application
	e.platform.AddTool(ltitest.Tool{
		ClientID: client, LoginURL: base + "/lti/login", RedirectURIs: []string{base + "/lti/launch"}, TargetLinkURI: base + "/lti/launch",
		JWKSURL: base + "/.well-known/jwks.json", Handler: http.HandlerFunc(e.serve), Deployments: e.platform.Tools()[0].Deployments,
	})
	e.newKeys = append(e.newKeys, client)
	w.act(e.name, "key-made", client)
	return client
}

// configuredKey is the developer key with which the processes of the application launch: the
// one that was there first, unless they got another that there is.
func (e *environment) configuredKey() string {
	if id := e.app.run.variables[e.prefix()+"CLIENT_ID"]; slices.Contains(e.newKeys, id) {
		return id
	}
	return e.clientID
}

// keyWorks reports whether the developer key that the application uses is on.
func (e *environment) keyWorks() bool { return e.keyIsOn || e.configuredKey() != e.clientID }
