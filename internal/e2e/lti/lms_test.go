package lti_test

import (
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"sync"

	"go.acu.edu.au/runbook/lti/ltitest"
)

// A scenario is what the platform does while a tool is opened.
type scenario struct {
	// Frames is how many frames of the tool the course page has. More are added by
	// the page's function add.
	Frames int
	// Message is what is opened.
	Message ltitest.Message
	// Storage is how the course page answers messages to the platform's storage, a
	// name in course.html. Empty means that the platform has none.
	Storage string
	// Post is how the page with the answer posts it, a name in answer.html. Empty
	// means at once.
	Post string
	// SignedOut says that the user is not signed in.
	SignedOut bool
}

// forwarding is the frame of Canvas' storage.
const forwarding = "post_message_forwarding"

// An lms is a Canvas as browsers see it: pages around the platform in memory,
// which does everything else.
type lms struct {
	ltitest.Platform

	mu        sync.Mutex
	scenario  scenario
	responses []ltitest.Response
	released  bool
	posts     []string // addresses to which a form was posted
}

var (
	//go:embed course.html
	courseText string
	//go:embed answer.html
	answerText string

	lmsPages = template.Must(template.Must(template.New("course").Parse(courseText)).New("answer").Parse(answerText))
)

func newLMS(mux *http.ServeMux) *lms {
	l := &lms{Platform: ltitest.Platform{Canvas: true}}
	for _, host := range []string{courseHost, ssoHost} {
		mux.HandleFunc(host+"/", l.rest)
	}
	mux.HandleFunc(courseHost+"/courses/1", l.course)
	mux.HandleFunc(courseHost+"/courses/1/external_tools/7", l.begin)
	mux.HandleFunc(ssoHost+"/"+forwarding, l.forward)
	mux.HandleFunc(ssoHost+"/api/lti/authorize_redirect", l.redirect)
	mux.HandleFunc(courseHost+"/api/lti/authorize", l.answer)
	mux.HandleFunc(courseHost+"/released", l.wait)
	return l
}

// rest is what the platform in memory does by itself.
func (l *lms) rest(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		l.mu.Lock()
		l.posts = append(l.posts, "https://"+r.Host+r.RequestURI)
		l.mu.Unlock()
	}
	l.ServeHTTP(w, r)
}

// posted returns the addresses to which forms were posted.
func (l *lms) posted() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.posts
}

// install registers the tool.
func (l *lms) install(h *host) {
	tool := l.AddTool(ltitest.Tool{
		ClientID: clientID, LoginURL: "https://" + toolHost + "/lti/login", RedirectURIs: []string{"https://" + toolHost + "/lti/launch"},
		TargetLinkURI: "https://" + toolHost + "/app", JWKSURL: "https://" + toolHost + "/.well-known/jwks.json", Handler: h.handler,
	})
	h.start(&l.Platform, tool)
}

func (l *lms) forget() { l.plan(scenario{}) }

func (l *lms) plan(s scenario) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.scenario, l.responses, l.released, l.posts = s, nil, false, nil
}

func (l *lms) now() scenario {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scenario
}

// release lets pages that hold an answer back post it.
func (l *lms) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released = true
}

// answers returns what was given to the browser to post.
func (l *lms) answers() []ltitest.Response {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.responses
}

func show(w http.ResponseWriter, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err := lmsPages.ExecuteTemplate(w, name, data); err != nil {
		panic(err)
	}
}

const lmsSession = "canvas_session"

// course is the page that has the tool in frames.
func (l *lms) course(w http.ResponseWriter, _ *http.Request) {
	s := l.now()
	if !s.SignedOut {
		http.SetCookie(w, &http.Cookie{Name: lmsSession, Value: "1", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode})
	}
	show(w, "course", map[string]any{
		"Frames": s.Frames, "Storage": s.Storage, "Forwarding": forwarding, "SSO": "https://" + ssoHost, "Tool": "https://" + toolHost, "Other": "https://" + otherHost,
	})
}

// begin is what a frame loads: a page that posts the login initiation.
func (l *lms) begin(w http.ResponseWriter, _ *http.Request) {
	s := l.now()
	if s.Storage != "" {
		s.Message.StorageTarget = forwarding
	}
	show(w, "answer", map[string]any{"Action": "https://" + toolHost + "/lti/login", "Fields": l.Login(s.Message), "Post": ""})
}

// forward is the frame that makes messages to the sign-in domain ones to the
// course page, as Canvas has it.
func (l *lms) forward(w http.ResponseWriter, _ *http.Request) {
	show(w, "forward", map[string]any{"Course": "https://" + courseHost})
}

// redirect is the authentication endpoint. The session is a cookie of the school,
// so it goes there.
func (l *lms) redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "https://"+courseHost+"/api/lti/authorize?"+r.URL.RawQuery, http.StatusFound)
}

func (l *lms) answer(w http.ResponseWriter, r *http.Request) {
	var response ltitest.Response
	if _, err := r.Cookie(lmsSession); err == nil {
		if response, err = l.Authorize("https://" + ssoHost + "/api/lti/authorize_redirect?" + r.URL.RawQuery); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	} else {
		response = ltitest.Response{RedirectURI: r.FormValue("redirect_uri"), Form: url.Values{
			"state": {r.FormValue("state")}, "error": {"login_required"}, "error_description": {"Must have an active user session"},
		}}
	}
	l.mu.Lock()
	l.responses = append(l.responses, response)
	post := l.scenario.Post
	l.mu.Unlock()
	show(w, "answer", map[string]any{"Action": response.RedirectURI, "Fields": response.Form, "Post": post})
}

// wait tells pages whether they may go on.
func (l *lms) wait(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.released {
		_, _ = w.Write([]byte("wait"))
		return
	}
	_, _ = w.Write([]byte("go"))
}
