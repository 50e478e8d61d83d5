package redisprobe

import (
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// Config is which server a [Prober] looks at, and what it asks of it. Only
// Client is required.
type Config struct {
	// Client tells how to reach the server. It must be a *redis.Client, from
	// redis.NewClient, redis.NewFailoverClient or redis.NewUniversalClient with
	// a single address. Of a cluster or a ring, give each node its own prober.
	//
	// Only its options are read, when New is called: see the package comment. It
	// may be closed before the prober is used, except for a failover client,
	// which is asked where the master is.
	Client redis.UniversalClient

	// Latency is how long PING may take, on a connection that is ready. The
	// result's Duration is that time.
	Latency health.Budget

	// NoInfo leaves INFO out, for users that may not run it. The limits on what
	// INFO tells, MaxMemory and Role must then be zero.
	NoInfo bool

	// Memory limits the memory used, in percent of the server's maxmemory (the
	// measurement "memory_used"). Where maxmemory is 0, that is, unlimited,
	// there is no percentage, unless MaxMemory is set.
	Memory health.Limit
	// MaxMemory is what counts as 100 % where the server has no maxmemory, in
	// bytes: the memory limit of its container, for example. Zero means that
	// nothing does.
	MaxMemory int64
	// Clients limits the connections, in percent of the server's maxclients (the
	// measurement "clients_used").
	Clients health.Limit
	// Evictions limits how many keys were evicted for want of memory since this
	// prober's previous probe (the measurement "evicted_keys_new"). The first
	// probe, and the first after a restart of the server, have none.
	Evictions health.Limit
	// Rejections limits how many connections were rejected because of
	// maxclients, in the same way ("rejected_connections_new").
	Rejections health.Limit

	// Role demands that the server is the master or a replica. Zero means that
	// either will do.
	Role Role
	// Lag limits how far replication is behind, in bytes (the measurement
	// "replication_lag"): of a master's replicas, the one that is furthest
	// behind; of a replica, what it received and has not applied yet.
	Lag health.Limit
	// Replicas limits how many replicas of a master are online (the measurement
	// "replicas_online"). Set its Below.
	Replicas health.Limit

	// Write makes each probe write a key, read it back and delete it. This is
	// the one thing by which a probe changes the server. The key is new each
	// time, has a random name and value, is only set if it does not exist, and
	// expires after a minute should the deletion fail. In a context that is read only,
	// see runbook.ReadOnly, it is left out.
	Write bool
	// Key is how the names of the keys written begin. Zero means
	// "runbook:probe:".
	Key string

	// Queues are the keys whose lengths are measured.
	Queues []Queue
}

// Role is the part that a server plays in replication.
type Role string

// Roles.
const (
	Master  Role = "master"
	Replica Role = "replica"
)

// A Queue is a key that holds waiting work: a list, a stream, a sorted set or a
// set. A key that does not exist is an empty queue.
type Queue struct {
	// Key is the name of the key.
	Key string
	// Name is the name of the measurement. Zero means "queue_" and the key, in
	// which an underscore replaces what is no ASCII letter or digit.
	Name string
	// Limit is how many entries there may be.
	Limit health.Limit
}

const defaultKey = "runbook:probe:"

// validate adds everything that is wrong with c to p, and returns the client in
// it.
func (c *Config) validate(p *netcheck.Problems) *redis.Client {
	client, ok := c.Client.(*redis.Client)
	switch {
	case c.Client == nil || ok && client == nil:
		p.Add("Client is required")
	case !ok:
		p.Add("Client: a %T is not one server; give each node its own prober, with a *redis.Client", c.Client)
	case strings.Contains(client.Options().Addr, "@"): // messages show it
		p.Add("Client: its Addr is a URL with a password: read it with redis.ParseURL")
	}
	p.In("Latency", c.Latency.Validate())
	for _, l := range c.infoLimits() {
		p.In(l.name, l.limit.Validate())
		if c.NoInfo && isSet(l.limit) {
			p.Add("%s needs INFO, and NoInfo is set", l.name)
		}
	}
	if c.MaxMemory < 0 {
		p.Add("MaxMemory must not be negative")
	}
	if c.NoInfo && c.MaxMemory > 0 {
		p.Add("MaxMemory needs INFO, and NoInfo is set")
	}
	switch {
	case c.Role != "" && c.Role != Master && c.Role != Replica:
		p.Add("Role %q is neither %q nor %q", string(c.Role), Master, Replica)
	case c.Role != "" && c.NoInfo:
		p.Add("Role needs INFO, and NoInfo is set")
	case c.Role == Replica && c.Write:
		p.Add("Write must not be set for a replica, which takes no writes")
	}
	if c.Key != "" && !c.Write {
		p.Add("Key needs Write")
	}
	c.validateQueues(p)
	return client
}

type namedLimit struct {
	name  string
	limit health.Limit
}

func (c *Config) infoLimits() []namedLimit {
	return []namedLimit{
		{"Memory", c.Memory},
		{"Clients", c.Clients},
		{"Evictions", c.Evictions},
		{"Rejections", c.Rejections},
		{"Lag", c.Lag},
		{"Replicas", c.Replicas},
	}
}

func isSet(l health.Limit) bool { return l.Warn != nil || l.Fail != nil }

func (c *Config) validateQueues(p *netcheck.Problems) {
	seen := make(map[string]bool, len(c.Queues))
	for i, q := range c.Queues {
		field := fmt.Sprintf("Queues[%d]", i)
		if q.Key == "" {
			p.Add("%s: Key is required", field)
			continue
		}
		p.In(field, q.Limit.Validate())
		if name := q.measurement(); seen[name] {
			p.Add("%s: Name %q is taken", field, name)
		} else {
			seen[name] = true
		}
	}
}

// measurement returns the name of the queue's measurement.
func (q Queue) measurement() string {
	if q.Name != "" {
		return q.Name
	}
	return "queue_" + strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, q.Key)
}
