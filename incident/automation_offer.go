package incident

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// An Offered is what [Automation.Offer] did about a run.
type Offered string

// What there is.
const (
	// OfferStarted means that the run was started, now or before.
	OfferStarted Offered = "started"
	// OfferSuggested means that people are asked whether to start it, or were.
	OfferSuggested Offered = "suggested"
	// OfferLeft means that nothing was done, since automation only observes there.
	OfferLeft Offered = "left to people"
)

// Offer does what the policy of the environment lets be done about a run that belongs to no
// incident, such as one for what was planned: it starts it, asks people for as long as within
// says whether to, or leaves it. Zero within means 30 minutes. q needs an ID, by which it is
// started, or asked about, once however often it is offered. It is Automatic. While automatic
// actions are stopped, and for a playbook that the policy does not let act, people are asked.
func (a *Automation) Offer(ctx context.Context, r *Runner, q Request, within time.Duration) (Offered, error) {
	q.Automatic = true
	if q.ID == "" {
		return "", fmt.Errorf("incident: automation: offer %s in %s: an ID is required, by which it is offered once", q.Playbook, q.Environment)
	}
	mode, _, err := a.mode(ctx, Incident{Environment: q.Environment, Playbook: q.Playbook}, true)
	if err != nil {
		return "", err
	}
	if _, err := r.cfg.Runs.Record(ctx, q.ID, -1); err == nil {
		return OfferStarted, nil
	} else if !errors.Is(err, ErrNotFound) {
		return "", fmt.Errorf("incident: automation: offer %s in %s: %w", q.Playbook, q.Environment, err)
	}
	switch mode {
	case Act:
		if _, err := r.Start(ctx, q); err != nil && !errors.Is(err, ErrStale) { // stale: another process was faster
			return "", err
		}
		return OfferStarted, nil
	case Suggest:
		if _, err := r.Suggest(ctx, q, 1, within); err != nil {
			return "", err
		}
		return OfferSuggested, nil
	}
	return OfferLeft, nil
}
