// Package incident holds what happens when something is wrong: incidents with a
// clock on them, escalation, and playbooks that put things right. Today it holds
// the ports that these will call and that a learning platform implements: small
// interfaces for what an incident needs from it.
//
//	var quota incident.Quota = …         // how much may still be asked
//	var keys incident.PlatformKeys = …   // is our key on, and switch it
//	var audit incident.AuditLog = …      // who logged in, who changed what
//	var notices incident.Announcer = …   // tell the platform's users
//	var doctor incident.Diagnoser = …    // what is wrong, most likely first
//	var nonces incident.Nonces = …       // what "clear the nonce cache" may do
//
//	placed, err := notices.Announce(ctx, incident.Announcement{
//		Key:     "maintenance-2026-12-05", // announced once, however often this runs
//		Subject: "Maintenance on Saturday",
//		Message: "The QA tool is not available from 22:00 to 23:00.",
//		Start:   time.Now(),
//		End:     maintenance.End,
//	})
//	if errors.Is(err, incident.ErrOutcomeUnknown) {
//		// It may be there or not. Announcing it again with the same key is safe.
//	}
//
// Each port has one or two methods, whose comments speak to those who implement
// them: what may run concurrently, what the end of the context means, and which
// error says what. A provider implements the ports it can; one type may
// implement several. Package incidenttest has implementations in memory and the
// tests that every implementation must pass.
//
// # What it does not do
//
// It knows no provider and sends nothing. It does not repeat calls: whether a
// call can be repeated is in its error.
//
// # Errors
//
// [ErrOutcomeUnknown] is not a failure: it says that nobody knows. An error that
// is none of the sentinels of this package means that the platform could not be
// asked, or did not do what it was asked to, and changed nothing.
//
// Ports are safe for concurrent use, and so is everything else in the package,
// which is values. Importing it compiles the standard library only.
package incident
