package canvasprobe

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// Availability is why one waits.
type Availability string

// What [Instance.WaitUntilAvailable] finds.
const (
	// Available means that the instance answers.
	Available Availability = "available"
	// InMaintenance means that it does not answer as it should while a maintenance
	// is announced, by the published windows or by the status page.
	InMaintenance Availability = "maintenance"
	// Outage means that it does not answer as it should, and that nobody announced
	// that.
	Outage Availability = "outage"
	// OurNetwork means that nothing else answers either: the fault is likely to be
	// here.
	OurNetwork Availability = "our network"
)

// WaitOptions say how to wait. The zero value is usable.
type WaitOptions struct {
	// Every is the time from one look to the next. Zero means 30s.
	Every time.Duration
	// Timeout limits one look. Zero means 15s.
	Timeout time.Duration
	// Confirm is how many looks in a row must find the instance available: a load
	// balancer lets some requests through while others fail. Zero means 2.
	Confirm int
	// Network are probers of things that have nothing to do with Canvas. If the
	// instance cannot be reached, and neither can any of them nor the status page,
	// the fault is ours. None means that only the status page is asked; without
	// that either, [OurNetwork] is never found.
	Network []health.Prober
	// Report is told of each look, one after the other. Nil means nobody.
	Report func(Look)
}

// A Look is what one look found.
type Look struct {
	// Time is when it was, Elapsed how long the wait has lasted, and Number counts
	// from 1.
	Time    time.Time
	Elapsed time.Duration
	Number  int
	// State is what it means, Confirmed that it was so often enough to be relied
	// on; only Available needs that.
	State     Availability
	Confirmed bool
	// Up is the result of the probe.
	Up health.Result
	// Until is when the maintenance is to end; zero if that is not known.
	Until time.Time
	// Incidents are what the status page says is wrong, if it was read.
	Incidents []Incident
	// Reason says all of that to an operator, in one line.
	Reason string
}

// WaitUntilAvailable looks at the instance until it answers, or until ctx ends,
// and returns the last look. While it does not answer, the status page and the
// published windows tell a maintenance from an outage, and what else cannot be
// reached tells both from a fault of our own network. The error is that of ctx.
func (i *Instance) WaitUntilAvailable(ctx context.Context, opts WaitOptions) (Look, error) {
	if opts.Every <= 0 {
		opts.Every = 30 * time.Second
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 15 * time.Second
	}
	opts.Confirm = max(opts.Confirm, 0)
	if opts.Confirm == 0 {
		opts.Confirm = 2
	}
	opts.Network = slices.Clone(opts.Network)
	var last Look
	start, good := time.Now(), 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 1; ; n++ {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return last, i.gaveUp(ctx, last, time.Since(start))
		}
		look := i.look(ctx, opts)
		if ctx.Err() != nil {
			return last, i.gaveUp(ctx, last, time.Since(start))
		}
		look.Number, look.Elapsed = n, look.Time.Sub(start)
		good++
		if look.State != Available {
			good = 0
		}
		look.Confirmed = look.State != Available || good >= opts.Confirm
		last = look
		if opts.Report != nil {
			opts.Report(look)
		}
		if good >= opts.Confirm {
			return look, nil
		}
		timer.Reset(opts.Every)
	}
}

func (i *Instance) gaveUp(ctx context.Context, last Look, waited time.Duration) error {
	state := "nothing was found out"
	if last.Number > 0 {
		state = "last found: " + string(last.State)
	}
	return fmt.Errorf("canvasprobe: wait for %s: gave up after %v, %s: %w", i, netcheck.Round(waited), state, context.Cause(ctx))
}

func (i *Instance) look(ctx context.Context, opts WaitOptions) Look {
	limited, cancel := context.WithTimeout(ctx, opts.Timeout)
	r := i.Up().Probe(limited)
	cancel()
	l := Look{Time: time.Now(), Up: r}
	if r.Status == health.Healthy || r.Status == health.Degraded {
		l.State, l.Reason = Available, "it answers"
		return l
	}
	page, reached := i.consult(ctx, opts)
	l.Incidents = page.Incidents
	now := time.Now()
	until, why, planned := i.planned(now)
	switch {
	case unreached(r) && reached == nobody:
		l.State = OurNetwork
		l.Reason = "nothing else can be reached either"
	case planned:
		l.State, l.Until = InMaintenance, until
		l.Reason = why + ", until " + stamp(until)
	default:
		l.State = Outage
		l.Reason = "no maintenance is announced"
		if len(page.Incidents) > 0 {
			l.Reason = fmt.Sprintf("the status page says: incident %q, %s", page.Incidents[0].Name, page.Incidents[0].Status)
		} else if reached == unasked && unreached(r) {
			l.Reason += ", and nothing else was asked, so that it may be our network"
		}
	}
	if r.Message != "" {
		l.Reason += "; " + r.Message
	}
	return l
}

// unreached reports whether no answer of the instance came.
func unreached(r health.Result) bool {
	switch r.Cause {
	case health.CauseDNS, health.CauseUnreachable, health.CauseRefused, health.CauseTLS, health.CauseTimeout, health.CauseConnection,
		health.CauseFailed, health.CauseNotAsked:
		return true
	}
	return false
}

type witness uint8

const (
	unasked witness = iota
	nobody
	somebody
)

// consult asks the status page, and whether anything else answers, at the same
// time.
func (i *Instance) consult(ctx context.Context, opts WaitOptions) (Summary, witness) {
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	answers := make(chan bool, len(opts.Network)+1)
	asked := len(opts.Network)
	for _, p := range opts.Network {
		go func() { answers <- !unreached(p.Probe(ctx)) }()
	}
	var page Summary
	if i.cfg.StatusPage != nil {
		asked++
		var status int
		page, status, _ = i.cfg.StatusPage.read(ctx, netcheck.NewTimeline(i.cfg.StatusPage.url.Hostname())) // that it fails is what is wanted to know
		answers <- status != 0
	}
	out := unasked
	for range asked {
		if <-answers {
			out = somebody
		} else if out == unasked {
			out = nobody
		}
	}
	return page, out
}
