package lti_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

// TestAcceptedLaunches are the good launches of the certification, for
// instructors and for students, and what Canvas sends besides.
//
// Requirement: LTI-CERT-I1, LTI-CERT-I2, LTI-CERT-I3, LTI-CERT-I4, LTI-CERT-I5, LTI-CERT-I6, LTI-CERT-I7, LTI-CERT-I8, LTI-CERT-I9
// Requirement: LTI-CERT-S1, LTI-CERT-S2, LTI-CERT-S3, LTI-CERT-S4, LTI-CERT-S5, LTI-CERT-S6, LTI-CERT-S7, LTI-CERT-S8, LTI-CERT-S9
// Requirement: LTI-GOTCHA-1, LTI-GOTCHA-23, LTI-GOTCHA-24, LTI-BEYOND-EXP-FRACTION, LTI-PEER-MARCGABE-LEEWAY, LTI-PEER-PYLTI-LEEWAY, LTI-PEER-OAT-LEEWAY
// Requirement: LTI-PEER-LTIJS-AGE, LTI-PEER-LTITOOL-AUDIENCE, LTI-PEER-LTITOOL-CUSTOM, LTI-ASK-4
func TestAcceptedLaunches(t *testing.T) {
	const member = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
	noNames := map[string]any{"name": gone{}, "given_name": gone{}, "family_name": gone{}, "picture": gone{}}
	noPII := changed(noNames, map[string]any{"email": gone{}})
	for who, main := range map[string]string{"instructor": "Instructor", "student": "Learner"} {
		tests := map[string]map[string]any{
			"plain":                 {claim + "roles": []string{member + main}},
			"multiple roles":        {claim + "roles": []string{member + main, "http://purl.imsglobal.org/vocab/lis/v2/institution/person#" + main}},
			"short role":            {claim + "roles": []string{main}},
			"unknown role":          {claim + "roles": []string{"http://purl.imsglobal.org/vocab/lis/v2/unknown/unknown#Helper"}},
			"no role, empty list":   {claim + "roles": []string{}},
			"no role, empty text":   {claim + "roles": []string{""}},
			"email only":            noNames,
			"names only":            {"email": gone{}},
			"no PII":                noPII,
			"email without context": {claim + "context": gone{}},

			"five minutes old, as from Canvas":   {"iat": seconds(-5 * time.Minute), "exp": seconds(55 * time.Minute)},
			"iat a little ahead":                 {"iat": seconds(50 * time.Second)},
			"just expired":                       {"exp": seconds(-50 * time.Second)},
			"fractions":                          {"iat": float64(time.Now().UnixMilli()) / 1000, "exp": float64(time.Now().UnixMilli())/1000 + 3600.25},
			"aud is a list":                      {"aud": []string{"10000000000042"}},
			"no azp with one audience":           {"azp": gone{}},
			"resource link id is the context id": {claim + "resource_link": map[string]any{"id": "4dde05e8ca1973bcca9bffc13e1548820eee93a3"}},
			"custom values of all types":         {claim + "custom": map[string]any{"n": 12, "f": 1.5, "b": true, "null": nil, "s": "x", "o": map[string]any{"a": 1}}},
			"malformed optional claims":          {claim + "context": "course", claim + "lis": 7, claim + "custom": []int{1}, "name": 5, "locale": nil, claim + "launch_presentation": map[string]any{"width": "800", "height": true}},
			"unknown claims":                     {"https://vendor.example/claim": map[string]any{"x": []any{1, nil}}, "errors": map[string]any{}},
			"no typ":                             {},
		}
		for name, changes := range tests {
			t.Run(who+", "+name, func(t *testing.T) {
				f := newFlow(t, nil)
				w := f.launch(changes)
				l, err := f.result()
				require.NoError(t, err)
				assert.Equal(t, http.StatusSeeOther, w.Code)
				assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				assert.Equal(t, "8b5e0f50-7a3c-4f39-9b6f-0c1d2e3f4a5b", l.Subject)
			})
		}
	}
}

// TestRefusedTokens are tokens of the platform that are refused, each for one
// reason: the known bad payloads of the certification, and others.
//
// Requirement: LTI-CERT-B3, LTI-CERT-B4, LTI-CERT-B6, LTI-CERT-B7, LTI-CERT-B8, LTI-CERT-B9, LTI-CERT-B10, LTI-CERT-B11, LTI-CERT-B12
// Requirement: LTI-VALIDATE-2, LTI-VALIDATE-3, LTI-VALIDATE-4, LTI-VALIDATE-5, LTI-VALIDATE-7, LTI-VALIDATE-9
// Requirement: LTI-BEYOND-AUD-OTHER, LTI-BEYOND-AUD-MISSING, LTI-BEYOND-AUD-EXTRA, LTI-BEYOND-AZP, LTI-BEYOND-NONCE-STATE, LTI-BEYOND-EXP-MISSING
// Requirement: LTI-BEYOND-EXP-STRING, LTI-BEYOND-EXP-HUGE, LTI-BEYOND-IAT-FUTURE, LTI-BEYOND-DEPLOYMENT, LTI-BEYOND-SHARED-KEYS, LTI-BEYOND-TARGET
// Requirement: LTI-GOTCHA-2, LTI-GOTCHA-7, LTI-PEER-MACEWAN-EXPIRED, LTI-PEER-MACEWAN-AUDIENCE, LTI-PEER-MACEWAN-CLAIMS, LTI-PEER-MACEWAN-PANIC
// Requirement: LTI-PEER-VIZDOS-CLAIMS, LTI-PEER-MARCGABE-CLAIMS, LTI-PEER-MARCGABE-AUDIENCE, LTI-PEER-LTIJS-NONCE, LTI-PEER-LTIJS-DEPLOYMENT
// Requirement: LTI-PEER-LTIJS-AUDIENCE, LTI-PEER-LTIJS-EXP, LTI-PEER-1EDTECH-AUDIENCE, LTI-LIB-JWT-EXP, LTI-LIB-JWT-IAT
func TestRefusedTokens(t *testing.T) {
	const tool = "10000000000042"
	lti13 := map[string]any{}
	for name := range canvasClaims("", time.Now()) {
		if strings.HasPrefix(name, "https://purl") {
			lti13[name] = gone{}
		}
	}
	tests := map[string]struct {
		changes map[string]any
		reason  lti.Reason
	}{
		"B3 wrong version":       {map[string]any{claim + "version": "1.1"}, lti.ReasonVersion},
		"B4 no version":          {map[string]any{claim + "version": gone{}}, lti.ReasonVersion},
		"B6 no LTI claims":       {lti13, lti.ReasonVersion},
		"B7 expired":             {map[string]any{"iat": seconds(-2 * time.Hour), "exp": seconds(-time.Hour)}, lti.ReasonExpired},
		"B7 from the future":     {map[string]any{"iat": seconds(time.Hour), "exp": seconds(2 * time.Hour)}, lti.ReasonIssuedAt},
		"B8 no message type":     {map[string]any{claim + "message_type": gone{}}, lti.ReasonMessageType},
		"B9 no roles":            {map[string]any{claim + "roles": gone{}}, lti.ReasonMissing},
		"B9 null roles":          {map[string]any{claim + "roles": nil}, lti.ReasonMissing},
		"B10 no deployment":      {map[string]any{claim + "deployment_id": gone{}}, lti.ReasonMissing},
		"B11 no resource link":   {map[string]any{claim + "resource_link": gone{}}, lti.ReasonMissing},
		"B11 no id in it":        {map[string]any{claim + "resource_link": map[string]any{"title": "x"}}, lti.ReasonMissing},
		"B11 it is malformed":    {map[string]any{claim + "resource_link": map[string]any{"id": 7}}, lti.ReasonMissing},
		"B12 no sub":             {map[string]any{"sub": gone{}}, lti.ReasonAnonymous},
		"B12 empty sub":          {map[string]any{"sub": ""}, lti.ReasonAnonymous},
		"iss differs":            {map[string]any{"iss": "https://canvas.instructure.com"}, lti.ReasonIssuer},
		"iss with a slash":       {map[string]any{"iss": "https://canvas.test.instructure.com/"}, lti.ReasonIssuer},
		"iss in other letters":   {map[string]any{"iss": "https://Canvas.test.instructure.com"}, lti.ReasonIssuer},
		"iss missing":            {map[string]any{"iss": gone{}}, lti.ReasonIssuer},
		"aud other":              {map[string]any{"aud": "10000000000043", "azp": "10000000000043"}, lti.ReasonAudience},
		"aud missing":            {map[string]any{"aud": gone{}}, lti.ReasonAudience},
		"aud null":               {map[string]any{"aud": nil}, lti.ReasonAudience},
		"aud empty":              {map[string]any{"aud": []string{}}, lti.ReasonAudience},
		"aud a number":           {map[string]any{"aud": 10000000000042}, lti.ReasonClaims},
		"aud with numbers":       {map[string]any{"aud": []any{tool, 7}}, lti.ReasonClaims},
		"aud extra":              {map[string]any{"aud": []string{tool, "evil"}, "azp": gone{}}, lti.ReasonAudience},
		"aud extra first":        {map[string]any{"aud": []string{"evil", tool}, "azp": gone{}}, lti.ReasonAudience},
		"aud extra, azp ours":    {map[string]any{"aud": []string{tool, "evil"}, "azp": tool}, lti.ReasonAudience},
		"azp other":              {map[string]any{"azp": "10000000000043"}, lti.ReasonParty},
		"azp empty":              {map[string]any{"azp": ""}, lti.ReasonParty},
		"exp missing":            {map[string]any{"exp": gone{}}, lti.ReasonExpired},
		"exp a text":             {map[string]any{"exp": "4102444800"}, lti.ReasonClaims},
		"exp huge":               {map[string]any{"exp": json.Number("1e300")}, lti.ReasonLifetime},
		"exp beyond a float":     {map[string]any{"exp": json.Number("1e999")}, lti.ReasonLifetime},
		"exp in two days":        {map[string]any{"exp": seconds(48 * time.Hour)}, lti.ReasonLifetime},
		"exp far in the past":    {map[string]any{"exp": json.Number("-1e300")}, lti.ReasonExpired},
		"iat missing":            {map[string]any{"iat": gone{}}, lti.ReasonIssuedAt},
		"iat a text":             {map[string]any{"iat": "1"}, lti.ReasonClaims},
		"iat 2 minutes ahead":    {map[string]any{"iat": seconds(2 * time.Minute)}, lti.ReasonIssuedAt},
		"nbf 2 minutes ahead":    {map[string]any{"nbf": seconds(2 * time.Minute)}, lti.ReasonIssuedAt},
		"nonce missing":          {map[string]any{"nonce": gone{}}, lti.ReasonNonce},
		"nonce empty":            {map[string]any{"nonce": ""}, lti.ReasonNonce},
		"nonce a number":         {map[string]any{"nonce": 5}, lti.ReasonClaims},
		"nonce of another login": {map[string]any{"nonce": strings.Repeat("A", 43)}, lti.ReasonNonce},
		"deployment unknown":     {map[string]any{claim + "deployment_id": "107:x"}, lti.ReasonDeployment},
		"deployment too long":    {map[string]any{claim + "deployment_id": strings.Repeat("1", 256)}, lti.ReasonMissing},
		"sub too long":           {map[string]any{"sub": strings.Repeat("1", 256)}, lti.ReasonMissing},
		"sub a number":           {map[string]any{"sub": 1}, lti.ReasonClaims},
		"target differs":         {map[string]any{claim + "target_link_uri": "https://qa.example.edu/lti/admin"}, lti.ReasonTarget},
		"target missing":         {map[string]any{claim + "target_link_uri": gone{}}, lti.ReasonMissing},
		"message type unknown":   {map[string]any{claim + "message_type": "LtiStartProctoring"}, lti.ReasonMessageType},
		"message type not text":  {map[string]any{claim + "message_type": 1}, lti.ReasonClaims},
		"roles a text":           {map[string]any{claim + "roles": "Instructor"}, lti.ReasonClaims},
		"link id too long":       {map[string]any{claim + "resource_link": map[string]any{"id": strings.Repeat("1", 256)}}, lti.ReasonMissing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFlow(t, nil)
			w := f.launch(test.changes)
			f.refused(w, test.reason, (&lti.Refusal{Reason: test.reason}).Status())
			// It was for this alone: the login can still be completed.
			f.refusals = nil
			f.post(url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(nil))}})
			_, err := f.result()
			require.NoError(t, err, "a refused token used up the login")
		})
	}
	for _, reason := range []lti.Reason{lti.ReasonAudience, lti.ReasonSignature, lti.ReasonExpired, lti.ReasonNonce} {
		assert.Equal(t, http.StatusUnauthorized, (&lti.Refusal{Reason: reason}).Status(), reason)
	}
}

// TestRefusedForgeries are tokens that the platform did not sign, or that are no
// tokens.
//
// Requirement: LTI-CERT-B1, LTI-CERT-B5, LTI-VALIDATE-1, LTI-BEYOND-ALG-NONE, LTI-BEYOND-ALG-HS256
// Requirement: LTI-BEYOND-TAMPERED, LTI-BEYOND-CRIT, LTI-BEYOND-DUPLICATE-KEYS, LTI-BEYOND-DEPTH, LTI-BEYOND-SIZE, LTI-GOTCHA-19, LTI-GOTCHA-21
// Requirement: LTI-PEER-ROBERTJNDW-KID, LTI-PEER-MARCGABE-KID, LTI-CVE-2023-25574, LTI-LIB-JWT-CRIT, LTI-LIB-JWT-CLAIMS
func TestRefusedForgeries(t *testing.T) {
	enc := base64.RawURLEncoding
	der, err := x509.MarshalPKIXPublicKey(&benchKey().PublicKey)
	require.NoError(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	good := func(f *flow) string { return payload(f.claims(nil)) }
	deep := strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000)
	tests := map[string]struct {
		token  func(f *flow) string
		reason lti.Reason
	}{
		"B1 no kid":    {func(f *flow) string { return rawToken(header(map[string]any{"kid": gone{}}), good(f)) }, lti.ReasonKey},
		"B1 null kid":  {func(f *flow) string { return rawToken(header(map[string]any{"kid": nil}), good(f)) }, lti.ReasonKey},
		"B1 empty kid": {func(f *flow) string { return rawToken(header(map[string]any{"kid": ""}), good(f)) }, lti.ReasonKey},
		"B2 other kid": {func(f *flow) string { return rawToken(header(map[string]any{"kid": "\x1b[31m<b>../x"}), good(f)) }, lti.ReasonKey},
		"endless kid": {func(f *flow) string {
			return rawToken(header(map[string]any{"kid": strings.Repeat("k", 3000)}), good(f))
		}, lti.ReasonKey},
		"B5 no JWT":         {func(*flow) string { return "this is not a token" }, lti.ReasonToken},
		"B5 two parts":      {func(*flow) string { return "e30.e30" }, lti.ReasonToken},
		"four parts":        {func(f *flow) string { return rawToken(header(nil), good(f)) + ".e30" }, lti.ReasonToken},
		"empty":             {func(*flow) string { return "" }, lti.ReasonToken},
		"header not base64": {func(f *flow) string { return "!" + rawToken(header(nil), good(f)) }, lti.ReasonToken},
		"header not JSON":   {func(f *flow) string { return rawToken("{", good(f)) }, lti.ReasonToken},
		"header kid number": {func(f *flow) string { return rawToken(header(map[string]any{"kid": 1}), good(f)) }, lti.ReasonToken},
		"header twice":      {func(f *flow) string { return rawToken(`{"alg":"none","alg":"RS256","kid":"`+benchKid+`"}`, good(f)) }, lti.ReasonToken},
		"typ of a token":    {func(f *flow) string { return rawToken(header(map[string]any{"typ": "at+jwt"}), good(f)) }, lti.ReasonToken},
		"crit":              {func(f *flow) string { return rawToken(header(map[string]any{"crit": []string{"exp"}}), good(f)) }, lti.ReasonToken},
		"crit empty":        {func(f *flow) string { return rawToken(header(map[string]any{"crit": []string{}}), good(f)) }, lti.ReasonToken},
		"alg none":          {func(f *flow) string { return rawToken(header(map[string]any{"alg": "none"}), good(f)) }, lti.ReasonAlgorithm},
		"alg none, unsigned": {func(f *flow) string {
			return enc.EncodeToString([]byte(header(map[string]any{"alg": "none"}))) + "." + enc.EncodeToString([]byte(good(f))) + "."
		}, lti.ReasonAlgorithm},
		"alg None":              {func(f *flow) string { return rawToken(header(map[string]any{"alg": "None"}), good(f)) }, lti.ReasonAlgorithm},
		"alg missing":           {func(f *flow) string { return rawToken(header(map[string]any{"alg": gone{}}), good(f)) }, lti.ReasonAlgorithm},
		"alg RS384, not agreed": {func(f *flow) string { return rawToken(header(map[string]any{"alg": "RS384"}), good(f)) }, lti.ReasonAlgorithm},
		"alg HS256 with the public key": {func(f *flow) string {
			signed := enc.EncodeToString([]byte(header(map[string]any{"alg": "HS256"}))) + "." + enc.EncodeToString([]byte(good(f)))
			mac := hmac.New(sha256.New, publicPEM)
			mac.Write([]byte(signed))
			return signed + "." + enc.EncodeToString(mac.Sum(nil))
		}, lti.ReasonAlgorithm},
		"signed by an EC key": {func(f *flow) string {
			signed := enc.EncodeToString([]byte(header(nil))) + "." + enc.EncodeToString([]byte(good(f)))
			sum := sha256.Sum256([]byte(signed))
			signature, err := ecdsa.SignASN1(rand.Reader, curve, sum[:])
			require.NoError(t, err)
			return signed + "." + enc.EncodeToString(signature)
		}, lti.ReasonSignature},
		"tampered payload": {func(f *flow) string {
			parts := strings.Split(rawToken(header(nil), good(f)), ".")
			parts[1] = enc.EncodeToString([]byte(strings.Replace(good(f), "Alex", "Alix", 1)))
			return strings.Join(parts, ".")
		}, lti.ReasonSignature},
		"tampered header": {func(f *flow) string {
			parts := strings.Split(rawToken(header(nil), good(f)), ".")
			parts[0] = enc.EncodeToString([]byte(header(map[string]any{"x": 1})))
			return strings.Join(parts, ".")
		}, lti.ReasonSignature},
		// What is not signed is not even decoded.
		"tampered, and not JSON": {func(f *flow) string {
			parts := strings.Split(rawToken(header(nil), good(f)), ".")
			parts[1] = enc.EncodeToString([]byte(`{"iss":{{{`))
			return strings.Join(parts, ".")
		}, lti.ReasonSignature},
		"no signature": {func(f *flow) string { s := rawToken(header(nil), good(f)); return s[:strings.LastIndex(s, ".")+1] }, lti.ReasonSignature},
		"key in header": {func(f *flow) string {
			return rawToken(header(map[string]any{"kid": gone{}, "jwk": map[string]any{"kty": "RSA"}, "jku": "https://evil.example/jwks", "x5u": "https://evil.example"}), good(f))
		}, lti.ReasonKey},
		"iss twice":    {func(f *flow) string { return rawToken(header(nil), `{"iss":"https://evil.example",`+good(f)[1:]) }, lti.ReasonClaims},
		"nested twice": {func(f *flow) string { return rawToken(header(nil), `{"x":{"a":1,"a":2},`+good(f)[1:]) }, lti.ReasonClaims},
		"not UTF-8":    {func(f *flow) string { return rawToken(header(nil), "{\"x\":\"\xff\","+good(f)[1:]) }, lti.ReasonClaims},
		"too deep":     {func(f *flow) string { return rawToken(header(nil), `{"x":`+deep[:60000]+`,`+good(f)[1:]) }, lti.ReasonClaims},
		"deep and closed": {func(f *flow) string {
			return rawToken(header(nil), `{"x":`+strings.Repeat("[", 11000)+strings.Repeat("]", 11000)+`,`+good(f)[1:])
		}, lti.ReasonClaims},
		"a list": {func(*flow) string { return rawToken(header(nil), `[]`) }, lti.ReasonClaims},
		"null":   {func(*flow) string { return rawToken(header(nil), `null`) }, lti.ReasonIssuer},
		"too large": {func(f *flow) string {
			return rawToken(header(nil), `{"x":"`+strings.Repeat("x", 130<<10)+`",`+good(f)[1:])
		}, lti.ReasonToken},
		"endless header": {func(f *flow) string { return rawToken(header(map[string]any{"x": strings.Repeat("x", 9000)}), good(f)) }, lti.ReasonToken},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFlow(t, nil)
			f.begin()
			w := f.post(url.Values{"state": {f.state}, "id_token": {test.token(f)}})
			f.refused(w, test.reason, http.StatusUnauthorized)
			assert.NotContains(t, f.refusals[0].Error(), "\x1b", "foreign text is escaped")
		})
	}
	t.Run("a name in other letters is another name", func(t *testing.T) {
		f := newFlow(t, nil)
		f.begin()
		f.post(url.Values{"state": {f.state}, "id_token": {rawToken(header(nil), `{"ISS":"https://evil.example","Aud":"x",`+good(f)[1:])}})
		l, err := f.result()
		require.NoError(t, err)
		assert.Equal(t, "https://canvas.test.instructure.com", l.Issuer)
	})
	t.Run("a body of a megabyte", func(t *testing.T) {
		f := newFlow(t, nil)
		f.begin()
		w := f.post(url.Values{"state": {f.state}, "id_token": {strings.Repeat("x", 1<<20)}})
		f.refused(w, lti.ReasonRequest, http.StatusBadRequest)
	})
}

// TestOptions are launches that depend on the registration or the host.
//
// Requirement: LTI-BEYOND-AUD-TRUSTED, LTI-VALIDATE-8, LTI-PEER-PYLTI-ANONYMOUS, LTI-GOTCHA-9, LTI-CVE-2025-67848
func TestOptions(t *testing.T) {
	registration := func(change func(*lti.Registration)) func(*lti.Config) {
		return func(cfg *lti.Config) { change(&cfg.Registrations[0]) }
	}
	trusted := registration(func(r *lti.Registration) { r.TrustedAudiences = []string{"partner"} })
	both := []string{"10000000000042", "partner"}
	unknown := map[string]any{claim + "deployment_id": "107:x"}
	no := errors.New("suspended")
	tests := map[string]struct {
		config  func(*lti.Config)
		changes map[string]any
		reason  lti.Reason // empty means accepted
	}{
		"trusted audience, azp":                {trusted, map[string]any{"aud": both}, ""},
		"trusted audience, no azp":             {trusted, map[string]any{"aud": both, "azp": gone{}}, lti.ReasonParty},
		"trusted audience, azp is the partner": {trusted, map[string]any{"aud": both, "azp": "partner"}, lti.ReasonParty},
		"trusted audience alone":               {trusted, map[string]any{"aud": "partner", "azp": gone{}}, lti.ReasonAudience},
		"anonymous":                            {registration(func(r *lti.Registration) { r.AllowAnonymous = true }), map[string]any{"sub": gone{}}, ""},
		"deployment accepted": {func(c *lti.Config) {
			c.Deployment = func(context.Context, lti.Registration, *lti.Launch) error { return nil }
		}, unknown, ""},
		"deployment refused": {func(c *lti.Config) {
			c.Deployment = func(context.Context, lti.Registration, *lti.Launch) error { return no }
		}, unknown, lti.ReasonDeployment},
		"user refused":             {func(c *lti.Config) { c.Accept = func(context.Context, *lti.Launch) error { return no } }, nil, lti.ReasonHost},
		"too old for the host":     {func(c *lti.Config) { c.MaxTokenAge = 10 * time.Minute }, map[string]any{"iat": seconds(-12 * time.Minute)}, lti.ReasonIssuedAt},
		"not too old for the host": {func(c *lti.Config) { c.MaxTokenAge = 10 * time.Minute }, map[string]any{"iat": seconds(-9 * time.Minute)}, ""},
		"other message type":       {func(c *lti.Config) { c.MessageTypes = []string{"LtiStartProctoring"} }, map[string]any{claim + "message_type": "LtiStartProctoring"}, ""},
		"other target": {func(c *lti.Config) {
			c.SameTarget = func(login, target string) bool { return target == "https://qa.example.edu/eu" }
		}, map[string]any{claim + "target_link_uri": "https://qa.example.edu/eu"}, ""},
		"nonce store down": {func(c *lti.Config) { c.Nonces = brokenNonces{} }, nil, lti.ReasonStore},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFlow(t, test.config)
			w := f.launch(test.changes)
			if test.reason != "" {
				f.refused(w, test.reason, (&lti.Refusal{Reason: test.reason}).Status())
				return
			}
			_, err := f.result()
			require.NoError(t, err)
		})
	}
}

type brokenNonces struct{}

func (brokenNonces) Use(context.Context, lti.NonceID, time.Time) error {
	return errors.New("connection refused")
}
func (brokenNonces) PurgeExpired(context.Context) (int, error) { return 0, nil }

// TestLaunchHasEverything reads each claim.
func TestLaunchHasEverything(t *testing.T) {
	f := newFlow(t, nil)
	f.launch(map[string]any{
		"middle_name": "Q", claim + "role_scope_mentor": []string{"u1"},
		claim + "platformnotificationservice": map[string]any{"platform_notification_service_url": "https://school.test.instructure.com/api/lti/notice-handlers/1", "scope": []string{"s"}, "notice_types_supported": []string{"LtiHelloWorldNotice"}},
	})
	l, err := f.result()
	require.NoError(t, err)
	assert.Equal(t, "LtiResourceLinkRequest of https://canvas.test.instructure.com, client 10000000000042, deployment \"106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb\"", l.String())
	assert.Equal(t, "https://qa.example.edu/lti/course?placement=course_navigation", l.TargetLinkURI)
	assert.Equal(t, lti.User{Name: "Alex Example", GivenName: "Alex", FamilyName: "Example", MiddleName: "Q", Email: "alex.example@school.example.edu", Picture: l.User.Picture, Locale: "en-AU"}, l.User)
	assert.Equal(t, "BIOL101", l.Context.Label)
	assert.Equal(t, "QA of this course", l.ResourceLink.Title)
	assert.Equal(t, "canvas", l.Platform.ProductFamilyCode)
	assert.Equal(t, &lti.Presentation{DocumentTarget: "iframe", ReturnURL: l.Presentation.ReturnURL, Locale: "en-AU", Width: 1200, Height: 800}, l.Presentation)
	assert.Equal(t, "s00123456", l.LIS.PersonSourcedID)
	assert.Equal(t, "1234", l.Custom["canvas_course_id"])
	assert.Equal(t, []string{"u1"}, l.MentorOf)
	assert.Len(t, l.AGS.Scopes, 4)
	assert.Equal(t, []string{"2.0"}, l.NRPS.Versions)
	assert.Equal(t, []string{"LtiHelloWorldNotice"}, l.PNS.Types)
	assert.Equal(t, "course_navigation", l.Canvas.Placement)
	assert.WithinDuration(t, time.Now().Add(57*time.Minute), l.Expires, 5*time.Second)
	assert.True(t, l.HasRole("Instructor"))
	assert.True(t, l.HasRole("TeachingAssistant"), "a sub-role by its own name")
	assert.False(t, l.HasRole("Staff"), "a role in the institution")
	assert.True(t, l.HasRole("http://purl.imsglobal.org/vocab/lis/v2/institution/person#Staff"))
	var lti11 struct {
		UserID string `json:"user_id"`
	}
	assert.True(t, l.Claim(claim+"lti1p1", &lti11))
	assert.NotEmpty(t, lti11.UserID)
	assert.False(t, l.Claim("nothing", &lti11))
	assert.True(t, json.Valid(l.Claims))
}

// TestMessages are the other messages.
//
// Requirement: LTI-CERT-D1
func TestMessages(t *testing.T) {
	settings := map[string]any{
		"deep_link_return_url": "https://school.test.instructure.com/courses/1/deep_linking_response?data=x", "accept_types": []string{"ltiResourceLink"},
		"accept_presentation_document_targets": []string{"iframe"},
	}
	const dl = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
	deep := map[string]any{claim + "message_type": lti.MessageDeepLinking, claim + "resource_link": gone{}, claim + "roles": gone{}, "sub": gone{}, dl: settings}
	review := map[string]any{
		claim + "message_type": lti.MessageSubmissionReview, claim + "for_user": map[string]any{"user_id": "u"},
		"https://purl.imsglobal.org/spec/lti-ags/claim/endpoint": map[string]any{"scope": []string{}, "lineitem": "https://school.test.instructure.com/api/lti/courses/1/line_items/2"},
	}
	tests := map[string]struct {
		changes map[string]any
		reason  lti.Reason
	}{
		"deep linking":                {deep, ""},
		"deep linking, no target":     {changed(deep, map[string]any{claim + "target_link_uri": gone{}}), ""},
		"deep linking, other target":  {changed(deep, map[string]any{claim + "target_link_uri": "https://qa.example.edu/x"}), lti.ReasonTarget},
		"deep linking, no settings":   {changed(deep, map[string]any{dl: gone{}}), lti.ReasonMissing},
		"deep linking, no return":     {changed(deep, map[string]any{dl: changed(settings, map[string]any{"deep_link_return_url": gone{}})}), lti.ReasonMissing},
		"deep linking, http return":   {changed(deep, map[string]any{dl: changed(settings, map[string]any{"deep_link_return_url": "http://school.example/x"})}), lti.ReasonMissing},
		"deep linking, script return": {changed(deep, map[string]any{dl: changed(settings, map[string]any{"deep_link_return_url": "javascript:alert(1)"})}), lti.ReasonMissing},
		"deep linking, no types":      {changed(deep, map[string]any{dl: changed(settings, map[string]any{"accept_types": gone{}})}), lti.ReasonMissing},
		"deep linking, no targets":    {changed(deep, map[string]any{dl: changed(settings, map[string]any{"accept_presentation_document_targets": gone{}})}), lti.ReasonMissing},
		"submission review":           {review, ""},
		"submission review of nobody": {changed(review, map[string]any{claim + "for_user": gone{}}), lti.ReasonMissing},
		"submission review, no item":  {changed(review, map[string]any{"https://purl.imsglobal.org/spec/lti-ags/claim/endpoint": gone{}}), lti.ReasonMissing},
		"asset processor of Canvas":   {map[string]any{claim + "message_type": lti.MessageAssetProcessor, claim + "resource_link": gone{}}, ""},
		"report review of Canvas":     {map[string]any{claim + "message_type": lti.MessageReportReview, claim + "resource_link": gone{}}, ""},
		"licence agreement of Canvas": {map[string]any{claim + "message_type": lti.MessageEULA, claim + "resource_link": gone{}}, ""},
		"licence agreement, no user":  {map[string]any{claim + "message_type": lti.MessageEULA, "sub": gone{}}, lti.ReasonAnonymous},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFlow(t, nil)
			f.launch(test.changes)
			l, err := f.result()
			if test.reason != "" {
				require.ErrorIs(t, err, test.reason)
				return
			}
			require.NoError(t, err)
			_, isDeep := l.DeepLinkingRequest()
			assert.Equal(t, l.MessageType == lti.MessageDeepLinking, isDeep)
		})
	}
}
