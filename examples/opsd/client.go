package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// client asks a running opsd.
type client struct {
	base  string // "http://127.0.0.1:8787"
	token runbook.Secret
	http  *http.Client
}

// direct follows no redirect: a command would become a question by it, whose answer looks as
// if the command was carried out, and the token would go to somebody who was not named.
func direct() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// notRunning means that nothing answers there.
type notRunning struct {
	base string
	err  error
}

func (e *notRunning) Error() string {
	return "opsd: nothing answers at " + e.base + ": start it with opsd serve, or say where it is with -server"
}

func (e *notRunning) Unwrap() error { return e.err }

// get asks for something.
func (c *client) get(ctx context.Context, path string, into any) error {
	return c.do(ctx, http.MethodGet, path, nil, into)
}

// post gives a command.
func (c *client) post(ctx context.Context, path string, body, into any) error {
	return c.do(ctx, http.MethodPost, path, body, into)
}

// do makes one request, and never a second one: what may have happened is not done again.
func (c *client) do(ctx context.Context, method, path string, body, into any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return c.unknown(method, err)
	}
	switch to := into.(type) {
	case nil:
		// What answers anything else is another program, which has done nothing of it.
		if resp.StatusCode != http.StatusNoContent && !json.Valid(text) {
			return c.strange(method, errors.New("no JSON"))
		}
	case *string:
		*to = string(text)
	default:
		if err := json.Unmarshal(text, into); err != nil {
			return c.strange(method, err)
		}
	}
	return nil
}

// send makes a request, and returns the answer if it is no problem.
func (c *client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if method == http.MethodPost {
		if body == nil {
			body = struct{}{}
		}
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("opsd: %w", err)
		}
		content = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return nil, fmt.Errorf("opsd: -server: %q is no address such as http://127.0.0.1:8787", c.base)
	}
	if content != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if !c.token.IsZero() {
		r.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	resp, err := c.http.Do(r)
	if err != nil {
		e, connecting := errors.AsType[*net.OpError](err)
		connecting = connecting && e.Op == "dial"
		switch {
		case ctx.Err() != nil && (connecting || method == http.MethodGet):
			return nil, ctx.Err()
		case connecting:
			return nil, &notRunning{c.base, err}
		}
		return nil, c.unknown(method, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	if to, err := resp.Location(); err == nil && resp.StatusCode < 400 {
		return nil, fmt.Errorf("opsd: %s redirects to %s, and nothing was asked there: give that as -server", c.base, strings.TrimSuffix(to.Redacted(), path))
	}
	p := &httpapi.Problem{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(p); err != nil || p.Code == "" {
		if method != http.MethodGet && resp.StatusCode >= 500 { // of a proxy that waited for opsd
			return nil, c.unknown(method, fmt.Errorf("status %d", resp.StatusCode))
		}
		return nil, fmt.Errorf("opsd: %s answered with status %d, and is no opsd", c.base, resp.StatusCode)
	}
	p.Status = resp.StatusCode
	return nil, p
}

// errStrange means that what answered is no opsd, or one that is to be asked otherwise.
var errStrange = errors.New("it is not understood: is it an opsd of the same version?")

// strange says that what answered cannot be understood. Of a command it may have done what it
// was asked for, as an opsd of another version would.
func (c *client) strange(method string, err error) error {
	err = fmt.Errorf("opsd: what %s answered: %w %w", c.base, errStrange, err)
	if method == http.MethodGet {
		return err
	}
	return fmt.Errorf("%w; nobody knows whether it was done: look before you do it again: %w", err, incident.ErrOutcomeUnknown)
}

// unknown says that the answer to a request was lost.
func (c *client) unknown(method string, err error) error {
	if method == http.MethodGet {
		return fmt.Errorf("opsd: the answer of %s was lost: %w", c.base, err)
	}
	return fmt.Errorf("opsd: the answer of %s was lost, so that nobody knows whether it was done: look before you do it again: %w: %w", c.base, incident.ErrOutcomeUnknown, err)
}

// follow calls see with a run each time that it has changed, until it has ended or see
// returns false. It comes back by itself when the connection breaks.
func (c *client) follow(ctx context.Context, id string, see func(incident.Run) bool) error {
	revision := int64(-1)
	for tries := 0; ; {
		goes, err := c.hear(ctx, id, &revision, see)
		switch {
		case err == nil && !goes:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if p, ok := errors.AsType[*httpapi.Problem](err); ok && p.Status < 500 || errors.Is(err, errStrange) {
				return err
			}
			if tries++; tries > 30 {
				return fmt.Errorf("opsd: run %s goes on, and cannot be followed: %w", id, err)
			}
		default:
			tries = 0
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hear follows on one connection. It reports whether there is more to hear.
func (c *client) hear(ctx context.Context, id string, revision *int64, see func(incident.Run) bool) (bool, error) {
	path := "/api/v1/runs/" + url.PathEscape(id) + "/events"
	if *revision >= 0 {
		path += fmt.Sprintf("?revision=%d", *revision)
	}
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return false, nil
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	event, data := "", ""
	for lines.Scan() {
		switch field, value, _ := strings.Cut(lines.Text(), ":"); field {
		case "event":
			event = strings.TrimSpace(value)
		case "data":
			data += strings.TrimPrefix(value, " ")
		case "":
			if event == "run" {
				var run incident.Run
				if err := json.Unmarshal([]byte(data), &run); err != nil {
					return false, fmt.Errorf("opsd: a run of %s: %w %w", c.base, errStrange, err)
				}
				*revision = run.Revision
				if !see(run) {
					return false, nil
				}
			}
			if event == "end" {
				return false, nil
			}
			event, data = "", ""
		}
	}
	return true, lines.Err()
}
