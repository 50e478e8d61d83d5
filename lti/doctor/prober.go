package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
	"go.acu.edu.au/runbook/lti"
)

// Causes that only this package gives.
const (
	// CauseLeak means that a private key is published.
	CauseLeak health.Cause = "private_key_published"
	// CauseKey means that a published key is not the one that signs, or cannot be
	// used.
	CauseKey health.Cause = "key"
	// CauseOld means that a key is older than it should be.
	CauseOld health.Cause = "key_age"
)

var probeCauses = map[string]health.Cause{ //nolint:gochecknoglobals // constant
	"private_key_published": CauseLeak, "key_not_published": CauseKey, "key_id": CauseKey, "kid_reused": CauseKey, "jwk_fields": CauseKey,
	"jwk_algorithm": CauseKey, "jwk_use": CauseKey, "jwk_small": CauseKey, "jwks_no_key": CauseKey, "jwks_invalid": health.CauseNotJSON,
	"jwks_not_public": health.CauseUnauthorized, "jwks_status": health.CauseStatus, "jwks_slow": health.CauseSlow,
	"platform_jwks": health.CauseStatus, "login_status": health.CauseStatus, "login_method": health.CauseStatus,
}

// probe asks what is wanted and judges it. what is the main answer: if there is
// none, that is the result.
func (d *Doctor) probe(wanted question, main func(*facts) *answer, look ...func(*exam)) health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		x := &exam{cfg: &d.cfg, facts: d.gather(ctx, wanted)}
		a := main(x.facts)
		r := health.Result{Status: health.Healthy, Time: x.began}
		switch {
		case a.skip != "":
			r.Status, r.Cause, r.Message = health.Unknown, health.CauseNotAsked, a.skip
			return r
		case a.failure != nil:
			r = a.failure.Result()
			r.Time, r.Duration, r.Message = x.began, a.took(), a.asked+": "+r.Message
			return r
		}
		if after, ok := throttled(a); ok {
			r.Status, r.Cause, r.Message, r.Duration = health.Degraded, health.CauseThrottled, a.asked+": answered "+httpcheck.Status(a.status)+": a rate limit", a.took()
			if after > 0 {
				r.Message += fmt.Sprintf(", to be tried again after %v", after)
			}
			return r
		}
		if a.status >= 500 {
			r.Status, r.Cause, r.Message, r.Duration = health.Unhealthy, health.CauseStatus, a.asked+": answered "+httpcheck.Status(a.status), a.took()
			return r
		}
		for _, l := range look {
			l(x)
		}
		r = x.result(probeCauses)
		r.Time, r.Duration = x.began, a.took()
		r = netcheck.With(r, netcheck.Milliseconds("response_time", a.took()))
		if x.set != nil {
			r = netcheck.With(r, health.Measurement{Name: "published_keys", Value: float64(len(x.set.keys))})
		}
		return r
	})
}

// result makes findings a result for package health. causes names the cause of
// some identifiers.
func (x *exam) result(causes map[string]health.Cause) health.Result {
	r := health.Result{Status: health.Healthy}
	x.d.Sort()
	for _, f := range x.d.Findings {
		status := health.Unhealthy
		if f.Likelihood == incident.Possible && !f.Urgent {
			status = health.Degraded
		}
		cause := causes[f.ID]
		if cause == "" {
			cause = health.CauseAssertion
		}
		message := f.Title
		if len(f.Evidence) > 0 {
			message += " (" + f.Evidence[0] + ")"
		}
		r = r.Worsen(status, cause, message)
	}
	return r
}

// JWKS returns a prober of the tool's key set: it answers, is one, has the key that
// signs (if Config.PrivateKey is set) with all that Canvas demands, and no private
// key. It measures response_time and published_keys. A key set that cannot be used
// is Unhealthy because of [CauseKey], a private key in it because of [CauseLeak].
func (d *Doctor) JWKS() health.Prober {
	return d.probe(askOwnKeys, func(f *facts) *answer { return &f.ownKeys }, func(x *exam) {
		if key, err := lti.ParsePrivateKey(x.cfg.PrivateKey); err == nil {
			x.signer = publicOf(&key.PublicKey)
		}
		x.ownKeySet()
	})
}

// PlatformKeySet returns a prober of the platform's key set: it answers, and has
// keys that can be used. It measures response_time and clock_offset, how far this
// machine's clock is ahead of the platform's for certain, and is Degraded by a
// clock that breaks launches or assertions.
func (d *Doctor) PlatformKeySet() health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		var a *answer
		main := func(f *facts) *answer { a = &f.platformKeys; return a }
		r := d.probe(askPlatformKeys, main, (*exam).platformKeySet).Probe(ctx)
		theirs, ok := offsetOf(a)
		if !ok {
			return r
		}
		off := offset{}.sub(theirs).sure()
		r = netcheck.With(r, health.Measurement{Name: "clock_offset", Value: off.Seconds(), Unit: health.Seconds})
		if off > mostAhead || -off > d.cfg.Leeway {
			r = r.Worsen(health.Degraded, health.CauseThreshold, "the clock of this machine is "+side(off)+" the platform's")
		}
		return r
	})
}

// Login returns a prober of the tool's login: it answers as [Config] says, with a
// redirect to the platform that has what LTI wants and a cookie that is usable in
// a frame. It begins two logins, or three, and completes none.
func (d *Doctor) Login() health.Prober {
	return d.probe(askLogin, func(f *facts) *answer { return &f.logins[0].answer }, (*exam).login)
}

// TokenEndpoint returns a prober of the token endpoint: it is there, and speaks
// OAuth. It sends a request for a token without any proof of who asks, which has
// to be refused with status 400 or 401 and an error (RFC 6749, section 5.2).
// Canvas charges such a request like any other small one, since its additional
// price is that of tokens that are granted (canvas-lms, oauth2_provider_controller.rb).
func (d *Doctor) TokenEndpoint() health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		began := time.Now()
		address, why := d.cfg.tokenURL()
		if why != "" {
			return health.Result{Status: health.Unknown, Cause: health.CauseNotAsked, Message: why, Time: began}
		}
		a := wait(eventually(ctx, d.cfg.Timeout, func(ctx context.Context) (answer, error) {
			return d.ask(ctx, request{
				method: http.MethodPost, address: address, platform: true, header: http.Header{"Accept": {"application/json"}},
				form: url.Values{"grant_type": {"client_credentials"}},
			}), nil
		}))
		r := d.probe(0, func(*facts) *answer { return &a }).Probe(ctx)
		if r.Status != health.Healthy {
			return r
		}
		what := a.asked + ": answered " + httpcheck.Status(a.status)
		refusal, spoke := readRefusal(a.body)
		switch {
		case (a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized) && spoke:
			return netcheck.With(r, health.Measurement{Name: "error", Text: netcheck.Clean(refusal.code)})
		case a.ok():
			return r.Worsen(health.Unhealthy, health.CauseProtocol, what+" to a request without any proof of who asks")
		}
		return r.Worsen(health.Unhealthy, health.CauseStatus, what+", which is not what a token endpoint says")
	})
}

// KeyAge returns a prober of the age of the key that signs, which measures key_age
// in days and published_keys. Older than limit it is Degraded because of
// [CauseOld]; limit zero means 90 days. A key whose age is not known is Unknown:
// fixed keys have none. It asks nobody.
func KeyAge(ring *lti.KeyRing, limit time.Duration) health.Prober {
	if limit == 0 {
		limit = 90 * 24 * time.Hour
	}
	return health.ProberFunc(func(context.Context) health.Result { return keyAge(ring.Keys(), limit, time.Now()) })
}

func keyAge(keys []lti.KeyInfo, limit time.Duration, now time.Time) health.Result {
	r := health.Result{Status: health.Healthy, Time: now, Measurements: []health.Measurement{{Name: "published_keys", Value: float64(len(keys))}}}
	if len(keys) == 0 {
		return r.Worsen(health.Unhealthy, health.CauseMissing, "there is no key to sign with")
	}
	signer := keys[0]
	since := signer.SignsFrom
	if since.IsZero() {
		since = signer.Created
	}
	if since.IsZero() {
		return r.Worsen(health.Unknown, health.CauseMissing, "the age of the key that signs is not known: "+netcheck.Quote(signer.Kid))
	}
	age := now.Sub(since)
	r = netcheck.With(r, health.Measurement{Name: "key_age", Value: netcheck.Days(age), Unit: health.Days})
	if age > limit {
		r = r.Worsen(health.Degraded, CauseOld, fmt.Sprintf("the key that signs is %.0f days old, more than %.0f: rotate it (%s)", age.Hours()/24, limit.Hours()/24, netcheck.Quote(signer.Kid)))
	}
	return r
}
