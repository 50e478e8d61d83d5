// Package sqlstore keeps incidents, approvals, timelines and the audit record in a SQLite
// or PostgreSQL database of the host. A [Store] is an [incident.Store].
//
//	db, err := sql.Open("sqlite", "file:incidents.db?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)")
//	if err != nil {
//		return err
//	}
//	store, err := sqlstore.New(ctx, sqlstore.Config{DB: db})
//	if err != nil {
//		return err
//	}
//	manager, err := incident.NewManager(incident.ManagerConfig{Store: store, ...})
//
// One process has a SQLite file; several replicas share a PostgreSQL database. The code
// is the same, and any number of them may start and write at once.
//
// # Where
//
// Not on a server that the host watches. When that server is what is wrong, there must be
// somewhere to write down that it is, who takes care of it, and what was tried. The
// SQLite file is always right; a PostgreSQL server that is used for nothing else is too.
// What cannot be written is an error of whoever wanted to: nothing is kept in memory to
// be written later.
//
// # What survives
//
// What [Store.Commit] has returned without an error is on the disk. [New] therefore
// refuses a SQLite connection whose synchronous is less than FULL, and turns on
// PostgreSQL's synchronous_commit in each transaction if it is off. It cannot see a
// server whose fsync is off, or a standby that is behind: after a failover to such a
// one the last commits are missing.
//
// A commit that failed was not made, and the error says so to runbook.SafeToRetry, but
// for one whose answer was lost while the database was committing. With a Key in its
// entries it can be made again all the same: a document will be [incident.ErrStale] if
// it was made, and the entries will be the ones that are there.
//
// # Concurrency
//
// A Store is safe for concurrent use, and starts no goroutine. Nothing is decided by what
// was read before the transaction. On PostgreSQL a commit locks the rows of its documents
// and then those of its chains, each in one order, so that those who want the same wait
// for each other and do not lock each other out; a transaction that the server undid for
// the sake of another one is made again. On SQLite it takes the lock of the file, for
// which it waits 10 s at most, whatever busy_timeout the host has set. No connection and
// no lock is held while a loop over documents or entries runs its body.
//
// # The record
//
// Entries are added and never changed. Each has the hash of the one before, and the
// store keeps apart how long a chain is: incident.VerifyChain shows a change and a hole,
// and [Store.Entries] returns [incident.ErrBroken] if the end of a chain is missing.
// Somebody who can write to the database and knows how can make a new chain that is
// right in itself; who wants to notice that keeps a hash of the audit record elsewhere
// now and then.
//
// What is kept is readable to whoever can read the database. incident.Prune removes what is
// old. A database that was restored from a backup has lost what came after it, and says
// nothing of it: there the kept hash is missing from the audit record.
//
// # Tables and permissions
//
// [New] creates the tables runbook_incident_documents, runbook_incident_keys,
// runbook_incident_chains and runbook_incident_entries, and changes them when a newer
// version of this package needs it; what was done is in runbook_migrations. They are
// where names without a schema are looked up, which is the search_path. On PostgreSQL
// the role needs the right to create tables for that, at the first start only. After
// that it needs SELECT on runbook_migrations; SELECT, INSERT, UPDATE and DELETE on the
// first three tables; and on runbook_incident_entries SELECT and INSERT. It needs no
// UPDATE on the entries, and DELETE only if the host removes what is old: without them
// the record cannot be changed by whoever gets hold of the role's password. The database
// must be encoded in UTF8.
//
// # Errors
//
// [incident.ErrNotFound], [incident.ErrStale], [incident.ErrTaken] and
// [incident.ErrBroken] are answers. Every other error means that the database could not
// be asked, or did not do it, and wraps the driver's. No error has the content of a
// document in it.
//
// # Cost
//
// A commit is one transaction: one synchronised write on SQLite, and about eight round
// trips to a PostgreSQL server. Importing this package compiles incident and the standard
// library's database/sql, but no driver.
package sqlstore
