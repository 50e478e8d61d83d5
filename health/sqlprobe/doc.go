// Package sqlprobe looks at a database through the *sql.DB that the host
// already has: it connects, runs the host's queries, and asks PostgreSQL what
// an operator would ask it: who is connected, who blocks whom, what has been
// running for too long, how far behind a replica is, whether the schema is at
// its head.
//
//	db, err := sql.Open("pgx", url) // the host links the driver
//	if err != nil {
//		return err
//	}
//	warn, fail := 80.0, 95.0
//	postgres := sqlprobe.Everything() // measures all, judges nothing
//	postgres.Connections.Limit = health.Limit{Warn: &warn, Fail: &fail}
//	postgres.Migration = &sqlprobe.Migration{Want: []string{"1975ea83b712"}}
//	prober, err := sqlprobe.New(sqlprobe.Config{DB: db, Postgres: postgres})
//	if err != nil {
//		return err
//	}
//	result := prober.Probe(ctx)
//
// Without [Config.Postgres] any database will do: the probe connects and runs
// [Config.Queries] and [Config.Invariants].
//
// A probe is one attempt on one connection of the host's pool. On PostgreSQL
// everything runs in read-only transactions whose statement_timeout ends a
// statement on the server before the context does here, so that a probe leaves
// nothing running, and a diagnostic that hangs does not hide the others. A
// diagnostic that the role may not read is reported as not readable; it makes
// the result worse only where the configuration says that it is required.
//
// Messages begin with what was asked: "connect", or the measurement. They do not
// name the database, since a *sql.DB does not tell its address: that is for the
// name of the check.
//
// # What it does not do
//
// It opens no pool and no connection besides the pool's; it creates nothing in
// the database, and resets no statistics. It never shows the text of running
// queries unless [Postgres.ShowQueries] is set, since they hold people's data.
// PostgreSQL does not know how much disk is free: see [Disk].
//
// # Concurrency and cost
//
// A [Prober] is safe for concurrent use and starts no goroutine. It needs one
// connection of the pool; where none is free it says so ([CausePool]) and does
// not call the database down. Importing the package compiles health and the
// standard library's database/sql, but no driver.
package sqlprobe
