package durable

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"go.acu.edu.au/runbook/incident"
)

// How DBOS knows us.
const (
	application  = "runbook"
	workflowName = "runbook-run"
	queueFree    = "runbook"       // runs without a lock
	queueLocked  = "runbook-locks" // runs with one, a partition for each
	queuePoll    = 100 * time.Millisecond
)

// Runs keeps runs in a database. Make one with [Open] and give it the programs with
// [Runs.Launch]; before that it can start, signal and control runs that other processes
// carry out. Methods may be called concurrently.
type Runs struct {
	cfg     Config
	process string
	db      *sql.DB
	pool    *pgxpool.Pool // nil on SQLite
	own     bool          // the pool is ours
	dbos    dbos.Context
	hub     hub
	skew    atomic.Int64 // by which tests let the clock on the wall jump

	mu       sync.Mutex
	programs map[string]incident.Program // nil before Launch
	active   map[string]*execution       // runs that this process carries out
	still    map[string]string           // runs that do not get further here, and why, in words
	calls    int                         // that are being made
	idle     chan struct{}               // closed when there are none; nil if nobody waits
	executed int64
	launched chan struct{} // closed when Launch returns; nil before it
	stop     context.CancelFunc
	session  *session // of PostgreSQL

	closing   chan struct{} // closed by Close
	closeOnce sync.Once
	check     chan string // runs of this process that may have been changed by others
	loops     sync.WaitGroup
}

var (
	_ incident.Runs     = (*Runs)(nil)
	_ incident.Replicas = (*Runs)(nil)
)

// Open opens the database and creates the tables, or brings them up to date: those named
// runbook_run..., and those of DBOS, which on PostgreSQL are in the schema dbos. The end
// of ctx ends the opening only.
//
// The error wraps [ErrWatched] if the database is on a watched server. On any error a DB
// that was given is closed.
func Open(ctx context.Context, cfg Config) (*Runs, error) {
	r, err := open(ctx, cfg)
	if err != nil {
		if cfg.DB != nil {
			_ = cfg.DB.Close() // the first error says more
		}
		return nil, fmt.Errorf("durable: open: %w", err)
	}
	return r, nil
}

func open(ctx context.Context, cfg Config) (_ *Runs, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r := &Runs{
		cfg:     cfg,
		process: cmp.Or(cfg.Host, "process") + "-" + strings.ToLower(rand.Text()[:12]),
		db:      cfg.DB, pool: cfg.Pool,
		active: make(map[string]*execution), still: make(map[string]string),
		closing: make(chan struct{}), check: make(chan string, 256),
	}
	defer func() {
		if err != nil && r.own {
			r.pool.Close()
		}
	}()
	dcfg := dbos.Config{
		AppName: application, ApplicationVersion: cfg.version, ExecutorID: r.process,
		Logger: slog.New(quiet{cfg.Logger.Handler()}), SQLiteSystemDB: cfg.DB,
	}
	if cfg.DB == nil {
		if dcfg.SystemDBPool, err = r.connect(ctx); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				dcfg.SystemDBPool.Close()
			}
		}()
		if err := verifyServer(ctx, r.db); err != nil {
			return nil, err
		}
	} else if err := verifyFile(ctx, cfg.DB); err != nil {
		return nil, err
	}
	if _, err = migrations.Apply(ctx, r.db); err != nil {
		return nil, err
	}
	// What goes on in the background does not end with the context of this call.
	if r.dbos, err = dbos.NewContext(context.WithoutCancel(ctx), dcfg); err != nil {
		return nil, err
	}
	return r, r.settled(cfg.DB != nil)
}

// settled refuses settings of DBOS that did not come from us.
func (r *Runs) settled(file bool) error {
	version, process := r.dbos.GetApplicationVersion(), r.dbos.GetExecutorID()
	if version == r.cfg.version && process == r.process {
		return nil
	}
	err := fmt.Errorf("the engine would run as version %q and process %q, and not as %q and %q: the environment variables DBOS__APPVERSION, DBOS__VMID or DBOS__CLOUD are set, which would let processes take each other's runs; unset them", version, process, r.cfg.version, r.process)
	if file {
		return err // the file is closed by Open
	}
	return errors.Join(err, dbos.Shutdown(r.dbos, time.Second))
}

// connect makes the pools: ours, and one for DBOS, which closes its own.
func (r *Runs) connect(ctx context.Context) (*pgxpool.Pool, error) {
	var config *pgxpool.Config
	if r.pool != nil {
		config = r.pool.Config().Copy()
	} else {
		parsed, err := pgxpool.ParseConfig(r.cfg.URL.Reveal())
		if err != nil {
			return nil, errors.New("the URL is not an address of PostgreSQL, like postgres://name:password@host:5432/database") // the error may show it
		}
		config = parsed
	}
	if err := r.cfg.elsewhere(ctx, config); err != nil {
		return nil, err
	}
	pool := func(connections int32) (*pgxpool.Pool, error) {
		c := config.Copy()
		c.MinConns, c.MinIdleConns, c.MaxConns = 0, 0, connections
		c.ConnConfig.RuntimeParams["application_name"] = application
		// A process that hangs in a transaction must not keep others from its rows.
		c.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "10000"
		c.ConnConfig.ConnectTimeout = cmp.Or(c.ConnConfig.ConnectTimeout, 10*time.Second)
		return pgxpool.NewWithConfig(context.WithoutCancel(ctx), c)
	}
	if r.pool == nil {
		own, err := pool(4)
		if err != nil {
			return nil, err
		}
		r.pool, r.own = own, true
	}
	r.db = stdlib.OpenDBFromPool(r.pool)
	r.db.SetMaxOpenConns(4)
	return pool(6)
}

// verifyFile refuses a database that does not keep what it commits.
func verifyFile(ctx context.Context, db *sql.DB) error {
	var synchronous int
	var journal string
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return fmt.Errorf("read the settings of the DB: %w; open it with package sqlitefile", err)
	}
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil {
		return fmt.Errorf("read the settings of the DB: %w; open it with package sqlitefile", err)
	}
	if synchronous < 2 || journal != "wal" && journal != "memory" {
		return fmt.Errorf("synchronous of the DB is %d and journal_mode %s: it would not keep what it commits; open it with package sqlitefile", synchronous, journal)
	}
	return nil
}

// verifyServer refuses one that may lose what it has committed.
func verifyServer(ctx context.Context, db *sql.DB) error {
	var synchronous string
	if err := db.QueryRowContext(ctx, "SELECT current_setting('synchronous_commit')").Scan(&synchronous); err != nil {
		return fmt.Errorf("read the settings of PostgreSQL: %w", err)
	}
	if synchronous == "off" {
		return errors.New("synchronous_commit of PostgreSQL is off: it would not keep what it commits; set it to on for this database, or in the URL")
	}
	return nil
}

// Process returns the name of this process, which no other has.
func (r *Runs) Process() string { return r.process }

// Launch begins to carry out runs, with the programs by their names; a run of a program
// that is not among them is stranded. It takes up what the process before left in the
// file, or what dead processes left in PostgreSQL. The values of ctx, but not its end,
// are handed on to nobody: programs get a context of their own. It can be called once,
// and if it fails the Runs can only be closed.
func (r *Runs) Launch(ctx context.Context, programs map[string]incident.Program) error {
	if err := r.launch(ctx, programs); err != nil {
		return fmt.Errorf("durable: launch: %w", err)
	}
	return nil
}

func (r *Runs) launch(ctx context.Context, programs map[string]incident.Program) error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		if name == "" || programs[name] == nil {
			problems = append(problems, fmt.Errorf("program %q has no name or no function", name))
		}
	}
	if err := errors.Join(append(problems, ctx.Err())...); err != nil {
		return err
	}
	r.mu.Lock()
	if r.programs != nil || r.isClosing() {
		r.mu.Unlock()
		return errors.New("these runs were launched or closed before; open new ones")
	}
	r.programs = make(map[string]incident.Program, len(programs))
	maps.Copy(r.programs, programs)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop, r.launched = stop, make(chan struct{})
	defer close(r.launched)
	r.mu.Unlock()

	dbos.RegisterWorkflow(r.dbos, r.carryOut, dbos.WithWorkflowName(workflowName), dbos.WithMaxRecoveryAttempts(math.MaxInt32-1))
	if _, err := dbos.RegisterQueue(r.dbos, queueFree, dbos.WithQueueBasePollingInterval(queuePoll)); err != nil {
		return err
	}
	if _, err := dbos.RegisterQueue(r.dbos, queueLocked, dbos.WithQueueBasePollingInterval(queuePoll), dbos.WithPartitionConcurrency(1)); err != nil {
		return err
	}
	if r.pool != nil {
		// Our own lock comes first: without it we would look dead.
		s, err := r.newSession(ctx, background)
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.session = s
		r.mu.Unlock()
	}
	if err := r.register(ctx); err != nil {
		return err
	}
	if err := dbos.Launch(r.dbos); err != nil {
		return err
	}
	if r.pool == nil {
		if err := r.inherit(ctx); err != nil {
			return fmt.Errorf("take up what was left: %w", err)
		}
	}
	r.reportStranded(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isClosing() {
		return errClosing
	}
	r.loops.Go(func() { r.guard(background) })
	r.loops.Go(func() { r.watch(background) })
	return nil
}

// Close begins nothing any more, and waits for the calls that are under way, whose
// outcomes are recorded. If ctx ends before they have, it ends their contexts, does not
// wait for them any more, and returns the error of ctx. Runs that have not ended go on in
// another process, or when this one is started again. A DB that was given is closed.
func (r *Runs) Close(ctx context.Context) error {
	var err error
	r.closeOnce.Do(func() { err = r.close(ctx) })
	return err
}

func (r *Runs) close(ctx context.Context) error {
	r.mu.Lock()
	close(r.closing)
	launched := r.launched
	r.mu.Unlock()
	if launched != nil {
		select {
		case <-launched:
		case <-ctx.Done(): // what is ended below ends it
		}
	}
	var problems []error
	if n := r.drain(ctx); n > 0 {
		problems = append(problems, fmt.Errorf("durable: close: %d calls were under way, whose contexts were ended, and which were not waited for: %w", n, ctx.Err()))
	}
	r.mu.Lock()
	for _, e := range r.active {
		e.cancel(errClosing)
	}
	stop, session := r.stop, r.session
	r.mu.Unlock()
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if stop != nil {
		if err := r.stopped(late); err != nil {
			r.cfg.Logger.WarnContext(ctx, "this process could not say that it ends; its runs are taken for those of a dead one", "error", err)
		}
		stop()
	}
	r.loops.Wait()
	if err := dbos.Shutdown(r.dbos, 5*time.Second); err != nil {
		r.cfg.Logger.WarnContext(ctx, "not everything ended in time", "error", err)
	}
	if session != nil {
		session.end()
	}
	if r.pool != nil {
		problems = append(problems, r.db.Close())
		if r.own {
			r.pool.Close()
		}
	}
	return errors.Join(problems...)
}

// drain waits until no call is being made, and returns how many still are if ctx ends.
func (r *Runs) drain(ctx context.Context) int {
	r.mu.Lock()
	if r.calls == 0 {
		r.mu.Unlock()
		return 0
	}
	idle := make(chan struct{})
	r.idle = idle
	r.mu.Unlock()
	select {
	case <-idle:
		return 0
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.calls
	}
}

// call notes that a call begins, unless this process is to end.
func (r *Runs) call() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isClosing() {
		return false
	}
	r.calls++
	return true
}

// called notes that a call was made and recorded.
func (r *Runs) called() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls--; r.calls == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

func (r *Runs) isClosing() bool {
	select {
	case <-r.closing:
		return true
	default:
		return false
	}
}

// plain is a context without values: a call of DBOS must not take itself for a part of
// the run from which it is made.
type plain struct{ context.Context }

// Value implements [context.Context].
func (plain) Value(any) any { return nil }

// client returns what calls of DBOS are made with, which end with ctx.
func (r *Runs) client(ctx context.Context) dbos.Context {
	return dbos.From(r.dbos, plain{ctx})
}

// isolation is that of our transactions. On PostgreSQL each statement sees what was
// committed before it, whatever the default of the server: what is read after waiting for
// a lock is fresh. DBOS needs the transaction of database/sql, so that
// sqlmigrate.Dialect.Write will not do.
func (r *Runs) isolation() *sql.TxOptions {
	if r.pool == nil {
		return nil
	}
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

// write runs fn in a transaction that writes, and commits it. On SQLite it has the write
// lock from its beginning.
func (r *Runs) write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	ctx = plain{ctx}
	tx, err := r.db.BeginTx(ctx, r.isolation())
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// tell lets all processes know that a run changed, when tx is committed. On SQLite there
// is only this one, which changed does.
func (r *Runs) tell(ctx context.Context, tx *sql.Tx, run string) error {
	if r.pool == nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, "SELECT pg_notify('runbook_runs', $1)", run)
	return err
}

// changed lets this process know.
func (r *Runs) changed(run string) {
	r.hub.wake(run)
	r.mu.Lock()
	_, here := r.active[run]
	r.mu.Unlock()
	if here {
		select {
		case r.check <- run:
		default: // the guard looks at all of them every second
		}
	}
}

// now is the clock on the wall, by which waits end.
func (r *Runs) now() time.Time {
	return time.Now().Round(0).Add(time.Duration(r.skew.Load()))
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
