package lti_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

const clientID = "10000000000042"

// A host is a small application that has the tool.
type host struct {
	handler *http.ServeMux
	tool    *lti.Tool
	keys    *lti.KeyRing
	reg     lti.Registration

	mu       sync.Mutex
	posts    []post
	launches []*lti.Launch
	refusals []*lti.Refusal
	sessions map[string]*lti.Launch
	probes   []string      // names of the cookies that came back
	slow     time.Duration // how long a launch takes
}

// post is how a launch came.
type post struct {
	cookies int  // of launches
	asked   bool // after the platform's storage was asked
	stored  bool // with what was there
}

func newHost(mux *http.ServeMux) *host {
	h := &host{handler: http.NewServeMux(), sessions: make(map[string]*lti.Launch)}
	mux.Handle(toolHost+"/", h.handler)
	return h
}

// start makes the tool, once it is registered.
func (h *host) start(p *ltitest.Platform, registered ltitest.Tool) {
	h.reg = lti.CanvasRegistration(lti.CanvasTest, clientID, courseHost)
	h.reg.Deployments = registered.Deployments
	der, err := x509.MarshalPKCS8PrivateKey(ltitest.ToolKey(0))
	if err != nil {
		panic(err)
	}
	key := runbook.NewSecret(base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	if h.keys, err = lti.NewKeyRing(context.Background(), lti.KeyRingConfig{Keys: []runbook.Secret{key}}); err != nil {
		panic(err)
	}
	h.tool, err = lti.New(lti.Config{
		LaunchURL: "https://" + toolHost + "/lti/launch", StateKeys: []runbook.Secret{runbook.NewSecret(rand.Text() + rand.Text())},
		Registrations: []lti.Registration{h.reg}, HTTP: p.Client(), Keys: h.keys,
		Hooks: lti.Hooks{OnRefusal: func(_ context.Context, r *lti.Refusal) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.refusals = append(h.refusals, r)
		}},
	})
	if err != nil {
		panic(err)
	}
	h.handler.Handle("/lti/login", h.tool.LoginHandler())
	h.handler.Handle("/lti/launch", h.note(h.tool.LaunchHandler(h.launch)))
	h.handler.Handle("/.well-known/jwks.json", h.keys.Handler())
	h.handler.HandleFunc("/app", h.app)
	h.handler.HandleFunc("/me", h.me)
	h.handler.HandleFunc("POST /choose", h.choose)
	h.handler.HandleFunc("/probe/set", h.probe)
	h.handler.HandleFunc("/probe/get", h.probed)
}

func (h *host) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.posts, h.launches, h.refusals, h.probes, h.slow = nil, nil, nil, nil, 0
}

// locked returns what f returns, safely.
func locked[T any](h *host, f func() T) T {
	h.mu.Lock()
	defer h.mu.Unlock()
	return f()
}

func (h *host) accepted() int         { return locked(h, func() int { return len(h.launches) }) }
func (h *host) arrived() []post       { return locked(h, func() []post { return slices.Clone(h.posts) }) }
func (h *host) delay(d time.Duration) { locked(h, func() bool { h.slow = d; return true }) }

// reasons returns why launches were refused.
func (h *host) reasons() []lti.Reason {
	return locked(h, func() (all []lti.Reason) {
		for _, r := range h.refusals {
			all = append(all, r.Reason)
		}
		return all
	})
}

// note notes how launches come. An answer waits for as long as launches take,
// after the tool has made it.
func (h *host) note(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		form, bad := url.ParseQuery(string(body))
		if err != nil || bad != nil {
			http.Error(w, "not a form", http.StatusBadRequest)
			return
		}
		p := post{asked: form.Get("runbook_asked") != "", stored: form.Get("runbook_binding") != ""}
		for _, c := range r.Cookies() {
			if strings.HasPrefix(c.Name, "__Host-lti") {
				p.cookies++
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		time.Sleep(locked(h, func() time.Duration { h.posts = append(h.posts, p); return h.slow }))
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// launch begins a session.
func (h *host) launch(w http.ResponseWriter, r *http.Request, l *lti.Launch) {
	session := rand.Text()
	locked(h, func() bool { h.sessions[session] = l; h.launches = append(h.launches, l); return true })
	http.SetCookie(w, &http.Cookie{
		Name: "__Host-session", Value: session, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode, Partitioned: true,
	})
	code, err := h.tool.Handover(session)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, "/app?code="+url.QueryEscape(code), http.StatusSeeOther)
}

var appPage = template.Must(template.New("app").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Questions</title></head>
<body style="font-family: sans-serif; margin: 2rem">
{{if .Launch}}<h1>Questions</h1>
<p>Opened by {{.How}} for <span id="name">…</span></p>
{{if .Launch.DeepLinking}}<form method="post" action="/choose"><input type="hidden" name="session" value="{{.Session}}">
<button id="choose">Choose practical 1</button></form>{{end}}
<script nonce="{{.Nonce}}">
fetch("/me", {headers: {Authorization: "Bearer " + {{.Session}}}}).then((r) => r.text()).then((name) => { document.getElementById("name").textContent = name; });
</script>{{else}}<h1>Open the tool from your course</h1>{{end}}
</body></html>
`))

// app is the page of the application. Its session is in a cookie or, where there
// is none, behind the code.
func (h *host) app(w http.ResponseWriter, r *http.Request) {
	data := map[string]any{"Nonce": rand.Text()}
	if c, err := r.Cookie("__Host-session"); err == nil {
		data["Session"], data["How"] = c.Value, "cookie"
	} else if session, err := h.tool.Redeem(r.Context(), r.FormValue("code")); err == nil {
		data["Session"], data["How"] = session, "code"
	}
	if session, ok := data["Session"].(string); ok {
		data["Launch"] = h.session(session)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", fmt.Sprintf("script-src 'nonce-%s'; frame-ancestors %s", data["Nonce"], h.tool.FrameAncestors(h.reg)))
	if err := appPage.Execute(w, data); err != nil {
		panic(err)
	}
}

func (h *host) session(id string) *lti.Launch {
	return locked(h, func() *lti.Launch { return h.sessions[id] })
}

// me says who has a session, by the token that its page has.
func (h *host) me(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	l := h.session(token)
	if l == nil {
		http.Error(w, "no session", http.StatusUnauthorized)
		return
	}
	_, _ = w.Write([]byte(l.User.Name))
}

// choose answers a deep linking request.
func (h *host) choose(w http.ResponseWriter, r *http.Request) {
	l := h.session(r.FormValue("session"))
	if l == nil {
		http.Error(w, "no session", http.StatusUnauthorized)
		return
	}
	request, _ := l.DeepLinkingRequest()
	err := h.tool.RespondDeepLinking(w, r, request, lti.DeepLinkingReply{
		Items:   []lti.ContentItem{{Type: lti.ItemResourceLink, Title: `Practical 1 "cells" <&>`, Custom: map[string]string{"set": "p1"}}},
		Message: "Practical 1 was added",
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// probe sets two cookies in a frame, as tools did before and do now.
func (h *host) probe(w http.ResponseWriter, r *http.Request) {
	for _, c := range []*http.Cookie{{Name: "plain"}, {Name: "partitioned", Partitioned: true}} {
		c.Value, c.Path, c.Secure, c.SameSite = "1", "/", true, http.SameSiteNoneMode
		http.SetCookie(w, c)
	}
	http.Redirect(w, r, "/probe/get", http.StatusSeeOther)
}

// probed notes which of them came back.
func (h *host) probed(w http.ResponseWriter, r *http.Request) {
	names := []string{}
	for _, c := range r.Cookies() {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	locked(h, func() bool { h.probes = names; return true })
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<!DOCTYPE html><title>probe</title><p>cookies: %s.", strings.Join(names, ", "))
}
