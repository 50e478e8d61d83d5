package durable

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// A session is a connection to PostgreSQL that stays: the lock that it holds says that
// this process is there, and through it we hear what changed. The server frees the lock
// when the process dies, or its machine is lost.
type session struct {
	runs *Runs
	stop context.CancelFunc
	done sync.WaitGroup
}

// newSession returns when the lock is held.
func (r *Runs) newSession(ctx, background context.Context) (*session, error) {
	background, stop := context.WithCancel(background)
	s := &session{runs: r, stop: stop}
	conn, err := s.connect(ctx)
	if err != nil {
		stop()
		return nil, fmt.Errorf("hold the lock of this process: %w", err)
	}
	s.done.Go(func() { s.keep(background, conn) })
	return s, nil
}

// end frees the lock.
func (s *session) end() {
	s.stop()
	s.done.Wait()
}

func (s *session) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(plain{ctx}, 10*time.Second)
	defer cancel()
	pool := s.runs.pool.Config()
	config := pool.ConnConfig      // a copy
	if pool.BeforeConnect != nil { // it may know today's password
		if err := pool.BeforeConnect(ctx, config); err != nil {
			return nil, err
		}
	}
	config.RuntimeParams["application_name"] = application + " " + s.runs.process
	config.OnNotification = nil
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{
		"SET tcp_keepalives_idle = 5", "SET tcp_keepalives_interval = 2", "SET tcp_keepalives_count = 3",
		"SET idle_session_timeout = 0",
		fmt.Sprintf("SELECT pg_advisory_lock(%d)", lockKey("process/"+s.runs.process)),
		"LISTEN runbook_runs",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			_ = conn.Close(ctx)
			return nil, err
		}
	}
	return conn, nil
}

// keep listens, and comes back when the connection is lost.
func (s *session) keep(ctx context.Context, conn *pgx.Conn) {
	for {
		if conn != nil {
			s.listen(ctx, conn)
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			_ = conn.Close(closing) // it may be lost already
			cancel()
		}
		if ctx.Err() != nil {
			return
		}
		var err error
		if conn, err = s.connect(ctx); err != nil {
			conn = nil
			pause := time.NewTimer(200 * time.Millisecond)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
			}
			continue
		}
		s.runs.hub.wakeAll() // who knows what we did not hear
	}
}

// listen passes on what it hears, until the connection is lost.
func (s *session) listen(ctx context.Context, conn *pgx.Conn) {
	for {
		waiting, cancel := context.WithTimeout(ctx, 15*time.Second)
		n, err := conn.WaitForNotification(waiting)
		silent := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			s.runs.changed(n.Payload)
		case !silent || conn.IsClosed() || conn.Ping(ctx) != nil:
			return
		}
	}
}
