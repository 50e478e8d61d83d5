package railwaytest

import (
	"context"
	"errors"
	"time"
)

// streams are the root fields of subscriptions.
func (s *Server) streams() map[string]stream {
	return map[string]stream{
		"deployment": watchDeployment, "deploymentEvents": watchDeploymentEvents, "environmentStagedPatch": watchStaged,
		"deploymentLogs":  watchLogs(func(d *deployment) []*line { return d.logs }),
		"buildLogs":       watchLogs(func(d *deployment) []*line { return d.buildLogs }),
		"environmentLogs": watchEnvironmentLogs, "httpLogs": watchHTTPLogs,
	}
}

// errComplete completes a subscription, as Railway does with one of a deployment
// that it has not registered yet.
var errComplete = errors.New("complete")

// watchDeployment follows a deployment: it sends what it is, and each change of it.
func watchDeployment(ctx context.Context, s *Server, t *token, a args, send func(any) error) error {
	var last object
	return s.follow(ctx, t, func(r *request) ([]any, error) {
		w, d, err := r.deployment(a.text("id"))
		if err != nil {
			return nil, err
		}
		if d.listed.After(w.now) {
			return nil, errComplete
		}
		now := w.deploymentObject(d)
		if last != nil && last["updatedAt"] == now["updatedAt"] && last["status"] == now["status"] {
			return nil, nil
		}
		last = now
		return []any{now}, nil
	}, send)
}

func watchDeploymentEvents(ctx context.Context, s *Server, t *token, a args, send func(any) error) error {
	sent := make(map[string]time.Time)
	return s.follow(ctx, t, func(r *request) (values []any, err error) {
		_, d, err := r.deployment(a.text("id"))
		if err != nil {
			return nil, err
		}
		for _, e := range d.events {
			if at, ok := sent[e.id]; !ok || at != e.completed {
				sent[e.id] = e.completed
				values = append(values, e.object())
			}
		}
		return values, nil
	}, send)
}

// follow sends what look finds, now and whenever something may have changed.
func (s *Server) follow(ctx context.Context, t *token, look func(r *request) ([]any, error), send func(any) error) error {
	for {
		changed := s.watch()
		var values []any
		var err error
		wait := time.Second
		s.step(func(now time.Time) {
			r := &request{s: s, token: t, now: now}
			values, err = look(r)
			wait = s.world.pending(wait)
		})
		if errors.Is(err, errComplete) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, v := range values {
			if err := send(v); err != nil {
				return err
			}
		}
		if err := s.wait(ctx, changed, wait); err != nil {
			return err
		}
	}
}

// watchLogs follows a log of a deployment: the last lines first, and then each new
// one. Whoever comes back gets the last ones again.
func watchLogs(of func(d *deployment) []*line) stream {
	return func(ctx context.Context, s *Server, t *token, a args, send func(any) error) error {
		sent, first := make(map[*line]bool), true
		return s.follow(ctx, t, func(r *request) ([]any, error) {
			w, d, err := r.deployment(a.text("deploymentId"))
			if err != nil {
				return nil, err
			}
			if d.listed.After(w.now) {
				return nil, errComplete
			}
			lines, err := w.chosen(of(d), a.text("filter"))
			if err != nil {
				return nil, err
			}
			if first {
				first = false
				begin := max(0, len(lines)-a.number("limit", 100)-1)
				for _, l := range lines[:begin] { // what is older is not sent later
					sent[l] = true
				}
			}
			return unsent(lines, sent), nil
		}, send)
	}
}

// unsent are the lines that were not sent yet, as one message; none if there are
// none.
func unsent(lines []*line, sent map[*line]bool) []any {
	var fresh []*line
	for _, l := range lines {
		if !sent[l] {
			sent[l] = true
			fresh = append(fresh, l)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return []any{shown(fresh)}
}

func watchEnvironmentLogs(ctx context.Context, s *Server, t *token, a args, send func(any) error) error {
	return s.followAround(ctx, t, a, send, func(r *request) (*world, []*line, error) {
		w, e, err := r.env(a.text("environmentId"))
		if err != nil {
			return nil, nil, err
		}
		return w, e.lines(), nil
	})
}

func watchHTTPLogs(ctx context.Context, s *Server, t *token, a args, send func(any) error) error {
	return s.followAround(ctx, t, a, send, func(r *request) (*world, []*line, error) {
		w, d, err := r.deployment(a.text("deploymentId"))
		if err != nil {
			return nil, nil, err
		}
		if d.listed.After(w.now) {
			return nil, nil, errComplete
		}
		return w, d.requests, nil
	})
}

// followAround follows lines: those that a query with the same arguments returns,
// and then each new one that is later than beforeDate.
func (s *Server) followAround(ctx context.Context, t *token, a args, send func(any) error, all func(r *request) (*world, []*line, error)) error {
	sent := make(map[*line]bool)
	first := true
	return s.follow(ctx, t, func(r *request) ([]any, error) {
		w, lines, err := all(r)
		if err != nil {
			return nil, err
		}
		if first {
			first = false
			begin, err := w.around(lines, a)
			if err != nil {
				return nil, err
			}
			values := unsent(begin, sent)
			for _, l := range lines { // what is older is not sent later
				sent[l] = true
			}
			return values, nil
		}
		lines, err = w.chosen(lines, a.text("filter"))
		return unsent(lines, sent), err
	}, send)
}

// watchStaged sends what is staged, and each change of it.
func watchStaged(ctx context.Context, s *Server, t *token, a args, send func(any) error) error {
	last := ""
	return s.follow(ctx, t, func(r *request) ([]any, error) {
		w, e, err := r.env(a.text("environmentId"))
		if err != nil {
			return nil, err
		}
		p := w.stagedNow(e)
		if now := p.id + p.status + etag(p.tree); now != last {
			last = now
			return []any{p.object()}, nil
		}
		return nil, nil
	}, send)
}
