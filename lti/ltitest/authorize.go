package ltitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Response is what the platform posts to the tool through the browser: id_token
// and state, or error, error_description and state.
type Response struct {
	// RedirectURI is where it is posted.
	RedirectURI string
	// Form is what is posted.
	Form url.Values
	// Origin is the origin of the platform's page, for the Origin header.
	Origin string
}

// Request returns the request that the browser makes.
func (r Response) Request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.RedirectURI, strings.NewReader(r.Form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", r.Origin)
	return req, nil
}

// ErrAuthorize says that the platform showed an error page of its own: it does
// not know the tool, or the address to which the answer should go, and posts
// nothing to it.
var ErrAuthorize = errors.New("ltitest: the authentication request was refused")

// Authorize is the authentication endpoint without the page around the form: the
// browser comes to address, which is where the tool's login endpoint sent it. An
// answer of the kind error=… is a [Response] too; the error wraps [ErrAuthorize].
func (p *Platform) Authorize(address string) (Response, error) {
	return p.authorizeAddress(address, nil)
}

// AuthorizeCase is [Platform.Authorize] for a message that a case changed or
// forged.
func (p *Platform) AuthorizeCase(address string, c Case) (Response, error) {
	if c.NeedsOddKeys && !p.OddKeys {
		return Response{}, fmt.Errorf("ltitest: case %s needs a Platform with OddKeys", c.ID)
	}
	return p.authorizeAddress(address, &c)
}

func (p *Platform) authorizeAddress(address string, c *Case) (Response, error) {
	u, err := url.Parse(address)
	if err != nil {
		return Response{}, fmt.Errorf("%w: the address cannot be parsed", ErrAuthorize)
	}
	own, err := url.Parse(p.Endpoints().AuthURL)
	if err != nil || u.Scheme != own.Scheme || u.Host != own.Host || u.Path != own.Path {
		return Response{}, fmt.Errorf("%w: %s is not the authentication endpoint", ErrAuthorize, strconv.Quote(u.Scheme+"://"+u.Host+u.Path))
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Response{}, fmt.Errorf("%w: the query cannot be parsed", ErrAuthorize)
	}
	defer p.lock()()
	return p.authorize(query, c)
}

// required are the parameters that Canvas requires (canvas-lms,
// app/controllers/lti/ims/authentication_controller.rb); all but the message hint
// are those of the Security Framework 1.0, section 5.1.1.2.
func required() []string {
	return []string{"client_id", "login_hint", "lti_message_hint", "nonce", "prompt", "redirect_uri", "response_mode", "response_type", "scope"}
}

// authorize answers an authentication request.
func (p *Platform) authorize(query url.Values, c *Case) (Response, error) {
	for _, name := range append(required(), "state", "tenant") {
		if len(query[name]) > 1 {
			return Response{}, fmt.Errorf("%w: parameter %s comes %d times", ErrAuthorize, name, len(query[name]))
		}
	}
	if !p.Canvas && query.Get("tenant") != "main" {
		return Response{}, fmt.Errorf("%w: the query of the registered endpoint, tenant=main, is not there", ErrAuthorize)
	}
	t := p.tool(query.Get("client_id"))
	if t == nil {
		return Response{}, fmt.Errorf("%w: no tool has the client_id %s", ErrAuthorize, strconv.Quote(query.Get("client_id")))
	}
	if !t.registered(query.Get("redirect_uri")) {
		return Response{}, fmt.Errorf("%w: redirect_uri %s is not registered", ErrAuthorize, strconv.Quote(query.Get("redirect_uri")))
	}
	r := Response{RedirectURI: query.Get("redirect_uri"), Form: url.Values{}, Origin: p.front()}
	if state, ok := query["state"]; ok {
		r.Form["state"] = state
	}
	if code, text := p.refuse(query, t); code != "" {
		r.Form.Set("error", code)
		r.Form.Set("error_description", text)
		return r, nil
	}
	now := p.now()
	l := p.take(query.Get("lti_message_hint"), now)
	switch {
	case l == nil:
		r.Form.Set("error", "launch_no_longer_valid")
		r.Form.Set("error_description", "The launch has either expired or already been consumed")
		return r, nil
	case l.tool != t:
		r.Form.Set("error", "unauthorized_client")
		r.Form.Set("error_description", "Client not authorized in requested context")
		return r, nil
	case l.hint != query.Get("login_hint"):
		r.Form.Set("error", "login_required")
		r.Form.Set("error_description", "Must have an active user session")
		return r, nil
	}
	p.fill(&r, l, query.Get("nonce"), now, c)
	return r, nil
}

// refuse returns the error of a request that is wrong, in Canvas' words.
func (p *Platform) refuse(query url.Values, t *tool) (code, text string) {
	var missing []string
	for _, name := range required() {
		if query.Get(name) == "" {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) > 0:
		return "invalid_request_object", "The following parameters are missing: " + strings.Join(missing, ",")
	case query.Get("scope") != "openid":
		return "invalid_request_object", "The 'scope' must be 'openid'"
	case query.Get("response_type") != "id_token":
		return "invalid_request_object", "The 'response_type' must be 'id_token'"
	case query.Get("response_mode") != "form_post":
		return "invalid_request_object", "The 'response_mode' must be 'form_post'"
	case query.Get("prompt") != "none":
		return "invalid_request_object", "The 'prompt' must be 'none'"
	case p.loggedOut:
		return "login_required", "Must have an active user session"
	case t.Disabled:
		return "unauthorized_client", "Client not authorized in requested context"
	}
	return "", ""
}

// fill makes the answer of a request that is right.
func (p *Platform) fill(r *Response, l *pending, nonce string, now time.Time, c *Case) {
	claims := l.payload
	if claims == nil {
		claims = p.claims(l.tool, &l.message, now)
	}
	claims["nonce"] = nonce
	if l.message.Mutate != nil {
		l.message.Mutate(claims)
	}
	if l.message.StorageTarget != "" {
		r.Form.Set("lti_storage_target", l.message.StorageTarget)
	}
	if c != nil {
		c.form(p, l.tool, claims, now, r)
		return
	}
	r.Form.Set("id_token", p.sign(claims, l.message.Signing))
}

// formPage posts a form by itself (OAuth 2.0 Form Post Response Mode).
var formPage = template.Must(template.New("form").Parse(`<!DOCTYPE html>
<html><head><title>Submit This Form</title></head>
<body onload="document.forms[0].submit()">
<form method="post" action="{{.Action}}">
{{- range .Fields}}
<input type="hidden" name="{{index . 0}}" value="{{index . 1}}">
{{- end}}
<noscript><button type="submit">Continue</button></noscript>
</form></body></html>
`))

func (p *Platform) serveAuthorize(c *call) answer {
	query := c.query
	if c.r.Method == http.MethodPost {
		form, err := url.ParseQuery(string(c.body))
		if err != nil || c.mediaType() != "application/x-www-form-urlencoded" {
			return htmlAnswer(http.StatusBadRequest, "Bad Request")
		}
		// The query of the endpoint itself stays in the address.
		if tenant, ok := query["tenant"]; ok {
			form["tenant"] = tenant
		}
		query = form
	}
	r, err := p.authorize(query, nil)
	if err != nil {
		return htmlAnswer(http.StatusBadRequest, err.Error())
	}
	return r.page()
}

func (r Response) page() answer {
	fields := make([][2]string, 0, len(r.Form))
	for name, values := range r.Form {
		for _, v := range values {
			fields = append(fields, [2]string{name, v})
		}
	}
	slices.SortFunc(fields, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	// html/template refuses other schemes than those of the web.
	page := struct {
		Action string
		Fields [][2]string
	}{r.RedirectURI, fields}
	var b bytes.Buffer
	if err := formPage.Execute(&b, page); err != nil {
		panic("ltitest: " + err.Error()) // texts only
	}
	return answer{status: http.StatusOK, contentType: "text/html; charset=utf-8", body: b.Bytes(), header: http.Header{"Cache-Control": {"no-store"}}}
}
