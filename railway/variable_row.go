package railway

import (
	"context"
	"iter"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// A variableRow is what Railway has of a variable beside its value. The zero row is
// that of one that is not there.
type variableRow struct {
	id, name string
	service  string // empty: shared
	sealed   bool
	written  time.Time
}

// version names the state of a variable. The ID is another one after the variable
// was deleted and made again, the time after it was written again.
func (r variableRow) version() runbook.Version {
	if r.id == "" {
		return ""
	}
	return runbook.Version(r.id + "@" + r.written.UTC().Format(time.RFC3339Nano))
}

// variableRows yields the variables of all services of an environment, and the
// shared ones.
func (e *Environment) variableRows(ctx context.Context, o op) iter.Seq2[variableRow, error] {
	return pages(o, func(after *string) (rows []variableRow, _ *string, _ error) {
		got, err := gql.VariableNames(ctx, o, e.id, pageSize, after)
		if err != nil {
			return nil, nil, err
		}
		list := got.Environment.Variables
		for _, e := range list.Edges {
			n := e.Node
			rows = append(rows, variableRow{n.Id, n.Name, gql.Text(n.ServiceId), n.IsSealed, n.UpdatedAt})
		}
		return rows, next(list.PageInfo.HasNextPage, list.PageInfo.EndCursor), nil
	})
}

func (s *Service) variableRow(ctx context.Context, o op, name string) (variableRow, error) {
	for row, err := range s.env.variableRows(ctx, o) {
		if err != nil {
			return variableRow{}, err
		}
		if row.name == name && row.service == s.id {
			return row, nil
		}
	}
	return variableRow{}, nil
}
