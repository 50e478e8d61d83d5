package durable

import (
	"context"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
)

// Die ends a process as a crash would, as far as that can be had within one: it says
// nothing, frees its locks, and cannot reach the database any more.
func (r *Runs) Die() { r.closeOnce.Do(r.die) }

func (r *Runs) die() {
	r.stop()
	r.loops.Wait()
	if r.session != nil {
		r.session.end()
	}
	_ = r.db.Close()
	if r.own {
		r.pool.Close()
	}
	r.mu.Lock()
	close(r.closing)
	for _, e := range r.active {
		e.cancel(errLost)
	}
	r.mu.Unlock()
	go func() { _ = dbos.Shutdown(r.dbos, 10*time.Millisecond) }()
}

// Jump lets the clock on the wall, by which waits end, jump.
func (r *Runs) Jump(d time.Duration) {
	r.skew.Add(int64(d))
	r.hub.wakeAll()
}

// OpenAs opens the database as a program of another version does.
func OpenAs(ctx context.Context, cfg Config, version string) (*Runs, error) {
	cfg.version = version
	return Open(ctx, cfg)
}
