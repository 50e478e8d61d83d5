package railway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// CauseDrift is the cause of a result of [Client.DriftProber]: the API has changed.
const CauseDrift health.Cause = "drift"

// DriftProber returns a prober of [Client.Verify]. What breaks an operation of this
// package is Unhealthy because of [CauseDrift], other drift is Degraded. It measures
// drift and drift_breaking, how many there are of each. A probe costs one call for an
// answer of about 2 MB: once a day is often enough. An API that cannot be asked is a
// result as that of [Client.PlatformProber].
func (c *Client) DriftProber() health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		o := c.op("verify the schema")
		o.once, o.plain = true, true
		began := time.Now()
		drifts, err := c.verify(ctx, o)
		r := unasked(ctx, err)
		if err == nil {
			r = judgeDrift(drifts)
		}
		r.Time, r.Duration = began, time.Since(began)
		return r
	})
}

func judgeDrift(drifts []Drift) health.Result {
	r := health.Result{Status: health.Healthy}
	breaking := 0
	for _, d := range drifts {
		if d.Breaks {
			breaking++
		}
	}
	const most = 5
	for _, d := range drifts[:min(most, len(drifts))] {
		status := health.Degraded
		if d.Breaks {
			status = health.Unhealthy
		}
		r = r.Worsen(status, CauseDrift, d.String())
	}
	if len(drifts) > most {
		r.Message += fmt.Sprintf("; and %d more", len(drifts)-most)
	}
	r.Measurements = []health.Measurement{{Name: "drift", Value: float64(len(drifts))}, {Name: "drift_breaking", Value: float64(breaking)}}
	return r
}

// PlatformProber returns a prober of what Railway says of itself, with one call. A
// platform that is not stable is Unhealthy, one that is stable and has an incident
// Degraded, and one under maintenance in Maintenance. Planned maintenance is the
// measurement next_maintenance, in seconds from now.
//
// An API that does not answer, or fails, is Unhealthy. One that answers that there
// were too many calls is Degraded. It is Unknown if the token was refused, or the own
// [Budget] let no call out: nothing was learnt of the platform.
func (c *Client) PlatformProber() health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		o := c.op("read the platform's status")
		o.once, o.plain = true, true
		began := time.Now()
		got, err := gql.PlatformStatus(ctx, o)
		r := unasked(ctx, err)
		if err == nil {
			r = judgePlatform(got, began)
		}
		r.Time, r.Duration = began, time.Since(began)
		return r
	})
}

func judgePlatform(got *gql.PlatformStatusResponse, now time.Time) health.Result {
	s := got.PlatformStatus
	r := health.Result{Status: health.Healthy}
	if i := s.Incident; i != nil && i.Status != gql.IncidentStatusResolved {
		text := fmt.Sprintf("Railway has an incident, %s: %s (%s)", strings.ToLower(printable(string(i.Status), 40)), printable(i.Message, maxText), printable(i.Url, 200))
		r = r.Worsen(health.Degraded, health.CauseStatus, text)
	}
	if !s.IsStable {
		r = r.Worsen(health.Unhealthy, health.CauseStatus, "Railway says that it is not stable")
	}
	if m := s.Maintenance; m != nil {
		switch m.Status {
		case gql.MaintenanceStatusInprogress:
			r = r.Worsen(health.Maintenance, health.CauseMaintenance, "Railway is under maintenance: "+printable(m.Message, maxText))
		case gql.MaintenanceStatusNotstartedyet:
			r.Measurements = append(r.Measurements, health.Measurement{Name: "next_maintenance", Value: max(0, m.Start.Sub(now).Seconds()), Unit: health.Seconds})
		}
	}
	return r
}

// unasked is the result of a probe that has no answer, or none that can be used.
func unasked(ctx context.Context, err error) health.Result {
	if err == nil {
		return health.Result{}
	}
	status, cause := health.Unhealthy, health.CauseOf(err)
	e, _ := errors.AsType[*Error](err)
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		status, cause = health.Unknown, health.CauseNotAsked
	case errors.Is(err, ErrRateLimited) && e.Status != 0:
		status, cause = health.Degraded, health.CauseThrottled
	case errors.Is(err, ErrRateLimited), e != nil && e.Status == 0 && e.unrun && e.cause != nil && cause == health.CauseFailed:
		status, cause = health.Unknown, health.CauseNotAsked
	case errors.Is(err, ErrNotAuthorized):
		status, cause = health.Unknown, health.CauseUnauthorized
	case e != nil && e.Code == "unreadable":
		cause = health.CauseNotJSON
	case e != nil && e.Status != 0:
		cause = health.CauseStatus
	}
	return health.Result{Status: status, Cause: cause, Message: err.Error()}
}
