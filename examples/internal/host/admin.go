package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/httpx"
)

// admin calls the endpoints of the application that change something. Both may be called
// again: twice is the same as once.
type admin struct {
	base  string
	token runbook.Secret
	http  *httpx.Client
}

func newAdmin(c Connection) admin {
	return admin{strings.TrimSuffix(c.Application, "/"), c.Token, httpx.New(httpx.Config{HTTP: c.HTTP, UserAgent: "runbook-host"})}
}

// EndSessions implements [incident.Sessions].
func (a admin) EndSessions(ctx context.Context) (int, error) {
	return a.post(ctx, "end all sessions", "/admin/force-logout-all", "ended")
}

// PurgeExpired implements [incident.Nonces].
func (a admin) PurgeExpired(ctx context.Context) (int, error) {
	return a.post(ctx, "remove expired nonces", "/admin/purge-nonces", "purged")
}

// post calls an endpoint, and returns the number of that name in the answer, -1 if it has
// none.
func (a admin) post(ctx context.Context, op, path, count string) (int, error) {
	fail := func(err error) (int, error) { return 0, fmt.Errorf("host: %s: %w", op, err) }
	u, err := url.Parse(a.base + path)
	if err != nil {
		return fail(errors.New("the address of the application is not one"))
	}
	header := http.Header{"Authorization": {"Bearer " + a.token.Reveal()}, "Accept": {"application/json"}}
	resp, err := a.http.Do(ctx, httpx.Call{Op: op, Method: http.MethodPost, URL: u, Header: header, Idempotent: true})
	switch {
	case err != nil && !runbook.SafeToRetry(err):
		return fail(fmt.Errorf("%w: %w", incident.ErrOutcomeUnknown, err))
	case err != nil:
		return fail(err)
	case resp.Status == http.StatusUnauthorized || resp.Status == http.StatusForbidden:
		return fail(fmt.Errorf("status %d: %w", resp.Status, incident.ErrNotPermitted))
	case resp.Status >= 500:
		return fail(fmt.Errorf("status %d: %w", resp.Status, incident.ErrOutcomeUnknown))
	case resp.Status >= 300:
		return fail(fmt.Errorf("status %d, and nothing was done", resp.Status))
	}
	var answer map[string]json.RawMessage
	n := -1
	if json.Unmarshal(resp.Body, &answer) != nil || json.Unmarshal(answer[count], &n) != nil {
		return -1, nil // it was done, and not told how often
	}
	return n, nil
}
