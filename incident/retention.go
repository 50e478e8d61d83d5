package incident

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Prune removes documents of a kind that are closed and were changed last before a time,
// each with the chain that is named after it: with the kind "incident", an incident and
// its timeline. It returns how many it removed, also with an error, after which it can be
// called again. The chain "audit" stays: it is one record, and is kept or removed whole.
//
// Each is looked at again right before it is removed. One that is reopened at that very
// moment goes with it, so that before should lie back by months. It reads all documents of
// the kind, for which once a day is often enough.
func Prune(ctx context.Context, s Store, kind string, before time.Time) (removed int, err error) {
	for d, err := range s.Documents(ctx, DocumentQuery{Kind: kind}) {
		if err != nil {
			return removed, fmt.Errorf("incident: prune: %w", err)
		}
		if d.Open || !d.Changed.Before(before) {
			continue
		}
		now, err := s.Document(ctx, kind, d.ID)
		if errors.Is(err, ErrNotFound) || err == nil && now.Version != d.Version {
			continue
		}
		if err == nil {
			err = s.Delete(ctx, kind, d.ID, kind+"/"+d.ID)
		}
		if err != nil {
			return removed, fmt.Errorf("incident: prune: document %s %s: %w", kind, d.ID, err)
		}
		removed++
	}
	return removed, nil
}
