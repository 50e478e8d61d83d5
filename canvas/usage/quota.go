package usage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/incident"
)

// Quota tells how much of a token's cost bucket is left. It implements
// incident.Quota and is safe for concurrent use.
type Quota struct{ client *canvas.Client }

var _ incident.Quota = (*Quota)(nil)

// NewQuota returns a Quota of the bucket of a client's token. Clients that share
// its throttle are counted too.
func NewQuota(client *canvas.Client) (*Quota, error) {
	if client == nil {
		return nil, errors.New("usage: quota: a client is required")
	}
	return &Quota{client}, nil
}

// few is what may be left for Quota to ask nothing any more: two reservations of
// 50 units.
const few = 100

// Quota implements incident.Quota. As long as there is room it makes one cheap
// request, to learn what others have taken; when the bucket is low it asks
// nothing. Units are those of the bucket. The users are the routes that this
// process has called since it began.
func (q *Quota) Quota(ctx context.Context) (incident.QuotaState, error) {
	if err := ctx.Err(); err != nil {
		return incident.QuotaState{}, fmt.Errorf("usage: quota: %w", err)
	}
	before, told := q.client.Throttle().Stats(), false
	if before.Waiting == 0 && before.Remaining > few {
		// One second: a request that the bucket rejects would be repeated until
		// there is room, and its rejection is all that is to be known.
		short, cancel := context.WithTimeout(ctx, time.Second)
		_, err := q.client.GetUser(short, canvas.Self)
		cancel()
		told = err == nil
		if now := q.client.Throttle().Stats(); err != nil && now.Requests == 0 && !errors.Is(err, canvas.ErrThrottled) {
			return incident.QuotaState{}, fmt.Errorf("usage: quota: %w", err)
		}
	}
	s := q.client.Throttle().Stats()
	out := incident.QuotaState{
		Time: time.Now(), Remaining: min(s.Remaining, s.Mark), Limit: s.Mark, Measured: told || s.Learnt, Others: s.Foreign,
		// Canvas rejects what comes with 50 or less left (canvas-lms,
		// app/middleware/request_throttle.rb).
		Throttled: s.Waiting > 0 || s.Remaining <= 50 || s.Rejected > before.Rejected,
	}
	for _, r := range s.Routes {
		out.Users = append(out.Users, incident.QuotaUse{Name: r.Route, Requests: r.Requests, Rejected: r.Rejected, Used: r.Cost})
	}
	return out, nil
}
