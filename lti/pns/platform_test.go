package pns_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// A platform is the transport of a platform: its token endpoint, which grants what
// is asked for, and the services, which answer as told.
type platform struct {
	answer func(r *http.Request, body string) (status int, link, text string)

	mu     sync.Mutex
	scopes []string // of the grants
	asked  []string // method, URI, Accept, Content-Type of the calls
	bodies []string
}

func (p *platform) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	status, link, text := 401, "", ""
	switch {
	case r.URL.Path == "/login/oauth2/token":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		p.scopes = append(p.scopes, form.Get("scope"))
		status, text = 200, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`
	case r.Header.Get("Authorization") == "Bearer t":
		p.asked = append(p.asked, strings.Join(strings.Fields(r.Method+" "+r.URL.String()+" "+r.Header.Get("Accept")+" "+r.Header.Get("Content-Type")), " "))
		p.bodies = append(p.bodies, string(body))
		status, link, text = p.answer(r, string(body))
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if link != "" {
		h.Set("Link", link)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: r}, nil
}

var ring = sync.OnceValues(func() (*lti.KeyRing, error) {
	key, err := lti.GenerateKey()
	if err != nil {
		return nil, err
	}
	return lti.NewKeyRing(context.Background(), lti.KeyRingConfig{Keys: []runbook.Secret{key}})
})

func newService(p *platform) (*lti.Service, error) {
	keys, err := ring()
	if err != nil {
		return nil, err
	}
	return lti.NewService(lti.ServiceConfig{
		Registration: lti.CanvasRegistration(lti.CanvasProduction, "10000000000042", "school.instructure.com"),
		Keys:         keys, HTTP: &http.Client{Transport: p},
	})
}
