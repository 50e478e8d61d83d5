package sqlhealth

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/sqlmigrate"
)

// Append implements [health.History]. All samples are recorded, in one
// transaction, or on an error none; except that when the connection breaks
// during the commit nobody knows, and when only the removal of what is older
// than the retention failed they are recorded. A sample with an impossible
// name, status or time is an error, and nothing is recorded.
func (s *Store) Append(ctx context.Context, samples []health.Sample) error {
	if len(samples) == 0 {
		return ctx.Err()
	}
	byCheck, err := group(samples)
	if err != nil {
		return fmt.Errorf("sqlhealth: append: %w", err)
	}
	err = s.dialect.Write(ctx, s.db, func(tx sqlmigrate.Tx) error { return s.append(ctx, tx, byCheck) })
	if err != nil {
		return fmt.Errorf("sqlhealth: append %d samples: %w", len(samples), err)
	}
	newest := slices.MaxFunc(samples, func(a, b health.Sample) int { return a.Time.Compare(b.Time) })
	if err := s.prune(ctx, newest.Time); err != nil {
		return fmt.Errorf("sqlhealth: remove history older than %v: %w", s.retention, err)
	}
	return nil
}

// group validates the samples and sorts them by check, keeping their order.
func group(samples []health.Sample) (map[string][]health.Sample, error) {
	byCheck := make(map[string][]health.Sample)
	for _, sample := range samples {
		if err := validName(sample.Check); err != nil {
			return nil, err
		}
		if _, err := sample.Status.MarshalText(); err != nil {
			return nil, fmt.Errorf("check %q: %w", sample.Check, err)
		}
		if at := nanos(sample.Time); at <= 0 || at == math.MaxInt64 {
			return nil, fmt.Errorf("check %q: the time of a sample, %v, is not between 1970 and 2262", sample.Check, sample.Time)
		}
		// So that the end of validity is a time that can be told.
		sample.Valid = min(max(0, sample.Valid), time.Duration(math.MaxInt64-nanos(sample.Time)))
		byCheck[sample.Check] = append(byCheck[sample.Check], sample)
	}
	return byCheck, nil
}

// append locks the checks, adds the samples to what is there, and writes that.
func (s *Store) append(ctx context.Context, tx sqlmigrate.Tx, byCheck map[string][]health.Sample) error {
	names := table{}
	for _, check := range slices.Sorted(maps.Keys(byCheck)) {
		names = append(names, []any{check})
	}
	if s.dialect == sqlmigrate.PostgreSQL {
		// Rows are made and locked in the same order by everyone. What is read
		// after the lock is what the last holder of the lock has committed.
		for _, query := range []string{s.sql.makeStates, s.sql.lockStates} {
			if err := names.exec(ctx, tx, query); err != nil {
				return err
			}
		}
	}
	tracks, err := s.tracks(ctx, tx, names)
	if err != nil {
		return err
	}
	for check, samples := range byCheck {
		t := tracks[check]
		if t == nil {
			t = &track{check: check}
			tracks[check] = t
		}
		for _, sample := range samples {
			t.add(sample, s.retention)
		}
	}
	return s.write(ctx, tx, tracks)
}

// tracks reads the state of checks, and the hours of their newest samples: new
// samples change none before those.
func (s *Store) tracks(ctx context.Context, tx sqlmigrate.Tx, names table) (map[string]*track, error) {
	tracks := make(map[string]*track)
	var hours table
	err := names.query(ctx, tx, s.sql.states, func(rows *sql.Rows) error {
		t := &track{}
		var at, valid int64
		var status string
		var down sql.NullInt64
		if err := rows.Scan(&t.check, &at, &status, &valid, &down); err != nil {
			return err
		}
		if err := t.last.Status.UnmarshalText([]byte(status)); err != nil {
			return fmt.Errorf("the state of check %q: %w", t.check, err)
		}
		t.last.Time, t.last.Valid = fromNanos(at), time.Duration(valid)
		if down.Valid {
			t.downSince = fromNanos(down.Int64)
		}
		tracks[t.check] = t
		hours = append(hours, []any{t.check, hourOf(t.last.Time)})
		return nil
	})
	if err != nil || len(hours) == 0 {
		return tracks, err
	}
	err = hours.query(ctx, tx, s.sql.readHours, func(rows *sql.Rows) error {
		check, bucket, err := scanHour(rows)
		if err == nil {
			tracks[check].hours = []health.Bucket{bucket}
		}
		return err
	})
	return tracks, err
}

// write puts what has changed into the database.
func (s *Store) write(ctx context.Context, tx sqlmigrate.Tx, tracks map[string]*track) error {
	var hours, spells, states table
	for _, t := range slices.SortedFunc(maps.Values(tracks), func(a, b *track) int { return cmp.Compare(a.check, b.check) }) {
		if !t.changed {
			continue
		}
		for i := range t.hours {
			b := &t.hours[i]
			hours = append(hours, []any{
				t.check, hourOf(b.Start), b.In[health.Unknown], b.In[health.Healthy], b.In[health.Degraded],
				b.In[health.Unhealthy], b.In[health.Maintenance], encodeLatencies(&b.Latencies),
			})
		}
		for _, spell := range t.spells {
			spells = append(spells, []any{t.check, nanos(spell.Start), nanosOrNull(spell.End)})
		}
		states = append(states, []any{
			t.check, nanos(t.last.Time), t.last.Status.String(), t.last.Valid, nanosOrNull(t.downSince),
		})
	}
	for _, w := range []struct {
		query string
		rows  table
	}{{s.sql.writeHours, hours}, {s.sql.writeSpells, spells}, {s.sql.writeStates, states}} {
		if len(w.rows) == 0 {
			continue
		}
		if err := w.rows.exec(ctx, tx, w.query); err != nil {
			return err
		}
	}
	return nil
}

func nanosOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return nanos(t)
}

// pruneEvery is how often Append removes what is older than the retention.
const pruneEvery = time.Hour

// prune removes what is too old, if that is due. What is too old is decided by
// the earlier of this machine's clock and the newest sample: neither a replay
// of old samples nor one wrong clock removes what was recorded just now.
func (s *Store) prune(ctx context.Context, newest time.Time) error {
	now := time.Now()
	s.mu.Lock()
	due := s.pruned.IsZero() || now.Sub(s.pruned) >= pruneEvery
	if due {
		s.pruned = now
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	if newest.Before(now) {
		now = newest
	}
	before := now.Add(-s.retention)
	return s.dialect.Write(ctx, s.db, func(tx sqlmigrate.Tx) error {
		if _, err := tx.ExecContext(ctx, pruneHours, hourOf(before)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, pruneSpells, nanos(before))
		return err
	})
}

// A table is rows of values on their way into a statement, as JSON.
type table [][]any

func (t table) exec(ctx context.Context, tx sqlmigrate.Tx, query string) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, query, string(text))
	return err
}

func (t table) query(ctx context.Context, tx sqlmigrate.Tx, query string, scan func(*sql.Rows) error) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return each(ctx, tx, scan, query, string(text))
}

// each calls scan for every row that the query returns.
func each(ctx context.Context, tx sqlmigrate.Tx, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
