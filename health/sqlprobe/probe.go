package sqlprobe

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// Probe implements [health.Prober]. Its Duration is the time to get a working
// connection. It measures connect, pool_used, the queries and invariants by
// their names, and what [Postgres] tells.
//
// It ends soon after ctx does. When ctx is cancelled rather than timed out, the
// result is Unknown.
func (p *Prober) Probe(ctx context.Context) health.Result {
	start := time.Now()
	r := health.Result{Status: health.Healthy, Time: start}
	r, full := p.pool(r)

	conn, err := p.connect(ctx)
	r.Duration = time.Since(start)
	if err != nil {
		return p.unconnected(ctx, r, err)
	}
	defer func() { _ = conn.Close() }() // back to the pool
	r = netcheck.With(r, netcheck.Milliseconds("connect", r.Duration))
	r = explained(r, p.cfg.Latency.Apply(r), full)

	s := session{conn: conn, postgres: p.cfg.Postgres != nil, start: start}
	defer s.end()
	for _, d := range p.diagnostics {
		var goOn bool
		if r, goOn = s.run(ctx, d, r); !goOn {
			break
		}
	}
	return r
}

// pool measures the host's pool before the probe takes a connection. full says
// that all are in use, if they are.
func (p *Prober) pool(r health.Result) (_ health.Result, full string) {
	stats := p.cfg.DB.Stats()
	if stats.MaxOpenConnections <= 0 {
		return r, ""
	}
	if stats.InUse >= stats.MaxOpenConnections {
		full = fmt.Sprintf("all %d connections of the pool were in use when the probe began", stats.MaxOpenConnections)
	}
	percent := 100 * float64(stats.InUse) / float64(stats.MaxOpenConnections)
	return p.cfg.Pool.Apply(r, health.Measurement{Name: "pool_used", Value: round(percent), Unit: health.Percent}), full
}

// connect returns a connection that works. Connections in the pool that turn
// out to have died since they were used last are dropped until one answers or a
// new one is made: that the server was restarted meanwhile is no failure of the
// server, and if it is down now, the new connection tells how.
func (p *Prober) connect(ctx context.Context) (*sql.Conn, error) {
	for left := p.cfg.DB.Stats().OpenConnections; ; left-- {
		err := p.cfg.DB.PingContext(ctx)
		if err == nil {
			return p.cfg.DB.Conn(ctx) // the one that answered was put on top
		}
		if !errors.Is(err, driver.ErrBadConn) || left <= 0 {
			return nil, err
		}
	}
}

// unconnected says why there is no connection.
func (p *Prober) unconnected(ctx context.Context, r health.Result, err error) health.Result {
	f, ended := netcheck.Ended(ctx, r.Duration, "while connecting")
	stats := p.cfg.DB.Stats()
	if ended && f.Cause == health.CauseTimeout && stats.MaxOpenConnections > 0 && stats.InUse >= stats.MaxOpenConnections {
		return r.Worsen(health.Unhealthy, CausePool, fmt.Sprintf(
			"no connection became free within %v: all %d of the pool are in use (or being opened); the database itself was not asked",
			netcheck.Round(r.Duration), stats.MaxOpenConnections))
	}
	if ended && !refused(err) {
		return f.Add(r)
	}
	cause, text := explain(err)
	return r.Worsen(health.Unhealthy, cause, "connect: "+text)
}

// refused reports whether err is an answer of the server or the network, which
// stays what it is if time runs out just then.
func refused(err error) bool {
	cause := health.CauseOf(err)
	return stateOf(err) != "" || cause == health.CauseRefused || cause == health.CauseUnreachable || cause == health.CauseTLS
}

// limited adds a measurement; if it is past its limit, detail explains it.
func limited(r health.Result, l health.Limit, m health.Measurement, detail string) health.Result {
	return explained(r, l.Apply(r, m), detail)
}

// explained adds detail to a result if it says more than before.
func explained(before, r health.Result, detail string) health.Result {
	if detail == "" || r.Message == before.Message {
		return r
	}
	return r.Worsen(r.Status, r.Cause, detail)
}
