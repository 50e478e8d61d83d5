package lti

import (
	"context"
	"time"
)

// An Examination is what is known of a token: for a person who wants to know why
// it fails. It is never a launch, whatever it says.
type Examination struct {
	// Algorithm and KeyID are those of the header.
	Algorithm, KeyID string
	// Verified is true if the signature fits a key of the platform. If it is false,
	// anybody may have written what follows.
	Verified bool
	// Issuer, Audience, AuthorizedParty, DeploymentID, MessageType, Version,
	// TargetLinkURI and Placement are the claims of these names; empty if they are
	// missing.
	Issuer                                                             string
	Audience                                                           []string
	AuthorizedParty, DeploymentID, MessageType, Version, TargetLinkURI string
	Placement                                                          string
	// Issued and Expires are iat and exp; zero if they are missing.
	Issued, Expires time.Time
	// Problems is everything for which the token would be refused, in the order in
	// which a launch looks for it. An expired token of a former launch is refused
	// for that alone. State, browser and nonce are not looked at.
	Problems []*Refusal
}

// ExamineConfig says how to examine. The zero value is usable.
type ExamineConfig struct {
	// KeySets are the platforms' keys. Nil means that the signature is not looked
	// at.
	KeySets *KeySets
	// Time is when the token came, if it is not now.
	Time time.Time
	// Leeway, MaxTokenLife and MessageTypes are as in [Config].
	Leeway       time.Duration
	MaxTokenLife time.Duration
	MessageTypes []string
}

// Examine takes a failing id_token apart and says everything that is wrong with
// it for a registration. It accepts nothing and uses no nonce. Its result holds
// no personal data.
func Examine(ctx context.Context, token string, r Registration, cfg ExamineConfig) Examination {
	var e Examination
	add := func(refusal *Refusal) {
		if refusal != nil {
			refusal.Issuer, refusal.ClientID = r.Issuer, r.ClientID
			e.Problems = append(e.Problems, refusal)
		}
	}
	c, refusal := split(token)
	if add(refusal); refusal != nil {
		return e
	}
	e.Algorithm, e.KeyID = c.alg, c.kid
	if cfg.KeySets == nil {
		_, refusal = method(c.alg, r.Algorithms)
	} else {
		refusal = c.verify(ctx, cfg.KeySets, &r)
		e.Verified = refusal == nil
	}
	add(refusal)
	claims, _, refusal := c.claims()
	if add(refusal); refusal != nil {
		return e
	}
	e.describe(claims)
	for _, refusal := range examineClaims(claims, r, cfg) {
		add(refusal)
	}
	return e
}

func examineClaims(claims *idToken, r Registration, cfg ExamineConfig) []*Refusal {
	v := &verification{
		cfg: &Config{Leeway: cfg.Leeway, MaxTokenLife: cfg.MaxTokenLife, MessageTypes: cfg.MessageTypes},
		reg: &r, now: cfg.Time, token: claims,
	}
	if v.now.IsZero() {
		v.now = time.Now()
	}
	if v.cfg.Leeway == 0 {
		v.cfg.Leeway = time.Minute
	}
	if v.cfg.MaxTokenLife == 0 {
		v.cfg.MaxTokenLife = 24 * time.Hour
	}
	var all []*Refusal
	for _, check := range identity {
		if refusal := check(v); refusal != nil {
			all = append(all, refusal)
		}
	}
	for _, check := range message {
		refusal := check(v)
		if refusal == nil {
			continue
		}
		all = append(all, refusal)
		if refusal.Reason == ReasonMessageType && claims.MessageType == nil {
			break // what else it needs depends on the type
		}
	}
	return all
}

func (e *Examination) describe(c *idToken) {
	e.Issuer, e.Audience, e.AuthorizedParty = c.Issuer, c.Audience, deref(c.AuthorizedParty)
	e.DeploymentID, e.MessageType, e.Version = deref(c.DeploymentID), deref(c.MessageType), deref(c.Version)
	e.TargetLinkURI, e.Placement = deref(c.TargetLinkURI), c.CanvasPlacement.value
	if c.IssuedAt != nil {
		e.Issued = c.IssuedAt.time()
	}
	if c.Expires != nil {
		e.Expires = c.Expires.time()
	}
}
