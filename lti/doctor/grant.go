package doctor

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
	"go.acu.edu.au/runbook/lti"
)

// An attempt is one request to the token endpoint.
type attempt struct {
	answer
	kid, scope, host string
}

const membership = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"

// tryToken asks for an access token, once. The token is thrown away.
func (d *Doctor) tryToken(ctx context.Context, f *facts) attempt {
	cfg := &d.cfg
	none := func(format string, args ...any) attempt { return attempt{answer: skipped(format, args...)} }
	if !cfg.TryToken {
		return none("TryToken is not set, since each grant has its price")
	}
	address, why := cfg.tokenURL()
	if why != "" {
		return none("%s", why)
	}
	key, err := lti.ParsePrivateKey(cfg.PrivateKey)
	if err != nil || cfg.Registration.ClientID == "" {
		return none("it needs the client id, and a private key that can be read")
	}
	x := &exam{cfg: cfg, signer: publicOf(&key.PublicKey)}
	if f.ownKeys.ok() {
		if set, err := readKeySet(f.ownKeys.body); err == nil {
			x.set = set
		}
	}
	a := attempt{kid: x.signingKid(), scope: cfg.TryScope, host: hostOf(address)}
	if a.scope == "" {
		a.scope = membership
		if f.tool != nil && len(f.tool.Scopes) > 0 {
			a.scope = f.tool.Scopes[0]
		}
	}
	r, err := d.grantRequest(key, address, a.kid, a.scope)
	if err != nil {
		return none("%v", err)
	}
	a.answer = wait(eventually(ctx, cfg.Timeout, func(ctx context.Context) (answer, error) { return d.ask(ctx, r), nil }))
	return a
}

// grantRequest asks for an access token, with an assertion that lives four minutes.
func (d *Doctor) grantRequest(key *rsa.PrivateKey, address, kid, scope string) (request, error) {
	r := &d.cfg.Registration
	audience := r.TokenAudience
	if audience == "" {
		audience = address
	}
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": r.ClientID, "sub": r.ClientID, "aud": audience,
		"iat": now.Add(-5 * time.Second).Unix(), "exp": now.Add(4 * time.Minute).Unix(), "jti": rand.Text(),
	})
	token.Header["kid"] = kid
	assertion, err := token.SignedString(key)
	if err != nil {
		return request{}, errors.New("the assertion cannot be signed")
	}
	return request{
		method: http.MethodPost, address: address, platform: true, header: http.Header{"Accept": {"application/json"}},
		form: url.Values{
			"grant_type": {"client_credentials"}, "scope": {scope},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
		},
	}, nil
}

// A refusal is what a token endpoint says when it says no (RFC 6749, section 5.2).
type refusal struct{ code, text string }

// readRefusal reads it; ok is false if the answer is something else.
func readRefusal(body []byte) (r refusal, ok bool) {
	var in struct {
		Error       any `json:"error"`
		Description any `json:"error_description"`
	}
	if json.Unmarshal(body, &in, lax) != nil {
		return r, false
	}
	r.code, ok = in.Error.(string)
	r.text, _ = in.Description.(string)
	return r, ok && r.code != ""
}

// causes are texts of Canvas, in part, and what they mean (canvas-lms, lib/canvas/
// security/jwt_validator.rb and lib/canvas/oauth).
var causes = []struct { //nolint:gochecknoglobals // constant
	part, id, title, remedy string
}{
	{"KidNotFound", "key_not_published", "The platform does not find the tool's key in the published set",
		"Publish the key with this kid at the address that the platform has for the key set, and look whether all replicas serve the same set."},
	{"VerificationFailed", "token_signature", "The platform finds the tool's key, and the signature does not fit it",
		"Publish the public half of the stored private key under this kid; a kid may have been used for two keys."},
	{"signature invalid", "token_signature", "The signature of the tool does not fit the key that the platform has",
		"Give the platform the address of the tool's key set, or the public half of the stored private key."},
	{"JWK Error", "jwks_unreachable", "The platform cannot read the tool's key set", "Make the key set answer from the Internet, fast, with JSON, and compare its address at the platform."},
	{"'aud' is invalid", "token_audience", "The token endpoint is that of another host than the assertion says",
		"Set TokenURL to https://<host of the institution>/login/oauth2/token in the same environment, and leave TokenAudience empty."},
	{"'iat' must not be in the future", "clock", "The clock of this machine is ahead of the platform's", "Set the clock by NTP."},
	{"'iat' must be less than", "clock", "The clock of this machine is behind the platform's", "Set the clock by NTP."},
	{"JWT has expired", "clock", "The clock of this machine is behind the platform's", "Set the clock by NTP."},
	{"'exp' must not be in the past", "clock", "The clock of this machine is behind the platform's", "Set the clock by NTP."},
}

// grant looks at what the token endpoint said.
func (x *exam) grant() {
	const what = "the token endpoint"
	a := &x.tried
	if x.unanswered(&a.answer, "token_unreachable", what, "Compare the address of the token endpoint with what the platform publishes; it has the host of the institution.") {
		return
	}
	if a.ok() && !strings.Contains(string(a.body), "access_token") {
		x.finding("token_url", incident.Certain, "What answers at the address of the token endpoint is not one", "Correct TokenURL.", a.asked+": answered "+httpcheck.Status(a.status)+" without a token")
		return
	}
	if a.ok() {
		x.right("the token endpoint grants tokens, for kid %s", quote(a.kid))
		return
	}
	r, spoke := readRefusal(a.body)
	evidence := []string{a.asked + ": answered " + httpcheck.Status(a.status)}
	if spoke {
		evidence[0] += ", " + quote(r.code)
	}
	if r.text != "" {
		evidence = append(evidence, "it says "+quote(netcheck.Shorten(r.text, 90)))
	}
	evidence = append(evidence, "signed with kid "+quote(a.kid))
	switch {
	case a.status == http.StatusTooManyRequests, a.status == http.StatusForbidden && strings.Contains(string(a.body), "Rate Limit Exceeded"):
		x.skip(what, "the platform limits the rate of this machine's address")
	case a.status >= 500:
		x.skip(what, "%s", evidence[0])
	case spoke && r.code == "invalid_scope":
		x.right("the token endpoint accepts the tool's key and clock, for kid %s", quote(a.kid))
		x.finding("token_scope", incident.Possible, "The tool may not have a scope", "Add the scope to the tool's key at the platform, if the tool needs it.", append(evidence, "scope "+quote(a.scope))...)
	case spoke:
		x.refused(r, evidence)
	case a.status == http.StatusNotFound:
		x.finding("token_url", incident.Certain, "There is no token endpoint at its address", "Set TokenURL to what the platform publishes; in Canvas https://<host of the institution>/login/oauth2/token.", evidence...)
	default:
		x.finding("token_refused", incident.Likely, "The token endpoint refuses the tool", "Look at what it says; a firewall or the User-Agent may be why.", evidence...)
	}
}

// refused says what a refusal of the token endpoint means.
func (x *exam) refused(r refusal, evidence []string) {
	for _, c := range causes {
		if strings.Contains(r.text, c.part) {
			x.finding(c.id, incident.Certain, c.title, c.remedy, evidence...)
			return
		}
	}
	if r.code == "invalid_client" || r.code == "unauthorized_client" {
		x.gone("token_client", "The token endpoint does not know the client, or its key is off", evidence...)
		return
	}
	x.finding("token_refused", incident.Likely, "The token endpoint refuses the tool: "+netcheck.Clean(r.code), "Compare client id, key and token address with the platform's.", evidence...)
}

// throttled reports whether an answer is that of a rate limit.
func throttled(a *answer) (after time.Duration, ok bool) {
	if a.status != http.StatusTooManyRequests && !(a.status == http.StatusForbidden && strings.Contains(string(a.body), "Rate Limit Exceeded")) {
		return 0, false
	}
	after, _ = httpx.RetryAfter(a.header)
	return after, true
}
