// Package canvasprobe looks after one or several Canvas instances: probers for
// package health, the wait for the end of a maintenance, and what package
// incident needs of a platform: its keys, and announcements to its users.
//
//	test, err := canvasprobe.New(canvasprobe.Config{
//		Canvas:      canvas.Config{BaseURL: "https://school.test.instructure.com", Token: token, Throttle: shared},
//		Environment: canvasprobe.Test,
//		Refresh:     []health.Window{thirdSaturday}, // overwritten from production
//		Maintenance: []health.Window{thursdayNight}, // as published
//		StatusPage:  page,                           // canvasprobe.NewStatusPage
//	})
//	if err != nil {
//		return err
//	}
//	checks := []health.Check{
//		{Name: "canvas-test-up", Prober: test.Up()},
//		{Name: "canvas-test-token", Prober: test.Token()},
//		{Name: "canvas-test-quota", Prober: test.Quota()},
//		{Name: "canvas-status-page", Prober: page},
//	}
//
// # What is what
//
// Canvas uses few statuses for many things. These probers keep apart:
//
//   - throttled (Degraded: it says something about us) from down;
//   - a token that is not accepted from an action that it may not do, though both
//     may be status 401;
//   - a key that vanished when test or beta was overwritten from production
//     ([CauseKeyGone]) from one that was revoked, and both from an outage;
//   - a page with status 503 in an announced maintenance from the same page in an
//     outage;
//   - an endpoint that is not exposed from an instance that is not there.
//
// Each request is made once: the client of an [Instance] ends a call with the
// first attempt that fails. Only a token that can be renewed (canvas.OAuth) and is
// refused is renewed and tried again, since that is what every other call does.
//
// # What it does not do
//
// It does not schedule, repeat or keep results: package health does. It does not
// check that the key set of a tool can be fetched; probe its address with
// httpprobe. Probers change nothing; [Keys] and [Announcer] do, and are for
// people and playbooks.
//
// All types are safe for concurrent use. Importing it compiles the module's root,
// canvas and what that needs (go-retryablehttp, x/oauth2, x/time/rate), health and
// incident.
package canvasprobe
