package canvasprobe

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// Token returns a prober that asks who the user of the token is. A token that
// Canvas does not accept is Unhealthy: because of [CauseKeyGone] if it worked
// before the instance was last overwritten from production, else because of
// health.CauseUnauthorized. A token that is accepted and may not ask is Unhealthy
// because of [CausePermission]. Both may be answers of status 401.
func (i *Instance) Token() health.Prober {
	return i.probe(func(ctx context.Context, _ *trial) (health.Result, error) {
		if _, err := i.client.GetUser(ctx, canvas.Self); err != nil {
			return health.Result{}, err
		}
		return health.Result{Status: health.Healthy}, nil
	})
}

// Latency returns a prober that makes one read with the token and measures how
// long Canvas takes, as response_time, and how long the request waited for the
// cost bucket before, as bucket_wait. Config.Budget limits the first.
func (i *Instance) Latency() health.Prober {
	budget := i.cfg.Budget
	p := i.probe(func(ctx context.Context, t *trial) (health.Result, error) {
		if _, err := i.client.Do(ctx, canvas.Request{Op: "read " + i.cfg.Read, Path: i.cfg.Read}, nil); err != nil {
			return health.Result{}, err
		}
		last, _ := t.attempt()
		r := health.Result{Status: health.Healthy, Duration: last.Took}
		r = netcheck.With(r, netcheck.Milliseconds("response_time", last.Took), netcheck.Milliseconds("bucket_wait", last.Waited))
		return budget.Apply(r), nil
	})
	return p
}

// Quota returns a prober of the token's cost bucket. It makes one cheap request,
// and is degraded, never down, when the bucket rejects requests or has less left
// than Config.QuotaWarn. It measures quota_remaining and quota_limit in units of
// the bucket, quota_others in units a second, requests_waiting, and
// throttled_share of the requests of this process.
func (i *Instance) Quota() health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		r, last := i.run(ctx, func(ctx context.Context, _ *trial) (health.Result, error) {
			_, err := i.client.GetUser(ctx, canvas.Self)
			return health.Result{Status: health.Healthy}, err
		})
		s := i.client.Throttle().Stats()
		left, limit := s.Remaining, s.Mark
		if last.Reported { // what Canvas says counts more than what is made of it
			left, limit = last.Remaining, max(limit, last.Remaining)
		}
		share := 0.0
		if s.Requests > 0 {
			share = float64(s.Rejected) / float64(s.Requests) * 100
		}
		r = netcheck.With(r,
			health.Measurement{Name: "quota_remaining", Value: left}, health.Measurement{Name: "quota_limit", Value: limit},
			health.Measurement{Name: "quota_others", Value: s.Foreign, Unit: "/s"}, health.Measurement{Name: "requests_waiting", Value: float64(s.Waiting)},
			health.Measurement{Name: "throttled_share", Value: share, Unit: health.Percent})
		if r.Status == health.Healthy && left < i.cfg.QuotaWarn*limit {
			r = r.Worsen(health.Degraded, health.CauseThreshold, fmt.Sprintf("%s: %.0f of %.0f units of the cost bucket are left, less than %.0f %%%s",
				i, left, limit, i.cfg.QuotaWarn*100, others(s)))
		}
		return r
	})
}

func others(s canvas.Stats) string {
	if s.Foreign < 0.5 {
		return ""
	}
	return fmt.Sprintf("; others with this token use %.1f a second", s.Foreign)
}

// accepted notes that the token works.
func (i *Instance) accepted() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.worked, i.refused = time.Now(), time.Time{}
}

// refusedToken says why Canvas may not accept the token.
func (i *Instance) refusedToken(what string, e *canvas.Error) health.Result {
	now := time.Now()
	i.mu.Lock()
	worked := i.worked
	i.refused = now
	i.mu.Unlock()
	if e.Code != "" {
		what += " (" + netcheck.Clean(e.Code) + ")"
	}
	cause, why := i.lost("token", worked, now)
	return down(cause, what+": Canvas is up and does not accept the token: "+why)
}

// lost says what became of a token or key that Canvas knew at a time, or never
// as far as is known.
func (i *Instance) lost(thing string, worked, now time.Time) (health.Cause, string) {
	const advice = "; what is made only here is lost then: make it again, or in production for test and beta only"
	refreshed := i.lastRefresh(now)
	gone := health.CauseUnauthorized
	if thing != "token" {
		gone = health.CauseMissing
	}
	switch {
	case worked.IsZero() && refreshed.IsZero():
		return gone, "it is not known to have worked before"
	case worked.IsZero():
		return gone, "it is not known to have worked before; the instance was overwritten from production at " + stamp(refreshed) + advice
	case refreshed.After(worked):
		return CauseKeyGone, "the " + thing + " worked at " + stamp(worked) + ", and the instance was overwritten from production since, at " + stamp(refreshed) + advice
	case len(i.cfg.Refresh) > 0:
		return gone, "the " + thing + " worked at " + stamp(worked) + ", and no refresh was due since: it was revoked, deleted or has expired"
	}
	return gone, "the " + thing + " worked at " + stamp(worked) + ": it was revoked, deleted or has expired"
}

// lastRefresh returns when the instance was last due to be overwritten. A
// refresh that is under way counts with its begin.
func (i *Instance) lastRefresh(now time.Time) time.Time {
	var last time.Time
	for _, w := range i.cfg.Refresh {
		for in := range w.Between(now.AddDate(0, 0, -62), now) {
			if in.Start.After(last) {
				last = in.Start
			}
		}
	}
	return last
}

// RevokedEverywhere returns a prober that looks at what the probers of several
// environments found last, without asking anything. If all of them refuse their
// tokens, which had worked in at least two, somebody has revoked tokens and keys
// for everyone, as Instructure did in spring 2026 after a security incident: the
// keys of all environments have to be made anew. It is Unhealthy then because of
// [CauseRevoked], and Healthy otherwise: what is wrong with one environment its
// own probers say.
func RevokedEverywhere(instances ...*Instance) health.Prober {
	return health.ProberFunc(func(context.Context) health.Result {
		refused, had := 0, 0
		for _, i := range instances {
			i.mu.Lock()
			if !i.refused.IsZero() {
				refused++
				if !i.worked.IsZero() {
					had++
				}
			}
			i.mu.Unlock()
		}
		r := health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: "tokens_refused", Value: float64(refused)}}}
		if had >= 2 && refused == len(instances) {
			r = r.Worsen(health.Unhealthy, CauseRevoked, fmt.Sprintf("the tokens of all %d environments are refused: they were revoked for everyone; make new keys and tokens for each, and look at status.instructure.com", refused))
		}
		return r
	})
}
