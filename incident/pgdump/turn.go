package pgdump

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// restoreLock is the number of the advisory lock that a restore holds: "runbook"
// in ASCII.
const restoreLock int64 = 0x72756e626f6f6b

// turn is the right to restore into a target. It lasts as long as its connection.
type turn struct {
	conn *sql.Conn
}

// take takes the turn, or says that another has it.
func (d *Dumper) take(ctx context.Context) (*turn, error) {
	conn, err := d.cfg.DB.Conn(ctx)
	if err != nil {
		return nil, looking(err)
	}
	var mine bool
	err = conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", restoreLock).Scan(&mine)
	if err == nil && mine {
		return &turn{conn}, nil
	}
	if err != nil {
		// The lock may have been taken, and goes with the connection.
		discard(conn)
		return nil, looking(err)
	}
	_ = conn.Close()
	return nil, problem(incident.ErrBusy, "another restore into %s is going on", quote(d.cfg.Connection.Database))
}

// release gives the turn back, also when ctx has ended.
func (t *turn) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var was bool
	if err := t.conn.QueryRowContext(ctx, "SELECT pg_advisory_unlock($1)", restoreLock).Scan(&was); err != nil || !was {
		discard(t.conn)
		return
	}
	_ = t.conn.Close()
}

// discard closes a connection instead of giving it back to the pool.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}

// settleTime is how long the server has to notice that pg_restore has gone.
const settleTime = 15 * time.Second

// settle waits until the server has no session of a pg_restore that has ended, so
// that what it did is done or undone, and looks. Gone is false if that could not
// be found out. It works also when ctx has ended, since somebody has to know.
func (d *Dumper) settle(ctx context.Context, t *turn, application string) (after Target, gone bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	var db beginner = t.conn
	for {
		after, err := d.look(ctx, db, nil)
		if err == nil && !after.has(application) {
			return after, true
		}
		if err != nil {
			// Our connection may have died with the server's.
			db = d.cfg.DB
		}
		select {
		case <-ctx.Done():
			return Target{}, false
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// has reports whether a program of ours still has a session.
func (t *Target) has(application string) bool {
	for _, s := range t.Sessions {
		if s.Application == application {
			return true
		}
	}
	return false
}
