package sqlprobe

import (
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"go.acu.edu.au/runbook/health"
)

// Config says which database is looked at, and how. Only DB is required.
type Config struct {
	// DB is the pool of the host, which opens and closes it. Required.
	DB *sql.DB
	// Connect limits the measurement "connect": milliseconds to get a working
	// connection, new or from the pool. The zero Limit allows any.
	Connect health.Limit
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
	// Status is what a violation means, and also that the query fails or does
	// not end in time. The zero Status means Unhealthy.
	Status health.Status
	// Required makes the result Degraded if the role may not run the query.
	Required bool
}

// A Prober looks at a database. [New] makes one.
type Prober struct {
	cfg         Config
	diagnostics []diagnostic

	mu   sync.Mutex
	last counters // of the probe before
}

var _ health.Prober = (*Prober)(nil)

// New returns a prober. It does not connect. The error has everything that is
// wrong with cfg. The queries and what Postgres points to are copied.
func New(cfg Config) (*Prober, error) {
	p := &Prober{cfg: cfg}
	var problems []error
	if cfg.DB == nil {
		problems = append(problems, errors.New("sqlprobe: Config.DB is nil"))
	}
	for name, limit := range map[string]health.Limit{"Connect": cfg.Connect, "Pool": cfg.Pool} {
		if err := limit.Validate(); err != nil {
			problems = append(problems, fmt.Errorf("sqlprobe: Config.%s: %w", name, err))
		}
	}
	if cfg.Postgres != nil {
		found, errs := p.postgres(*cfg.Postgres)
		p.diagnostics = append(p.diagnostics, found...)
		problems = append(problems, errs...)
	}
	names := make(map[string]bool)
	for i, q := range cfg.Queries {
		if err := validQuery(names, q.Name, q.SQL, q.Failure, q.Limit); err != nil {
			problems = append(problems, fmt.Errorf("sqlprobe: Config.Queries[%d]: %w", i, err))
		}
		p.diagnostics = append(p.diagnostics, q.diagnostic())
	}
	for i, v := range cfg.Invariants {
		if err := validQuery(names, v.Name, v.SQL, v.Status, health.Limit{}); err != nil {
			problems = append(problems, fmt.Errorf("sqlprobe: Config.Invariants[%d]: %w", i, err))
		}
		p.diagnostics = append(p.diagnostics, v.diagnostic())
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return p, nil
}

func validQuery(names map[string]bool, name, text string, failure health.Status, limit health.Limit) error {
	var problems []error
	switch {
	case name == "":
		problems = append(problems, errors.New("no Name"))
	case names[name]:
		problems = append(problems, fmt.Errorf("the Name %q is taken", name))
	}
	names[name] = true
	if text == "" {
		problems = append(problems, errors.New("no SQL"))
	}
	if failure == health.Healthy {
		problems = append(problems, errors.New("a failure cannot be healthy"))
	} else if _, err := failure.MarshalText(); err != nil {
		problems = append(problems, err)
	}
	if err := limit.Validate(); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
