package doctor_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// A fault is one thing that is wrong with a tool that is well otherwise.
type fault struct {
	name   string
	sicken func(s *stage)
	// want are the findings, all of them, in order: "id likelihood".
	want []string
	// says is what the diagnosis must say.
	says []string
}

func (f fault) run(t *testing.T) {
	t.Helper()
	s := newStage(t)
	f.sicken(s)
	d := s.diagnose(t)
	var got []string
	for _, finding := range d.Findings {
		word := finding.Likelihood.String()
		if finding.Urgent {
			word = "urgent"
		}
		got = append(got, finding.ID+" "+word)
	}
	assert.Equal(t, f.want, got, "%v", d)
	for _, text := range f.says {
		assert.Contains(t, d.String(), text)
	}
}

func runFaults(t *testing.T, faults []fault) {
	t.Helper()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.run(t)
		})
	}
}

func (s *stage) store(text string) { s.cfg.PrivateKey, s.cfg.TryToken = runbook.NewSecret(text), false }

// A key that is not stored as it should be.
//
// Requirement: RB-LTI-SIGNATURE-ENCODING
func TestPrivateKey(t *testing.T) {
	stored := keyText(ltitest.ToolKey(0)).Reveal()
	raw, err := base64.StdEncoding.DecodeString(stored)
	require.NoError(t, err)
	certain := func(id string) []string { return []string{id + " certain"} }
	runFaults(t, []fault{
		{"not base64", func(s *stage) { s.store("!" + stored) }, certain("private_key_encoding"), []string{"neither base64 nor a PEM", "base64 -w0"}},
		{"not a PEM", func(s *stage) { s.store(base64.StdEncoding.EncodeToString([]byte("password"))) }, certain("private_key_not_pem"), nil},
		{"twice base64", func(s *stage) { s.store(base64.StdEncoding.EncodeToString([]byte(stored))) }, certain("private_key_twice"), []string{"Do: Decode it once."}},
		{"cut off", func(s *stage) { s.store(string(raw[:len(raw)-300])) }, certain("private_key_damaged"), []string{"characters"}},
		{"public", func(s *stage) {
			s.store("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----")
		}, certain("private_key_public"), nil},
		{"not RSA", func(s *stage) {
			s.store("-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----")
		}, certain("private_key_not_rsa"), []string{"openssl genrsa 2048"}},
		{"too small", func(s *stage) { s.store(string(smallKey())) }, certain("private_key_size"), []string{"it is an RSA key of 1024 bits"}},
		{"a previous one", func(s *stage) { s.cfg.PreviousKeys = []runbook.Secret{runbook.NewSecret("nonsense?")} }, []string{"previous_key_encoding possible"}, nil},
	})
}

// What the tool publishes is not what platforms can use.
func TestPublishedKeys(t *testing.T) {
	own, other := &ltitest.ToolKey(0).PublicKey, &ltitest.ToolKey(1).PublicKey
	kid := thumbprintOf(t, own)
	set := func(keys ...map[string]any) func(*stage) {
		return func(s *stage) {
			s.cfg.TryToken = false
			s.at["/.well-known/jwks.json"] = published(keys...)
		}
	}
	answer := func(h http.Handler) func(*stage) {
		return func(s *stage) {
			s.cfg.TryToken = false
			s.at["/.well-known/jwks.json"] = h
		}
	}
	runFaults(t, []fault{
		{"another key", set(jwk(other, "other")), []string{"key_not_published certain"}, []string{"the private key has thumbprint " + kid}},
		{"private numbers", set(jwk(own, kid, "d", "secret-number", "p", "x", "oth", []any{1})), []string{"private_key_published urgent"}, []string{"has d, p, oth, which are private"}},
		{"private numbers of a key that is not RSA", set(jwk(own, kid), map[string]any{"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "alg": "ES256", "d": "AA"}), []string{"private_key_published urgent"}, []string{`kid "ec" has d`}},
		{"a symmetric key", set(jwk(own, kid), map[string]any{"kty": "oct", "kid": "s", "alg": "HS256", "use": "sig", "k": "c2VjcmV0"}), []string{"private_key_published urgent"}, nil},
		{"a private PEM", answer(text(200, "application/x-pem-file", "-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n")), []string{"private_key_published urgent"}, nil},
		{"no kid", set(jwk(own, kid, "kid", nil)), []string{"jwk_fields certain"}, []string{"key 1 lacks kid"}},
		{"no alg and use", set(jwk(own, kid, "alg", nil, "use", nil)), []string{"jwk_fields certain"}, []string{"lacks alg, use"}},
		{"another key lacks alg", set(jwk(own, kid), jwk(other, "b", "alg", nil)), []string{"jwk_fields possible"}, nil},
		{"another algorithm", set(jwk(own, kid, "alg", "RS512")), []string{"jwk_algorithm certain"}, []string{`says alg "RS512"`}},
		{"for encryption", set(jwk(own, kid, "use", "enc")), []string{"jwks_no_key certain", "jwk_use certain"}, nil},
		{"one kid for two keys", set(jwk(other, kid), jwk(own, kid)), []string{"kid_reused certain"}, []string{"key 1 and key 2 differ"}},
		{"one key twice", func(s *stage) { set(jwk(own, kid), jwk(own, kid))(s) }, nil, nil},
		{"a kid that was another key's", func(s *stage) { s.cfg.KnownKeys = map[string]string{kid: "another-thumbprint", "gone": "x"} }, []string{"kid_reused likely"}, []string{"another-thumbprint"}},
		{"signs with another kid", func(s *stage) { s.cfg.KeyID, s.cfg.TryToken = "qa-1", false }, []string{"key_id certain"}, []string{`the tool signs with kid "qa-1"`}},
		{"a previous key is gone", func(s *stage) { s.cfg.PreviousKeys = []runbook.Secret{keyText(ltitest.ToolKey(1))} }, []string{"previous_key_not_published possible"}, nil},
		{"too small", set(jwk(own, kid), jwk(smallPublic(), "small")), []string{"jwk_small possible"}, []string{"has 1024 bits"}},
		{"empty", answer(text(200, "application/json", `{"keys":[]}`)), []string{"jwks_no_key certain", "key_not_published certain"}, nil},
		{"not JSON", answer(text(200, "application/json", "<html>")), []string{"jwks_invalid certain"}, []string{"it is not JSON"}},
		{"not a set", answer(text(200, "application/json", `{"kty":"RSA"}`)), []string{"jwks_invalid certain"}, []string{`it has no list "keys"`}},
		{"too large", answer(text(200, "application/json", `{"keys":[]}`+strings.Repeat(" ", 1<<20))), []string{"jwks_invalid certain"}, []string{"larger than"}},
		{"another type", answer(text(200, "text/html", string(mustSet(jwk(own, kid))))), []string{"jwks_content_type possible"}, []string{`Content-Type is "text/html"`}},
		{"no such page", answer(http.NotFoundHandler()), []string{"jwks_status certain"}, []string{"answered 404 (Not Found)"}},
		{"needs a login", answer(text(401, "text/plain", "no")), []string{"jwks_not_public certain"}, nil},
		{"redirects", answer(http.RedirectHandler("https://qa.example.edu/login?secret=1", http.StatusFound)), []string{"jwks_status likely"}, []string{"to https://qa.example.edu/login"}},
		{"fails", answer(text(502, "text/html", "bad gateway")), []string{"jwks_status certain"}, nil},
		{"does not exist", func(s *stage) { s.cfg.JWKSURL, s.there.JWKSURL = "https://gone.example.edu/jwks", "" }, []string{"jwks_unreachable likely"}, []string{"gone.example.edu has no address", "other addresses did answer"}},
		{"an address of this network", func(s *stage) { s.cfg.JWKSURL, s.there.JWKSURL = "https://qa.internal/jwks", "" }, []string{"jwks_not_public certain", "jwks_unreachable likely"}, []string{`the host is "qa.internal"`}},
	})
}

// The registration does not fit.
//
// Requirement: RB-LTI-SIGNATURE-ALGORITHM, RB-LTI-NONCE-TTL
func TestRegistration(t *testing.T) {
	quiet := func(s *stage) { // what the tool itself has is not looked at here
		s.cfg.TryToken, s.cfg.LoginURL, s.cfg.PlatformTool, s.cfg.Keys = false, "", nil, nil
	}
	with := func(change func(*stage)) func(*stage) {
		return func(s *stage) { quiet(s); change(s) }
	}
	runFaults(t, []fault{
		{"issuer of another environment", with(func(s *stage) { s.cfg.Environment = doctor.Beta }), []string{"issuer_environment certain"}, []string{"Set the issuer https://canvas.beta.instructure.com"}},
		{"issuer with a slash", with(func(s *stage) { s.cfg.Registration.Issuer += "/" }), []string{"issuer certain"}, []string{"letter by letter"}},
		{"issuer is the account", with(func(s *stage) { s.cfg.Registration.Issuer = "https://school.instructure.com" }), []string{"issuer certain"}, []string{"Set the issuer https://canvas.instructure.com."}},
		{"address of another environment", with(func(s *stage) { s.cfg.Registration.TokenURL = "https://school.test.instructure.com/login/oauth2/token" }), []string{"endpoint_environment certain"}, []string{"The TokenURL is one of test"}},
		{"address by http", with(func(s *stage) { s.cfg.Registration.AuthURL = "http://sso.canvaslms.com/api/lti/authorize_redirect" }), []string{"registration certain"}, []string{"must be https"}},
		{"another algorithm", with(func(s *stage) { s.cfg.Registration.Algorithms = []string{"RS512"} }), []string{"algorithm certain"}, []string{`the registration has "RS512"`}},
		{"one algorithm too many", with(func(s *stage) { s.cfg.Registration.Algorithms = []string{"RS512", "RS256"} }), []string{"algorithm possible"}, nil},
		{"own address by http", with(func(s *stage) { s.cfg.LaunchURL = "http://qa.example.edu/lti/launch?token=secret" }), []string{"address_launch certain"}, []string{"LaunchURL is not https"}},
		{"nonces are forgotten", with(func(s *stage) { s.cfg.NonceLife = 10 * time.Minute }), []string{"nonce_life likely"}, []string{"a nonce is remembered for 10m0s", "tokens of the platform live 1h0m0s"}},
		{"nonces are forgotten within leeway", with(func(s *stage) { s.cfg.NonceLife = time.Hour }), []string{"nonce_life possible"}, nil},
		{"logins are forgotten", with(func(s *stage) { s.cfg.StateLife = time.Minute }), []string{"state_life possible"}, nil},
		{"no key set at the platform's address", with(func(s *stage) { s.cfg.Registration.JWKSURL = "https://sso.canvaslms.com/api/lti/keys" }), []string{"platform_jwks certain"}, []string{"answered 404"}},
		{"a page at the platform's address", with(func(s *stage) {
			s.cfg.Registration.JWKSURL = toolLaunch + "?x=1"
			s.at["/lti/launch"] = text(200, "text/html", "<p>")
		}), []string{"platform_jwks certain"}, []string{"it is not JSON"}},
	})
}

// Logins do not lead where they should, or their cookie does not come back.
func TestLogin(t *testing.T) {
	lead := func(change func(*url.URL, url.Values)) func(*stage) {
		return func(s *stage) { s.at["/lti/login"] = s.redirected(change) }
	}
	set := func(name string, values ...string) func(*stage) {
		return lead(func(_ *url.URL, q url.Values) { q[name] = values })
	}
	header := func(change func(http.Header)) func(*stage) {
		return func(s *stage) { s.at["/lti/login"] = s.changed(change) }
	}
	answer := func(h http.Handler) func(*stage) { return func(s *stage) { s.at["/lti/login"] = h } }
	runFaults(t, []fault{
		{"another host", lead(func(u *url.URL, _ url.Values) { u.Host = "sso.beta.canvaslms.com" }), []string{"login_redirect certain"}, []string{"that is beta, and not production"}},
		{"another path", lead(func(u *url.URL, _ url.Values) { u.Path = "/login" }), []string{"login_redirect certain"}, nil},
		{"no address", header(func(h http.Header) { h.Set("Location", "/next?a=1") }), []string{"login_redirect certain"}, nil},
		{"another client", set("client_id", "10000000000099"), []string{"login_client_id certain"}, nil},
		{"another redirect URI", set("redirect_uri", "http://10.0.0.7:8000/lti/launch?k=secret"), []string{"login_redirect_uri certain"}, []string{"redirect_uri is http://10.0.0.7:8000/lti/launch\n"}},
		{"no prompt", set("prompt"), []string{"login_parameters certain"}, []string{"prompt is missing; it must be none"}},
		{"another response mode", set("response_mode", "query"), []string{"login_parameters certain"}, []string{`response_mode is "query"`}},
		{"scope twice", set("scope", "openid", "openid"), []string{"login_parameters certain"}, []string{"scope comes 2 times"}},
		{"hint changed", lead(func(_ *url.URL, q url.Values) { q.Set("login_hint", strings.ReplaceAll(q.Get("login_hint"), "+", " ")) }), []string{"login_hint certain"}, []string{"login_hint came back changed"}},
		{"message hint decoded again", lead(func(_ *url.URL, q url.Values) {
			again, err := url.QueryUnescape(q.Get("lti_message_hint"))
			if err != nil {
				panic(err)
			}
			q.Set("lti_message_hint", again)
		}), []string{"login_hint certain"}, []string{"lti_message_hint came back changed"}},
		{"message hint lost", set("lti_message_hint"), []string{"login_hint certain"}, []string{"lti_message_hint came back 0 times"}},
		{"one nonce for all", set("nonce", "0123456789abcdefghij"), []string{"login_nonce certain"}, []string{"Two logins have the same nonce"}},
		{"no nonce", set("nonce"), []string{"login_nonce certain"}, nil},
		{"short nonce", lead(func(_ *url.URL, q url.Values) { q.Set("nonce", q.Get("nonce")[:8]) }), []string{"login_nonce possible"}, nil},
		{"no state", set("state"), []string{"login_state certain"}, nil},
		{"one state for all", set("state", "0123456789abcdefghij"), []string{"login_state certain"}, nil},

		{"cookie is Lax", header(cookies("SameSite=None", "SameSite=Lax")), []string{"state_cookie certain"}, []string{"SameSite is Lax"}},
		{"cookie without SameSite", header(cookies("; SameSite=None", "")), []string{"state_cookie certain"}, []string{"no SameSite=None"}},
		{"cookie without Secure", header(cookies("; Secure", "")), []string{"state_cookie certain"}, []string{"it has no Secure"}},
		{"cookie is not partitioned", header(cookies("; Partitioned", "")), []string{"state_cookie_partitioned likely"}, nil},
		{"cookie for a path", header(cookies("Path=/;", "Path=/lti;")), []string{"state_cookie certain"}, []string{"__Host-"}},
		{"cookie for scripts", header(cookies("; HttpOnly", "")), []string{"state_cookie_exposed possible"}, []string{"scripts can read it"}},
		{"cookie of other hosts", header(cookies("__Host-", "")), []string{"state_cookie_exposed possible"}, nil},
		{"cookie for a moment", header(cookies("Max-Age=600", "Max-Age=10")), []string{"state_cookie certain"}, []string{"it lives 10 s"}},
		{"no cookie", header(func(h http.Header) { h["Set-Cookie"] = []string{"AWSALB=x; Path=/"} }), []string{"state_cookie_missing possible"}, nil},
		{"another cookie besides", header(func(h http.Header) { h.Add("Set-Cookie", "session=x; SameSite=Lax") }), nil, nil},

		{"unknown client", func(s *stage) {
			s.cfg.Registration.ClientID = "10000000000077"
			s.there.ClientID = ""
			s.cfg.Keys = nil
			s.cfg.TryToken = false
		}, []string{"login_status certain"}, []string{`client "10000000000077"`}},
		{"not by GET", answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				http.Error(w, "no", http.StatusMethodNotAllowed)
				return
			}
			http.NotFound(w, r)
		})), []string{"login_status certain", "login_method certain"}, nil},
		{"against forged forms", answer(text(403, "text/plain", "CSRF")), []string{"login_status certain"}, []string{"CSRF"}},
		{"fails", answer(text(500, "text/plain", "oops")), []string{"login_status certain"}, []string{"The tool's login fails"}},
		{"deep linking at another host", func(s *stage) {
			s.cfg.DeepLinkURL = "https://elsewhere.example.edu/choose"
			s.there.Placements[1].TargetLinkURI = s.cfg.DeepLinkURL
		}, []string{"deep_link_url likely"}, []string{"The tool refuses a login for its deep linking address"}},
	})
}

// The tool forbids the platform to show it.
func TestFrames(t *testing.T) {
	at := func(path, name string, values ...string) func(*stage) {
		return func(s *stage) {
			s.at[path] = s.changed(func(h http.Header) {
				h.Del("Content-Security-Policy")
				h[name] = values
			})
		}
	}
	const csp = "Content-Security-Policy"
	forbidden := []string{"frame_forbidden likely"}
	runFaults(t, []fault{
		{"deny", at("/lti/launch", "X-Frame-Options", "DENY"), forbidden, []string{"X-Frame-Options is DENY"}},
		{"same origin", at("/lti/launch", "X-Frame-Options", "sameorigin"), forbidden, nil},
		{"policy none", at("/lti/launch", csp, "default-src *; frame-ancestors 'none'"), forbidden, []string{"frame-ancestors \"'none'\""}},
		{"policy self", at("/lti/launch", csp, "frame-ancestors 'self'"), forbidden, nil},
		{"policy of another host", at("/lti/launch", csp, "frame-ancestors https://*.canvaslms.com https://instructure.com"), forbidden, nil},
		{"two policies", at("/lti/launch", csp, "frame-ancestors *, frame-ancestors 'none'"), forbidden, nil},
		{"only the login", at("/lti/login", "X-Frame-Options", "DENY"), []string{"frame_forbidden possible"}, nil},
		{"wildcard", at("/lti/launch", csp, "frame-ancestors 'self' https://*.instructure.com"), nil, nil},
		{"any", at("/lti/launch", csp, "frame-ancestors *"), nil, nil},
		{"any by https", at("/lti/launch", csp, "frame-ancestors https:"), nil, nil},
		{"nothing", at("/lti/launch", "X-Other", "x"), nil, nil},
		{"fails", func(s *stage) { s.at["/lti/launch"] = text(500, "text/plain", "oops") }, []string{"launch_status likely"}, nil},
	})
}

// The platform has something else than the tool.
//
// Requirement: RB-LTI-SIGNATURE-CLIENT-ID, RB-LTI-DEEP-LINKING-URL, RB-LTI-DEEP-LINKING-PLACEMENT, RB-LTI-DEEP-LINKING-MESSAGE
func TestPlatformTool(t *testing.T) {
	there := func(change func(*doctor.PlatformTool)) func(*stage) { return func(s *stage) { change(&s.there) } }
	gone := func(err error) func(*stage) {
		return func(s *stage) {
			s.cfg.PlatformTool = func(context.Context) (doctor.PlatformTool, error) { return doctor.PlatformTool{}, err }
		}
	}
	saturdays := health.Window{Days: []time.Weekday{time.Saturday}, From: health.At(0, 0), For: 4 * time.Hour, Zone: time.UTC}
	runFaults(t, []fault{
		{"another client id", there(func(p *doctor.PlatformTool) { p.ClientID = "10000000000043" }), []string{"client_id certain"}, []string{`the platform has "10000000000043"`}},
		{"redirect URI is not registered", there(func(p *doctor.PlatformTool) { p.RedirectURIs = []string{toolLaunch + "/"} }), []string{"redirect_uri certain"}, []string{"registered: https://qa.example.edu/lti/launch/"}},
		{"another login address", there(func(p *doctor.PlatformTool) { p.LoginURL = "https://qa-test.example.edu/lti/login" }), []string{"platform_login_url certain"}, nil},
		{"another key set", there(func(p *doctor.PlatformTool) { p.JWKSURL = "https://qa-test.example.edu/jwks" }), []string{"platform_jwks_url certain"}, nil},
		{"another static key", there(func(p *doctor.PlatformTool) {
			p.JWKSURL, p.PublicJWK = "", mustJWK(jwk(&ltitest.ToolKey(1).PublicKey, "x"))
		}), []string{"platform_key certain"}, nil},
		{"a private static key", there(func(p *doctor.PlatformTool) {
			p.JWKSURL, p.PublicJWK = "", mustJWK(jwk(&ltitest.ToolKey(0).PublicKey, "x", "d", "AA"))
		}), []string{"private_key_published urgent"}, nil},
		{"off", there(func(p *doctor.PlatformTool) { p.Off = true }), []string{"tool_off certain"}, nil},
		{"deployment is gone", there(func(p *doctor.PlatformTool) { p.Deployments = []string{"9:new"} }), []string{"deployment_gone certain"}, []string{`there: "9:new"`}},
		{"not there", gone(fmt.Errorf("canvas: %w", incident.ErrNotFound)), []string{"tool_gone certain"}, nil},
		{"key is off", func(s *stage) { s.keys.Add(incident.PlatformKey{ID: s.cfg.Registration.ClientID}) }, []string{"key_off certain"}, nil},
		{"key does not work", func(s *stage) {
			s.keys.Add(incident.PlatformKey{ID: s.cfg.Registration.ClientID, Reason: "is for test and beta only"})
		}, []string{"key_off certain"}, []string{"is for test and beta only"}},
		{"key is gone", func(s *stage) { s.keys.Fail(incident.ErrNotFound) }, []string{"key_gone certain"}, nil},
		{"key is gone since a refresh", func(s *stage) {
			s.keys.Fail(incident.ErrNotFound)
			s.cfg.Refresh, s.cfg.LastWorked = []health.Window{saturdays}, time.Now().AddDate(0, 0, -20)
		}, []string{"key_gone certain"}, []string{"lost since the platform was overwritten from production", "for test and beta only"}},
		{"key is gone, perhaps since a refresh", func(s *stage) {
			s.keys.Fail(incident.ErrNotFound)
			s.cfg.Refresh = []health.Window{saturdays}
		}, []string{"key_gone certain"}, []string{"what is made only there is lost then"}},

		{"deep linking at another address", there(func(p *doctor.PlatformTool) { p.Placements[1].TargetLinkURI = toolLaunch }), []string{"deep_link_url certain"}, []string{"the platform launches " + toolLaunch}},
		{"deep linking at no address", there(func(p *doctor.PlatformTool) { p.Placements[1].TargetLinkURI, p.TargetLinkURI = "", "" }), []string{"deep_link_url certain"}, []string{"has no address to launch"}},
		{"deep linking at another host", func(s *stage) {
			s.cfg.DeepLinkURL, s.there.Placements[1].TargetLinkURI = "", "https://old.example.edu/choose"
		}, []string{"deep_link_url likely"}, nil},
		{"placement is off", there(func(p *doctor.PlatformTool) { p.Placements[1].Enabled = false }), []string{"placement_off certain"}, []string{`that are off: "assignment_selection"`}},
		{"wanted placement is off", func(s *stage) {
			s.cfg.Placements, s.there.Placements[0].Enabled = []doctor.Placement{{Name: "course_navigation"}}, false
		}, []string{"placement_off certain"}, []string{`"course_navigation" of the tool is switched off`}},
		{"wanted placement is not there", func(s *stage) { s.cfg.Placements = []doctor.Placement{{Name: "editor_button"}} }, []string{"placement_off certain"}, nil},
		{"wanted message", func(s *stage) {
			s.cfg.Placements = []doctor.Placement{{Name: "assignment_selection", MessageType: lti.MessageResourceLink}}
		}, []string{"placement_message certain"}, nil},
		{"wanted address", func(s *stage) {
			s.cfg.Placements = []doctor.Placement{{Name: "course_navigation", TargetLinkURI: toolLaunch + "?from=nav"}}
		}, []string{"target_link_uri certain"}, nil},
		{"deep linking where nothing is chosen", there(func(p *doctor.PlatformTool) {
			p.Placements[0].MessageType, p.Placements[0].TargetLinkURI = lti.MessageDeepLinking, toolDeepLink
		}), []string{"placement_message likely"}, []string{"nothing can be chosen there"}},
		{"no deep linking where something is chosen", there(func(p *doctor.PlatformTool) {
			p.Placements = append(p.Placements, doctor.Placement{Name: "editor_button", MessageType: lti.MessageResourceLink, Enabled: true})
		}), []string{"placement_message possible"}, nil},

		{"may not be read", gone(incident.ErrNotPermitted), nil, []string{"Not looked at: the tool's registration at the platform: we may not read it"}},
		{"panics", func(s *stage) {
			s.cfg.PlatformTool = func(context.Context) (doctor.PlatformTool, error) { panic("secret") }
		}, nil, []string{"it panicked"}},
		{"cannot be read", gone(errors.New("connection reset")), nil, []string{"connection reset"}},
		{"keys may not be read", func(s *stage) { s.keys.Fail(incident.ErrNotPermitted) }, nil, []string{"Not looked at: the tool's key at the platform: we may not read it"}},
	})
}

// What the token endpoint says leads to a cause.
func TestTokenEndpoint(t *testing.T) {
	refuse := func(status int, code, description string) func(*stage) {
		return func(s *stage) {
			s.platform.Inject(ltitest.Fault{
				Endpoint: ltitest.TokenEndpoint, Times: -1, Status: status, Header: http.Header{"Content-Type": {"application/json"}},
				Body: fmt.Appendf(nil, `{"error":%q,"error_description":%q}`, code, description),
			})
		}
	}
	runFaults(t, []fault{
		{"another key is signed with", func(s *stage) {
			s.platform.SetToolKey(s.cfg.Registration.ClientID, jwk(&ltitest.ToolKey(1).PublicKey, "x"))
		}, []string{"token_signature certain"}, nil},
		{"off", func(s *stage) { s.platform.EnableTool(s.cfg.Registration.ClientID, false) }, []string{"token_client certain"}, nil},
		{"no such kid", refuse(400, "invalid_request", "JWK Error: JSON::JWK::Set::KidNotFound"), []string{"key_not_published certain"}, nil},
		{"key set cannot be read", refuse(400, "invalid_request", "JWK Error: Invalid JSON"), []string{"jwks_unreachable certain"}, nil},
		{"audience", refuse(400, "invalid_request", "the 'aud' is invalid"), []string{"token_audience certain"}, nil},
		{"clock ahead", refuse(400, "invalid_request", "the 'iat' must not be in the future"), []string{"clock certain"}, nil},
		{"clock behind", refuse(400, "invalid_request", "the 'iat' must be less than 300 seconds old"), []string{"clock certain"}, nil},
		{"scope", refuse(400, "invalid_scope", "A requested scope is invalid"), []string{"token_scope possible"}, []string{"accepts the tool's key and clock"}},
		{"something else", refuse(400, "invalid_grant", "no\nidea"), []string{"token_refused likely"}, []string{`it says "no idea"`}},
		{"not an endpoint", func(s *stage) { s.cfg.Registration.TokenURL = "https://school.instructure.com/oauth/token" }, []string{"token_url certain"}, nil},
		{"a page", func(s *stage) { s.platform.Inject(ltitest.Fault{Endpoint: ltitest.TokenEndpoint, Status: 200}) }, []string{"token_url certain"}, nil},
		{"down", func(s *stage) { s.platform.Inject(ltitest.Fault{Endpoint: ltitest.TokenEndpoint, Status: 503}) }, nil, []string{"Not looked at: the token endpoint"}},
		{"limited", func(s *stage) {
			s.platform.Inject(ltitest.Fault{Endpoint: ltitest.TokenEndpoint, Status: 403, Body: []byte("403 Forbidden (Rate Limit Exceeded)\n")})
		}, nil, []string{"limits the rate"}},
		{"firewall", func(s *stage) { s.platform.Inject(ltitest.Fault{Endpoint: ltitest.TokenEndpoint, Status: 403}) }, []string{"token_refused likely"}, nil},
		{"not tried", func(s *stage) { s.cfg.TryToken = false }, nil, []string{"TryToken is not set"}},
		{"no host", func(s *stage) {
			s.cfg.Registration.TokenURL, s.cfg.Registration.ServiceHosts = "https://{host}/login/oauth2/token", []string{"*.instructure.com"}
		}, nil, []string{"no service host is named in full"}},
		{"host of a service", func(s *stage) {
			s.cfg.Registration.TokenURL, s.cfg.Registration.ServiceHosts = "https://{host}/login/oauth2/token", []string{"*.instructure.com", "school.instructure.com"}
		}, nil, []string{"the token endpoint grants tokens"}},
	})
}

// A clock that is off is found, and how far; one that is nearly right is not.
//
// Requirement: RB-LTI-NONCE-CLOCK, LTI-ASK-3
func TestClock(t *testing.T) {
	for name, tc := range map[string]struct {
		platform time.Duration // how far its clock is ahead of ours
		tool     time.Duration // the same of the tool's, if it says so
		says     bool
		want     string
		evidence string
	}{
		"right":                     {0, 0, false, "", ""},
		"a little ahead":            {-25 * time.Second, 0, false, "", ""},
		"a little behind":           {50 * time.Second, 0, false, "", ""},
		"ahead":                     {-95 * time.Second, 0, false, "clock likely", "1m34s ahead of"},
		"behind":                    {95 * time.Second, 0, false, "clock certain", "the tool takes no more than 1m0s"},
		"far behind":                {time.Hour, 0, false, "clock certain", "Canvas no more than 5m0s"},
		"the tool is ahead":         {0, 2 * time.Minute, true, "clock likely", "the tool's clock is 1m59s ahead of"},
		"the tool is right, not us": {10 * time.Minute, 10 * time.Minute, true, "clock_here possible", "behind the platform's"},
		"the tool is right":         {0, 0, true, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStageAt(t, &ltitest.Platform{Canvas: true, Environment: "prod", ClockSkew: tc.platform})
				s.cfg.TryToken = false
				if tc.says {
					s.at["/.well-known/jwks.json"] = s.changed(func(h http.Header) { h.Set("Date", time.Now().Add(tc.tool).UTC().Format(http.TimeFormat)) })
				}
				d := s.diagnose(t)
				if tc.want == "" {
					assert.Empty(t, d.Findings, "%v", d)
					return
				}
				require.Len(t, d.Findings, 1, "%v", d)
				f := d.Findings[0]
				assert.Equal(t, tc.want, f.ID+" "+f.Likelihood.String())
				assert.Contains(t, strings.Join(f.Evidence, "\n"), tc.evidence)
			})
		})
	}
}

// An answer that took long says less about the clock.
func TestClockOfSlowAnswer(t *testing.T) {
	for delay, want := range map[time.Duration]int{0: 1, 4 * time.Second: 0} {
		synctest.Test(t, func(t *testing.T) {
			s := newStageAt(t, &ltitest.Platform{Canvas: true, Environment: "prod", ClockSkew: -33 * time.Second})
			s.cfg.TryToken = false
			if delay > 0 {
				s.platform.Inject(ltitest.Fault{Endpoint: ltitest.KeySet, Delay: delay})
			}
			assert.Len(t, s.diagnose(t).Findings, want, "with %v, it may be within 30 seconds", delay)
			s.platform.Wait()
		})
	}
}
