// Package redisnonce keeps the nonces that an LTI tool has seen in Redis (7.0 or
// newer) or Valkey, for all of its replicas. A [Store] is an [lti.NonceStore].
//
//	client := redis.NewClient(options) // the host's, and the host closes it
//	nonces, err := redisnonce.New(redisnonce.Config{Client: client})
//	if err != nil {
//		return err
//	}
//	if err := nonces.Check(ctx); err != nil { // is this server fit for it?
//		return err
//	}
//	tool, err := lti.New(lti.Config{Nonces: nonces, ...})
//
// A key has a hash in its name and a random text as its value, and nothing from
// which a nonce or a user could be told. Redis removes it when its time is over.
//
// # One winner
//
// A nonce is used by one command, SET key value NX GET EX seconds, of which Redis
// lets exactly one succeed. go-redis repeats a command whose answer was lost; the
// value, which is another one in each call, tells whether it was this very call
// that set the key before. No other call can have the same, so there are never
// two winners.
//
// # What Redis must not forget
//
// A nonce that is forgotten too early lets its token be used again. That happens
// where Redis evicts keys for want of memory: [Store.Check] finds that. It
// happens also, and Check does not look for it,
//
//   - when a server restarts that keeps no append-only file (appendonly yes), or
//     writes it once a second only (appendfsync everysec): then with what came in
//     the last second;
//   - when a replica that is behind becomes the master (Sentinel, Cluster, and
//     managed services do that). min-replicas-to-write makes it less likely and
//     does not exclude it.
//
// Where that is not good enough use package sqlnonce. A token is also bound to the
// browser and the login that it was made for, for ten minutes; so what is left is
// that user's own repetition, or a thief of both.
//
// # Time
//
// A key lives for as long as the nonce had to live on the clock of the replica,
// and two minutes longer: so the clocks of replicas may differ by a minute, and a
// command may take one. The clock of the server does not matter, but after a
// failover that of the new master may.
//
// # Concurrency and cost
//
// A [Store] is safe for concurrent use, and starts no goroutine. A launch costs
// one command. Deadlines of a context are kept as the client does it: set its
// ContextTimeoutEnabled. Importing this package compiles lti and go-redis.
package redisnonce
