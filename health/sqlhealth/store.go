package sqlhealth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/sqlmigrate"
)

// Config is what a [Store] needs. Only DB is required.
type Config struct {
	// DB is the database, SQLite or PostgreSQL (14 or newer). The host opens
	// and closes it. Required.
	DB *sql.DB
	// Holder names this replica, and no other that uses the database: a host
	// name with a process id, a pod name. Empty means that the store is a
	// History only: the methods of Lease return an error.
	Holder string
	// Location is the zone in which days begin. Nil means UTC.
	Location *time.Location
	// Retention is for how long history is kept. Zero means 91 days: 90 whole
	// days and the one that has begun. Less than an hour is an error.
	Retention time.Duration
}

const defaultRetention = 91 * 24 * time.Hour

// A Store keeps history and leases in a database. [New] makes one. It is safe
// for concurrent use.
type Store struct {
	db        *sql.DB
	dialect   sqlmigrate.Dialect
	holder    string
	zone      *time.Location
	retention time.Duration
	sql       statements

	mu     sync.Mutex
	pruned time.Time // when Append last removed what is too old
}

var (
	_ health.History = (*Store)(nil)
	_ health.Lease   = (*Store)(nil)
)

// New returns a Store, having created or changed its tables where that was
// needed. The error has everything that is wrong with cfg, or says why the
// database could not be made ready: among others that a newer version of this
// package has changed its tables.
func New(ctx context.Context, cfg Config) (*Store, error) {
	var problems []error
	if cfg.DB == nil {
		problems = append(problems, errors.New("sqlhealth: DB is required"))
	}
	if !storable(cfg.Holder) {
		problems = append(problems, fmt.Errorf("sqlhealth: Holder %q is not text that a database can store", cfg.Holder))
	}
	if cfg.Retention != 0 && cfg.Retention < time.Hour {
		problems = append(problems, fmt.Errorf("sqlhealth: Retention %v is less than an hour", cfg.Retention))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	dialect, err := migrations.Apply(ctx, cfg.DB)
	if err != nil {
		return nil, fmt.Errorf("sqlhealth: %w", err)
	}
	s := &Store{
		db: cfg.DB, dialect: dialect, holder: cfg.Holder, zone: cfg.Location, retention: cfg.Retention,
		sql: statementsFor(dialect),
	}
	if s.zone == nil {
		s.zone = time.UTC
	}
	if s.retention == 0 {
		s.retention = defaultRetention
	}
	return s, nil
}

// storable reports whether both databases can hold the text: PostgreSQL takes
// only valid UTF-8 without NUL.
func storable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

func validName(check string) error {
	switch {
	case check == "":
		return errors.New("a check needs a name")
	case !storable(check):
		return fmt.Errorf("the name of check %q is not text that a database can store", check)
	}
	return nil
}

// nanos returns t as the database has it, or the nearest time that it can
// have: 64 bits of nanoseconds reach from 1677 to 2262.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(fromNanos(math.MinInt64)):
		return math.MinInt64
	case t.After(fromNanos(math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time { return time.Unix(0, n).UTC() }

// hourOf returns the number of the hour UTC in which t lies, since 1970.
func hourOf(t time.Time) int64 {
	s := t.Unix()
	hour := s / 3600
	if s%3600 < 0 {
		hour--
	}
	return hour
}

func hourStart(hour int64) time.Time { return time.Unix(hour*3600, 0).UTC() }
