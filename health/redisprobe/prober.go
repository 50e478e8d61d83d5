package redisprobe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook/health"
)

// A Prober looks at one Redis server. Make one with [New]. It is safe for
// concurrent use, and needs no closing: it holds no connection between probes.
//
// A probe returns soon after its context ends. Should the client's dialer not do
// so (go-redis's own does not, during a TLS handshake), it goes on by itself for
// the client's DialTimeout at most, and what it then has is closed.
type Prober struct {
	config  Config
	options redis.Options // of connections, read-only

	mu   sync.Mutex
	last counters // of the previous probe
}

var _ health.Prober = (*Prober)(nil)

// New returns a prober, or everything that is wrong with cfg. It does not
// connect.
func New(cfg Config) (*Prober, error) {
	client, err := cfg.check()
	if err != nil {
		return nil, err
	}
	if cfg.Key == "" {
		cfg.Key = defaultKey
	}
	cfg.Queues = slices.Clone(cfg.Queues)
	return &Prober{config: cfg, options: oneAttempt(*client.Options())}, nil
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
func (p *Prober) Probe(ctx context.Context) health.Result {
	start := time.Now()
	r := p.probe(ctx, health.Result{Status: health.Healthy, Time: start})
	if r.Duration == 0 {
		r.Duration = time.Since(start)
	}
	return r
}

func (p *Prober) probe(ctx context.Context, r health.Result) health.Result {
	l, err := p.connect(ctx)
	if err != nil {
		return p.add(r, health.Unhealthy, "connect", explainDial(ctx, err))
	}
	defer l.close()
	r, ping := p.ping(ctx, l, r)
	if ping != nil && (!ping.reply || l.ready.IsZero() || ping.cause == health.CauseUnauthorized) {
		return p.add(r, health.Unhealthy, p.stage(l), *ping)
	}
	loading := false
	if !p.config.NoInfo {
		var goOn bool
		if r, loading, goOn = p.info(ctx, l, r); !goOn {
			return r
		}
	}
	switch {
	case loading: // is what PING says too, with more detail
		return r
	case ping != nil:
		return p.add(r, health.Unhealthy, p.stage(l), *ping)
	}
	if p.config.Write {
		var goOn bool
		if r, goOn = p.writeRead(ctx, l, r); !goOn {
			return r
		}
	}
	return p.config.Latency.Apply(p.queues(ctx, l, r))
}

// stage names what the first command on a link was waiting for.
func (p *Prober) stage(l *link) string {
	if l.ready.IsZero() {
		return "log in"
	}
	return "PING"
}

// add adds a finding about a step.
func (p *Prober) add(r health.Result, s health.Status, step string, f failure) health.Result {
	return r.Worsen(s, f.cause, fmt.Sprintf("redis at %s: %s: %s", p.options.Addr, step, f.text))
}

// ping logs in and sends PING. The failure is nil if the answer is right.
func (p *Prober) ping(ctx context.Context, l *link, r health.Result) (health.Result, *failure) {
	answer, err := l.Ping(ctx).Result()
	if !l.ready.IsZero() {
		r.Duration = time.Since(l.ready)
		r = measure(r, "connect", milliseconds(l.ready.Sub(r.Time)), health.Milliseconds)
	}
	if err != nil {
		f := l.explain(ctx, err)
		return r, &f
	}
	if answer != "PONG" {
		return r, &failure{cause: health.CauseProtocol, text: "the answer is not PONG"}
	}
	return measure(r, "ping", milliseconds(r.Duration), health.Milliseconds), nil
}

// info reads INFO and judges it. GoOn is false if the connection is of no more
// use.
func (p *Prober) info(ctx context.Context, l *link, r health.Result) (_ health.Result, loading, goOn bool) {
	asked := time.Now()
	text, err := l.Info(ctx).Result()
	if err == nil {
		in := parseInfo(text)
		loading = in["loading"] == "1"
		return p.judge(r, in, asked), loading, true
	}
	f := explain(ctx, err, true)
	if f.reply { // it works, but cannot be looked at
		return p.add(r, health.Degraded, "INFO", f), false, true
	}
	return p.add(r, health.Unhealthy, "INFO", f), false, false
}

// keyLife is how long a key that could not be deleted stays.
const keyLife = time.Minute

// writeRead writes a key, reads it back and deletes it.
func (p *Prober) writeRead(ctx context.Context, l *link, r health.Result) (_ health.Result, goOn bool) {
	key, value := p.config.Key+rand.Text(), rand.Text()
	start := time.Now()
	// SetArgs with NX: another's key is never overwritten.
	err := l.SetArgs(ctx, key, value, redis.SetArgs{Mode: "NX", TTL: keyLife}).Err()
	if errors.Is(err, redis.Nil) {
		f := failure{cause: health.CauseAssertion, text: "a key with a new random name exists already"}
		return p.add(r, health.Unhealthy, "SET", f), true
	}
	if err != nil {
		f := explain(ctx, err, true)
		return p.add(r, health.Unhealthy, "SET", f), f.reply
	}
	got, err := l.Get(ctx, key).Result()
	took := time.Since(start)
	switch {
	case errors.Is(err, redis.Nil):
		r = p.add(r, health.Unhealthy, "GET", failure{cause: health.CauseMissing, text: "the key just written is not there"})
	case err != nil:
		f := explain(ctx, err, true)
		r = p.add(r, health.Unhealthy, "GET", f)
		if !f.reply {
			return r, false
		}
	case got != value:
		r = p.add(r, health.Unhealthy, "GET", failure{cause: health.CauseAssertion, text: "the key just written has another value"})
	default:
		r = measure(r, "write_read", milliseconds(took), health.Milliseconds)
	}
	if err := l.Del(ctx, key).Err(); err != nil {
		f := explain(ctx, err, true)
		return p.add(r, health.Unhealthy, "DEL", f), f.reply
	}
	return r, true
}

func measure(r health.Result, name string, value float64, unit health.Unit) health.Result {
	return health.Limit{}.Apply(r, health.Measurement{Name: name, Value: value, Unit: unit})
}

// milliseconds returns d with a precision of a microsecond.
func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
