package incident

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// An IncidentQuery chooses incidents. The zero value chooses all.
type IncidentQuery struct {
	// Open chooses those that are open only.
	Open bool
	// Deadlines chooses those that have an open deadline only, whatever their state.
	Deadlines bool
	// Key is theirs, if it is not empty.
	Key string
	// Environment is theirs, if it is not empty.
	Environment string
	// Since is when they were changed at the earliest.
	Since time.Time
	// Limit is how many, at most. Zero means all.
	Limit int
}

// Incidents returns incidents, the one that was changed last first, or, with Deadlines, the
// one that got an open deadline last. An error comes once,
// with an incident that is zero, and ends the sequence; an incident that cannot be read
// is such an error.
func (m *Manager) Incidents(ctx context.Context, q IncidentQuery) iter.Seq2[Incident, error] {
	return func(yield func(Incident, error) bool) {
		query := DocumentQuery{Kind: incidentKind, Key: q.Key, Open: q.Open, Since: q.Since, Limit: q.Limit}
		if q.Environment != "" {
			query.Limit = 0
		}
		docs := m.cfg.Store.Documents(ctx, query)
		if q.Deadlines {
			docs = m.owing(ctx)
		}
		n := 0
		for doc, err := range docs {
			if err != nil {
				yield(Incident{}, fmt.Errorf("incident: list: %w", err))
				return
			}
			if q.Deadlines && !query.Matches(doc) {
				continue
			}
			inc, _, err := decodeIncident(doc)
			if err != nil {
				yield(Incident{}, err)
				return
			}
			if q.Environment != "" && inc.Environment != q.Environment {
				continue
			}
			if n++; !yield(inc, nil) || n == q.Limit {
				return
			}
		}
	}
}
