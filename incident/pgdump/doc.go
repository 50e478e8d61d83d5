// Package pgdump makes logical dumps of a PostgreSQL database that do not
// depend on the platform the database runs on, proves that they are whole, and
// restores them. A dump is the archive of pg_dump (custom format, compressed by
// it), encrypted with age for the recipients of the host, and written to a
// writer of the host as it is made. Nothing of it touches a disk on the way.
//
//	dumper, err := pgdump.New(pgdump.Config{
//		Connection: pgdump.Connection{Host: "db.example.com", User: "app", Database: "app", Password: password, RootCertFile: "/etc/app/db.pem"},
//		PgDump:     "/usr/lib/postgresql/16/bin/pg_dump",
//		PgRestore:  "/usr/lib/postgresql/16/bin/pg_restore",
//		Recipients: []age.Recipient{recipient}, // who can read dumps
//	})
//	receipt, err := dumper.Dump(ctx, object) // keep the receipt elsewhere than the dump
//
// Another Dumper, for another database, holds the identities and reads it:
//
//	contents, err := rehearsal.Verify(ctx, file, &receipt)        // no database is needed
//	plan, err := rehearsal.PlanRestore(ctx, file, &receipt)       // changes nothing
//	plan.ConfirmedBy = "ada"                                      // a person has read what it destroys
//	restored, err := rehearsal.Restore(ctx, file, plan)
//
// # Dumps
//
// A dump is a consistent snapshot: pg_dump reads in one transaction. It waits
// for locks no longer than [Config.LockTimeout] and fails if nothing arrives for
// [Config.StallTimeout]; ctx bounds the whole. It holds no lock that keeps
// readers or writers waiting, but it does keep changes of the schema waiting.
//
// [Dumper.Dump] returns a receipt only for a dump that is whole. After an error
// the writer may hold a part, which the host deletes. Such a part is never
// taken for a dump: its end is not authenticated, so that [Dumper.Verify] and
// [Dumper.Restore] refuse it.
//
// The host that makes dumps needs recipients only, not the identities that read
// them. Anybody who knows a recipient can make a file that decrypts, so what
// proves that a file is the one that was made is its receipt.
//
// # Restores
//
// A restore is one transaction of pg_restore, with an end at the first error:
// either all of the dump is in the target or the target is as it was. The dump
// is read twice, first to check all of it before anything is sent to the target,
// then to restore it; the last bytes are held back from pg_restore until the
// second reading, too, has proven right, so that nothing else is committed.
//
// Into a target that has anything, a restore drops what is also in the dump and
// makes it again; what is not in the dump stays. Where something that stays
// depends on something to drop, PostgreSQL refuses, and nothing has changed;
// restore into a new database then. What a [Plan] says will be destroyed are the
// statements of pg_restore itself.
//
// A restore holds an advisory lock of the target while it works, so that of two
// at the same time, in any processes, one is refused; a plan is good for one restore,
// since that changes the target. The pool must lead to the server itself and not to
// a pooler that gives each transaction another session.
//
// All or nothing does not extend to what PostgreSQL keeps outside of
// transactions or of the database: roles and tablespaces are not part of a dump
// and have to be there (or see [Config.SkipOwners]); settings made by ALTER
// DATABASE, and the rights on the database itself, are not touched; a
// subscription with a slot cannot be dropped in a transaction, so a target that
// has one in common with the dump refuses. A very large number of objects
// may need a higher max_locks_per_transaction at the target. Statistics are not
// restored: run ANALYZE afterwards.
//
// # Passwords and data
//
// The programs run with exactly the environment that this package makes: the
// password is in it, never in an argument, and what the programs say is redacted
// and shortened. Of the messages that PostgreSQL adds details to, the details are
// left out, since they quote rows.
//
// # What it does not do
//
// It stores, rotates and deletes nothing, and schedules nothing. It does not end
// the sessions of others: stop the application before restoring into what it uses.
//
// It takes the files of PostgreSQL's programs, not Debian's wrappers in /usr/bin,
// which look at the environment. They should be at least as new as the server.
//
// # Errors
//
// Every error of this package is an [*Error]; the sentinels say what a caller can
// branch on. [runbook.SafeToRetry] is true where it is proven that nothing was
// written to the writer, or that the target is as it was. If the connection was
// lost while the target was committing, and looking at it did not tell, the error
// is [incident.ErrOutcomeUnknown].
//
// # Concurrency and cost
//
// A Dumper is safe for concurrent use. Each call runs one or two programs and a
// few goroutines, which end with it. Importing this package compiles
// runbook, incident, age with its cryptography, and database/sql, but no driver.
package pgdump
