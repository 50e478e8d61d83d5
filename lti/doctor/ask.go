package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// maxBody is how much of an answer is looked at.
const maxBody = 1 << 20

// An answer is what came of one request.
type answer struct {
	asked          string // method and address, for messages
	skip           string // why it was not asked
	sent, received time.Time
	failure        *netcheck.Finding // why there is no answer
	status         int
	header         http.Header
	body           []byte
	tooLarge       bool
}

// came reports whether there is an answer.
func (a *answer) came() bool { return a.skip == "" && a.failure == nil && a.status != 0 }

// ok reports whether there is an answer with a status of 200 to 299.
func (a *answer) ok() bool { return a.came() && a.status >= 200 && a.status <= 299 }

// took is how long the answer took, its body included.
func (a *answer) took() time.Duration { return a.received.Sub(a.sent) }

func skipped(format string, args ...any) answer { return answer{skip: fmt.Sprintf(format, args...)} }

// A request is what is asked.
type request struct {
	method, address string
	header          http.Header
	form            url.Values // of the query, or of the body of a POST
	platform        bool       // the address is one of the platform
}

// ask makes one request.
func (d *Doctor) ask(ctx context.Context, r request) answer {
	u, why := parse(r.address)
	if why != "" {
		return skipped("its address %s", why)
	}
	a := answer{asked: r.method + " " + httpcheck.Place(u)}
	body := io.Reader(nil)
	switch {
	case r.form != nil && r.method == http.MethodPost:
		body = strings.NewReader(r.form.Encode())
	case r.form != nil:
		q := u.Query()
		for name, values := range r.form {
			q[name] = values
		}
		u.RawQuery = q.Encode()
	}
	line := netcheck.NewTimeline(u.Hostname())
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, line.Trace()), r.method, u.String(), body)
	if err != nil {
		return skipped("the request cannot be made")
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", d.cfg.UserAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	a.sent = time.Now()
	client := d.http
	if r.platform {
		client = d.platform
	}
	resp, err := client.Do(req)
	if err != nil {
		return d.failed(ctx, line, a, err)
	}
	defer resp.Body.Close()
	line.Enter(netcheck.Body)
	a.status, a.header = resp.StatusCode, resp.Header
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1)); err != nil {
		return d.failed(ctx, line, a, err)
	}
	line.Finish()
	a.received = time.Now()
	a.tooLarge = len(a.body) > maxBody
	return a
}

// failed says why there is no answer.
func (d *Doctor) failed(ctx context.Context, line *netcheck.Timeline, a answer, err error) answer {
	if d.own != nil {
		d.http.CloseIdleConnections()
		d.platform.CloseIdleConnections()
	}
	if errors.Is(err, httpx.ErrPrivateAddress) {
		return skipped("the registration came from outside, and the address is not a public one")
	}
	f := httpcheck.Explain(ctx, line, err)
	a.failure, a.status, a.received = &f, 0, time.Now()
	return a
}

// parse reads an address that may be asked, or says what is wrong with it. The
// address is not shown: it may have a secret in its query.
func parse(address string) (u *url.URL, why string) {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return nil, "was not given"
	case strings.TrimSpace(address) != address:
		return nil, "has spaces around it"
	case err != nil:
		return nil, "cannot be parsed"
	case u.Hostname() == "" || u.Opaque != "":
		return nil, "is not of the form https://host/path"
	case u.User != nil || u.Fragment != "":
		return nil, "has a user or a fragment (#), which does not belong there"
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return nil, "is not https"
	}
	return u, ""
}

// eventually runs ask at once, and returns a func that waits for what it returns.
// A func of the host that does not end in time, or panics, is an error, and does
// not hold up the diagnosis.
func eventually[T any](ctx context.Context, limit time.Duration, ask func(context.Context) (T, error)) func() (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	ctx, cancel := context.WithTimeout(ctx, limit)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- result{err: errors.New("it panicked")}
			}
		}()
		v, err := ask(ctx)
		done <- result{v, err}
	}()
	return func() (T, error) {
		defer cancel()
		select {
		case r := <-done:
			return r.value, r.err
		case <-ctx.Done():
		}
		grace := time.NewTimer(250 * time.Millisecond) // what ends with ctx says more than ctx does
		defer grace.Stop()
		select {
		case r := <-done:
			return r.value, r.err
		case <-grace.C:
			var none T
			return none, ctx.Err()
		}
	}
}
