package playbooks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// quotaLeft is the share of the rate limit of Canvas that must be left. It is a choice: the
// runbook names no figure.
const quotaLeft = 0.2

// budget is the gauge of how much of the rate limit of Canvas is in use.
func (e Environment) budget() gauge {
	return gauge{name: "the use of the rate limit of Canvas", read: func(ctx context.Context) (float64, string, error) {
		q, err := e.quota(ctx)
		if err != nil {
			return 0, "", err
		}
		share := (1 - q.left()) / (1 - quotaLeft)
		if q.Throttled {
			share += failing
		}
		return share, q.String(), nil
	}}
}

// Usage is what was used of the rate limit of Canvas within a while.
type Usage struct {
	// Found is what is left at its end.
	Found QuotaFound `json:"found"`
	// Over is how long it was watched.
	Over time.Duration `json:"over"`
	// Own and Others are units a second, of this program and of others with its identity.
	Own    float64 `json:"own"`
	Others float64 `json:"others"`
	// Rejected is how many requests of ours were rejected meanwhile.
	Rejected int64 `json:"rejected"`
	// Routes are what was used by our own routes meanwhile, the dearest first.
	Routes []incident.QuotaUse `json:"routes,omitempty"`
}

// String says who uses the limit, and for what.
func (u Usage) String() string {
	text := fmt.Sprintf("%s; within %v this program used %.1f units a second, others with its identity %.1f, and %d requests were rejected", u.Found.short(), u.Over, u.Own, u.Others, u.Rejected)
	var dear []string
	for _, r := range u.Routes[:min(len(u.Routes), 3)] {
		dear = append(dear, fmt.Sprintf("%s (%.0f units in %d requests)", cut(r.Name, 80), r.Used, r.Requests))
	}
	if len(dear) > 0 {
		text += "; dearest: " + strings.Join(dear, ", ")
	}
	return text
}

// usage is a step that watches for a moment which route costs what.
func (e Environment) usage(id string) incident.Step {
	const over = 20 * time.Second
	return incident.Step{
		ID: id, Title: "Watch which route costs what", Timeout: 2 * time.Minute, OnFailure: incident.GoOn,
		Needs: []incident.Need{incident.Needs("Quota", e.Quota)},
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			before, err := e.Quota.Quota(ctx)
			if err != nil {
				return nil, err
			}
			if err := pause(ctx, over); err != nil {
				return nil, err
			}
			after, err := e.Quota.Quota(ctx)
			if err != nil {
				return nil, err
			}
			return used(before, after, over), nil
		}},
	}
}

// used is what was used between two looks.
func used(before, after incident.QuotaState, over time.Duration) Usage {
	u := Usage{Found: quotaFound(after), Over: over, Others: after.Others}
	for _, now := range after.Users {
		i := slices.IndexFunc(before.Users, func(old incident.QuotaUse) bool { return old.Name == now.Name })
		// Counters of a program that started again begin at zero.
		if i >= 0 && now.Requests >= before.Users[i].Requests {
			now.Requests, now.Rejected, now.Used = now.Requests-before.Users[i].Requests, now.Rejected-before.Users[i].Rejected, now.Used-before.Users[i].Used
		}
		if now.Requests == 0 {
			continue
		}
		u.Own, u.Rejected = u.Own+now.Used/over.Seconds(), u.Rejected+now.Rejected
		now.Name = cut(now.Name, 120)
		u.Routes = append(u.Routes, now)
	}
	slices.SortStableFunc(u.Routes, func(a, b incident.QuotaUse) int { return cmp.Compare(b.Used, a.Used) })
	u.Routes = u.Routes[:min(len(u.Routes), 10)]
	return u
}

// QuotaFound is what is left of the rate limit of Canvas, and who uses it.
type QuotaFound struct {
	// Remaining and Limit are in the units of Canvas; Measured says that Canvas told them.
	Remaining float64 `json:"remaining"`
	Limit     float64 `json:"limit"`
	Measured  bool    `json:"measured"`
	// Throttled means that Canvas rejects requests, or that they are held back.
	Throttled bool `json:"throttled"`
	// Others is how many units a second other programs with our identity use.
	Others float64 `json:"others"`
	// Users are the largest of our own uses.
	Users []incident.QuotaUse `json:"users,omitempty"`
}

// left is the share of the limit that is left.
func (q QuotaFound) left() float64 {
	if q.Limit <= 0 {
		return 1
	}
	return q.Remaining / q.Limit
}

// short says what is left.
func (q QuotaFound) short() string {
	text := fmt.Sprintf("%.0f of %.0f units are left (%.0f %%)", q.Remaining, q.Limit, 100*q.left())
	if q.Throttled {
		text = "Canvas rejects requests: " + text
	}
	return text
}

// String says what is left, and who uses most.
func (q QuotaFound) String() string {
	text := q.short()
	if len(q.Users) > 0 {
		u := q.Users[0]
		text += fmt.Sprintf("; most is used by %s: %.0f units in %d requests, %d rejected", cut(u.Name, 80), u.Used, u.Requests, u.Rejected)
	}
	if q.Others > 0 {
		text += fmt.Sprintf("; other programs with our identity use %.1f units a second", q.Others)
	}
	return text
}

// quota returns what is left of the rate limit of Canvas.
func (e Environment) quota(ctx context.Context) (QuotaFound, error) {
	q, err := e.Quota.Quota(ctx)
	if err != nil {
		return QuotaFound{}, err
	}
	return quotaFound(q), nil
}

// quotaFound is what is kept of what is left.
func quotaFound(q incident.QuotaState) QuotaFound {
	f := QuotaFound{Remaining: q.Remaining, Limit: q.Limit, Measured: q.Measured, Throttled: q.Throttled, Others: q.Others, Users: slices.Clone(q.Users[:min(len(q.Users), 10)])}
	for i := range f.Users {
		f.Users[i].Name = cut(f.Users[i].Name, 120)
	}
	return f
}

// quotaLook is a step that looks at the rate limit of Canvas, and which route costs what.
func (e Environment) quotaLook(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Look at what is left of the rate limit of Canvas, and who uses it", Timeout: 30 * time.Second, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) {
			return e.Quota != nil, "this environment cannot tell the rate limit"
		},
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) { return e.quota(ctx) }},
	}
}
