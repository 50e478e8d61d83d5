package lti

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Pages for people and their browsers. They work in a frame of 320 pixels,
// without script except where the platform's storage is asked, and under a
// content security policy that allows nothing else.

//go:embed page.html
var pageText string

var pages = template.Must(template.New("page").Parse(pageText)) //nolint:gochecknoglobals // constant

// storageWait is how long a page waits for the platform's storage, in
// milliseconds: long where nothing else works, short where a cookie does. Mobile
// apps of Canvas never answer.
const (
	storageWait   = 2500
	storageGlance = 500
)

// A page is what the templates show.
type page struct {
	Nonce string // of the content security policy

	// Of an error.
	Title, Advice, Code, Platform string

	// Of a form that is posted at once.
	Action template.HTMLAttr
	Fields []field
	Button string

	// Of a page that asks the platform's storage.
	Next   string // where to go
	Again  string // the login once more, in a window of its own
	Script *storageScript
}

type field struct{ Name, Value string }

// action returns where a form is posted, letter by letter: html/template would
// encode some characters again. The address was checked; it is no script.
func action(address string) template.HTMLAttr {
	return template.HTMLAttr(`action="` + html.EscapeString(address) + `"`) //nolint:gosec // escaped
}

// storageScript are the values that the scripts need.
type storageScript struct {
	Target  string `json:"target"`  // the frame that has the storage
	Origin  string `json:"origin"`  // of the platform; nobody else is told or believed
	Key     string `json:"key"`     // of the value
	Value   string `json:"value"`   // what is put; empty where it is asked for
	Message string `json:"message"` // id of the message
	Next    string `json:"next"`    // where to go when it is done
	Wait    int    `json:"wait"`    // milliseconds
	Glance  int    `json:"glance"`  // milliseconds, where a cookie works
}

// frameHeaders sets what a page in a frame of the platform needs.
func (t *Tool) frameHeaders(w http.ResponseWriter, k *known) {
	h := w.Header()
	h.Set("Content-Security-Policy", "frame-ancestors "+t.ancestors(k))
	h["Cache-Control"], h["Referrer-Policy"] = noStore, noReferrer
}

// FrameAncestors returns who may show the tool's pages in a frame, for a
// registration: the value of frame-ancestors in Content-Security-Policy. Pages of
// the host need it as well; they must not send X-Frame-Options.
func (t *Tool) FrameAncestors(r Registration) string {
	return t.ancestors(&known{Registration: r, frames: t.framesOf(r)})
}

func (t *Tool) ancestors(k *known) string {
	if k != nil {
		return k.frames
	}
	return t.frames
}

// maxFrames is how long the sources of all registrations may be together: proxies
// refuse answers with long headers.
const maxFrames = 2 << 10

// framesOfAll returns who may show a page that belongs to no registration: an
// error, which has nothing to click on.
func (t *Tool) framesOfAll() string {
	all := append([]string{"'self'"}, t.cfg.FrameAncestors...)
	for _, k := range t.registrations {
		all = append(all, strings.Fields(k.frames)...)
	}
	slices.Sort(all)
	if sources := strings.Join(slices.Compact(all), " "); len(sources) <= maxFrames {
		return sources
	}
	return "'self' https:"
}

// framesOf returns the sources that may show the tool for a registration: the
// platform's hosts that it names, and for Canvas those of all institutions.
func (t *Tool) framesOf(r Registration) string {
	all := []string{"'self'"}
	add := func(source string) {
		if source != "" && !slices.Contains(all, source) {
			all = append(all, source)
		}
	}
	for _, address := range []string{r.Issuer, r.AuthURL, r.TokenURL} {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || !plainHost(u) {
			continue
		}
		add(u.Scheme + "://" + u.Host)
		if strings.HasSuffix(u.Hostname(), ".instructure.com") {
			add("https://*.instructure.com")
		}
	}
	for _, source := range t.cfg.FrameAncestors {
		add(source)
	}
	return strings.Join(all, " ")
}

// write answers with a page. formAction says where its form may lead.
func (t *Tool) write(w http.ResponseWriter, name string, status int, p page, k *known, formAction string) error {
	p.Nonce = rand.Text()
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, p); err != nil {
		return fmt.Errorf("lti: page %s: %w", name, err)
	}
	h := w.Header()
	h.Set("Content-Security-Policy", fmt.Sprintf(
		"default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; form-action %s; base-uri 'none'; frame-ancestors %s",
		p.Nonce, p.Nonce, formAction, t.ancestors(k)))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h["Cache-Control"], h["Referrer-Policy"] = noStore, noReferrer
	if name == "ask" {
		h["Referrer-Policy"] = sameOrigin // so that its post says its Origin
	}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser may be gone
	return nil
}

// storePage puts the secret of a login into the platform's storage, and goes on
// to the platform.
func (t *Tool) storePage(w http.ResponseWriter, r *http.Request, k *known, l *login, s *state, secret binding, next string) {
	again := url.Values{"iss": {l.issuer}, "login_hint": {l.hint}, "target_link_uri": {l.target}}
	for name, value := range map[string]string{"lti_message_hint": l.messageHint, "client_id": l.clientID} {
		if value != "" {
			again.Set(name, value)
		}
	}
	err := t.write(w, "store", http.StatusOK, page{
		Next: next, Again: "?" + again.Encode(),
		Script: &storageScript{
			Target: s.storage, Origin: originOf(k.AuthURL), Key: storageKey(s), Value: secret.String(), Message: rand.Text(),
			Next: next, Wait: storageWait, Glance: storageGlance,
		},
	}, k, "'none'")
	if err != nil {
		t.refused(w, r, &Refusal{Reason: ReasonHost, cause: err}, k)
	}
}

func storageKey(s *state) string { return "lti_" + s.id() }

// askPage reads the secret of a login from the platform's storage and posts the
// launch again with it: the comparison is made here, not in the browser.
func (t *Tool) askPage(w http.ResponseWriter, r *http.Request, k *known, s *state, f *launchForm) {
	fields := []field{{"state", f.state}, {fieldAsked, "1"}, {fieldBinding, ""}}
	for _, more := range []field{{"id_token", f.token}, {"error", f.errorCode}, {"error_description", f.errorText}} {
		if more.Value != "" {
			fields = append(fields, more)
		}
	}
	err := t.write(w, "ask", http.StatusOK, page{
		Action: action(t.cfg.LaunchURL), Fields: fields,
		Script: &storageScript{
			Target: s.storage, Origin: originOf(k.AuthURL), Key: storageKey(s), Message: rand.Text(), Wait: storageWait, Glance: storageWait,
		},
	}, k, strings.Join(t.targets, " ")+" https:") // the host may redirect anywhere, and browsers look at that too
	if err != nil {
		t.refused(w, r, &Refusal{Reason: ReasonHost, cause: err}, k)
	}
}

// respondPage posts a deep linking response.
func (t *Tool) respondPage(w http.ResponseWriter, _ *http.Request, k *known, address, token string) error {
	return t.write(w, "post", http.StatusOK, page{
		Action: action(address), Fields: []field{{"JWT", token}}, Button: "Return to the platform",
	}, k, originOf(address)+" "+strings.TrimPrefix(k.frames, "'self' "))
}

// refused tells the host and the user that a request was refused.
func (t *Tool) refused(w http.ResponseWriter, r *http.Request, refusal *Refusal, k *known) {
	if t.cfg.Hooks.OnRefusal != nil {
		t.cfg.Hooks.OnRefusal(r.Context(), refusal)
	}
	if t.cfg.ErrorPage != nil {
		t.frameHeaders(w, k)
		t.cfg.ErrorPage(w, r, refusal)
		return
	}
	title, advice := explain(refusal)
	p := page{Title: title, Advice: advice, Code: string(refusal.Reason), Platform: refusal.PlatformDescription}
	if refusal.Reason == ReasonPlatform {
		p.Code += " / " + refusal.PlatformError
	}
	if t.write(w, "error", refusal.Status(), p, k, "'none'") != nil {
		http.Error(w, title, refusal.Status())
	}
}

// explain says to the user what happened and what to do.
func explain(r *Refusal) (title, advice string) {
	const again = "Go back to your course and open the tool from there again."
	switch r.Reason {
	case ReasonReplay:
		return "This page was opened before", "It can be opened once only, so a reload does not work. " + again
	case ReasonState, ReasonStateExpired:
		return "Opening the tool took too long", "The request to open it is over, or not complete. " + again
	case ReasonBrowser:
		return "Your browser did not keep what the tool needs",
			"It may block the tool's cookies inside the course page. " + again +
				" If this comes again, open the tool in a new tab, or allow its cookies."
	case ReasonPlatform:
		switch r.PlatformError {
		case "login_required":
			return "Your learning platform does not see that you are signed in",
				"Its own cookies may be blocked in this frame. Sign in to it, then open the tool again; a new tab may help."
		case "launch_no_longer_valid":
			return "Opening the tool took too long", again
		}
		return "Your learning platform could not open the tool", again
	case ReasonExpired, ReasonIssuedAt:
		return "The time of this request is not right", again + " If this comes again, a clock may be wrong: tell support the code below."
	case ReasonKeySet, ReasonStore:
		return "The tool cannot check your request at the moment", "Try again in a minute. If this lasts, tell support the code below."
	case ReasonHost:
		return "You cannot use the tool at the moment", "Ask support, and tell them the code below."
	case ReasonDeployment, ReasonRegistration:
		return "The tool is not set up for this place", "Tell support the code below, and from where you opened the tool."
	}
	return "The tool could not be opened", again + " If this comes again, tell support the code below."
}
