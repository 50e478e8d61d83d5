// Package wsprobe looks at one WebSocket endpoint: whether it shakes hands, and
// whether it says what it should.
//
//	prober, err := wsprobe.New(wsprobe.Config{
//		URL:     "wss://app.example.edu/ws/progress",
//		Auth:    httpprobe.Auth{Bearer: token},
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
// # Results
//
// Whatever goes wrong has its own [health.Cause] and a message with the URL
// without its query, what was expected and what came. A server that answers the
// handshake with a plain HTTP status is named with it (a proxy that does not
// pass WebSockets on answers 200, 400, 404, 426 or 502); 401 and 403 are
// [health.CauseUnauthorized], and 429, which says something about the prober, is
// Degraded. A server that hangs is told by when: in which phase of the
// handshake, or when the message was due. A connection that the server closed is
// named with its close code. What messages contain is not shown, since they may
// be private; the reason of a close is.
//
// What it does not do: it makes one attempt and never repeats it, follows no
// redirects (credentials could go elsewhere), negotiates no compression, sends
// no binary messages, and reads no proxy from the environment. Set Config.HTTP
// for a proxy or another certificate authority.
//
// Every probe opens one connection and closes it, with the closing handshake of
// RFC 6455, section 7, where the server joins in within a second.
//
// A [Prober] is safe for concurrent use. Importing this package compiles health,
// httpprobe for its Auth, the module's root, net/http and coder/websocket.
package wsprobe
