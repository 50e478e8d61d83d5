// Package incidenttest has the ports of package incident in memory, and the
// tests that every implementation of them must pass.
//
//	func TestNotices(t *testing.T) {
//		incidenttest.TestAnnouncer(t, incidenttest.AnnouncerHarness{
//			New: func(t testing.TB) incidenttest.AnnouncerCase { … },
//		})
//	}
//
// The implementations in memory are values whose zero value is usable, and safe
// for concurrent use; the scripts of their errors are for the tests of a host.
// [Platform] has all the ports of a platform that deploys, acting on one state, so
// that a variable that was set really reaches the service by a redeployment only.
// A harness makes everything anew for each test, and may decline a case by
// leaving its func nil.
//
// It is no certain platform: what one does besides its port (paging, throttling)
// is in that platform's own test package.
//
// Importing it compiles incident and the standard library, with its package
// testing.
package incidenttest
