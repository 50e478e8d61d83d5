package canvasprobe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// probe makes a prober of a few calls, each of one attempt. look returns what it
// found if the calls worked, or the error of the one that did not.
func (i *Instance) probe(look func(context.Context, *trial) (health.Result, error)) health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		r, _ := i.run(ctx, look)
		return r
	})
}

// run makes one probe, and returns its last attempt too.
func (i *Instance) run(ctx context.Context, look func(context.Context, *trial) (health.Result, error)) (health.Result, canvas.Attempt) {
	inner, t := i.try(ctx)
	defer t.end()
	r, err := look(inner, t)
	last, _ := t.attempt()
	if err != nil {
		r = i.explain(t, err)
	}
	if last.Status > 0 && last.Status < 400 {
		i.accepted()
	}
	r.Time, r.Duration = t.line.Started(), last.Took
	if r.Duration == 0 {
		r.Duration = t.line.Elapsed()
	}
	if r.Message != "" {
		r.Message = i.String() + ": " + r.Message
	}
	return r, last
}

// explain says what the error of a call means.
func (i *Instance) explain(t *trial, err error) health.Result {
	last, made := t.attempt()
	if e := answered(err); e != nil {
		return i.judge(e, last)
	}
	if errors.Is(t.ctx.Err(), context.Canceled) {
		return unknown("the probe was cancelled")
	}
	switch {
	case made == 0:
		// A token could not be had, because of the network or of what keeps it, or
		// the call was wrong as it is.
		if health.CauseOf(err) != health.CauseFailed {
			return httpcheck.Explain(t.ctx, t.line, err).Result()
		}
		return unknown(netcheck.Shorten(err.Error(), 300))
	case last.Took == 0 && last.Waited > 0 && isEnd(last.Err):
		s := i.client.Throttle().Stats()
		return health.Result{Status: health.Degraded, Cause: health.CauseThrottled, Message: fmt.Sprintf(
			"nothing was sent: the cost bucket had no room for %v (%.0f of %.0f left, %d waiting)", netcheck.Round(last.Waited), s.Remaining, s.Mark, s.Waiting)}
	case last.Err != nil:
		err = last.Err
	}
	return httpcheck.Explain(t.ctx, t.line, err).Result()
}

// isEnd reports whether an error is the end of a context.
func isEnd(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func unknown(message string) health.Result {
	return health.Result{Status: health.Unknown, Cause: health.CauseNotAsked, Message: message}
}

// answered returns the error of Canvas in err, if Canvas answered at all. That of
// the token endpoint may be inside that of the call.
func answered(err error) *canvas.Error {
	for err != nil {
		e, ok := errors.AsType[*canvas.Error](err)
		if !ok {
			return nil
		}
		if e.Status != 0 {
			return e
		}
		err = e.Unwrap()
	}
	return nil
}

// judge says what an answer of Canvas that is no success means.
func (i *Instance) judge(e *canvas.Error, last canvas.Attempt) health.Result {
	what := e.Op + ": answered " + httpcheck.Status(e.Status)
	switch {
	case errors.Is(e, canvas.ErrThrottled):
		return health.Result{Status: health.Degraded, Cause: health.CauseThrottled, Message: what + ": the cost bucket is full" + remaining(last)}
	case e.Status == http.StatusTooManyRequests:
		return health.Result{Status: health.Degraded, Cause: health.CauseThrottled, Message: what + ": a rate limit that is not the bucket's"}
	case errors.Is(e, canvas.ErrMaintenance):
		return i.closed(what, time.Now())
	case errors.Is(e, canvas.ErrUnauthenticated):
		return i.refusedToken(what, e)
	case errors.Is(e, canvas.ErrScope):
		i.accepted()
		return down(CausePermission, what+": the token is valid, but lacks a scope")
	case errors.Is(e, canvas.ErrForbidden):
		i.accepted()
		return down(CausePermission, what+": the token is valid, but its user may not do this")
	case errors.Is(e, canvas.ErrUserAgent):
		return down(health.CauseStatus, what+": the User-Agent is not accepted")
	case errors.Is(e, canvas.ErrNotFound):
		return down(health.CauseMissing, what)
	case e.Code == "unreadable" || e.Code == "paging":
		return down(health.CauseNotJSON, what+" with something else than the expected JSON")
	case e.Status >= 200 && e.Status <= 299:
		return down(health.CauseFailed, netcheck.Shorten(e.Error(), 300))
	}
	if e.ReportID != "" {
		what += ", error report " + netcheck.Clean(e.ReportID)
	}
	if e.RequestID != "" {
		what += ", request " + netcheck.Clean(e.RequestID)
	}
	return down(health.CauseStatus, what)
}

func down(cause health.Cause, message string) health.Result {
	return health.Result{Status: health.Unhealthy, Cause: cause, Message: message}
}

func remaining(a canvas.Attempt) string {
	if !a.Reported {
		return ""
	}
	return fmt.Sprintf(" (%.0f left)", a.Remaining)
}

// closed says what a page instead of an answer means, which load balancers show
// in maintenance and in an outage alike: it is maintenance if it was announced.
func (i *Instance) closed(what string, now time.Time) health.Result {
	until, why, planned := i.planned(now)
	if !planned {
		return down(health.CauseMaintenance, what+" with a page, as in maintenance, but none is announced for now")
	}
	return health.Result{Status: health.Maintenance, Cause: health.CauseMaintenance, Message: what + ": " + why + ", until " + stamp(until)}
}

// planned reports whether a maintenance was announced for now: by the windows of
// the configuration, or by what the status page said not long ago.
func (i *Instance) planned(now time.Time) (until time.Time, why string, ok bool) {
	for _, w := range i.cfg.Maintenance {
		if in, ok := w.Next(now); ok && !in.Start.After(now) && in.End.After(until) {
			until, why = in.End, "maintenance, as published"
		}
	}
	if until.IsZero() && i.cfg.StatusPage != nil {
		if m, ok := i.cfg.StatusPage.underMaintenance(now); ok {
			return m.Until, "maintenance, as the status page says", true
		}
	}
	return until, why, !until.IsZero()
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "a time that is not known"
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}
