package ltitest

import (
	"crypto/hmac"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// pending is a login whose message waits for its authentication request.
type pending struct {
	tool    *tool
	message Message
	payload map[string]any // built already, in Canvas
	hint    string         // login_hint
	expires time.Time
}

// loginLife is how long a message waits (canvas-lms, lib/lti/messages: the
// payload is kept for five minutes).
const loginLife = 5 * time.Minute

// hintKey signs the lti_message_hint of Canvas mode.
var hintKey = []byte("ltitest: everybody knows this key")

// Login begins a message: it returns the parameters of the third-party login
// initiation (Security Framework 1.0, section 5.1.1.1), which the user's browser
// posts to the tool, or adds to its address. The message can be asked for once,
// within five minutes.
//
// In Canvas mode the payload is built now, as Canvas does: when it arrives, iat is
// as old as the browser was slow. It panics if the message names something that
// does not exist.
func (p *Platform) Login(m Message) url.Values {
	defer p.lock()()
	now := p.now()
	p.forgetLogins(now)
	t, m := p.complete(m)
	verifier := opaque("verifier", p.next())
	l := &pending{tool: t, message: m, hint: p.loginHint(m.User), expires: now.Add(loginLife)}
	if p.Canvas {
		l.payload = p.claims(t, &l.message, now)
	}
	p.pending[verifier] = l
	form := url.Values{
		"iss": {p.issuer()}, "login_hint": {l.hint}, "target_link_uri": {m.TargetLinkURI},
		"lti_message_hint": {p.messageHint(verifier, now)}, "client_id": {t.ClientID},
	}
	if p.Canvas {
		form.Set("deployment_id", m.Deployment)
		form.Set("canvas_environment", p.environmentName())
		form.Set("canvas_region", m.Region)
	} else {
		form.Set("lti_deployment_id", m.Deployment)
	}
	if m.StorageTarget != "" {
		form.Set("lti_storage_target", m.StorageTarget)
	}
	return form
}

// maxPending is how many logins wait at most; the oldest are forgotten.
const maxPending = 100_000

func (p *Platform) forgetLogins(now time.Time) {
	if len(p.pending) < maxPending {
		return
	}
	for verifier, l := range p.pending {
		if now.After(l.expires) || len(p.pending) >= maxPending {
			delete(p.pending, verifier)
		}
	}
}

// loginHint identifies the user. That of a neutral platform has everything that
// a careless tool changes on the way.
func (p *Platform) loginHint(user string) string {
	if p.Canvas {
		return opaque("hint", user)
	}
	return "user+" + user + "/=?&%2B ü"
}

// messageHint identifies the message. That of Canvas is a token.
func (p *Platform) messageHint(verifier string, now time.Time) string {
	if p.Canvas {
		return signJWT(map[string]any{
			"verifier": verifier, "canvas_domain": p.account(), "context_type": "Course", "context_id": 10000000001234, "canvas_locale": "en",
			"include_storage_target": true, "exp": now.Add(loginLife).Unix(),
		}, Signing{Key: hintKey})
	}
	return "m+" + verifier + "/=?&%2B ü"
}

// verifierOf returns the message that a hint is about.
func (p *Platform) verifierOf(hint string, now time.Time) (string, bool) {
	if !p.Canvas {
		const before, after = "m+", "/=?&%2B ü"
		if len(hint) < len(before)+len(after) || hint[:len(before)] != before || hint[len(hint)-len(after):] != after {
			return "", false
		}
		return hint[len(before) : len(hint)-len(after)], true
	}
	token, err := readJWT(hint)
	if err != nil || token.header["alg"] != "HS256" || !hmac.Equal(token.signature, signature("HS256", hintKey, []byte(token.signed))) {
		return "", false
	}
	exp, ok := token.claims["exp"].(float64)
	return token.text("verifier"), ok && float64(now.Unix()) <= exp
}

// take returns the message of a hint, once.
func (p *Platform) take(hint string, now time.Time) *pending {
	verifier, ok := p.verifierOf(hint, now)
	l := p.pending[verifier]
	if !ok || l == nil {
		return nil
	}
	delete(p.pending, verifier)
	if now.After(l.expires) {
		return nil
	}
	return l
}

// registered reports whether answers may be posted to an address: it is one of
// the tool's letter by letter, or one whose query it has (canvas-lms,
// app/controllers/lti/ims/authentication_controller.rb).
func (t *tool) registered(address string) bool {
	if slices.Contains(t.RedirectURIs, address) {
		return true
	}
	asked, err := url.Parse(address)
	if err != nil {
		return false
	}
	has := asked.Query()
	for _, own := range t.RedirectURIs {
		u, err := url.Parse(own)
		if err != nil || u.RawQuery == "" || u.Scheme != asked.Scheme || u.Host != asked.Host || u.Path != asked.Path || asked.Fragment != "" || asked.User != nil {
			continue
		}
		fits := true
		for name, values := range u.Query() {
			for _, v := range values {
				fits = fits && slices.Contains(has[name], v)
			}
		}
		if fits {
			return true
		}
	}
	return false
}

func itoa(n int) string { return strconv.Itoa(n) }
