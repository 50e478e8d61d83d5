// Package statuspageio writes on a status page of Atlassian Statuspage: incidents,
// scheduled maintenance and the states of components, from what somebody posted for
// everyone.
//
//	page, err := statuspageio.New(statuspageio.Config{
//		Page:       "kctbh9vrtdwd",
//		APIKey:     key,
//		Components: map[string]string{"QA automation": "8kbf7d35c070"},
//	})
//	...
//	targets := []alert.Target{{Name: "status-page", Notifier: page, Audience: alert.Everyone}}
//	...
//	err = router.Post(ctx, alert.Post{
//		ID: "incident-7", Title: "QA automation does not answer", Body: "We look into it.",
//		Status: "investigating", Components: map[string]string{"QA automation": "major_outage"}, By: "ana",
//	})
//
// # What people see
//
// The first post of an ID makes an incident, those that follow are its updates. A post
// with status scheduled, and From and To, makes a scheduled maintenance. Components change
// with the post that names them; when an incident ends, those that its posts changed and
// the last one does not name are operational again. A component that Config does not
// know is named in the text.
//
// Alerts are refused: a public page shows what people wrote. A test shows nothing to
// anybody either: it proves that the key and the page are right.
//
// # Twice
//
// Statuspage has no keys of ours. After an unknown outcome the incidents are looked
// through first, for the key that each carries in its metadata, and an update is not
// written a second time.
//
// # Rate
//
// A key may make one request a second (https://developer.statuspage.io/#rate-limiting).
// The notifier keeps to that by waiting, within the context. Two programs with the same
// key do not know of each other; 420 and 429 are understood.
//
// # What it does not do
//
// It makes no components, groups, subscribers and postmortems. The text of a post may have
// the markup that Statuspage allows; it is not escaped, since a person wrote or approved it.
//
// # Concurrency, errors and cost
//
// A [Notifier] is safe for concurrent use. Errors are [*alert.Error]. Importing this package
// compiles alert, the module's HTTP path and golang.org/x/time/rate.
package statuspageio
