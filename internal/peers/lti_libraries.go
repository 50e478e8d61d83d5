package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// ltiLibraries are the rows of the table. The first is the floor.
func ltiLibraries(p *ltiPlatform, tool *lti.Tool) []ltiLibrary {
	registered := []string{"iss", "aud", "exp", "iat"}
	return []ltiLibrary{
		{name: "floor: base64, hash, signature", claims: "none", open: ltiFloor(p)},
		{
			name: "runbook/lti, LaunchHandler", form: true, claims: "typed", open: ltiOurs(tool),
			checks: append(slices.Clone(registered), "state", "nonce", "replay", "LTI"),
		},
		{name: "golang-jwt v5.3.1, same struct", claims: "typed", checks: registered, open: golangJWT(p, false)},
		{name: "golang-jwt v5.3.1, MapClaims", claims: "map", checks: registered, open: golangJWT(p, true)},
		{name: "keyfunc v3.9.1 + golang-jwt, same struct", claims: "typed", checks: registered, open: withKeyfunc(p)},
		{name: "go-oidc v3.21.0, Verify and Claims", claims: "typed", checks: []string{"iss", "aud", "exp"}, open: goOIDC(p)},
		{name: "jwx v3.3.0, jwt.Parse", claims: "map", checks: registered, open: jwxParse(p)},
		{name: "go-jose v4.1.9, Claims and Validate", claims: "typed", checks: registered, open: goJose(p)},
	}
}

// golangParser checks what golang-jwt can check of a launch.
func golangParser() *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithIssuer(ltiIssuer), jwt.WithAudience(ltiClient), jwt.WithLeeway(time.Minute))
}

func golangJWT(p *ltiPlatform, mapped bool) func(posted) bool {
	parser, key := golangParser(), &p.key.PublicKey
	return func(l posted) bool {
		var claims jwt.Claims = &launchClaims{}
		if mapped {
			claims = jwt.MapClaims{}
		}
		_, err := parser.ParseWithClaims(l.token, claims, func(*jwt.Token) (any, error) { return key, nil })
		return err == nil
	}
}

func withKeyfunc(p *ltiPlatform) func(posted) bool {
	keys, err := keyfunc.NewJWKSetJSON(json.RawMessage(p.keys()))
	must(err)
	parser := golangParser()
	return func(l posted) bool {
		_, err := parser.ParseWithClaims(l.token, &launchClaims{}, keys.Keyfunc)
		return err == nil
	}
}

// goOIDC has the keys of the platform fetched once.
func goOIDC(p *ltiPlatform) func(posted) bool {
	ctx := oidc.ClientContext(context.Background(), &http.Client{Transport: p})
	verifier := oidc.NewVerifier(ltiIssuer, oidc.NewRemoteKeySet(ctx, ltiIssuer+"/api/lti/security/jwks"),
		&oidc.Config{ClientID: ltiClient, SupportedSigningAlgs: []string{"RS256"}})
	return func(l posted) bool {
		token, err := verifier.Verify(ctx, l.token)
		return err == nil && token.Claims(new(launchClaims)) == nil
	}
}

func jwxParse(p *ltiPlatform) func(posted) bool {
	keys, err := jwk.ParseString(p.keys())
	must(err)
	return func(l posted) bool {
		_, err := jwxjwt.ParseString(l.token, jwxjwt.WithKeySet(keys), jwxjwt.WithValidate(true), jwxjwt.WithAcceptableSkew(time.Minute),
			jwxjwt.WithRequiredClaim("exp"), jwxjwt.WithIssuer(ltiIssuer), jwxjwt.WithAudience(ltiClient))
		return err == nil
	}
}

func goJose(p *ltiPlatform) func(posted) bool {
	key := &p.key.PublicKey
	return func(l posted) bool {
		token, err := josejwt.ParseSigned(l.token, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			return false
		}
		var registered josejwt.Claims
		var claims launchClaims
		if token.Claims(key, &registered, &claims) != nil {
			return false
		}
		return registered.Expiry != nil && registered.Validate(josejwt.Expected{Issuer: ltiIssuer, AnyAudience: josejwt.Audience{ltiClient}}) == nil
	}
}

// newLTITool makes a tool of ours.
func newLTITool(p *ltiPlatform) *lti.Tool {
	r := lti.CanvasRegistration(lti.CanvasTest, ltiClient, "school.test.instructure.com")
	r.Deployments = []string{ltiDeployment}
	tool, err := lti.New(lti.Config{
		LaunchURL: "https://qa.example.edu/lti/launch", StateKeys: []runbook.Secret{runbook.NewSecret(strings.Repeat("k", 32))},
		Registrations: []lti.Registration{r}, HTTP: &http.Client{Transport: p},
	})
	must(err)
	return tool
}

func ltiOurs(tool *lti.Tool) func(posted) bool {
	var got *lti.Launch
	handler := tool.LaunchHandler(func(_ http.ResponseWriter, _ *http.Request, l *lti.Launch) { got = l })
	return func(l posted) bool {
		got = nil
		handler.ServeHTTP(&blankWriter{header: make(http.Header, 8)}, l.request)
		return got != nil
	}
}

// ltiFloor is what no launch can do without.
func ltiFloor(p *ltiPlatform) func(posted) bool {
	key, enc := &p.key.PublicKey, base64.RawURLEncoding
	return func(l posted) bool {
		end := strings.LastIndexByte(l.token, '.')
		_, payload, _ := strings.Cut(l.token[:end], ".")
		if _, err := enc.DecodeString(payload); err != nil {
			return false
		}
		signature, err := enc.DecodeString(l.token[end+1:])
		if err != nil {
			return false
		}
		sum := sha256.Sum256([]byte(l.token[:end]))
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	}
}
