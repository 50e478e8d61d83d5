package redisprobe

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// queues measures the lengths of the queues in two round trips: one for the
// types of the keys, one for their lengths.
func (p *Prober) queues(ctx context.Context, l *link, r health.Result) health.Result {
	if len(p.cfg.Queues) == 0 {
		return r
	}
	l.begin("the look at the queues")
	types := l.Pipeline()
	kinds := make([]*redis.StatusCmd, len(p.cfg.Queues))
	for i, q := range p.cfg.Queues {
		kinds[i] = types.Type(ctx, q.Key)
	}
	// Each command has an error of its own, and all have that of the connection.
	_, _ = types.Exec(ctx)

	pipe := l.Pipeline()
	lengths := make([]*redis.IntCmd, len(p.cfg.Queues))
	for i, q := range p.cfg.Queues {
		kind, err := kinds[i].Result()
		if err != nil {
			l.begin(q.step())
			f := l.explain(ctx, err)
			if r = f.add(r, health.Degraded); !f.reply {
				return r
			}
			continue
		}
		var known bool
		if lengths[i], known = length(ctx, pipe, kind, q.Key); !known {
			r = r.Worsen(health.Degraded, health.CauseAssertion, fmt.Sprintf("%s: it is a %s, not a queue", q.step(), netcheck.Quote(kind)))
		}
	}
	_, _ = pipe.Exec(ctx)

	for i, q := range p.cfg.Queues {
		if lengths[i] == nil {
			continue
		}
		n, err := lengths[i].Result()
		if err != nil {
			l.begin(q.step())
			f := l.explain(ctx, err)
			if r = f.add(r, health.Degraded); !f.reply {
				return r
			}
			continue
		}
		r = q.Limit.Apply(r, health.Measurement{Name: q.measurement(), Value: float64(n)})
	}
	return r
}

// length asks for the length of a key by its type. A key that does not exist
// has length 0 as any of them.
func length(ctx context.Context, pipe redis.Pipeliner, kind, key string) (_ *redis.IntCmd, known bool) {
	switch kind {
	case "list", "none":
		return pipe.LLen(ctx, key), true
	case "stream":
		return pipe.XLen(ctx, key), true
	case "zset":
		return pipe.ZCard(ctx, key), true
	case "set":
		return pipe.SCard(ctx, key), true
	}
	return nil, false
}

// step names the look at a queue, for messages. What the server refuses there is
// Degraded: the rest works.
func (q Queue) step() string { return "queue " + netcheck.Quote(q.Key) }
