package redisprobe

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// A Prober looks at one Redis server. It is safe for concurrent use, and needs
// no closing: it holds no connection between probes.
//
// A probe returns soon after its context ends. Should the client's dialer not do
// so (go-redis's own does not, during a TLS handshake), it goes on by itself for
// the client's DialTimeout at most, and what it then has is closed.
type Prober struct {
	cfg     Config
	options redis.Options // of connections, read-only

	mu   sync.Mutex
	last counters // of the previous probe
}

var _ health.Prober = (*Prober)(nil)

// New returns a Prober, or everything that is wrong with cfg. It does not
// connect. No error shows the client's options.
func New(cfg Config) (*Prober, error) {
	problems := netcheck.Problems{Package: "redisprobe"}
	client := cfg.validate(&problems)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if cfg.Key == "" {
		cfg.Key = defaultKey
	}
	cfg.Queues = slices.Clone(cfg.Queues)
	return &Prober{cfg: cfg, options: oneAttempt(*client.Options())}, nil
}

// Probe implements [health.Prober]. Its measurements are, as far as they apply:
//
//   - connect, ping, write_read (ms): to connect and log in; to answer PING; to
//     write a key and read it
//   - used_memory, maxmemory, system_memory (bytes), memory_used (%),
//     maxmemory_policy
//   - connected_clients, maxclients, clients_used (%)
//   - evicted_keys, rejected_connections: since the server was started; with
//     _new: since this prober's previous probe
//   - role; on a master replicas_online and replication_lag (bytes), on a
//     replica master_link_status and replication_lag
//   - redis_version, uptime (s), loading_progress (%)
//   - the lengths of the queues
//
// It ends soon after ctx does. When ctx is cancelled rather than timed out, the
// result is Unknown.
func (p *Prober) Probe(ctx context.Context) health.Result {
	line := netcheck.NewTimeline(p.options.Addr)
	r := p.probe(ctx, line, health.Result{Status: health.Healthy, Time: line.Started()})
	if r.Duration == 0 {
		r.Duration = line.Elapsed()
	}
	if r.Message != "" {
		r.Message = p.String() + ": " + r.Message
	}
	return r
}

// String returns "Redis" and the address.
func (p *Prober) String() string { return "Redis " + p.options.Addr }

func (p *Prober) probe(ctx context.Context, line *netcheck.Timeline, r health.Result) health.Result {
	l, f := p.connect(ctx, line)
	if f != nil {
		return f.Add(r)
	}
	defer l.close()
	r, ping := p.ping(ctx, l, r)
	if ping != nil && (!ping.reply || l.ready.IsZero() || ping.Cause == health.CauseUnauthorized) {
		return ping.add(r, health.Unhealthy)
	}
	loading := false
	if !p.cfg.NoInfo {
		var goOn bool
		if r, loading, goOn = p.info(ctx, l, r); !goOn {
			return r
		}
	}
	switch {
	case loading: // is what PING says too, with more detail
		return r
	case ping != nil:
		return ping.add(r, health.Unhealthy)
	}
	if p.cfg.Write && !runbook.IsReadOnly(ctx) {
		var goOn bool
		if r, goOn = p.writeRead(ctx, l, r); !goOn {
			return r
		}
	}
	return p.cfg.Latency.Apply(p.queues(ctx, l, r))
}

// ping logs in and sends PING. The failure is nil if the answer is right.
func (p *Prober) ping(ctx context.Context, l *link, r health.Result) (health.Result, *failure) {
	answer, err := l.Ping(ctx).Result()
	if !l.ready.IsZero() {
		r.Duration = time.Since(l.ready)
		r = netcheck.With(r, netcheck.Milliseconds("connect", l.ready.Sub(r.Time)))
	}
	if err != nil {
		return r, new(l.explainFirst(ctx, err))
	}
	if answer != "PONG" {
		return r, new(l.failed(health.CauseProtocol, "the answer is not PONG"))
	}
	return netcheck.With(r, netcheck.Milliseconds("ping", r.Duration)), nil
}

// info reads INFO and judges it. GoOn is false if the connection is of no more
// use.
func (p *Prober) info(ctx context.Context, l *link, r health.Result) (_ health.Result, loading, goOn bool) {
	l.begin("INFO")
	asked := time.Now()
	text, err := l.Info(ctx).Result()
	if err == nil {
		in := parseInfo(text)
		loading = in["loading"] == "1"
		return p.judge(r, in, asked), loading, true
	}
	f := l.explain(ctx, err)
	return f.add(r, health.Degraded), false, f.reply // refused: it works, but cannot be looked at
}

// keyLife is how long a key that could not be deleted stays.
const keyLife = time.Minute

// writeRead writes a key, reads it back and deletes it.
func (p *Prober) writeRead(ctx context.Context, l *link, r health.Result) (_ health.Result, goOn bool) {
	key, value := p.cfg.Key+rand.Text(), rand.Text()
	start := time.Now()
	// SetArgs with NX: another's key is never overwritten.
	l.begin("SET")
	err := l.SetArgs(ctx, key, value, redis.SetArgs{Mode: "NX", TTL: keyLife}).Err()
	if errors.Is(err, redis.Nil) {
		return l.failed(health.CauseAssertion, "a key with a new random name exists already").Add(r), true
	}
	if err != nil {
		f := l.explain(ctx, err)
		return f.add(r, health.Unhealthy), f.reply
	}
	l.begin("GET")
	got, err := l.Get(ctx, key).Result()
	took := time.Since(start)
	switch {
	case errors.Is(err, redis.Nil):
		r = l.failed(health.CauseMissing, "the key just written is not there").Add(r)
	case err != nil:
		f := l.explain(ctx, err)
		if r = f.add(r, health.Unhealthy); !f.reply {
			return r, false
		}
	case got != value:
		r = l.failed(health.CauseAssertion, "the key just written has another value").Add(r)
	default:
		r = netcheck.With(r, netcheck.Milliseconds("write_read", took))
	}
	l.begin("DEL")
	if err := l.Del(ctx, key).Err(); err != nil {
		f := l.explain(ctx, err)
		return f.add(r, health.Unhealthy), f.reply
	}
	return r, true
}
