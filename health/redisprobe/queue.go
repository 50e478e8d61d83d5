package redisprobe

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook/health"
)

// queues measures the lengths of the queues in two round trips: one for the
// types of the keys, one for their lengths.
func (p *Prober) queues(ctx context.Context, l *link, r health.Result) health.Result {
	if len(p.config.Queues) == 0 {
		return r
	}
	types := l.Pipeline()
	kinds := make([]*redis.StatusCmd, len(p.config.Queues))
	for i, q := range p.config.Queues {
		kinds[i] = types.Type(ctx, q.Key)
	}
	// Each command has an error of its own, and all have that of the connection.
	_, _ = types.Exec(ctx)

	pipe := l.Pipeline()
	lengths := make([]*redis.IntCmd, len(p.config.Queues))
	for i, q := range p.config.Queues {
		kind, err := kinds[i].Result()
		if err != nil {
			f := explain(ctx, err, true)
			if r = p.queueFailed(r, q, f); !f.reply {
				return r
			}
			continue
		}
		var known bool
		if lengths[i], known = length(ctx, pipe, kind, q.Key); !known {
			r = p.queueFailed(r, q, failure{cause: health.CauseAssertion, text: fmt.Sprintf("it is a %.20q, not a queue", kind), reply: true})
		}
	}
	_, _ = pipe.Exec(ctx)

	for i, q := range p.config.Queues {
		if lengths[i] == nil {
			continue
		}
		n, err := lengths[i].Result()
		if err != nil {
			f := explain(ctx, err, true)
			if r = p.queueFailed(r, q, f); !f.reply {
				return r
			}
			continue
		}
		r = q.Length.Apply(r, health.Measurement{Name: q.measurement(), Value: float64(n)})
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

// queueFailed adds that a queue could not be measured. Where the server refused
// it, the rest works.
func (p *Prober) queueFailed(r health.Result, q Queue, f failure) health.Result {
	status := health.Unhealthy
	if f.reply {
		status = health.Degraded
	}
	return p.add(r, status, fmt.Sprintf("queue %q", q.Key), f)
}
