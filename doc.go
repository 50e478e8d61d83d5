// Package runbook is the root of an SDK that turns an operations runbook into
// programs: check three environments, watch Canvas and its rate limits, alert
// the right people, open an incident with a clock on it, and carry out the
// playbook, with a record of what was done.
//
// The root holds only the words that every other package shares:
//
//   - [Secret], a text that no formatter, logger or encoder prints.
//   - [CredentialStore], where credentials are kept and rotated: reads, writes
//     by compare-and-set, deletes. [MemoryCredentials] is one in memory.
//   - [SafeToRetry], which tells whether it is proven that a failed call did
//     nothing.
//   - [ReadOnly], a context in which nothing is changed: a plan is made in one.
//
// The rest is in sub-packages, and a host pays only for those it imports:
//
//   - health checks things on a schedule and serves what it found. Probers for
//     HTTP, DNS, TLS, WebSocket, databases and Redis are below it.
//   - alert decides when something is wrong, and tells the right people, once, until
//     it is over.
//   - canvas is a client of Canvas LMS that stays within the rate limit.
//   - lti is the tool side of LTI 1.3: how Canvas opens an application.
//   - railway operates applications on Railway: what runs, roll back, restart,
//     change, restore, and prove it.
//   - incident keeps incidents with clocks and escalation, and carries out playbooks
//     that survive a crash and ask people. Below it otelrunbook tells OpenTelemetry what
//     all of these do.
//
// A host program constructs what it needs and passes it on. The library reads
// no environment variables and no flags, and no files but those that it is
// given, registers nothing globally, and starts no goroutine before a method
// named Start or Run is called.
//
// Importing this package compiles nothing but the standard library.
package runbook
