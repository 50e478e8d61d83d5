package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/lti"
)

// A question is one of the things that are asked.
type question uint8

const (
	askOwnKeys question = 1 << iota
	askPlatformKeys
	askLogin
	askLaunch
	askTool // the registration at the platform, and the state of the key
	askGrant
	askToken

	everything question = 1<<iota - 1
)

// facts are what was learnt.
type facts struct {
	began         time.Time
	ownKeys       answer
	platformKeys  answer
	logins        []loginTry
	launch        answer
	tool          *PlatformTool
	toolErr       error // nil and no tool: it was not asked
	platformKey   *incident.PlatformKey
	keyErr        error
	tried         attempt
	examined      *lti.Examination
	answered      bool // somebody did answer
	platformFrame []string
}

// gather asks what is wanted, all at the same time.
func (d *Doctor) gather(ctx context.Context, wanted question) *facts {
	cfg, limit := &d.cfg, d.cfg.Timeout
	f := &facts{began: time.Now(), platformFrame: cfg.frameOrigins()}
	answers := func(q question, what string, r request) func() (answer, error) {
		if wanted&q == 0 {
			r.address = ""
		}
		if r.address == "" {
			return func() (answer, error) { return skipped("%s was not given", what), nil }
		}
		return eventually(ctx, limit, func(ctx context.Context) (answer, error) { return d.ask(ctx, r), nil })
	}
	accept := http.Header{"Accept": {"application/json, application/jwk-set+json"}}
	ownKeys := answers(askOwnKeys, "JWKSURL", request{method: http.MethodGet, address: cfg.JWKSURL, header: accept})
	platformKeys := answers(askPlatformKeys, "the JWKSURL of the registration", request{method: http.MethodGet, address: cfg.Registration.JWKSURL, header: accept, platform: true})
	launch := answers(askLaunch, "LaunchURL", request{method: http.MethodGet, address: cfg.LaunchURL, header: cfg.frameHeader()})
	var logins []func() (answer, error)
	if wanted&askLogin != 0 {
		f.logins = cfg.loginTries()
		for _, t := range f.logins {
			r := request{method: t.method, address: cfg.LoginURL, header: cfg.frameHeader(), form: t.form}
			what := "LoginURL"
			if cfg.Registration.Issuer == "" || t.target == "" {
				r.address, what = "", "what a login needs (Issuer, and LaunchURL or TargetLinkURI)"
			}
			logins = append(logins, answers(askLogin, what, r))
		}
	}
	examined := func() (*lti.Examination, error) { return nil, nil } //nolint:nilnil // not asked
	if wanted&askToken != 0 && !cfg.Token.IsZero() && cfg.Registration.Issuer != "" {
		examined = eventually(ctx, limit, d.examine)
	}
	if wanted&askTool != 0 {
		d.gatherPlatform(ctx, f)
	}
	f.ownKeys, f.platformKeys, f.launch = wait(ownKeys), wait(platformKeys), wait(launch)
	for i := range logins {
		f.logins[i].answer = wait(logins[i])
	}
	if wanted&askGrant != 0 {
		f.tried = d.tryToken(ctx, f)
	}
	f.examined, _ = examined()
	all := []*answer{&f.ownKeys, &f.platformKeys, &f.launch, &f.tried.answer}
	for i := range f.logins {
		all = append(all, &f.logins[i].answer)
	}
	for _, a := range all {
		f.answered = f.answered || a.came()
	}
	f.answered = f.answered || f.tool != nil || f.platformKey != nil
	return f
}

// gatherPlatform asks the host's access to the platform.
func (d *Doctor) gatherPlatform(ctx context.Context, f *facts) {
	cfg := &d.cfg
	var tool func() (PlatformTool, error)
	var key func() (incident.PlatformKey, error)
	if cfg.PlatformTool != nil {
		tool = eventually(ctx, cfg.Timeout, cfg.PlatformTool)
	}
	if cfg.Keys != nil && cfg.Registration.ClientID != "" {
		key = eventually(ctx, cfg.Timeout, func(ctx context.Context) (incident.PlatformKey, error) {
			return cfg.Keys.PlatformKey(ctx, cfg.Registration.ClientID)
		})
	}
	if tool != nil {
		if t, err := tool(); err == nil {
			f.tool = &t
		} else {
			f.toolErr = err
		}
	}
	if key != nil {
		if k, err := key(); err == nil {
			f.platformKey = &k
		} else {
			f.keyErr = err
		}
	}
}

func (d *Doctor) examine(ctx context.Context) (*lti.Examination, error) {
	cfg := &d.cfg
	ec := lti.ExamineConfig{Time: cfg.TokenTime, Leeway: cfg.Leeway, MessageTypes: cfg.MessageTypes}
	if _, why := parse(cfg.Registration.JWKSURL); why == "" {
		if ec.KeySets = cfg.KeySets; ec.KeySets == nil {
			sets, err := lti.NewKeySets(lti.KeySetsConfig{HTTP: &http.Client{Transport: d.http.Transport}, UserAgent: cfg.UserAgent, Timeout: min(cfg.Timeout, time.Minute)})
			if err != nil {
				return nil, err
			}
			ec.KeySets = sets
		}
	}
	e := lti.Examine(ctx, strings.TrimSpace(cfg.Token.Reveal()), cfg.Registration, ec)
	return &e, nil
}

func wait(get func() (answer, error)) answer {
	a, err := get()
	if err != nil {
		return skipped("%s", why(err))
	}
	return a
}

// why says why something could not be asked. Errors of this module have no
// secrets in them.
func why(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time"
	case errors.Is(err, context.Canceled):
		return "the diagnosis was cancelled"
	case errors.Is(err, incident.ErrNotPermitted):
		return "we may not read it"
	}
	return netcheck.Shorten(err.Error(), 200)
}

// A loginTry is a login that is begun as a platform begins it.
type loginTry struct {
	method, target    string
	hint, messageHint string
	form              url.Values
	answer            answer
}

// loginTries returns a login by POST, as Canvas begins it, one by GET, and one for
// the deep linking address. Their hints have characters that must be escaped once
// and not twice.
func (cfg *Config) loginTries() []loginTry {
	target := cfg.TargetLinkURI
	if target == "" {
		target = cfg.LaunchURL
	}
	tries := []loginTry{{method: http.MethodPost, target: target}, {method: http.MethodGet, target: target}}
	if cfg.DeepLinkURL != "" && cfg.DeepLinkURL != target {
		tries = append(tries, loginTry{method: http.MethodPost, target: cfg.DeepLinkURL})
	}
	for i := range tries {
		t := &tries[i]
		t.hint = "doctor+" + rand.Text()[:12] + "/=&%2B"
		t.messageHint = "doctor." + rand.Text()[:12] + "+/=%20"
		t.form = url.Values{
			"iss": {cfg.Registration.Issuer}, "login_hint": {t.hint}, "target_link_uri": {t.target}, "lti_message_hint": {t.messageHint},
		}
		if cfg.Registration.ClientID != "" {
			t.form.Set("client_id", cfg.Registration.ClientID)
		}
		if len(cfg.Registration.Deployments) > 0 {
			t.form.Set("deployment_id", cfg.Registration.Deployments[0])
		}
	}
	return tries
}

// frameHeader is what a browser sends when a platform shows the tool in a frame
// (W3C, Fetch Metadata Request Headers).
func (cfg *Config) frameHeader() http.Header {
	h := http.Header{
		"Accept":         {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		"Sec-Fetch-Dest": {"iframe"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"cross-site"},
		"Upgrade-Insecure-Requests": {"1"},
	}
	if origins := cfg.frameOrigins(); len(origins) > 0 {
		h.Set("Referer", origins[0]+"/")
	}
	return h
}

// tokenURL returns an address of the token endpoint that can be asked, or why
// there is none.
func (cfg *Config) tokenURL() (address, why string) {
	address = cfg.Registration.TokenURL
	if address == "" {
		return "", "the TokenURL of the registration was not given"
	}
	if strings.Contains(address, "{host}") {
		host := ""
		for _, h := range cfg.Registration.ServiceHosts {
			if !strings.Contains(h, "*") {
				host = h
				break
			}
		}
		if host == "" {
			return "", "the TokenURL has {host}, and no service host is named in full"
		}
		address = strings.Replace(address, "{host}", host, 1)
	}
	if _, why := parse(address); why != "" {
		return "", fmt.Sprintf("the TokenURL %s", why)
	}
	return address, ""
}
