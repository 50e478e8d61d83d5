package sqlhealth

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/health"
)

// Buckets implements [health.History]. Hourly buckets start in UTC, daily ones
// in the zone of [Config.Location]. Time after the newest sample is not in any
// bucket until the next sample comes.
func (s *Store) Buckets(ctx context.Context, check string, r health.Resolution, from, to time.Time) ([]health.Bucket, error) {
	if !from.Before(to) {
		return nil, ctx.Err()
	}
	last := to.Add(-1) // the last instant that is asked for
	if r == health.Daily {
		from = s.dayOf(from)
		last = s.dayAfter(s.dayOf(last)).Add(-1)
	}
	var buckets []health.Bucket
	err := s.dialect.Retry(ctx, func() error {
		buckets = nil
		return each(ctx, s.db, func(rows *sql.Rows) error {
			_, b, err := scanHour(rows)
			if err != nil {
				return err
			}
			if r == health.Daily {
				b.Start = s.dayOf(b.Start)
				if n := len(buckets); n > 0 && buckets[n-1].Start.Equal(b.Start) {
					buckets[n-1].Merge(&b)
					return nil
				}
			}
			buckets = append(buckets, b)
			return nil
		}, hoursBetween, check, hourOf(from), hourOf(last)+1)
	})
	if err != nil {
		return nil, fmt.Errorf("sqlhealth: read the history of check %q: %w", check, err)
	}
	return buckets, nil
}

// Spells implements [health.History]. A spell goes on (its End is zero) if its
// last sample is still valid at to.
func (s *Store) Spells(ctx context.Context, check string, from, to time.Time) ([]health.Spell, error) {
	if !from.Before(to) {
		return nil, ctx.Err()
	}
	var spells []health.Spell
	err := s.dialect.Retry(ctx, func() error {
		spells = nil
		return each(ctx, s.db, func(rows *sql.Rows) error {
			var start, expires int64
			var ended sql.NullInt64
			if err := rows.Scan(&start, &ended, &expires); err != nil {
				return err
			}
			spell := health.Spell{Start: fromNanos(start)}
			switch {
			case ended.Valid:
				spell.End = fromNanos(ended.Int64)
			case expires < nanos(to):
				spell.End = fromNanos(expires)
			}
			spells = append(spells, spell)
			return nil
		}, spellsBetween, check, nanos(to), nanos(from))
	})
	if err != nil {
		return nil, fmt.Errorf("sqlhealth: read the downtime of check %q: %w", check, err)
	}
	return spells, nil
}

// dayOf returns where the day in which t lies begins.
func (s *Store) dayOf(t time.Time) time.Time {
	t = t.In(s.zone)
	return s.dayStart(t.Year(), t.Month(), t.Day())
}

// dayAfter returns where the day after the one that begins at start begins.
func (s *Store) dayAfter(start time.Time) time.Time {
	return s.dayStart(start.Year(), start.Month(), start.Day()+1)
}

// dayStart returns the first instant of a civil day: 0:00, or where clocks are
// put forward over it, as they are in some zones, the time that they show then.
// Where 0:00 comes twice it is the first.
func (s *Store) dayStart(year int, month time.Month, day int) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, s.zone)
	noon := time.Date(year, month, day, 12, 0, 0, 0, s.zone)
	if t.Day() != noon.Day() { // 0:00 does not exist
		_, change := t.ZoneBounds()
		return change
	}
	if change, _ := t.ZoneBounds(); !change.IsZero() {
		_, before := change.Add(-1).Zone()
		_, after := t.Zone()
		if first := t.Add(time.Duration(after-before) * time.Second); first.Before(change) {
			return first
		}
	}
	return t
}
