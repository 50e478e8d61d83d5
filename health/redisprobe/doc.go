// Package redisprobe looks at one Redis server (or Valkey, or another server
// that speaks its protocol): whether it answers, how full it is, whether it
// evicts, persists and replicates, whether it takes writes, and how long the
// queues in it are.
//
//	warn, fail, long := 80.0, 95.0, 1000.0
//	prober, err := redisprobe.New(redisprobe.Config{
//		Client: client, // the *redis.Client that the host has anyway
//		Memory: health.Limit{Warn: &warn, Fail: &fail}, // % of maxmemory
//		Role:   redisprobe.Master,
//		Write:  true,
//		Queues: []redisprobe.Queue{{Key: "celery", Limit: health.Limit{Warn: &long}}},
//	})
//	if err != nil {
//		return err
//	}
//	result := prober.Probe(ctx) // or put it into a health.Check
//
// # One attempt on a connection of its own
//
// A go-redis client dials up to five times, repeats a command up to three
// times, ignores the deadline of its context unless told otherwise, and hands
// out connections that were made before a password or a certificate changed. A
// probe through it would be slow to see trouble, and would see less of it. So
// the client given in [Config] is only read: its address, TLS settings, dialer
// and credentials. Each probe dials once, logs in, asks, and closes, on a
// go-redis connection that never retries. The host's pool, retries, hooks and
// circuit breaker are not touched, and a pool that is exhausted does not look
// like a server that is down. The price is one connection per probe, which is
// also what shows that new connections are still accepted.
//
// # Results
//
// PING must be answered. INFO is then read (unless NoInfo): a server that is
// loading its data is Unhealthy, as is one that has no memory left and may not
// evict, and one with another role than wanted; failed snapshots, a failing
// append-only file and a broken link to the master are Degraded; the limits of
// [Config] decide about the rest. Measurements keep the names that INFO gives
// them (used_memory, connected_clients, evicted_keys) where they are INFO's
// values. Messages begin with the address. Refusals have causes and messages of their own: no or wrong password,
// loading, read-only replica, out of memory, failed persistence, too many
// clients. The meaning of INFO's fields and of the errors is that of Redis's
// documentation (redis.io/commands/info, redis.io/docs: key eviction,
// persistence, replication, ACL).
//
// # What it does not do
//
// It does not repeat, schedule or remember, but for one thing: to tell how many
// keys were evicted since the last time, a [Prober] keeps the counters of its
// previous probe. It does not look at a whole cluster: one prober looks at one
// node. It does not read any key's value but the one it wrote itself.
//
// A [Prober] is safe for concurrent use. Importing this package compiles health
// and redis/go-redis.
package redisprobe
