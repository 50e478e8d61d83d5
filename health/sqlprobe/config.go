package sqlprobe

import (
	"database/sql"
	"fmt"
	"sync"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// Config is which database a [Prober] looks at, and how. Only DB is required.
type Config struct {
	// DB is the pool of the host, which opens and closes it. Required.
	DB *sql.DB
	// Latency is the time that it may take to get a working connection, new or
	// from the pool: the measurement "connect", and the result's Duration.
	Latency health.Budget
	// Pool limits the measurement "pool_used": percent of the pool's
	// connections that were in use when the probe began. A pool without
	// SetMaxOpenConns has none. The zero Limit allows any.
	Pool health.Limit
	// Postgres asks a PostgreSQL server more. Nil asks nothing more, and is
	// right for other databases.
	Postgres *Postgres
	// Queries are measurements of the host.
	Queries []Query
	// Invariants are what must hold in the data.
	Invariants []Invariant
}

// A Query reads one number of the host's. In Postgres mode it runs in a
// read-only transaction; in a database of another kind, it is up to the host
// that it changes nothing.
type Query struct {
	// Name is the name of the measurement. Required, and unique.
	Name string
	// SQL returns one row of one column: a number, or a boolean that counts as
	// 1 or 0. No row or NULL is [health.CauseMissing]. Required.
	SQL string
	// Unit is the unit of the number. The default is a count.
	Unit health.Unit
	// Limit is how far the number may go. The zero Limit allows any.
	Limit health.Limit
	// Failure is what it means if the query fails or does not end in time. The
	// zero Status means Unhealthy.
	Failure health.Status
	// Required makes the result Degraded if the role may not run the query.
	Required bool
}

// An Invariant is something that always holds in sound data, such as that no
// grade is without a student. It runs like a [Query].
type Invariant struct {
	// Name says what should hold, in the form of a metric name. Required, and
	// unique.
	Name string
	// SQL returns one row of one column: the number of violations, or true if
	// it is violated. Required.
	SQL string
	// Failure is what a violation means, and also that the query fails or does
	// not end in time. The zero Status means Unhealthy.
	Failure health.Status
	// Required makes the result Degraded if the role may not run the query.
	Required bool
}

// A Prober looks at a database. It is safe for concurrent use.
type Prober struct {
	cfg         Config
	diagnostics []diagnostic

	mu   sync.Mutex
	last counters // of the probe before
}

var _ health.Prober = (*Prober)(nil)

// New returns a Prober, or everything that is wrong with cfg. It does not
// connect. The queries and what Postgres points to are copied.
func New(cfg Config) (*Prober, error) {
	p := &Prober{cfg: cfg}
	problems := netcheck.Problems{Package: "sqlprobe"}
	if cfg.DB == nil {
		problems.Add("DB is required")
	}
	problems.In("Latency", cfg.Latency.Validate())
	problems.In("Pool", cfg.Pool.Validate())
	if cfg.Postgres != nil {
		p.diagnostics = p.postgres(*cfg.Postgres, &problems)
	}
	names := make(map[string]bool)
	for i, q := range cfg.Queries {
		field := fmt.Sprintf("Queries[%d]", i)
		validQuery(&problems, field, names, q.Name, q.SQL, q.Failure)
		problems.In(field, q.Limit.Validate())
		p.diagnostics = append(p.diagnostics, q.diagnostic())
	}
	for i, v := range cfg.Invariants {
		validQuery(&problems, fmt.Sprintf("Invariants[%d]", i), names, v.Name, v.SQL, v.Failure)
		p.diagnostics = append(p.diagnostics, v.diagnostic())
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

func validQuery(p *netcheck.Problems, field string, names map[string]bool, name, text string, failure health.Status) {
	switch {
	case name == "":
		p.Add("%s: Name is required", field)
	case names[name]:
		p.Add("%s: Name %q is taken", field, name)
	}
	names[name] = true
	if text == "" {
		p.Add("%s: SQL is required", field)
	}
	validFailure(p, field, failure)
}

func validFailure(p *netcheck.Problems, field string, failure health.Status) {
	if failure == health.Healthy {
		p.Add("%s: Failure cannot be healthy", field)
	} else if _, err := failure.MarshalText(); err != nil {
		p.Add("%s: Failure %v is not a status", field, failure)
	}
}
