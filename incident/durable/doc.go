// Package durable keeps runs in a database, so that they survive: a crash, kill -9, a
// deployment, a database that was away. It implements incident.Runs and
// incident.Replicas on DBOS Transact, which keeps the queue and the recorded calls; with
// package sqlitefile in a file, or in PostgreSQL.
//
// # One machine
//
//	db, err := sqlitefile.Open(ctx, "/var/lib/opsd/runs.db")
//	if err != nil {
//		return err
//	}
//	runs, err := durable.Open(ctx, durable.Config{DB: db, Host: "opsd"})
//	if err != nil {
//		return err
//	}
//	if err := runs.Launch(ctx, map[string]incident.Program{incident.PlaybookProgram: runner.Program()}); err != nil {
//		return err
//	}
//	defer runs.Close(ctx)
//
// The file has one process at a time. When that has ended, in whatever way, the next one
// goes on with its runs.
//
// # Several replicas
//
//	runs, err := durable.Open(ctx, durable.Config{
//		URL: url, Host: replica, // postgres://...
//		Watched: []string{"db.example.com"},
//	})
//
// Replicas share the runs of one database. A run is started in any of them, is taken by
// one, and can be signalled, held and cancelled from all. Each needs a direct connection,
// or a pooler by session: a lock that the session holds says that the process is there.
// DBOS has its tables in the schema dbos, we have ours, runbook_run..., where the
// connection looks first.
//
// Runs are needed when the database of the product is down. So a database on a server
// that the host watches is refused with [ErrWatched], unless a person confirmed it; the
// file always works.
//
// # What a crash does
//
// Before a call that changes something is made, it is recorded that it will be. When its
// process dies, another one begins the program anew, whose calls return what was
// recorded. The call that was under way is made again; it is told of the attempts
// before, and looks before it acts. So of a killed process at most the calls that were
// under way at that moment are repeated, and none with an intent unknowingly.
//
// A process that is gone for two seconds is dead: its runs are taken by another within
// five. Sleeps and deadlines keep their times. A run with which ten processes in
// succession die, and which gets no further, is stranded until a person releases it.
//
// When the database is away, or its disk is full, runs stand still, and go on when it is
// back. Their Attention says so, or the error if they cannot be read. A call whose outcome
// could not be recorded is repeated only if its process, or the disk, failed, and then
// knows.
//
// # What a hang does
//
// A process that hangs is not dead: it may go on any moment. After 30 seconds it is shown
// as hung by [Runs.Replicas] and in its runs' Attention, which is told to those who follow
// them, and that is all. A person who looked may have its runs taken over with
// [Runs.TakeOver]. If it goes on later it begins nothing, and what it reports is refused;
// what it was doing may have been done twice, which the records say.
//
// # What does not go on
//
// A run of a program that this process does not know waits, stranded, for a process that
// does. A run of another [Version] is stranded too when no process of that version is
// there, not even one that hangs. A program that makes other calls than
// were recorded, because it was changed meanwhile, fails, in words; it can be forked from
// before that. Playbooks carry their plan in their input, so that they can be changed at
// any time.
//
// # How many runs
//
// A run that waits keeps a goroutine and its process, and about 25 kB. A process is meant
// for up to 1,000 runs that wait, which take a twentieth of a core in all; and for some
// ten that work at the same time, with some hundred recorded calls a second. What each
// did stays in the database until somebody deletes it there.
//
// # What importing compiles
//
// DBOS Transact, pgx, robfig/cron and google/uuid, and no SQLite: about 12 MB of program
// with everything, of which a plain server has half anyway.
package durable
