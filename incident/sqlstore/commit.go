package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/sqlmigrate"
)

// Commit implements [incident.Store]. Every error is safe to retry, but for one after
// which it is not known whether the database committed.
func (s *Store) Commit(ctx context.Context, c incident.Change) (incident.Change, error) {
	if runbook.IsReadOnly(ctx) {
		return incident.Change{}, fmt.Errorf("sqlstore: commit: %w", runbook.ErrReadOnly)
	}
	if err := c.Validate(); err != nil {
		return incident.Change{}, fmt.Errorf("sqlstore: commit: %w", &unmade{err})
	}
	var made incident.Change
	err := s.write(ctx, func(tx sqlmigrate.Tx) (err error) {
		if made.Documents, err = s.documents(ctx, tx, c.Documents); err != nil {
			return err
		}
		made.Entries, err = add(ctx, tx, c.Entries)
		return err
	})
	if err != nil {
		return incident.Change{}, fmt.Errorf("sqlstore: commit: %w", err)
	}
	return made, nil
}

// A holder is an open document that has a key.
type holder struct{ kind, key, id string }

func compareHolders(a, b holder) int {
	return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.key, b.key))
}

// documents writes documents and returns them as they are written.
func (s *Store) documents(ctx context.Context, tx sqlmigrate.Tx, documents []incident.Document) ([]incident.Document, error) {
	written := make([]incident.Document, len(documents))
	var release, claim []holder
	for _, i := range inOrder(documents) {
		d := documents[i]
		before, err := s.current(ctx, tx, d)
		if err != nil {
			return nil, err
		}
		written[i], err = writeDocument(ctx, tx, d)
		if err != nil {
			return nil, err
		}
		was, is := before.Open && before.Key != "", d.Open && d.Key != ""
		if was && is && before.Key == d.Key {
			continue
		}
		if was {
			release = append(release, holder{d.Kind, before.Key, d.ID})
		}
		if is {
			claim = append(claim, holder{d.Kind, d.Key, d.ID})
		}
	}
	return written, exchange(ctx, tx, release, claim)
}

// inOrder returns the places of documents in the order in which they are locked.
func inOrder(documents []incident.Document) []int {
	order := make([]int, len(documents))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := documents[i], documents[j]
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.ID, b.ID))
	})
	return order
}

// current locks what there is of a document, and compares its version.
func (s *Store) current(ctx context.Context, tx sqlmigrate.Tx, d incident.Document) (before incident.Document, err error) {
	err = tx.QueryRowContext(ctx, s.lock, d.Kind, d.ID).Scan(&before.Version, &before.Key, &before.Open)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return before, fmt.Errorf("document %s %s: read its version: %w", d.Kind, d.ID, err)
	}
	if before.Version != d.Version {
		return before, fmt.Errorf("document %s %s: %w: version %d was read, and it is at %d", d.Kind, d.ID, incident.ErrStale, d.Version, before.Version)
	}
	return before, nil
}

// writeDocument writes a document whose row is locked, or that has none yet.
func writeDocument(ctx context.Context, tx sqlmigrate.Tx, d incident.Document) (incident.Document, error) {
	changed := d.Changed.Truncate(time.Microsecond).UnixMicro()
	statement, args := updateDocument, []any{d.Key, d.Open, changed, string(d.Data), d.Kind, d.ID}
	if d.Version == 0 {
		statement, args = insertDocument, []any{d.Kind, d.ID, d.Key, d.Open, changed, string(d.Data)}
	}
	n, err := exec(ctx, tx, statement, args...)
	if err != nil {
		return d, fmt.Errorf("document %s %s: write it: %w", d.Kind, d.ID, err)
	}
	if n == 0 { // another one made it after its row was looked for
		return d, fmt.Errorf("document %s %s: %w: somebody else made it", d.Kind, d.ID, incident.ErrStale)
	}
	d.Version++
	d.Changed, d.Data = fromMicros(changed), slices.Clone(d.Data)
	return d, nil
}

// exchange frees keys and then takes keys, so that a key can go from one to another.
func exchange(ctx context.Context, tx sqlmigrate.Tx, release, claim []holder) error {
	slices.SortFunc(release, compareHolders)
	slices.SortFunc(claim, compareHolders)
	for _, h := range release {
		if _, err := exec(ctx, tx, releaseKey, h.kind, h.key, h.id); err != nil {
			return fmt.Errorf("document %s %s: free its key: %w", h.kind, h.id, err)
		}
	}
	for _, h := range claim {
		n, err := exec(ctx, tx, claimKey, h.kind, h.key, h.id)
		if err != nil {
			return fmt.Errorf("document %s %s: take its key: %w", h.kind, h.id, err)
		}
		if n == 0 {
			return fmt.Errorf("document %s %s: %w: another open one has its key", h.kind, h.id, incident.ErrTaken)
		}
	}
	return nil
}

// add adds entries to their chains, and returns them as they are there.
func add(ctx context.Context, tx sqlmigrate.Tx, entries []incident.Entry) ([]incident.Entry, error) {
	last, err := lockChains(ctx, tx, entries)
	if err != nil {
		return nil, err
	}
	added := make([]incident.Entry, 0, len(entries))
	var grown []incident.Entry
	keyed := make(map[[2]string]incident.Entry)
	for _, e := range entries {
		name := [2]string{e.Chain, e.Key}
		there, ok := keyed[name]
		if e.Key != "" && !ok {
			if there, ok, err = findEntry(ctx, tx, e.Chain, e.Key); err != nil {
				return nil, fmt.Errorf("chain %s: look for an entry by its key: %w", e.Chain, err)
			}
		}
		if !ok {
			e.Data, e.Salt, e.Content = slices.Clone(e.Data), "", "" // those of a writer do not count
			there = e.Follow(last[e.Chain])
			last[e.Chain] = there
			grown = append(grown, there)
		}
		if e.Key != "" {
			keyed[name] = there
		}
		added = append(added, there)
	}
	for some := range slices.Chunk(grown, atOnce) {
		if err := insertEntries(ctx, tx, some); err != nil {
			return nil, fmt.Errorf("chain %s: add to it: %w", some[0].Chain, err)
		}
	}
	return added, growChains(ctx, tx, grown)
}

// lockChains locks the chains of entries, in one order, and returns the number and the
// hash of the last entry of each.
func lockChains(ctx context.Context, tx sqlmigrate.Tx, entries []incident.Entry) (map[string]incident.Entry, error) {
	last := make(map[string]incident.Entry)
	for _, chain := range chainsOf(entries) {
		var e incident.Entry
		if err := tx.QueryRowContext(ctx, lockChain, chain).Scan(&e.Seq, &e.Hash); err != nil {
			return nil, fmt.Errorf("chain %s: lock it: %w", chain, err)
		}
		last[chain] = e
	}
	return last, nil
}

func chainsOf(entries []incident.Entry) []string {
	var chains []string
	for _, e := range entries {
		chains = append(chains, e.Chain)
	}
	slices.Sort(chains)
	return slices.Compact(chains)
}

func findEntry(ctx context.Context, tx sqlmigrate.Tx, chain, key string) (e incident.Entry, ok bool, err error) {
	var at int64
	var data string
	err = tx.QueryRowContext(ctx, entryByKey, chain, key).
		Scan(&e.Chain, &e.Seq, &e.Key, &at, &e.Kind, &e.Actor, &e.Text, &data, &e.Salt, &e.Content, &e.Prior, &e.Hash)
	if errors.Is(err, sql.ErrNoRows) {
		return e, false, nil
	}
	e.At = fromMicros(at)
	if data != "" {
		e.Data = []byte(data)
	}
	return e, err == nil, err
}

// atOnce is how many entries one statement adds. SQLite looks each parameter up by its
// name among all of the statement.
const atOnce = 20

func insertEntries(ctx context.Context, tx sqlmigrate.Tx, entries []incident.Entry) error {
	var b strings.Builder
	b.WriteString(`INSERT INTO runbook_incident_entries (` + entryColumns + `) VALUES `)
	var args []any
	for i, e := range entries {
		if i > 0 {
			b.WriteByte(',')
		}
		n := len(args)
		fmt.Fprintf(&b, "($%d, $%d, $%d, $%d, $%d, $%d, $%d, $%d, $%d, $%d, $%d, $%d)", n+1, n+2, n+3, n+4, n+5, n+6, n+7, n+8, n+9, n+10, n+11, n+12)
		args = append(args, e.Chain, e.Seq, e.Key, e.At.UnixMicro(), e.Kind, e.Actor, e.Text, string(e.Data), e.Salt, e.Content, e.Prior, e.Hash)
	}
	_, err := tx.ExecContext(ctx, b.String(), args...)
	return err
}

// growChains keeps where chains end now.
func growChains(ctx context.Context, tx sqlmigrate.Tx, grown []incident.Entry) error {
	last := make(map[string]incident.Entry)
	for _, e := range grown {
		last[e.Chain] = e
	}
	for _, chain := range chainsOf(grown) {
		if _, err := exec(ctx, tx, growChain, last[chain].Seq, last[chain].Hash, chain); err != nil {
			return fmt.Errorf("chain %s: keep its end: %w", chain, err)
		}
	}
	return nil
}

// RedactEntries implements [incident.EntryRedactor]. In a database that keeps its log what
// they said is in it until that is gone.
func (s *Store) RedactEntries(ctx context.Context, chain string, numbers ...int64) (int, error) {
	if runbook.IsReadOnly(ctx) {
		return 0, fmt.Errorf("sqlstore: redact: %w", runbook.ErrReadOnly)
	}
	if len(numbers) == 0 || !storable(chain) {
		return 0, ctx.Err()
	}
	numbers = slices.Clone(numbers)
	slices.Sort(numbers)
	n := 0
	err := s.write(ctx, func(tx sqlmigrate.Tx) error {
		n = 0
		if _, err := tx.ExecContext(ctx, touchChain, chain); err != nil {
			return fmt.Errorf("lock it: %w", err)
		}
		for _, number := range slices.Compact(numbers) {
			changed, err := redact(ctx, tx, chain, number)
			if err != nil {
				return fmt.Errorf("entry %d: %w", number, err)
			}
			n += changed
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("sqlstore: redact chain %.131q: %w", chain, err)
	}
	return n, nil
}

// redact takes what an entry says out of it, and returns whether it said something.
func redact(ctx context.Context, tx sqlmigrate.Tx, chain string, number int64) (int, error) {
	var e incident.Entry
	var data string
	err := tx.QueryRowContext(ctx, entryByNumber, chain, number).Scan(&e.Text, &data, &e.Salt, &e.Content)
	if errors.Is(err, sql.ErrNoRows) || err == nil && e.Salt == "" {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if data != "" {
		e.Data = []byte(data)
	}
	changed, err := exec(ctx, tx, redactEntry, e.Redacted().Content, chain, number)
	return int(changed), err
}

// exec runs a statement and returns how many rows it changed.
func exec(ctx context.Context, tx sqlmigrate.Tx, statement string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
