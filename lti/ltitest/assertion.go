package ltitest

//lint:file-ignore ST1005 the texts are those that Canvas answers with

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const badSignature = "JWS signature invalid."

// verify finds the key of a tool, and checks the signature, in Canvas' words
// (canvas-lms, lib/canvas/oauth, asymmetric_client_credentials_provider.rb). The
// key set is fetched each time.
func (c *call) verify(t *tool, token *foreign) (problem string) {
	if t == nil {
		return badSignature
	}
	keys, err := c.toolKeys(t)
	if err != nil {
		return "JWK Error: " + err.Error()
	}
	kid, _ := token.header["kid"].(string)
	for _, k := range keys {
		if t.PublicJWK == nil && (kid == "" || k.Kid != kid) {
			continue
		}
		public, err := k.public()
		if err != nil {
			return "JWK Error: " + err.Error()
		}
		if !token.verified(public) {
			return badSignature
		}
		return ""
	}
	return "JWK Error: JSON::JWK::Set::KidNotFound"
}

// toolKeys are the keys of a tool. They are fetched without the lock.
func (c *call) toolKeys(t *tool) ([]toolKey, error) {
	if t.PublicJWK != nil {
		var k toolKey
		if err := json.Unmarshal(mustJSON(t.PublicJWK), &k); err != nil {
			return nil, errors.New("public_jwk is not a key")
		}
		return []toolKey{k}, nil
	}
	if t.JWKSURL == "" {
		return nil, errors.New("no key is registered")
	}
	raw, err := c.fetchUnlocked(t, t.JWKSURL)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []toolKey `json:"keys"`
	}
	if json.Unmarshal(raw, &set) != nil {
		return nil, errors.New("Invalid JSON")
	}
	return set.Keys, nil
}

func (c *call) fetchUnlocked(t *tool, address string) ([]byte, error) {
	c.p.mu.Unlock()
	defer c.p.mu.Lock()
	return c.p.fetch(c.r.Context(), t, address)
}

// fetchTime is how long the platform waits for a tool.
const fetchTime = 10 * time.Second

// fetch gets something of a tool, without the lock.
func (p *Platform) fetch(ctx context.Context, t *tool, address string) ([]byte, error) {
	if p.KeySet != nil {
		raw, err := p.KeySet(address)
		p.record(Request{Time: time.Now(), Endpoint: TheTool, Method: http.MethodGet, Host: hostOf(address), Path: pathOf(address)}, statusOf(err), err != nil)
		return raw, err
	}
	// The tool is asked though the client may go away meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.toTool(t, req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered with status %d", hostOf(address), resp.StatusCode)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxForeign))
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Path
}

func statusOf(err error) int {
	if err != nil {
		return 0
	}
	return http.StatusOK
}

// toTool makes a request of the platform to a tool.
func (p *Platform) toTool(t *tool, req *http.Request) (*http.Response, error) {
	client := p.HTTP
	if t.Handler != nil {
		client = p.Client()
	}
	entry := Request{Time: time.Now(), Endpoint: TheTool, Method: req.Method, Host: req.URL.Host, Path: req.URL.Path}
	if client == nil {
		p.record(entry, 0, true)
		return nil, errors.New("ltitest: the tool cannot be reached: set Platform.HTTP, Platform.KeySet or Tool.Handler")
	}
	req.Header.Set("User-Agent", "ltitest")
	resp, err := client.Do(req)
	if err != nil {
		p.record(entry, 0, true)
		return nil, err
	}
	p.record(entry, resp.StatusCode, false)
	return resp, nil
}

// assertionProblems checks the claims of an assertion as Canvas does (canvas-lms,
// lib/canvas/security/jwt_validator.rb). A neutral platform wants iss to be sub,
// as the Security Framework 1.0, section 4.1.1, has it, and no long life.
func (p *Platform) assertionProblems(c *call, a *foreign) string {
	var missing []string
	for _, name := range []string{"sub", "aud", "exp", "iat", "jti", "iss"} {
		if v, ok := a.claims[name]; !ok || v == nil || v == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return "the following assertions are missing: " + strings.Join(missing, ",")
	}
	var problems []string
	if !c.isAudience(a.claims["aud"]) {
		problems = append(problems, "the 'aud' is invalid")
	}
	problems = append(problems, times(a, c.now)...)
	if a.text("iss") != a.text("sub") {
		problems = append(problems, "the 'iss' must be the 'sub'")
	}
	jti := a.text("sub") + " " + fmt.Sprint(a.claims["jti"])
	if p.RequireUniqueJTI && p.jtis[jti] {
		problems = append(problems, "the 'jti' was used before")
	}
	if len(problems) == 0 && p.RequireUniqueJTI {
		p.jtis[jti] = true
	}
	return strings.Join(problems, " | ")
}

// times checks exp and iat of what a tool signed: iat may be five minutes old and
// 30 seconds in the future.
func times(a *foreign, now time.Time) []string {
	var problems []string
	if exp, ok := a.claims["exp"].(float64); !ok {
		problems = append(problems, "the 'exp' must be a number")
	} else if exp < float64(now.Unix()) {
		problems = append(problems, "the JWT has expired")
	}
	if iat, ok := a.claims["iat"].(float64); !ok {
		problems = append(problems, "the 'iat' must be a number")
	} else if iat < float64(now.Add(-5*time.Minute).Unix()) {
		problems = append(problems, "the 'iat' must be less than 300 seconds old")
	} else if iat > float64(now.Add(30*time.Second).Unix()) {
		problems = append(problems, "the 'iat' must not be in the future")
	}
	return problems
}

// isAudience: the token endpoint of the host that was asked, or in Canvas that
// of the sso host.
func (c *call) isAudience(v any) bool {
	right := func(v any) bool {
		text, _ := v.(string)
		if text == c.p.endpoints().TokenURL {
			return true
		}
		return c.p.Canvas && (text == "https://"+c.r.Host+pathToken || text == c.p.front()+pathToken)
	}
	if list, ok := v.([]any); ok {
		return slices.ContainsFunc(list, right)
	}
	return right(v)
}
