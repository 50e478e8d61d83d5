package dashboard_test

import (
	"context"
	"iter"

	"go.acu.edu.au/runbook/incident"
)

// slow is a store whose lists hang, whatever their context says.
type slow struct {
	incident.Store
	until chan struct{}
}

func (s *slow) Documents(ctx context.Context, q incident.DocumentQuery) iter.Seq2[incident.Document, error] {
	return func(yield func(incident.Document, error) bool) {
		<-s.until
		s.Store.Documents(ctx, q)(yield)
	}
}
