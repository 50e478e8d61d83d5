package lti

import (
	"context"
	"encoding/base64"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// A Notice is something that a platform tells the tool by itself, over its
// notification service; package pns receives them.
type Notice struct {
	// ID is the platform's id of the notice. One may come more than once.
	ID string
	// Type is what it is about, such as "LtiContextCopyNotice".
	Type string
	// Time is when it happened.
	Time time.Time
	// Issuer, ClientID and DeploymentID say who tells it; see [Launch].
	Issuer, ClientID, DeploymentID string
	// Claims is the whole payload as it came, JSON.
	Claims []byte
}

type noticeClaim struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"`
}

// VerifyNotice verifies the token of a notice, whose nonce is then used. It is not
// a launch: it has neither a user nor a message type, and no login came before it.
// The error is a [*Refusal].
func (t *Tool) VerifyNotice(ctx context.Context, token string) (Notice, error) {
	k, refusal := t.addressee(ctx, token)
	var n Notice
	if refusal == nil {
		if n, refusal = t.verifyNotice(ctx, k, token); refusal != nil {
			refusal.Issuer, refusal.ClientID = k.Issuer, k.ClientID
		}
	}
	if refusal != nil {
		if t.cfg.Hooks.OnRefusal != nil {
			t.cfg.Hooks.OnRefusal(ctx, refusal)
		}
		return Notice{}, refusal
	}
	return n, nil
}

func (t *Tool) verifyNotice(ctx context.Context, k *known, token string) (Notice, *Refusal) {
	claims, payload, refusal := t.claims(ctx, &k.Registration, token)
	if refusal != nil {
		return Notice{}, refusal
	}
	v := &verification{cfg: &t.cfg, reg: &k.Registration, now: time.Now(), token: claims}
	for _, check := range slices.Concat(identity, []claimCheck{checkVersion, checkDeployment}) {
		if refusal := check(v); refusal != nil {
			return Notice{}, refusal
		}
	}
	notice := claims.Notice.value
	if notice.ID == "" || notice.Type == "" {
		return Notice{}, refuse(ReasonMissing, "notice.id or notice.type is missing")
	}
	n := Notice{
		ID: notice.ID, Type: notice.Type, Time: claims.IssuedAt.time(),
		Issuer: k.Issuer, ClientID: k.ClientID, DeploymentID: *claims.DeploymentID, Claims: payload,
	}
	if at, err := time.Parse(time.RFC3339, notice.Timestamp); err == nil {
		n.Time = at
	}
	l := &Launch{Issuer: n.Issuer, ClientID: n.ClientID, DeploymentID: n.DeploymentID, Issued: claims.IssuedAt.time(), Expires: claims.Expires.time(), Claims: payload}
	if refusal := t.deployment(ctx, k, l); refusal != nil {
		return Notice{}, refusal
	}
	return n, t.useNonce(ctx, v)
}

// addressee returns the registration that a token without a login claims to be
// for. Nothing else is done with what it says before its signature is verified,
// and then it is compared again.
func (t *Tool) addressee(ctx context.Context, token string) (*known, *Refusal) {
	c, refusal := split(token)
	if refusal != nil {
		return nil, refusal
	}
	var claims struct {
		Issuer   string   `json:"iss"`
		Audience audience `json:"aud"`
		Party    string   `json:"azp"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(c.payload)
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return nil, refuse(ReasonClaims, "iss and aud cannot be read")
	}
	if slices.Contains(claims.Audience, claims.Party) {
		claims.Audience = audience{claims.Party} // it says which of them is meant
	}
	const most = 5 // audiences that are looked up
	for _, client := range claims.Audience[:min(len(claims.Audience), most)] {
		if client == "" {
			continue
		}
		if k, refusal := t.find(ctx, claims.Issuer, client); refusal == nil || refusal.Reason == ReasonStore {
			return k, refusal
		}
	}
	return nil, refuse(ReasonRegistration, "no registration for issuer %s and the token's audience", quote(claims.Issuer))
}
