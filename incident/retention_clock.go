package incident

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrClock means that [Retention.Apply] removed nothing, since its clock says that the host
// was away for longer than [Retention.MaxGap]. A clock that has jumped years ahead would else
// remove everything. Somebody looks at the clock: once it is right all goes on by itself; and
// if the host really was away for so long, they say so in [Retention.Confirmed].
var ErrClock = errors.New("the clock may be wrong")

// The document that says when the rule was applied last.
const (
	clockKind = "retention"
	clockID   = "clock"
)

// clockMark is what that document has.
type clockMark struct {
	At time.Time `json:"at"`
}

// trust returns an error that wraps [ErrClock] if the clock may have jumped ahead, and else
// notes what time it is. A jump of less than MaxGap is not seen: then something is removed
// sooner, by at most as much.
func (r Retention) trust(ctx context.Context, now time.Time) error {
	if r.MaxGap == 0 {
		return nil
	}
	return editDocument(ctx, r.Store, clockKind, clockID, func(doc Document) (Document, []Entry, error) {
		last, err := r.lastAtWork(ctx, doc)
		if err != nil {
			return doc, nil, err
		}
		if r.Confirmed.After(last) && !r.Confirmed.After(now) {
			last = r.Confirmed
		}
		if gap := now.Sub(last); !last.IsZero() && gap > r.MaxGap {
			return doc, nil, fmt.Errorf("nothing was removed: %w: it says %s, and this host was last seen at work on %s, %d days before, and is not expected to be away for more than %d. "+
				"If the clock is wrong, set it right, and the next time goes on by itself. If it is right, and the host was away for so long, confirm it with today's date (Retention.Confirmed)",
				ErrClock, now.Format(time.DateTime), last.Format(time.DateTime), int(gap/(24*time.Hour)), int(r.MaxGap/(24*time.Hour)))
		}
		doc.Data = marshal(clockMark{now})
		return doc, nil, nil
	})
}

// lastAtWork is when the rule was applied last; before the first time, when something was last
// recorded of what would be removed. Zero means that there is nothing.
func (r Retention) lastAtWork(ctx context.Context, doc Document) (last time.Time, err error) {
	if doc.Version > 0 {
		var mark clockMark
		err := decode(doc.Data, &mark)
		return mark.At, err
	}
	for e, err := range r.Store.Entries(ctx, auditChain, 0) {
		if err != nil {
			return last, err
		}
		last = e.At
	}
	for d, err := range r.Store.Documents(ctx, DocumentQuery{Kind: incidentKind}) {
		if err != nil {
			return last, err
		}
		if d.Changed.After(last) {
			last = d.Changed
		}
		break // the others were changed before
	}
	return last, nil
}
