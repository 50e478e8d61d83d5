package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"; durable/sqlitefile links that of SQLite

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/schedule"
	"go.acu.edu.au/runbook/alert/sqloutbox"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/sqlhealth"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
	"go.acu.edu.au/runbook/incident/sqlstore"
)

// The files of a folder of state. Each is a SQLite database.
const (
	fileRuns    = "runs.db"    // runs of playbooks and of escalations
	fileRecord  = "record.db"  // incidents, approvals, the audit record, what was told to whom
	fileHistory = "history.db" // 90 days of results of checks
)

// stateFiles are all of them.
func stateFiles() []string { return []string{fileRuns, fileRecord, fileHistory} }

// state is everything that survives this process.
type state struct {
	where   string // for people
	runs    *durable.Runs
	store   incident.Store
	alerts  alert.Store
	ledger  schedule.Ledger
	history *sqlhealth.Store
	lease   health.Lease // nil where there is one process
	pools   []*sql.DB
	record  *sql.DB // that of store
	shared  bool    // with other replicas
}

// stateConfig says where state is kept, and for whom.
type stateConfig struct {
	settings stateSettings
	holder   string   // this process
	watched  []string // servers that are watched
	zone     *time.Location
	logger   *slog.Logger
}

// openState opens the state: a folder of SQLite files, or a PostgreSQL database. The runs
// come first: they refuse a server that is watched, and a folder that another process has.
func openState(ctx context.Context, cfg stateConfig) (_ *state, err error) {
	s := &state{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closePools())
		}
	}()
	if cfg.settings.Postgres.IsZero() {
		return s, s.openFolder(ctx, cfg)
	}
	return s, s.openPostgres(ctx, cfg)
}

func (s *state) openFolder(ctx context.Context, cfg stateConfig) error {
	folder := cfg.settings.Folder
	s.where = "folder " + folder
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("opsd: the folder of the state: %w", err)
	}
	file, err := sqlitefile.Open(ctx, filepath.Join(folder, fileRuns))
	if errors.Is(err, sqlitefile.ErrInUse) {
		return fmt.Errorf("opsd: another opsd has the state in %s: stop it, or give this one another folder: %w", folder, err)
	}
	if err != nil {
		return fmt.Errorf("opsd: the runs in %s: %w", folder, err)
	}
	s.runs, err = durable.Open(ctx, durable.Config{DB: file, Host: cfg.holder, Logger: cfg.logger}) // it closes the file on an error
	if err != nil {
		return fmt.Errorf("opsd: the runs in %s: %w", folder, err)
	}
	s.record, err = s.openFile(filepath.Join(folder, fileRecord))
	if err != nil {
		return err
	}
	history, err := s.openFile(filepath.Join(folder, fileHistory))
	if err != nil {
		return err
	}
	return s.openStores(ctx, cfg, history)
}

// openFile opens a SQLite file that keeps what it commits.
func (s *state) openFile(path string) (*sql.DB, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // readable by nobody else
	if err != nil {
		return nil, fmt.Errorf("opsd: the state: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("opsd: the state: %w", err)
	}
	name := (&url.URL{Path: path}).EscapedPath()
	db, err := sql.Open("sqlite", "file:"+name+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, fmt.Errorf("opsd: %s: %w", path, err)
	}
	db.SetMaxIdleConns(8) // a connection that is opened again costs more than one that waits
	s.pools = append(s.pools, db)
	return db, nil
}

func (s *state) openPostgres(ctx context.Context, cfg stateConfig) (err error) {
	s.where, s.shared = "PostgreSQL, shared by replicas", true
	s.runs, err = durable.Open(ctx, durable.Config{
		URL: cfg.settings.Postgres, Host: cfg.holder, Watched: cfg.watched, ConfirmedBy: cfg.settings.ConfirmedBy, Logger: cfg.logger,
	})
	if errors.Is(err, durable.ErrWatched) {
		return fmt.Errorf("opsd: %w; in the configuration that is state.confirmed_by, the name of one of people", err)
	}
	if err != nil {
		return fmt.Errorf("opsd: the state: %w", err)
	}
	db, err := sql.Open("pgx", cfg.settings.Postgres.Reveal())
	if err != nil {
		return errors.New("opsd: state.postgres is no address of a PostgreSQL database") // the error may have the password in it
	}
	db.SetMaxOpenConns(10)
	db.SetConnMaxIdleTime(5 * time.Minute)
	s.pools = append(s.pools, db)
	s.record = db
	return s.openStores(ctx, cfg, db)
}

// openStores opens what is kept in the databases.
func (s *state) openStores(ctx context.Context, cfg stateConfig, history *sql.DB) error {
	store, err1 := sqlstore.New(ctx, sqlstore.Config{DB: s.record})
	alerts, err2 := sqloutbox.New(ctx, sqloutbox.Config{DB: s.record, Name: "opsd"})
	ledger, err3 := schedule.NewSQLLedger(ctx, s.record)
	past, err4 := sqlhealth.New(ctx, sqlhealth.Config{DB: history, Holder: cfg.holder, Location: cfg.zone})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fmt.Errorf("opsd: the state: %w", err)
	}
	s.store, s.alerts, s.ledger, s.history = store, alerts, ledger, past
	if s.shared {
		s.lease = past
	}
	return nil
}

// fill gives a host its state.
func (s *state) fill(cfg *host.Config) {
	cfg.Store, cfg.Alerts, cfg.Runs, cfg.Ledger, cfg.History, cfg.Lease = s.store, s.alerts, s.runs, s.ledger, s.history, s.lease
}

// closePools closes the databases. The runs close their own, with the host.
func (s *state) closePools() error {
	var errs []error
	for _, db := range s.pools {
		errs = append(errs, db.Close())
	}
	s.pools = nil
	return errors.Join(errs...)
}

// inCharge is the number of the lock that the replica in charge holds.
const inCharge = 0x6f707364 // "opsd"

// lead waits until this replica is in charge: at once where there is one, and else when it
// gets the lock that the one before held until its connection ended. lost is closed when the
// lock is gone, and release gives it up.
func (s *state) lead(ctx context.Context) (lost <-chan struct{}, release func(), err error) {
	if !s.shared {
		return make(chan struct{}), func() {}, nil
	}
	for {
		conn, err := s.takeLock(ctx)
		if err != nil && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if conn != nil {
			gone := make(chan struct{})
			guarding, stop := context.WithCancel(context.WithoutCancel(ctx))
			go func() {
				defer close(gone)
				guardLock(guarding, conn)
			}()
			return gone, func() { stop(); <-gone; _ = conn.Close() }, nil // what is not closed well the server ends
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// takeLock returns the connection that holds the lock; nil if another has it.
func (s *state) takeLock(ctx context.Context) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := s.record.Conn(ctx)
	if err != nil {
		return nil, err
	}
	var got bool
	if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", inCharge).Scan(&got); err != nil || !got {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// guardLock returns when the connection that holds the lock is gone, or ctx has ended, with
// the lock given up.
func guardLock(ctx context.Context, conn *sql.Conn) {
	for {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			giving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
			defer cancel()
			_, _ = conn.ExecContext(giving, "SELECT pg_advisory_unlock($1)", inCharge) // it ends with the connection anyway
			return
		}
		asking, cancel := context.WithTimeout(ctx, 3*time.Second)
		_, err := conn.ExecContext(asking, "SELECT 1")
		cancel()
		if err != nil && ctx.Err() == nil {
			return
		}
	}
}
