package canvastest

//lint:file-ignore ST1005 the texts are those that Canvas answers with

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"time"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// ssoHost is the host to which LTI tools send their assertions on hosted Canvas.
const ssoHost = "sso.canvaslms.com"

// assertion is a client assertion that was taken apart, and not yet believed.
type assertion struct {
	header struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	claims    map[string]any
	signed    string
	signature []byte
}

func readAssertion(text string) (*assertion, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, false
	}
	var raw [3][]byte
	for i, p := range parts {
		b, err := base64.RawURLEncoding.DecodeString(p)
		if err != nil {
			return nil, false
		}
		raw[i] = b
	}
	a := &assertion{signed: parts[0] + "." + parts[1], signature: raw[2]}
	if json.Unmarshal(raw[0], &a.header) != nil || json.Unmarshal(raw[1], &a.claims) != nil {
		return nil, false
	}
	return a, true
}

// verified says that the signature is that of a key, RS256 and nothing else.
func (a *assertion) verified(key *rsa.PublicKey) bool {
	if a.header.Alg != "RS256" {
		return false
	}
	sum := sha256.Sum256([]byte(a.signed))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], a.signature) == nil
}

// jwk is a public key in JSON.
type jwk struct {
	Kty string `json:"kty"`
	Kid string `json:"kid"`
	N   string `json:"n"`
	E   string `json:"e"`
}

func (k jwk) key() (*rsa.PublicKey, error) {
	n, err := base64.RawURLEncoding.DecodeString(k.N)
	if err != nil {
		return nil, err
	}
	e, err := base64.RawURLEncoding.DecodeString(k.E)
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if k.Kty != "RSA" || len(n) == 0 || !exponent.IsInt64() || exponent.Int64() < 3 {
		return nil, errors.New("not an RSA key")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

// readJWK reads a key out of whatever a test put into public_jwk.
func readJWK(v any) (jwk, error) {
	var k jwk
	raw, err := json.Marshal(v)
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(raw, &k)
}

const badSignature = "JWS signature invalid."

// verify finds the public key of a developer key and checks the signature. The
// problem is told in Canvas' words (lib/canvas/oauth,
// asymmetric_client_credentials_provider.rb): a set of keys is searched by kid,
// while the one key that is stored in Canvas is used whatever the kid says.
func (c *call) verify(key *row, a *assertion, set []byte, fetched error) (problem string) {
	if key == nil || key.obj["public_jwk"] == nil && key.obj["public_jwk_url"] == nil {
		return badSignature
	}
	if key.obj["public_jwk_url"] == nil {
		k, err := readJWK(key.obj["public_jwk"])
		if err != nil {
			return badSignature
		}
		public, err := k.key()
		if err != nil || !a.verified(public) {
			return badSignature
		}
		return ""
	}
	if fetched != nil {
		return "JWK Error: " + fetched.Error()
	}
	var keys struct {
		Keys []jwk `json:"keys"`
	}
	if json.Unmarshal(set, &keys) != nil {
		return "JWK Error: Invalid JSON"
	}
	for _, k := range keys.Keys {
		if k.Kid != a.header.Kid {
			continue
		}
		public, err := k.key()
		if err != nil || !a.verified(public) {
			return "JWK Error: JSON::JWS::VerificationFailed"
		}
		return ""
	}
	return "JWK Error: JSON::JWK::Set::KidNotFound"
}

// invalidClaims checks the claims as Canvas does (lib/canvas/security,
// jwt_validator.rb): all of them must be there, the audience must be the token
// endpoint of this host or of the sso host, iat may be 5 minutes old and 30
// seconds in the future. A jti is not checked for having been used.
func (c *call) invalidClaims(a *assertion) (problem string) {
	var missing []string
	for _, name := range []string{"sub", "aud", "exp", "iat", "jti", "iss"} {
		if _, ok := a.claims[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return "the following assertions are missing: " + strings.Join(missing, ",")
	}
	var problems []string
	if !c.audience(a.claims["aud"]) {
		problems = append(problems, "the 'aud' is invalid")
	}
	exp, iat := a.claims["exp"], a.claims["iat"]
	if at, ok := claimTime(exp); !ok {
		problems = append(problems, "the 'exp' must be a number")
	} else if at.Before(c.now) {
		problems = append(problems, "the JWT has expired")
	}
	if at, ok := claimTime(iat); !ok {
		problems = append(problems, "the 'iat' must be a number")
	} else if at.Before(c.now.Add(-5 * time.Minute)) {
		problems = append(problems, "the 'iat' must be less than 300 seconds old")
	} else if at.After(c.now.Add(30 * time.Second)) {
		problems = append(problems, "the 'iat' must not be in the future")
	}
	return strings.Join(problems, " | ")
}

func claimTime(v any) (time.Time, bool) {
	f, ok := v.(float64)
	return time.Unix(int64(f), 0), ok
}

func (c *call) audience(v any) bool {
	right := func(text any) bool {
		return text == c.host()+"/login/oauth2/token" || text == "https://"+ssoHost+"/login/oauth2/token"
	}
	if list, ok := v.([]any); ok {
		for _, text := range list {
			if right(text) {
				return true
			}
		}
		return false
	}
	return right(v)
}

// byAssertion is the client_credentials grant of LTI Advantage.
func byAssertion(c *call) answer {
	if c.param("client_assertion_type") != assertionType {
		return oauthError(400, "invalid_request", "assertion method not supported for this grant_type")
	}
	a, readable := readAssertion(c.param("client_assertion"))
	if !readable {
		return oauthError(400, "invalid_request", badSignature)
	}
	sub, _ := a.claims["sub"].(string)
	key := c.s.world.row(DeveloperKeys, keyID(sub))
	set, fetched := c.keySet(key)
	// The key may have changed while its set was fetched.
	key = c.s.world.row(DeveloperKeys, keyID(sub))
	if problem := c.verify(key, a, set, fetched); problem != "" {
		return oauthError(400, "invalid_request", problem)
	}
	if problem := c.invalidClaims(a); problem != "" {
		return oauthError(400, "invalid_request", problem)
	}
	if !c.s.world.usable(key.id, c.s.TestCluster) {
		return unknownClient()
	}
	scopes := strings.Fields(orText(c.param("scope"), c.param("scopes")))
	if missing := missingScopes(key, scopes); missing != nil {
		return invalidScope(missing)
	}
	return c.serviceToken(key, scopes)
}

// keySet fetches the keys of a developer key, without the lock.
func (c *call) keySet(key *row) ([]byte, error) {
	if key == nil {
		return nil, nil
	}
	address, _ := key.obj["public_jwk_url"].(string)
	if address == "" {
		return nil, nil
	}
	if c.s.KeySet == nil {
		return nil, errors.New("Failed to open TCP connection")
	}
	c.s.mu.Unlock()
	defer c.s.mu.Lock()
	return c.s.KeySet(address)
}

// serviceToken makes the access token of an LTI service, a JWT.
func (c *call) serviceToken(key *row, scopes []string) answer {
	account := c.s.world.row(Accounts, RootAccount)
	claims := Object{
		"iss": "https://canvas.instructure.com", "sub": itoa(key.id), "aud": c.host() + "/login/oauth2/token", "iat": c.now.Unix(), "exp": c.now.Add(tokenLife).Unix(),
		"jti": c.s.uuid(), "scopes": strings.Join(scopes, " "), "canvas.instructure.com": Object{"account_uuid": account.obj["uuid"]},
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		panic(err) // texts and numbers
	}
	text := "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(raw) + "." + c.s.token40()
	c.s.world.tokens[text] = &token{
		Token: Token{Text: text, Key: key.id, Scopes: scopes, ExpiresAt: c.now.Add(tokenLife)}, id: c.s.world.nextID(), text: text, client: key.id, created: c.now,
	}
	return answer{status: http.StatusOK, body: Object{"access_token": text, "token_type": "Bearer", "expires_in": 3600, "scope": strings.Join(scopes, " ")}}
}
