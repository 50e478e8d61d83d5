package ltitest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// Browser returns a client that keeps cookies and follows no redirect, and reaches
// the platform and the tools that have a Handler. Each is a browser of its own.
func (p *Platform) Browser() *http.Client {
	client := p.Client()
	client.Jar, _ = cookiejar.New(nil) // it never fails
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// Launch opens a message in a browser, from the login initiation to the answer of
// the tool's launch address, which it returns: a redirect of the tool's, or a page.
// Scripts are not run: a tool that puts something into the platform's storage
// first is an error. browser nil means a new [Platform.Browser]; another one must
// follow no redirects.
func (p *Platform) Launch(ctx context.Context, browser *http.Client, m Message) (*http.Response, error) {
	if browser == nil {
		browser = p.Browser()
	}
	location, err := p.BeginLaunch(ctx, browser, m)
	if err != nil {
		return nil, err
	}
	return p.FinishLaunch(ctx, browser, location)
}

// BeginLaunch is the first half of [Platform.Launch]: it returns the address of
// the authentication request, to which the tool sent the browser.
func (p *Platform) BeginLaunch(ctx context.Context, browser *http.Client, m Message) (location string, err error) {
	form := p.Login(m)
	unlock := p.lock()
	address := p.mustTool(m.ClientID).LoginURL
	unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := browser.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // nothing in it is looked at
	to, err := resp.Location()
	if err != nil {
		return "", fmt.Errorf("ltitest: the tool's login endpoint answered with status %d and redirects nowhere", resp.StatusCode)
	}
	return to.String(), nil
}

// FinishLaunch is the second half of [Platform.Launch]: the authentication request
// and the post to the tool.
func (p *Platform) FinishLaunch(ctx context.Context, browser *http.Client, location string) (*http.Response, error) {
	answer, err := p.Authorize(location)
	if err != nil {
		return nil, err
	}
	return answer.Post(ctx, browser)
}

// LaunchCase is [Platform.Launch] for a message that a case changed or forged.
func (p *Platform) LaunchCase(ctx context.Context, browser *http.Client, m Message, c Case) (*http.Response, error) {
	if browser == nil {
		browser = p.Browser()
	}
	location, err := p.BeginLaunch(ctx, browser, m)
	if err != nil {
		return nil, err
	}
	answer, err := p.AuthorizeCase(location, c)
	if err != nil {
		return nil, err
	}
	return answer.Post(ctx, browser)
}

// Post posts the response as a browser does.
func (r Response) Post(ctx context.Context, browser *http.Client) (*http.Response, error) {
	req, err := r.Request(ctx)
	if err != nil {
		return nil, err
	}
	return browser.Do(req)
}

// AuthRequest returns an authentication request for a login, such as a tool sends,
// for tests without one; changes replace parameters, and take away those that
// are empty.
func (p *Platform) AuthRequest(login url.Values, redirectURI, state, nonce string, changes map[string]string) string {
	u, err := url.Parse(p.Endpoints().AuthURL)
	if err != nil {
		panic("ltitest: " + err.Error()) // BaseURL or Issuer is no address
	}
	q := u.Query()
	for name, value := range map[string]string{
		"scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none", "client_id": login.Get("client_id"),
		"redirect_uri": redirectURI, "login_hint": login.Get("login_hint"), "lti_message_hint": login.Get("lti_message_hint"), "state": state, "nonce": nonce,
	} {
		if change, ok := changes[name]; ok {
			value = change
		}
		if value != "" {
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}
