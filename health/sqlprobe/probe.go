package sqlprobe

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/health"
)

// Probe implements [health.Prober]. Its Duration is the time to get a working
// connection.
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
	r = limited(r, p.cfg.Connect, health.Measurement{Name: "connect", Value: milliseconds(r.Duration), Unit: health.Milliseconds}, full)

	s := session{conn: conn, postgres: p.cfg.Postgres != nil}
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
	stats := p.cfg.DB.Stats()
	if ctx.Err() != nil && stats.MaxOpenConnections > 0 && stats.InUse >= stats.MaxOpenConnections {
		return r.Worsen(health.Unhealthy, CausePool, fmt.Sprintf(
			"no connection became free within %v: all %d of the pool are in use (or being opened); the database itself was not asked",
			r.Duration.Round(time.Millisecond), stats.MaxOpenConnections))
	}
	cause, text := explain(err)
	return r.Worsen(health.Unhealthy, cause, "connect: "+text)
}

// limited adds a measurement; if it is past its limit, detail explains it.
func limited(r health.Result, l health.Limit, m health.Measurement, detail string) health.Result {
	before := r.Message
	r = l.Apply(r, m)
	if detail != "" && r.Message != before {
		r = r.Worsen(r.Status, r.Cause, detail)
	}
	return r
}

func milliseconds(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }
