package sqlhealth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/sqlmigrate"
)

var errNoHolder = errors.New("this replica has no name: Config.Holder is empty")

// Acquire implements [health.Lease]. The lease is decided by one statement.
// Its end is told by the clock of the database server on PostgreSQL; on SQLite,
// whose users share a machine, by the machine's. An error after which it is not
// known whether the lease was granted leaves at worst a lease that ends by
// itself.
func (s *Store) Acquire(ctx context.Context, check string, ttl time.Duration) (health.Grant, error) {
	grant, err := s.acquire(ctx, check, ttl)
	if err != nil {
		return health.Grant{}, fmt.Errorf("sqlhealth: acquire the lease of check %q: %w", check, err)
	}
	return grant, nil
}

func (s *Store) acquire(ctx context.Context, check string, ttl time.Duration) (grant health.Grant, err error) {
	switch err := validName(check); {
	case err != nil:
		return grant, err
	case s.holder == "":
		return grant, errNoHolder
	case ttl <= 0:
		return grant, fmt.Errorf("the time to hold it (%v) must be more than zero", ttl)
	}
	var result sql.NullString
	err = s.dialect.Retry(ctx, func() error {
		args := []any{check, s.holder, int64(ttl)}
		if s.dialect == sqlmigrate.SQLite {
			args = append(args, time.Now().UnixNano())
		}
		return s.db.QueryRowContext(ctx, s.sql.acquire, args...).Scan(&grant.Holder, &result)
	})
	grant.Held = err == nil
	if errors.Is(err, sql.ErrNoRows) { // not granted
		err = s.dialect.Retry(ctx, func() error {
			return s.db.QueryRowContext(ctx, holderOf, check).Scan(&grant.Holder, &result)
		})
	}
	if err != nil {
		return health.Grant{}, err
	}
	if result.Valid {
		if grant.Result, err = decodeResult(result.String); err != nil {
			return health.Grant{}, fmt.Errorf("the result shared last: %w", err)
		}
	}
	return grant, nil
}

// Publish implements [health.Lease]. A lease that has run out is still this
// replica's until another takes it or it is released.
func (s *Store) Publish(ctx context.Context, check string, r health.Result) error {
	if err := s.publish(ctx, check, r); err != nil {
		return fmt.Errorf("sqlhealth: publish the result of check %q: %w", check, err)
	}
	return nil
}

func (s *Store) publish(ctx context.Context, check string, r health.Result) error {
	if s.holder == "" {
		return errNoHolder
	}
	if err := validName(check); err != nil {
		return err
	}
	text, err := encodeResult(r)
	if err != nil {
		return err
	}
	n, err := s.exec(ctx, publish, text, check, s.holder)
	if err == nil && n == 0 {
		err = health.ErrLeaseLost
	}
	return err
}

// Release implements [health.Lease]. What was shared stays.
func (s *Store) Release(ctx context.Context) error {
	err := errNoHolder
	if s.holder != "" {
		_, err = s.exec(ctx, release, s.holder)
	}
	if err != nil {
		return fmt.Errorf("sqlhealth: release the leases of %q: %w", s.holder, err)
	}
	return nil
}

// exec runs one statement and returns the number of rows that it changed.
func (s *Store) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = s.dialect.Retry(ctx, func() error {
		r, err := s.db.ExecContext(ctx, query, args...)
		if err == nil {
			n, err = r.RowsAffected()
		}
		return err
	})
	return n, err
}
