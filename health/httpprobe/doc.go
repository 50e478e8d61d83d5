// Package httpprobe asks one URL whether a service is well: its status code,
// what its JSON body says, how fast it answered, and how long its certificate
// is still valid.
//
//	warn, fail := 600.0, 1000.0
//	probe, err := httpprobe.New(httpprobe.Config{
//		URL:  "https://qa.example.com/health/metrics",
//		Auth: httpprobe.Auth{Bearer: token},
//		Assert: []httpprobe.Assertion{
//			{Path: ".status", Want: map[string]health.Status{"healthy": health.Healthy, "warming_up": health.Degraded}},
//		},
//		Extract: []httpprobe.Field{
//			{Path: ".active_sessions"},
//			{Path: ".memory_usage_mb", Unit: health.Megabytes, Limit: health.Limit{Warn: &warn, Fail: &fail}},
//			{Path: ".db.connections", Of: ".db.max_connections", Name: "db_connections_used"},
//		},
//		Latency: health.Budget{Warn: time.Second, Fail: 5 * time.Second},
//	})
//
// # Paths
//
// A path leads to a value in the JSON body. It is a small subset of jq's:
//
//	.                      the whole body
//	.status                a key of letters, digits and underscores
//	.canvas_details.status a key in an object in an object
//	.checks[0].name        an item of a list, counted from 0
//	.["a.b"]               any key, as a JSON string
//
// A key that an object holds twice has no certain value, and fails.
//
// # Measurements
//
// Every answer is measured, whether good or not: status_code; response_time,
// until the body was complete; dns, connect, tls, first_byte (from the request
// sent to the first byte of the answer) and transfer (from there on), all in
// milliseconds and summed over redirects; and for https certificate_expiry, in
// days. A phase that a failed probe did not finish is left out, and so is
// response_time if no complete answer came. Without a new connection or a name
// to resolve, those phases took 0 ms.
//
// # Results
//
// Whatever goes wrong has its own [health.Cause] and a message with the method,
// the URL without its query, what was expected and what was found. No message
// shows the body, except values at asserted paths and numbers of fields, of at
// most 100 characters. Rate limits (429, and Canvas' 403 with the text "Rate
// Limit Exceeded") are Degraded and not Unhealthy: they say something about
// the prober and nothing about the service. Where a failing status comes with
// JSON, it is measured and asserted too, so that the message tells the reason.
// A certificate that is not accepted has [health.CauseTLS]; one that expires
// soon, or has expired where Config.HTTP does not verify it,
// [health.CauseCertificate].
//
// What it does not do: it makes one attempt and never repeats it, runs no
// schedule, renders no pages, and reads no proxy from the environment. Set
// Config.HTTP for a proxy, another certificate authority, a client certificate
// or HTTP/2.
//
// A [Prober] is safe for concurrent use. Importing this package compiles health
// and the standard library with net/http.
package httpprobe
