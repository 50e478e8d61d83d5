package canvas

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"go.acu.edu.au/runbook/internal/httpx"
)

// isThrottled reports whether an answer is a rejection by the bucket: status
// 429, or 403 in the older form, and in either case without the cost that every
// request has that was run. The page view service answers 429 for reasons of its
// own, after Canvas has run the request (canvas-lms,
// app/controllers/page_views_controller.rb). The remaining value says nothing:
// on a rejection it is usually above zero.
func isThrottled(status int, h http.Header, body []byte) bool {
	if h.Get("X-Request-Cost") != "" {
		return false
	}
	text := string(body[:min(len(body), 1<<10)])
	switch status {
	case http.StatusTooManyRequests:
		return !strings.HasPrefix(strings.TrimSpace(text), `{"error":`)
	case http.StatusForbidden:
		return strings.Contains(text, "Rate Limit Exceeded")
	}
	return false
}

// rejectionWait returns how long to wait after a rejection that left remaining
// units: until the leak has made room for a reservation. With more than that
// remaining it was others' reservations that stood in the way, and they pass
// soon. A Retry-After that something between here and Canvas adds is honoured
// up to half a minute.
func rejectionWait(h http.Header) time.Duration {
	wait := time.Second
	if remaining, ok := remainingUnits(h); ok {
		wait = time.Duration(max(0, upFront-remaining) / outflow * float64(time.Second))
	}
	wait += 50*time.Millisecond + rand.N(250*time.Millisecond)
	if after, ok := httpx.RetryAfter(h); ok {
		wait = max(wait, min(after, 30*time.Second))
	}
	return wait
}
