package sqlprobe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// errNothing is returned by queries that should return a value and do not.
var errNothing = errors.New("the query returns no value")

func (v Query) diagnostic() diagnostic {
	return diagnostic{
		name: v.Name, required: v.Required, failure: orUnhealthy(v.Failure),
		read: func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
			n, ok, err := number(ctx, q, v.SQL)
			if err != nil {
				return r, err
			}
			if !ok {
				return r.Worsen(orUnhealthy(v.Failure), health.CauseMissing, v.Name+": "+errNothing.Error()), nil
			}
			return v.Limit.Apply(r, health.Measurement{Name: v.Name, Value: n, Unit: v.Unit}), nil
		},
	}
}

func (v Invariant) diagnostic() diagnostic {
	status := orUnhealthy(v.Failure)
	return diagnostic{
		name: v.Name, required: v.Required, failure: status,
		read: func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
			n, ok, err := number(ctx, q, v.SQL)
			if err != nil {
				return r, err
			}
			if !ok {
				return r.Worsen(status, health.CauseMissing, v.Name+": "+errNothing.Error()), nil
			}
			m := health.Measurement{Name: v.Name, Value: n}
			r = netcheck.With(r, m)
			if n != 0 {
				r = r.Worsen(status, health.CauseAssertion, fmt.Sprintf("the invariant is violated: %v", m))
			}
			return r, nil
		},
	}
}

func orUnhealthy(s health.Status) health.Status {
	if s == health.Unknown {
		return health.Unhealthy
	}
	return s
}

func (m Migration) validate(p *netcheck.Problems) {
	const field = "Postgres.Migration"
	if strings.Count(m.Table, ".") > 1 || strings.ContainsRune(m.Table+m.Column, 0) {
		p.Add("%s: Table %q is not a name with at most one schema", field, m.Table)
	}
	validFailure(p, field, m.Failure)
}

func (m Migration) diagnostic() diagnostic {
	table, column := m.Table, m.Column
	if table == "" {
		table = "alembic_version"
	}
	if column == "" {
		column = "version_num"
	}
	want := slices.Sorted(slices.Values(m.Want))
	parts := strings.Split(table, ".")
	for i, part := range parts {
		parts[i] = quoted(part)
	}
	// As text, whatever the type of the column is.
	query := "SELECT " + quoted(column) + "::text FROM " + strings.Join(parts, ".") + " ORDER BY 1 LIMIT 20"
	status := orUnhealthy(m.Failure)
	return diagnostic{
		name: "migration", required: m.Required, failure: status,
		read: func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
			heads, err := texts(ctx, q, query)
			if stateOf(err) == undefinedTable {
				return r, &missing{fmt.Sprintf("there is no table %s", table)}
			}
			if err != nil {
				return r, err
			}
			return compareHeads(r, heads, want, status), nil
		},
	}
}

// compareHeads says whether the heads found are those wanted. Both are sorted.
func compareHeads(r health.Result, heads, want []string, status health.Status) health.Result {
	slices.Sort(heads) // the database may sort otherwise
	found := netcheck.Shorten(strings.Join(heads, ", "), mostText)
	if found == "" {
		return r.Worsen(status, health.CauseMissing, "migration: none has been applied")
	}
	r = netcheck.With(r, health.Measurement{Name: "migration", Text: found})
	missing := slices.DeleteFunc(slices.Clone(want), func(head string) bool { return slices.Contains(heads, head) })
	switch {
	case len(missing) > 0:
		return r.Worsen(status, health.CauseAssertion,
			fmt.Sprintf("migration: the schema is at %s, want %s", found, strings.Join(want, ", ")))
	case len(heads) > max(1, len(want)):
		return r.Worsen(health.Degraded, health.CauseAssertion,
			fmt.Sprintf("migration: the schema has %d heads (%s), want %d", len(heads), found, max(1, len(want))))
	}
	return r
}

// texts reads the first column of all rows. NULL is left out.
func texts(ctx context.Context, q querier, query string, args ...any) (all []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text *string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if text != nil {
			all = append(all, *text)
		}
	}
	return all, rows.Err()
}

// quoted returns an identifier as SQL.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
