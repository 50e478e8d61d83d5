// Package httpx is the one way in which the module calls providers: Canvas,
// an LTI platform, Railway, the services that notify people. It is
// hashicorp/go-retryablehttp under a policy of our own:
//
//   - A read (GET, HEAD, or a call that its caller marks as idempotent) is
//     repeated after a network error, after 500, 502, 503 or 504, and after 429
//     with Retry-After: a few times, after a wait of full jitter, and within
//     the deadline of the caller.
//   - Any other call is repeated only if it is proven that the server did not
//     run it: no connection came about, the admission of the host refused it,
//     or the provider's own rule ([Config].Unrun) reads that in the answer.
//
// Where nothing may be changed (see runbook.ReadOnly), a call that is no read is refused
// before anything is sent, also one that is idempotent.
//
// net/http repeats requests too, out of sight of the admission. Over HTTP/2,
// where it does so again and again, and with mutations, it is stopped. Over
// HTTP/1 it sends a read once more if a kept connection breaks, and a mutation
// if nothing of it was written.
//
// An [*Error] says which of three things happened: the server said no (Status
// is not 0), the server could not be asked (SafeToRetry is true), or it is not
// known whether the call had an effect. [Response.Unrun] says the last for
// answers. Both speak of the whole call and not of its last attempt.
//
// Answers are read whole, up to a limit, as a part of the attempt: an answer
// that breaks off half way is a failed attempt and never a short body.
// Redirects are followed for reads only and only within the origin of the
// call, cookies are neither kept nor sent, and nothing is logged.
package httpx
