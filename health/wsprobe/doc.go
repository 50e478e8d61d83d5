// Package wsprobe looks at one WebSocket endpoint: whether it shakes hands, and
// whether it says what it should.
//
//	prober, err := wsprobe.New(wsprobe.Config{
//		URL:     "wss://app.example.edu/ws/progress",
//		Bearer:  token,
//		Send:    `{"type":"ping"}`,
//		Want:    &wsprobe.Want{Contains: `"pong"`},
//		Latency: health.Budget{Warn: 500 * time.Millisecond},
//	})
//	if err != nil {
//		return err
//	}
//	result := prober.Probe(ctx) // or put it into a health.Check
//
// Four conversations can be had, by what is set:
//
//	Send  Want
//	 -     -     the handshake only
//	 set   -     an echo: the answer must be what was sent
//	 set   set   a question: the answer must be as wanted
//	 -     set   a greeting: the first message must be as wanted
//
// # What is found
//
// A server that answers the handshake with a plain HTTP status is named with
// it (a proxy that does not pass WebSockets on answers 200, 400, 404, 426 or
// 502); 401 and 403 are [health.CauseUnauthorized]. A server that hangs is told
// by when: during the handshake, or when the message was due. A connection
// that the server closed is named with its close code. What messages contain is
// not shown, since they may be private.
//
// # What it does not do
//
// It makes one attempt, follows no redirects (credentials could go elsewhere),
// negotiates no compression, and does not look at certificates beyond what TLS
// verifies; httpprobe measures their remaining days.
//
// Every probe opens one connection and closes it, with the closing handshake of
// RFC 6455 section 7 where the server joins in. Probes may run concurrently.
//
// Importing it compiles health, the module's root and coder/websocket.
package wsprobe
