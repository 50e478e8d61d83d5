package lti

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// Limits of what is parsed before it is believed.
const (
	maxToken  = 128 << 10 // of an id_token
	maxHeader = 8 << 10   // of its first part
	maxID     = 255       // of sub, deployment_id and resource_link.id (LTI Core 1.3, section 5.3)
	maxKid    = 512
)

// A compact is a token that was taken apart, and of which nothing is believed
// yet.
type compact struct {
	alg, kid        string
	signed, payload string // payload is still encoded
	signature       []byte
}

// header is that of a token. Whatever names a key beside kid (jku, jwk, x5u,
// x5c) is not even read.
type header struct {
	Alg  string         `json:"alg"`
	Kid  *string        `json:"kid"`
	Typ  string         `json:"typ"`
	Crit jsontext.Value `json:"crit"`
}

// split takes a token apart and checks its header.
func split(token string) (compact, *Refusal) {
	var c compact
	if len(token) > maxToken {
		return c, refuse(ReasonToken, "the token is %d bytes long, more than %d", len(token), maxToken)
	}
	head, rest, ok := strings.Cut(token, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(signature, ".") || len(head) > maxHeader {
		return c, refuse(ReasonToken, "the token is not a signed JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(head)
	var h header
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return c, refuse(ReasonToken, "the header of the token cannot be read")
	}
	switch {
	case h.Typ != "" && !strings.EqualFold(h.Typ, "JWT"):
		return c, refuse(ReasonToken, "the header says typ %s, and not JWT", quote(h.Typ))
	case h.Crit != nil:
		return c, refuse(ReasonToken, "the header has crit, which nothing here understands")
	}
	c = compact{alg: h.Alg, signed: token[:len(head)+1+len(payload)], payload: payload}
	if h.Kid != nil {
		c.kid = *h.Kid
	}
	if c.signature, err = base64.RawURLEncoding.DecodeString(signature); err != nil {
		return c, refuse(ReasonToken, "the signature of the token cannot be read")
	}
	return c, nil
}

// method returns how a token is signed, if that is among what was agreed on.
func method(alg string, agreed []string) (*jwt.SigningMethodRSA, *Refusal) {
	if len(agreed) == 0 {
		agreed = algorithms[:1]
	}
	if slices.Contains(agreed, alg) {
		switch alg {
		case "RS256":
			return jwt.SigningMethodRS256, nil
		case "RS384":
			return jwt.SigningMethodRS384, nil
		case "RS512":
			return jwt.SigningMethodRS512, nil
		}
	}
	return nil, refuse(ReasonAlgorithm, "the token is signed by %s, and not by %s", quote(alg), strings.Join(agreed, ", "))
}

// verify checks the signature of a token with a key of the registration's
// platform.
func (c *compact) verify(ctx context.Context, keys *KeySets, r *Registration) *Refusal {
	how, refusal := method(c.alg, r.Algorithms)
	if refusal != nil {
		return refusal
	}
	switch {
	case c.kid == "":
		return refuse(ReasonKey, "the token names no key (kid)")
	case len(c.kid) > maxKid:
		return refuse(ReasonKey, "the name of the token's key (kid) is %d bytes long", len(c.kid))
	}
	key, err := keys.Key(ctx, r.JWKSURL, c.kid, r.External)
	switch {
	case errors.Is(err, ErrUnknownKey):
		return &Refusal{Reason: ReasonKey, Detail: "kid " + quote(c.kid), cause: err}
	case err != nil:
		return &Refusal{Reason: ReasonKeySet, cause: err}
	}
	if how.Verify(c.signed, c.signature, key) != nil {
		return refuse(ReasonSignature, "the signature does not fit the platform's key %s", quote(c.kid))
	}
	return nil
}

// claims decodes the payload.
func (c *compact) claims() (*idToken, []byte, *Refusal) {
	payload, err := base64.RawURLEncoding.DecodeString(c.payload)
	if err != nil {
		return nil, nil, refuse(ReasonClaims, "the payload is not base64url")
	}
	claims := new(idToken)
	if refusal := decodeClaims(payload, claims); refusal != nil {
		return nil, nil, refusal
	}
	return claims, payload, nil
}

// A claimCheck looks at one thing of a token whose signature was verified.
type claimCheck func(v *verification) *Refusal

// A verification is what the claims of a token are compared with.
type verification struct {
	cfg   *Config
	reg   *Registration
	now   time.Time
	token *idToken
	// state is that of the login; nil where a token is examined alone.
	state *state
}

// identity are the checks of any token of a platform, in the order of the
// Security Framework 1.0, section 5.1.3.
var identity = []claimCheck{checkIssuer, checkAudience, checkParty, checkExpiry, checkIssued, checkNonce}

// message are the checks of a launch (LTI Core 1.3, section 5.3; Deep Linking
// 2.0, section 4.4).
var message = []claimCheck{checkVersion, checkType, checkDeployment, checkTarget, checkRequired, checkSubject}

func checkIssuer(v *verification) *Refusal {
	if v.token.Issuer != v.reg.Issuer {
		return refuse(ReasonIssuer, "iss is %s, and not %s", quote(v.token.Issuer), quote(v.reg.Issuer))
	}
	return nil
}

// checkAudience is all that keeps the tools of one platform apart, since they
// share its keys.
func checkAudience(v *verification) *Refusal {
	aud := v.token.Audience
	if !slices.Contains(aud, v.reg.ClientID) {
		return refuse(ReasonAudience, "aud is %s, without client id %s", quote(strings.Join(aud, " ")), quote(v.reg.ClientID))
	}
	for _, a := range aud {
		if a != v.reg.ClientID && !slices.Contains(v.reg.TrustedAudiences, a) {
			return refuse(ReasonAudience, "aud has %s beside this tool, which is not trusted", quote(a))
		}
	}
	return nil
}

// checkParty wants azp where there are several audiences, and to be this tool
// wherever it is.
func checkParty(v *verification) *Refusal {
	switch azp := v.token.AuthorizedParty; {
	case azp != nil && *azp != v.reg.ClientID:
		return refuse(ReasonParty, "azp is %s, and not client id %s", quote(*azp), quote(v.reg.ClientID))
	case azp == nil && len(v.token.Audience) > 1:
		return refuse(ReasonParty, "aud has %d entries, and azp is missing", len(v.token.Audience))
	}
	return nil
}

func checkExpiry(v *verification) *Refusal {
	if v.token.Expires == nil {
		return refuse(ReasonExpired, "exp is missing")
	}
	exp := v.token.Expires.time()
	switch {
	case !v.now.Before(exp.Add(v.cfg.Leeway)):
		return refuse(ReasonExpired, "exp was %v ago; leeway is %v", apart(v.now, exp), v.cfg.Leeway)
	case exp.After(v.now.Add(v.cfg.MaxTokenLife)):
		// Its nonce would have to be remembered as long.
		return refuse(ReasonLifetime, "exp is %v away, more than %v", apart(exp, v.now), v.cfg.MaxTokenLife)
	}
	return nil
}

// apart returns the time between two moments for people. It compares nothing:
// differences of more than 292 years are cut off.
func apart(later, earlier time.Time) time.Duration { return later.Sub(earlier).Round(time.Second) }

func checkIssued(v *verification) *Refusal {
	if v.token.IssuedAt == nil {
		return refuse(ReasonIssuedAt, "iat is missing")
	}
	iat, latest := v.token.IssuedAt.time(), v.now.Add(v.cfg.Leeway)
	if iat.After(latest) {
		return refuse(ReasonIssuedAt, "iat is %v in the future; leeway is %v: compare the clocks", apart(iat, v.now), v.cfg.Leeway)
	}
	if v.cfg.MaxTokenAge > 0 && v.now.After(iat.Add(v.cfg.MaxTokenAge+v.cfg.Leeway)) {
		return refuse(ReasonIssuedAt, "iat was %v ago, more than %v", apart(v.now, iat), v.cfg.MaxTokenAge)
	}
	if nbf := v.token.NotBefore; nbf != nil && nbf.time().After(latest) {
		return refuse(ReasonIssuedAt, "nbf is %v in the future; leeway is %v: compare the clocks", apart(nbf.time(), v.now), v.cfg.Leeway)
	}
	return nil
}

func checkNonce(v *verification) *Refusal {
	switch nonce := v.token.Nonce; {
	case nonce == nil || *nonce == "":
		return refuse(ReasonNonce, "nonce is missing")
	case v.state != nil && *nonce != v.state.nonceText():
		return refuse(ReasonNonce, "the nonce is not that of the login which the state belongs to")
	}
	return nil
}

func checkVersion(v *verification) *Refusal {
	if version := v.token.Version; version == nil || *version != "1.3.0" {
		return refuse(ReasonVersion, "the LTI version is %s, and not \"1.3.0\"", claimed(version))
	}
	return nil
}

// claimed returns a claim for an operator.
func claimed(s *string) string {
	if s == nil {
		return "missing"
	}
	return quote(*s)
}

func checkType(v *verification) *Refusal {
	t := v.token.MessageType
	if t == nil || *t == "" {
		return refuse(ReasonMessageType, "the message type is missing")
	}
	switch *t {
	case MessageResourceLink, MessageDeepLinking, MessageSubmissionReview, MessageAssetProcessor, MessageReportReview, MessageEULA:
		return nil
	}
	if slices.Contains(v.cfg.MessageTypes, *t) {
		return nil
	}
	return refuse(ReasonMessageType, "message type %s is none that is taken here", quote(*t))
}

func checkDeployment(v *verification) *Refusal {
	switch d := v.token.DeploymentID; {
	case d == nil || *d == "":
		return refuse(ReasonMissing, "deployment_id is missing")
	case len(*d) > maxID:
		return refuse(ReasonMissing, "deployment_id is %d bytes long, more than %d", len(*d), maxID)
	}
	return nil
}

// checkTarget compares the signed target with that of the login, which nobody
// had signed (LTI Core 1.3, section 5.3.4).
func checkTarget(v *verification) *Refusal {
	target := v.token.TargetLinkURI
	switch {
	case target == nil && *v.token.MessageType == MessageDeepLinking:
		return nil // Deep Linking 2.0, section 4.4, does not list it
	case target == nil || *target == "":
		return refuse(ReasonMissing, "target_link_uri is missing")
	case v.state == nil || *target == v.state.target:
		return nil
	case v.cfg.SameTarget != nil && v.cfg.SameTarget(v.state.target, *target):
		return nil
	}
	return refuse(ReasonTarget, "target_link_uri is %s, and was %s in the login", quote(*target), quote(v.state.target))
}

// checkRequired looks for what each message must have.
func checkRequired(v *verification) *Refusal {
	c := v.token
	absent := func(name string, malformed bool) *Refusal {
		if malformed {
			return refuse(ReasonMissing, "%s is malformed", name)
		}
		return refuse(ReasonMissing, "%s is missing", name)
	}
	kind := *c.MessageType
	link := kind == MessageResourceLink
	review := kind == MessageSubmissionReview
	switch {
	case (link || review) && c.Roles == nil:
		return absent("roles", false)
	case link && c.ResourceLink.value.ID == "":
		return absent("resource_link.id", c.ResourceLink.malformed)
	case len(c.ResourceLink.value.ID) > maxID:
		return refuse(ReasonMissing, "resource_link.id is %d bytes long, more than %d", len(c.ResourceLink.value.ID), maxID)
	case review && c.ForUser.value.ID == "":
		return absent("for_user.user_id", c.ForUser.malformed)
	case review && c.AGS.value.LineItem == "":
		return absent("endpoint.lineitem", c.AGS.malformed)
	case kind == MessageDeepLinking && !c.DeepLinking.set:
		return absent("deep_linking_settings", c.DeepLinking.malformed)
	case kind == MessageDeepLinking:
		return c.DeepLinking.value.check()
	}
	return nil
}

func checkSubject(v *verification) *Refusal {
	sub := v.token.Subject
	switch {
	case sub != nil && len(*sub) > maxID:
		return refuse(ReasonMissing, "sub is %d bytes long, more than %d", len(*sub), maxID)
	case (sub == nil || *sub == "") && !v.reg.AllowAnonymous && *v.token.MessageType != MessageDeepLinking:
		return refuse(ReasonAnonymous, "sub is missing, and anonymous launches are not allowed for this registration")
	}
	return nil
}
