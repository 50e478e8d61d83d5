package railway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"go.acu.edu.au/runbook/internal/httpx"
)

// Budget keeps calls within Railway's limits: some calls a second, and on small
// plans only 1,000 an hour (https://docs.railway.com/integrations/api). It paces
// calls by the first, and reads how much is left of the second in every answer.
// Limits are by token, so clients with the same token share one. The zero value is
// ready to use. It must not be copied after first use, nor its fields changed.
type Budget struct {
	// PerSecond is how many calls are let out in a second. Zero means 5.
	PerSecond float64
	// MaxWait is how long a call may be held back when a limit was reached. If it
	// would take longer, it fails with [ErrRateLimited] and says how long. Zero
	// means 30 s.
	MaxWait time.Duration

	mu      sync.Mutex
	limiter *rate.Limiter
	stats   BudgetStats
}

// BudgetStats is what is known of a budget.
type BudgetStats struct {
	// Limit and Remaining are the calls of an hour, as Railway said last; both 0 if
	// it has not said yet.
	Limit, Remaining int
	// Reset is when the hour ends and Remaining is Limit again; zero if not known.
	Reset time.Time
	// Blocked is until when Railway, or the edge before it, rejects every call; zero
	// if it does not.
	Blocked time.Time
	// Calls is how many requests were let out.
	Calls int64
}

// Stats returns what is known.
func (b *Budget) Stats() BudgetStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	if !s.Blocked.After(time.Now()) {
		s.Blocked = time.Time{}
	}
	return s
}

func (b *Budget) maxWait() time.Duration {
	if b.MaxWait > 0 {
		return b.MaxWait
	}
	return 30 * time.Second
}

// edgeBlock is for how long calls are held back after the edge rejected one. It does
// not say for how long it will; asking on makes it longer.
const edgeBlock = 15 * time.Minute

// limitError is a call that was not let out.
type limitError struct {
	after time.Duration
	why   string
}

func (e *limitError) Error() string { return e.why }

// admit waits until a call may go out.
func (b *Budget) admit(ctx context.Context) error {
	b.mu.Lock()
	if b.limiter == nil {
		perSecond := b.PerSecond
		if perSecond <= 0 {
			perSecond = 5
		}
		b.limiter = rate.NewLimiter(rate.Limit(perSecond), int(math.Ceil(perSecond)))
	}
	limiter, blocked := b.limiter, time.Until(b.stats.Blocked)
	b.mu.Unlock()
	for ; blocked > 0; blocked = time.Until(b.Stats().Blocked) {
		if blocked > b.maxWait() {
			return &limitError{blocked, "held back, because a limit was reached before"}
		}
		if err := pause(ctx, blocked); err != nil {
			return err
		}
	}
	// Wait refuses if the deadline comes first, in words of its own.
	if err := limiter.Wait(ctx); err != nil {
		if ctx.Err() == nil {
			return fmt.Errorf("%w: the wait for the own limit of %g calls a second is longer", context.DeadlineExceeded, float64(limiter.Limit()))
		}
		return ctx.Err()
	}
	b.mu.Lock()
	b.stats.Calls++
	b.mu.Unlock()
	return nil
}

// take reads what an answer says of the limits.
func (b *Budget) take(h http.Header) {
	limit, okLimit := count(h, "X-RateLimit-Limit")
	remaining, okRemaining := count(h, "X-RateLimit-Remaining")
	if !okLimit && !okRemaining {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if okLimit {
		b.stats.Limit = limit
	}
	if okRemaining {
		b.stats.Remaining = remaining
	}
	if reset, ok := parseReset(h.Get("X-RateLimit-Reset"), time.Now()); ok {
		b.stats.Reset = earlier(reset, time.Now().Add(time.Hour)) // whatever the clocks show
	}
}

// longest is for how long calls are held back at most, whatever an answer says: the
// edge rejects them for up to a day.
const longest = 24 * time.Hour

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// retryAfterOf reads how long to wait.
func retryAfterOf(h http.Header) (time.Duration, bool) {
	wait, ok := httpx.RetryAfter(h)
	return min(wait, longest), ok
}

// block holds calls back for a while.
func (b *Budget) block(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := time.Now().Add(d); until.After(b.stats.Blocked) {
		b.stats.Blocked = until
	}
}

// unrun tells the HTTP path that a call that a limit rejected was not run, and when
// to try again; never, if that is too long.
func (b *Budget) unrun(resp *http.Response, body []byte) (time.Duration, bool) {
	if resp.StatusCode != http.StatusTooManyRequests {
		return 0, false
	}
	b.take(resp.Header) // the admission sees the answer after this
	wait, ok := retryAfterOf(resp.Header)
	switch {
	case isEdgeLimit(resp.Header, body):
		wait = max(wait, edgeBlock)
	case !ok:
		wait = time.Second
		if s := b.Stats(); s.Limit > 0 && s.Remaining == 0 && s.Reset.After(time.Now()) {
			wait = time.Until(s.Reset)
		}
	}
	b.block(wait)
	if wait > b.maxWait() {
		return -1, true
	}
	return wait, true
}

// isEdgeLimit reports whether a 429 is that of the edge, Cloudflare's "error code:
// 1015", and not Railway's own, which is JSON and says how much is left.
func isEdgeLimit(h http.Header, body []byte) bool {
	return h.Get("X-RateLimit-Limit") == "" && (bytes.Contains(body, []byte("1015")) || !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")))
}

func count(h http.Header, name string) (int, bool) {
	n, err := strconv.Atoi(h.Get(name))
	return n, err == nil && n >= 0
}

// parseReset reads when the hour ends. The form is not documented: seconds or
// milliseconds since 1970, seconds from now, and a date are all understood.
func parseReset(text string, now time.Time) (time.Time, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		switch {
		case n > 1e11:
			return time.UnixMilli(n), true
		case n > 1e8:
			return time.Unix(n, 0), true
		case n <= 24*3600:
			return now.Add(time.Duration(n) * time.Second), true
		}
		return time.Time{}, false
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, true
	}
	at, err := http.ParseTime(text)
	return at, err == nil
}

// admission is a transport that holds requests back.
type admission struct {
	b    *Budget
	next http.RoundTripper
}

func (a *admission) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := a.b.admit(req.Context()); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &httpx.Refusal{Err: err, After: -1}
	}
	resp, err := a.next.RoundTrip(req)
	if err == nil {
		a.b.take(resp.Header)
	}
	return resp, err
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
