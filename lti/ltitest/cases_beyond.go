package ltitest

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"time"
)

// audienceCases are about whom a token is for. All tools of a platform share its
// keys, so nothing else keeps them apart.
func audienceCases() []Case {
	aud := func(more ...string) func(*forgery) {
		return func(f *forgery) {
			f.claims["aud"] = append([]string{f.client}, more...)
			delete(f.claims, "azp")
		}
	}
	azp := func(change func(*forgery), party func(f *forgery) string) func(*forgery) {
		return func(f *forgery) { change(f); f.claims["azp"] = party(f) }
	}
	ours := func(f *forgery) string { return f.client }
	return []Case{
		bad("BEYOND-AUD-OTHER", "another audience", func(f *forgery) { f.claims["aud"] = EvilAudience; delete(f.claims, "azp") }),
		bad("BEYOND-AUD-OTHER-AZP", "another audience, and azp is this tool", azp(func(f *forgery) { f.claims["aud"] = EvilAudience }, ours)),
		bad("BEYOND-AUD-MISSING", "no audience", without("aud", "azp")),
		bad("BEYOND-AUD-EMPTY", "an empty list of audiences", func(f *forgery) { f.claims["aud"] = []string{}; delete(f.claims, "azp") }),
		bad("BEYOND-AUD-NUMBER", "the audience is a number", func(f *forgery) { f.claims["aud"] = jsonNumber(digits(f.client)); delete(f.claims, "azp") }),
		bad("BEYOND-AUD-PREFIX", "an audience that begins as this tool does", func(f *forgery) { f.claims["aud"] = f.client + "0"; delete(f.claims, "azp") }),
		bad("BEYOND-AUD-EXTRA", "an untrusted audience besides, without azp", aud(EvilAudience)),
		bad("BEYOND-AUD-EXTRA-AZP", "an untrusted audience besides, with azp", azp(aud(EvilAudience), ours)),
		bad("BEYOND-AUD-TRUSTED", "a trusted audience besides, without azp", aud(TrustedAudience)).choice().trust(),
		good("BEYOND-AUD-TRUSTED-AZP", "a trusted audience besides, with azp", azp(aud(TrustedAudience), ours)).trust(),
		good("BEYOND-AUD-LIST", "a list of this audience alone", aud()),
		good("BEYOND-AUD-STRING", "the audience as a text", func(f *forgery) { f.claims["aud"] = f.client }),
		bad("BEYOND-AZP", "azp is another client", azp(aud(), func(*forgery) string { return EvilAudience })),
		bad("BEYOND-SHARED-KEYS", "a token of another tool of this platform", func(f *forgery) {
			other := f.client + "7"
			with("aud", other, "azp", other, claim+"deployment_id", "9999:"+opaque("deployment", other))(f)
		}),
		bad("BEYOND-ISS", "another issuer", with("iss", "https://evil.example")),
		bad("BEYOND-ISS-SLASH", "the issuer with a slash", func(f *forgery) { f.claims["iss"] = f.p.issuer() + "/" }),
	}
}

// digits makes a JSON number of an id.
func digits(id string) string {
	n := strings.TrimLeft(strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, id), "0")
	if n == "" {
		return "42"
	}
	return n
}

// signatureCases are about who signed.
func signatureCases() []Case {
	header := func(name string, value func() any) func(*forgery) {
		return signed(func(*forgery) Signing {
			return Signing{Key: AttackerKey(), KID: "attacker", Header: map[string]any{name: value()}}
		})
	}
	attacker := func() any { return rsaJWK(&AttackerKey().PublicKey, "attacker") }
	return []Case{
		bad("BEYOND-ALG-NONE", "algorithm none", signed(func(*forgery) Signing { return Signing{Alg: "none"} })),
		bad("BEYOND-ALG-NONE-CASE", "algorithm NoNe", func(f *forgery) {
			f.how = Signing{Alg: "none", Header: map[string]any{"alg": "NoNe"}}
		}),
		bad("BEYOND-ALG-HS256", "HS256 with the text of the public key as its secret", signed(func(*forgery) Signing { return Signing{Alg: "HS256"} })),
		bad("BEYOND-ALG-EC", "RS256 in the header, which names an EC key", signed(func(*forgery) Signing { return Signing{Alg: "RS256", Key: testEC(), KID: oddEC} })).odd(),
		bad("BEYOND-ALG-ES256", "ES256, by an EC key of the platform", signed(func(*forgery) Signing { return Signing{Key: testEC(), KID: oddEC} })).odd().choice(),
		bad("BEYOND-ALG-PS256", "PS256, by the platform's RSA key", signed(func(*forgery) Signing { return Signing{Alg: "PS256"} })).choice(),
		bad("BEYOND-KEY-SMALL", "an RSA key of 1024 bits", signed(func(*forgery) Signing { return Signing{Key: testRSA("small"), KID: oddSmall} })).odd(),
		bad("BEYOND-KEY-ENCRYPTION", "a key that is for encryption", signed(func(*forgery) Signing { return Signing{Key: AttackerKey(), KID: oddUse} })).odd(),
		bad("BEYOND-KEY-MISNAMED", "signed by the future key, and named as the present one", signed(func(f *forgery) Signing {
			return Signing{Key: f.p.keys.ring[2].private}
		})),
		good("BEYOND-KEY-FUTURE", "signed by the key that was published beforehand", signed(func(f *forgery) Signing {
			return Signing{Key: f.p.keys.ring[2].private, KID: f.p.keys.ring[2].kid}
		})),
		bad("BEYOND-FORGED", "signed by a stranger, with the kid of the platform", signed(func(*forgery) Signing { return Signing{Key: AttackerKey()} })),
		bad("BEYOND-SIGNATURE-MISSING", "without a signature", func(f *forgery) {
			token := f.p.sign(f.claims, Signing{})
			f.token = token[:strings.LastIndexByte(token, '.')+1]
		}),
		bad("BEYOND-TAMPERED", "changed after it was signed", signed(func(*forgery) Signing {
			return Signing{Tamper: func(b []byte) []byte {
				return append(bytes.TrimSuffix(b, []byte("}")), `,"admin":true}`...)
			}}
		})),
		bad("BEYOND-CRIT", "a crit header", signed(func(*forgery) Signing {
			return Signing{Header: map[string]any{"crit": []string{"b64"}, "b64": true}}
		})),
		bad("BEYOND-CRIT-EMPTY", "an empty crit header", signed(func(*forgery) Signing { return Signing{Header: map[string]any{"crit": []string{}}} })),
		bad("BEYOND-JWK", "a header with the attacker's key", header("jwk", attacker)),
		bad("BEYOND-JKU", "a header that names the attacker's key set", header("jku", func() any { return "https://evil.example/jwks" })),
		bad("BEYOND-X5U", "a header that names the attacker's certificate", header("x5u", func() any { return "https://evil.example/cert.pem" })),
		bad("BEYOND-JWK-KID", "a header with the attacker's key, and the kid of the platform", signed(func(*forgery) Signing {
			return Signing{Key: AttackerKey(), Header: map[string]any{"jwk": attacker()}}
		})),
		bad("BEYOND-KID-TYPE", "kid is a number", signed(func(*forgery) Signing { return Signing{Header: map[string]any{"kid": 1}} })),
		bad("BEYOND-KID-PATH", "kid is a path", signed(func(*forgery) Signing { return Signing{KID: "../../../../dev/null"} })),
		bad("BEYOND-KID-LONG", "kid has 8,000 characters", signed(func(*forgery) Signing { return Signing{KID: strings.Repeat("k", 8000)} })),
	}
}

// payloadCases are about claims.
func payloadCases() []Case {
	insert := func(member string) func(*forgery) {
		return payload(func(_ *forgery, text string) string { return "{" + member + "," + text[1:] })
	}
	add := func(member string) func(*forgery) {
		return payload(func(_ *forgery, text string) string { return text[:len(text)-1] + "," + member + "}" })
	}
	long := strings.Repeat("x", 256)
	return []Case{
		bad("BEYOND-DUPLICATE-KEYS", "iss twice, the right one last", insert(`"iss":"https://evil.example"`)),
		bad("BEYOND-DUPLICATE-LAST", "iss twice, the right one first", add(`"iss":"https://evil.example"`)),
		bad("BEYOND-DUPLICATE-DEEP", "resource_link.id twice", func(f *forgery) {
			delete(f.claims, claim+"resource_link")
			add(`"` + claim + `resource_link":{"id":"a","id":"b"}`)(f)
		}),
		bad("BEYOND-DUPLICATE-CASE", "another issuer, and the right one as ISS", func(f *forgery) {
			f.claims["iss"] = "https://evil.example"
			add(`"ISS":` + string(mustJSON(f.p.issuer())))(f)
		}),
		bad("BEYOND-AUD-CASE", "another audience, and the right one as Aud", func(f *forgery) {
			f.claims["aud"] = EvilAudience
			delete(f.claims, "azp")
			add(`"Aud":` + string(mustJSON(f.client)))(f)
		}),
		good("BEYOND-UNKNOWN-CLAIMS", "claims that nobody knows, SUB among them", add(`"SUB":"somebody else","https://vendor.example/x":{"y":[1,null,{}]}`)),
		bad("BEYOND-DEPTH", "JSON 30,000 levels deep", add(`"deep":`+strings.Repeat("[", 30_000)+strings.Repeat("]", 30_000))),
		bad("BEYOND-SIZE", "a token of a megabyte", add(`"long":"`+strings.Repeat("x", 1<<20)+`"`)),
		bad("BEYOND-UTF8", "a sub that is not UTF-8", func(f *forgery) {
			delete(f.claims, "sub")
			add("\"sub\":\"a\xff\xfe\"")(f)
		}),
		bad("BEYOND-PAYLOAD-TEXT", "a payload that is not JSON", payload(func(*forgery, string) string { return "hello" })),
		bad("BEYOND-PAYLOAD-LIST", "a payload that is a list", payload(func(_ *forgery, text string) string { return "[" + text + "]" })),
		bad("BEYOND-PAYLOAD-NULL", "a payload that is null", payload(func(*forgery, string) string { return "null" })),
		bad("BEYOND-NONCE-STATE", "another nonce than that of the login", with("nonce", "another-nonce")),
		bad("BEYOND-NONCE-MISSING", "no nonce", without("nonce")),
		bad("BEYOND-NONCE-EMPTY", "an empty nonce", with("nonce", "")),
		bad("BEYOND-NONCE-TYPE", "a nonce that is a number", with("nonce", 42)),
		bad("BEYOND-NONCE-OBJECT", "a nonce that is an object", with("nonce", map[string]any{"a": 1})),
		bad("BEYOND-DEPLOYMENT", "a deployment that nobody knows", with(claim+"deployment_id", "999:unknown")),
		bad("BEYOND-DEPLOYMENT-LONG", "a deployment id of 256 characters", with(claim+"deployment_id", long)),
		bad("BEYOND-SUB-LONG", "a sub of 256 characters", with("sub", long)),
		bad("BEYOND-LINK-LONG", "a resource_link.id of 256 characters", with(claim+"resource_link", map[string]any{"id": long})),
		bad("BEYOND-TARGET", "another target_link_uri than that of the login", func(f *forgery) {
			target, _ := f.claims[claim+"target_link_uri"].(string)
			f.claims[claim+"target_link_uri"] = target + "/elsewhere"
		}),
		bad("BEYOND-TARGET-MISSING", "no target_link_uri", without(claim+"target_link_uri")),
		bad("BEYOND-ROLES-NULL", "roles are null", with(claim+"roles", nil)),
		bad("BEYOND-ROLES-STRING", "roles are a text", with(claim+"roles", RoleInstructor)),
		bad("BEYOND-VERSION-NUMBER", "the version is a number", with(claim+"version", 1.3)),
		bad("BEYOND-TYPE-UNKNOWN", "a message type that nobody knows", with(claim+"message_type", "LtiStartProctoring2")),
		good("BEYOND-CUSTOM-TYPES", "custom values that are numbers, booleans and null", with(claim+"custom", map[string]any{"n": 12, "f": 1.5, "b": true, "none": nil, "s": "x"})),
		good("BEYOND-LINK-CONTEXT", "resource_link.id is the id of the context", with(claim+"resource_link", map[string]any{"id": opaque("context", 1234)})),
		good("BEYOND-ERRORS", "the extra keys of Canvas", func(f *forgery) {
			junk := map[string]any{"errors": map[string]any{}}
			f.claims[claim+"resource_link"] = map[string]any{"id": "1", "title": nil, "validation_context": nil, "errors": junk}
			f.claims["errors"] = junk
		}),
		good("BEYOND-LEGACY-EMPTY", "lti11_legacy_user_id is empty", with(claim+"lti11_legacy_user_id", "")),
	}
}

// timeCases are about iat and exp. Those that are good are within a minute of
// leeway.
func timeCases() []Case {
	at := func(name string, d time.Duration) func(*forgery) {
		return func(f *forgery) { f.claims[name] = f.now.Add(d).Unix() }
	}
	both := func(a, b func(*forgery)) func(*forgery) { return func(f *forgery) { a(f); b(f) } }
	return []Case{
		bad("BEYOND-EXPIRED", "expired for five minutes", both(at("iat", -65*time.Minute), at("exp", -5*time.Minute))),
		bad("BEYOND-EXP-MISSING", "no exp", without("exp")),
		bad("BEYOND-EXP-STRING", "exp is a text", func(f *forgery) { f.claims["exp"] = itoa(int(f.now.Add(time.Hour).Unix())) }),
		bad("BEYOND-EXP-NULL", "exp is null", with("exp", nil)),
		bad("BEYOND-EXP-HUGE", "exp is 1e300", with("exp", json.Number("1e300"))).choice(),
		bad("BEYOND-EXP-OVERFLOW", "exp overflows 64 bits", with("exp", json.Number("9223372036854775807123"))).choice(),
		bad("BEYOND-EXP-NEGATIVE", "exp is -1e300", with("exp", json.Number("-1e300"))),
		good("BEYOND-EXP-FRACTION", "iat and exp have fractions", func(f *forgery) {
			f.claims["iat"] = float64(f.now.UnixMilli()) / 1000
			f.claims["exp"] = float64(f.now.Add(time.Hour).UnixMilli())/1000 + 0.25
		}),
		bad("BEYOND-IAT-FUTURE", "iat is ten minutes in the future", at("iat", 10*time.Minute)),
		bad("BEYOND-IAT-MISSING", "no iat", without("iat")),
		good("BEYOND-IAT-OLD", "iat is five minutes old, as Canvas' may be", at("iat", -5*time.Minute)),
		good("BEYOND-IAT-AHEAD", "iat is 30 seconds in the future", at("iat", 30*time.Second)),
		good("BEYOND-EXP-LATE", "exp was 30 seconds ago", at("exp", -30*time.Second)),
	}
}

// formCases are about what is around the token.
func formCases() []Case {
	form := func(change func(url.Values)) func(*forgery) {
		return func(f *forgery) { f.form = func(r *Response) { change(r.Form) } }
	}
	return []Case{
		bad("BEYOND-STATE-MISSING", "no state", form(func(v url.Values) { v.Del("state") })),
		bad("BEYOND-STATE-MISMATCH", "another state", form(func(v url.Values) { v.Set("state", v.Get("state")+"x") })),
		bad("BEYOND-STATE-TWICE", "two states", form(func(v url.Values) { v["state"] = []string{v.Get("state"), "other"} })),
		bad("BEYOND-TOKEN-MISSING", "no id_token", form(func(v url.Values) { v.Del("id_token") })),
		bad("BEYOND-TOKEN-TWICE", "two tokens", form(func(v url.Values) { v["id_token"] = append(v["id_token"], "other") })),
		bad("BEYOND-ERROR-POST", "an error of the platform", form(func(v url.Values) {
			v.Del("id_token")
			v.Set("error", "login_required")
			v.Set("error_description", `Must have an active user session <script>alert("1")</script>`)
		})),
		bad("BEYOND-ERROR-STATE", "an error with another state", form(func(v url.Values) {
			v.Del("id_token")
			v.Set("state", "forged")
			v.Set("error", "login_required")
		})),
	}
}
