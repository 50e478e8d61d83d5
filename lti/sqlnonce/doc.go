// Package sqlnonce keeps the nonces that an LTI tool has seen in a SQLite or
// PostgreSQL database of the host, for all of its replicas. A [Store] is an
// [lti.NonceStore].
//
//	db, err := sql.Open("pgx", url) // the host links the driver
//	if err != nil {
//		return err
//	}
//	nonces, err := sqlnonce.New(ctx, sqlnonce.Config{DB: db})
//	if err != nil {
//		return err
//	}
//	tool, err := lti.New(lti.Config{Nonces: nonces, ...})
//
// [New] creates the table runbook_lti_nonces, and changes it when a newer version
// of this package needs it; any number of replicas may start at once. A row has
// 16 bytes of a hash and a time, and nothing from which a nonce or a user could be
// told.
//
// # One winner
//
// A nonce is used by one statement, INSERT ... ON CONFLICT, of which the database
// lets exactly one succeed, whatever its isolation level. A statement whose answer
// was lost is not repeated: whether it recorded the nonce is not known, [Store.Use]
// returns an error, and the launch is refused. What the database has committed it
// must keep: after a crash with synchronous_commit off, or a failover to a standby
// that is behind, the last nonces can be used again.
//
// # Time
//
// On PostgreSQL the server's clock decides when a nonce has expired, from how long
// it was still to live on the clock of the replica; on SQLite, whose users share a
// machine, the machine's. A nonce is kept for two minutes longer than asked for: so
// the clocks of replicas may differ by a minute, and a statement may take one.
//
// # Removal
//
// A nonce that has expired may be used again as if it were not there. Every
// hundredth call of [Store.Use] also removes up to 200 expired rows, so that the
// table stays in proportion to the traffic though nobody else cleans it;
// [Store.PurgeExpired] removes all of them, in batches of 1,000. There is nothing
// that removes a live one.
//
// # SQLite
//
// Writers wait for each other for up to 10 s, whatever busy_timeout the host has
// set. Set journal_mode(WAL). A database in memory lives as long as its connection:
// give it a pool of one (SetMaxOpenConns(1), and no limits on idle connections).
//
// # Concurrency and cost
//
// A [Store] is safe for concurrent use, and starts no goroutine. A launch costs one
// statement with one commit. Importing this package compiles lti and the standard
// library's database/sql, but no driver.
package sqlnonce
