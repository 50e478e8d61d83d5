// Package sqloutbox keeps what an alert.Router must not lose in a SQLite or PostgreSQL
// database of the host: alerts and their states, what each target was told, the
// messages that are still to be sent, silences, acknowledgements. A [Store] is an
// [alert.Store].
//
//	db, err := sql.Open("sqlite", "file:alerts.db?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
//	if err != nil {
//		return err
//	}
//	store, err := sqloutbox.New(ctx, sqloutbox.Config{DB: db, Name: "opsd"})
//	if err != nil {
//		return err
//	}
//	router, err := alert.NewRouter(alert.RouterConfig{Store: store, ...})
//
// [New] creates the tables runbook_alert_records and runbook_alert_owners, and changes
// them when a newer version of this package needs it.
//
// # What survives
//
// A message is written before it is sent, and that it is about to be sent is written
// too. So after a crash at any moment, and after kill -9, every message either is
// sent for the first time, or is sent again and marked as a possible repetition. That
// needs a database that keeps what it commits: on SQLite synchronous(FULL), on
// PostgreSQL synchronous_commit on. A database that is restored from a backup sends
// again what was sent since.
//
// When the database takes no writes for ten seconds, messages are sent all the same: it
// may be what they are about. What is sent then, and never written, comes again without
// a mark if the program is killed before the database recovers.
//
// # One owner
//
// The router that was started last owns the records of a name. An older one, which
// was only slow or stopped, gets [alert.ErrNotOwner] with its next write, and stops;
// what it was sending at that moment may arrive twice.
//
// # Concurrency and cost
//
// A Store is safe for concurrent use, and starts no goroutine. The router puts
// everything that changed while the last write was under way into the next one: a
// storm of alerts costs few commits. Importing this package compiles alert and the
// standard library's database/sql, but no driver.
package sqloutbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/internal/sqlmigrate"
)

// Released migrations are never changed.
var migrations = sqlmigrate.Set{
	Component: "alert",
	Migrations: []sqlmigrate.Migration{{
		SQLite: []string{
			`CREATE TABLE runbook_alert_owners (name TEXT NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL) WITHOUT ROWID`,
			`CREATE TABLE runbook_alert_records (name TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (name, kind, id)) WITHOUT ROWID`,
		},
		PostgreSQL: []string{
			`CREATE TABLE runbook_alert_owners (name TEXT NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL)`,
			`CREATE TABLE runbook_alert_records (name TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, data BYTEA NOT NULL, PRIMARY KEY (name, kind, id))`,
		},
	}},
}

// Config says where the records are. See [New].
type Config struct {
	// DB is the database. Required.
	DB *sql.DB
	// Name keeps the records of several routers in one database apart. Empty means
	// "default".
	Name string
}

// A Store is an [alert.Store] in a database. Make one with [New] for each router.
type Store struct {
	db      *sql.DB
	name    string
	dialect sqlmigrate.Dialect
	epoch   atomic.Int64 // zero before Open
}

var _ alert.Store = (*Store)(nil)

// New creates the tables, if they are not there, and returns a Store.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("sqloutbox: DB is missing")
	}
	if cfg.Name == "" {
		cfg.Name = "default"
	}
	if len(cfg.Name) > 100 {
		return nil, errors.New("sqloutbox: Name: at most 100 characters")
	}
	dialect, err := migrations.Apply(ctx, cfg.DB)
	if err != nil {
		return nil, fmt.Errorf("sqloutbox: %w", err)
	}
	return &Store{db: cfg.DB, name: cfg.Name, dialect: dialect}, nil
}

// Open implements [alert.Store].
func (s *Store) Open(ctx context.Context) iter.Seq2[alert.Record, error] {
	return func(yield func(alert.Record, error) bool) {
		records, err := s.open(ctx)
		if err != nil {
			yield(alert.Record{}, fmt.Errorf("sqloutbox: open: %w", err))
			return
		}
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// open takes over and reads, in one transaction: what the owner before writes comes
// before it, or is refused.
func (s *Store) open(ctx context.Context) (records []alert.Record, err error) {
	var epoch int64
	err = s.dialect.Write(ctx, s.db, func(tx sqlmigrate.Tx) error {
		row := tx.QueryRowContext(ctx, `INSERT INTO runbook_alert_owners (name, epoch) VALUES ($1, 1)
			ON CONFLICT (name) DO UPDATE SET epoch = runbook_alert_owners.epoch + 1 RETURNING epoch`, s.name)
		if err := row.Scan(&epoch); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT kind, id, data FROM runbook_alert_records WHERE name = $1`, s.name)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var r alert.Record
			if err := rows.Scan(&r.Kind, &r.ID, &r.Data); err != nil {
				return err
			}
			records = append(records, r)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	s.epoch.Store(epoch)
	return records, nil
}

// Write implements [alert.Store]. Before Open it is refused with [alert.ErrNotOwner]. Of
// several changes of one record the last is made.
func (s *Store) Write(ctx context.Context, changes []alert.Record) error {
	if s.epoch.Load() == 0 {
		return fmt.Errorf("sqloutbox: write: %w: Open comes first", alert.ErrNotOwner)
	}
	err := s.dialect.Write(ctx, s.db, func(tx sqlmigrate.Tx) error {
		// The lock on the row of the owner makes a takeover and a write follow one another.
		lock := `SELECT epoch FROM runbook_alert_owners WHERE name = $1`
		if s.dialect == sqlmigrate.PostgreSQL {
			lock += ` FOR SHARE`
		}
		var epoch int64
		if err := tx.QueryRowContext(ctx, lock, s.name).Scan(&epoch); err != nil {
			return fmt.Errorf("read the owner: %w", err)
		}
		if epoch != s.epoch.Load() {
			return alert.ErrNotOwner
		}
		return s.write(ctx, tx, changes)
	})
	if err != nil {
		return fmt.Errorf("sqloutbox: write: %w", err)
	}
	return nil
}

// atOnce is how many records one statement writes; databases limit the parameters of a
// statement, SQLite to 32,766.
const atOnce = 200

func (s *Store) write(ctx context.Context, tx sqlmigrate.Tx, changes []alert.Record) error {
	last := make(map[[2]string]int, len(changes))
	for i, r := range changes {
		last[[2]string{r.Kind, r.ID}] = i
	}
	var sets, gone []alert.Record
	for i, r := range changes {
		switch {
		case last[[2]string{r.Kind, r.ID}] != i: // it is changed again
		case r.Data == nil:
			gone = append(gone, r)
		default:
			sets = append(sets, r)
		}
	}
	for some := range slices.Chunk(gone, atOnce) {
		if err := s.remove(ctx, tx, some); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(sets, atOnce) {
		if err := s.upsert(ctx, tx, some); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) remove(ctx context.Context, tx sqlmigrate.Tx, records []alert.Record) error {
	var b strings.Builder
	b.WriteString(`DELETE FROM runbook_alert_records WHERE name = $1 AND (kind, id) IN (VALUES `)
	args := []any{s.name}
	for i, r := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		n := len(args)
		fmt.Fprintf(&b, "($%d, $%d)", n+1, n+2)
		args = append(args, r.Kind, r.ID)
	}
	b.WriteByte(')')
	_, err := tx.ExecContext(ctx, b.String(), args...)
	return err
}

func (s *Store) upsert(ctx context.Context, tx sqlmigrate.Tx, records []alert.Record) error {
	var b strings.Builder
	b.WriteString(`INSERT INTO runbook_alert_records (name, kind, id, data) VALUES `)
	args := []any{s.name}
	for i, r := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		n := len(args)
		fmt.Fprintf(&b, "($1, $%d, $%d, $%d)", n+1, n+2, n+3)
		args = append(args, r.Kind, r.ID, r.Data)
	}
	b.WriteString(` ON CONFLICT (name, kind, id) DO UPDATE SET data = excluded.data`)
	_, err := tx.ExecContext(ctx, b.String(), args...)
	return err
}
