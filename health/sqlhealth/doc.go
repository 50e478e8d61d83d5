// Package sqlhealth keeps the history of checks, and the leases by which
// replicas share checks, in a SQLite or PostgreSQL database of the host. A
// [Store] is a [health.History] and a [health.Lease].
//
//	db, err := sql.Open("pgx", url) // the host links the driver
//	if err != nil {
//		return err
//	}
//	store, err := sqlhealth.New(ctx, sqlhealth.Config{DB: db, Holder: hostname, Location: sydney})
//	if err != nil {
//		return err
//	}
//	monitor, err := health.New(health.Config{Checks: checks, History: store, Lease: store})
//
// [New] creates the tables (their names begin with runbook_health_) and changes
// them when a newer version of this package needs it; any number of replicas
// may start at once. Several replicas may write the history of the same checks
// at the same time: each sample counts once.
//
// # What it does not do
//
// It opens and closes no database: the pool is the host's, and so are its
// limits. It keeps no single results, but sums by the hour; days are added up
// when they are read, in the zone of [Config.Location], so that a day on which
// clocks change has 23 or 25 hours. An hour belongs to the day in which it
// begins, which matters only in zones whose offset is not a whole hour.
//
// Keep the history of a database's own check in another database: what is down
// cannot note that it is.
//
// # SQLite
//
// Writers wait for each other for up to 10 s, whatever busy_timeout the host
// has set. Set journal_mode(WAL), so that readers do not make writers wait. A
// database in memory lives as long as its connection: give it a pool of one
// (SetMaxOpenConns(1), and no limits on idle connections).
//
// # Concurrency and cost
//
// A [Store] is safe for concurrent use, and starts no goroutine. Importing this
// package compiles health and the standard library's database/sql, but no
// driver.
package sqlhealth
