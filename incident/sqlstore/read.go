package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// How many are read by one statement, and are in memory at once.
const (
	documentsAtOnce = 50
	entriesAtOnce   = 500
)

// Document implements [incident.Store].
func (s *Store) Document(ctx context.Context, kind, id string) (incident.Document, error) {
	d, err := s.document(ctx, kind, id)
	if errors.Is(err, sql.ErrNoRows) {
		err = incident.ErrNotFound
	}
	if err != nil {
		return incident.Document{}, fmt.Errorf("sqlstore: document %.30q %.100q: %w", kind, id, err)
	}
	return d, nil
}

func (s *Store) document(ctx context.Context, kind, id string) (d incident.Document, err error) {
	if !storable(kind) || !storable(id) {
		return d, incident.ErrNotFound
	}
	err = s.dialect.Retry(ctx, func() error {
		row := s.db.QueryRowContext(ctx, `SELECT `+documentColumns+` FROM runbook_incident_documents WHERE kind = $1 AND id = $2`, kind, id)
		d, err = scanDocument(row)
		return err
	})
	return d, err
}

func scanDocument(row interface{ Scan(dest ...any) error }) (d incident.Document, err error) {
	var changed int64
	var data []byte
	err = row.Scan(&d.Kind, &d.ID, &d.Version, &d.Key, &d.Open, &changed, &data)
	d.Changed, d.Data = fromMicros(changed), data
	return d, err
}

// Documents implements [incident.Store]. Which they are, and in which order, is what was
// so when the loop began; each is returned as it is when it is read, unless it is gone or
// no longer chosen.
func (s *Store) Documents(ctx context.Context, query incident.DocumentQuery) iter.Seq2[incident.Document, error] {
	return func(yield func(incident.Document, error) bool) {
		ids, err := s.find(ctx, query)
		for some := range slices.Chunk(ids, documentsAtOnce) {
			var documents []incident.Document
			if documents, err = s.get(ctx, query.Kind, some); err != nil {
				break
			}
			for _, d := range documents {
				if query.Matches(d) && !yield(d, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(incident.Document{}, fmt.Errorf("sqlstore: documents: %w", err))
		}
	}
}

// find returns the IDs of the documents that a query chooses, in order.
func (s *Store) find(ctx context.Context, query incident.DocumentQuery) (ids []string, err error) {
	if err := query.Validate(); err != nil {
		return nil, err
	}
	if !storable(query.Kind) || !storable(query.Key) {
		return nil, ctx.Err()
	}
	statement, args := `SELECT id FROM runbook_incident_documents WHERE kind = $1`, []any{query.Kind}
	if query.Key != "" {
		args = append(args, query.Key)
		statement += fmt.Sprintf(` AND key = $%d AND key <> ''`, len(args))
	}
	if query.Open {
		statement += ` AND open`
	}
	if !query.Since.IsZero() {
		args = append(args, query.Since.Truncate(time.Microsecond).UnixMicro())
		statement += fmt.Sprintf(` AND changed >= $%d`, len(args))
	}
	statement += ` ORDER BY changed DESC, id DESC`
	if query.Limit > 0 {
		args = append(args, query.Limit)
		statement += fmt.Sprintf(` LIMIT $%d`, len(args))
	}
	err = s.each(ctx, func() { ids = nil }, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, statement, args...)
	return ids, err
}

// get returns documents in the order of their IDs in a list, without those that are gone.
func (s *Store) get(ctx context.Context, kind string, ids []string) ([]incident.Document, error) {
	args, places := []any{kind}, make([]string, len(ids))
	for i, id := range ids {
		args = append(args, id)
		places[i] = fmt.Sprintf("$%d", len(args))
	}
	var found map[string]incident.Document
	err := s.each(ctx, func() { found = make(map[string]incident.Document) }, func(rows *sql.Rows) error {
		d, err := scanDocument(rows)
		found[d.ID] = d
		return err
	}, `SELECT `+documentColumns+` FROM runbook_incident_documents WHERE kind = $1 AND id IN (`+strings.Join(places, ", ")+`)`, args...)
	if err != nil {
		return nil, err
	}
	var documents []incident.Document
	for _, id := range ids {
		if d, ok := found[id]; ok {
			documents = append(documents, d)
		}
	}
	return documents, nil
}

// Entries implements [incident.Store]. It returns what there was when the loop began. If
// the last of them are missing, the last result is an error that wraps
// [incident.ErrBroken].
func (s *Store) Entries(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
	return func(yield func(incident.Entry, error) bool) {
		last, end := max(after, 0), int64(0)
		for first := true; first || last < end; first = false {
			some, length, err := s.page(ctx, chain, last)
			if first {
				end = length
			}
			if err == nil && length < end {
				err = fmt.Errorf("%w: the chain was deleted while it was read", incident.ErrStale)
			}
			if err != nil {
				yield(incident.Entry{}, fmt.Errorf("sqlstore: chain %.131q: %w", chain, err))
				return
			}
			for _, e := range some {
				if e.Seq > end {
					return
				}
				if last = e.Seq; !yield(e, nil) {
					return
				}
			}
			if len(some) < entriesAtOnce && last < end {
				yield(incident.Entry{}, fmt.Errorf("sqlstore: chain %.131q: %w: there is nothing after entry %d, and it had %d", chain, incident.ErrBroken, last, end))
				return
			}
		}
	}
}

// page returns the next entries of a chain, and the number of its last one.
func (s *Store) page(ctx context.Context, chain string, after int64) (some []incident.Entry, length int64, err error) {
	if !storable(chain) {
		return nil, 0, ctx.Err()
	}
	err = s.each(ctx, func() { some, length = nil, 0 }, func(rows *sql.Rows) error {
		e := incident.Entry{Chain: chain}
		var isEntry bool
		var at int64
		var data []byte
		if err := rows.Scan(&isEntry, &e.Seq, &e.Key, &at, &e.Kind, &e.Actor, &e.Text, &data, &e.Salt, &e.Content, &e.Prior, &e.Hash); err != nil {
			return err
		}
		if !isEntry {
			length = e.Seq
			return nil
		}
		e.At = fromMicros(at)
		if len(data) > 0 {
			e.Data = data
		}
		some = append(some, e)
		return nil
	}, readEntries, chain, after, entriesAtOnce)
	slices.SortFunc(some, func(a, b incident.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return some, length, err
}

// each runs a query and scan for each row. It may have to begin again, and calls reset
// before it does.
func (s *Store) each(ctx context.Context, reset func(), scan func(*sql.Rows) error, query string, args ...any) error {
	return s.dialect.Retry(ctx, func() error {
		reset()
		rows, err := s.db.QueryContext(ctx, query, args...)
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
	})
}
