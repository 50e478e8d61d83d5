package usage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"time"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/incident"
)

// AuditLogConfig says which logs are read.
type AuditLogConfig struct {
	// Client calls Canvas as somebody who may view the logs. Required.
	Client *canvas.Client
	// Account is the account whose events are read. Empty means canvas.Self.
	Account canvas.Ref
}

// AuditLog reads Canvas's logs of logins and of changes of courses, which Canvas
// keeps for a year, and, if a query names them, the page views of a user. It
// implements incident.AuditLog and is safe for concurrent use. Changes of grades
// are not in it: Canvas has them by course, student or grader only; see
// canvas.Client.GradeChanges.
type AuditLog struct{ cfg AuditLogConfig }

var _ incident.AuditLog = (*AuditLog)(nil)

// NewAuditLog returns an AuditLog, or what is wrong with cfg.
func NewAuditLog(cfg AuditLogConfig) (*AuditLog, error) {
	if cfg.Client == nil {
		return nil, errors.New("usage: audit log: Client is required")
	}
	if cfg.Account == "" {
		cfg.Account = canvas.Self
	}
	return &AuditLog{cfg}, nil
}

// AuditEvents implements incident.AuditLog. An Actor is the id of a user.
func (l *AuditLog) AuditEvents(ctx context.Context, q incident.AuditQuery) iter.Seq2[incident.AuditEvent, error] {
	return func(yield func(incident.AuditEvent, error) bool) {
		if err := q.Validate(); err != nil {
			yield(incident.AuditEvent{}, err)
			return
		}
		if q.To.IsZero() {
			q.To = time.Now()
		}
		var logs []iter.Seq2[incident.AuditEvent, error]
		if q.Wants(incident.AuditAuthentication) {
			logs = append(logs, l.logins(ctx, q))
		}
		if q.Wants(incident.AuditChange) {
			logs = append(logs, l.changes(ctx, q))
		}
		if q.Wants(incident.AuditRequest) {
			logs = append(logs, l.requests(ctx, q))
		}
		for e, err := range merged(logs) {
			if err != nil {
				yield(incident.AuditEvent{}, portError(err))
				return
			}
			if e.Time.Before(q.From) || !e.Time.Before(q.To) || q.Actor != "" && q.Actor != e.Actor && e.Kind != incident.AuditRequest {
				continue
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func portError(err error) error {
	switch {
	case errors.Is(err, canvas.ErrNotFound):
		return fmt.Errorf("usage: audit log: %w: %w", incident.ErrNotFound, err)
	case errors.Is(err, canvas.ErrForbidden), errors.Is(err, canvas.ErrScope):
		return fmt.Errorf("usage: audit log: %w: %w", incident.ErrNotPermitted, err)
	}
	return fmt.Errorf("usage: audit log: %w", err)
}

func (l *AuditLog) logins(ctx context.Context, q incident.AuditQuery) iter.Seq2[incident.AuditEvent, error] {
	ask := canvas.AuditQuery{Account: l.cfg.Account, From: q.From, To: q.To}
	if q.Actor != "" {
		ask.Account, ask.User = "", canvas.Ref(q.Actor)
	}
	return mapped(l.cfg.Client.AuthenticationEvents(ctx, ask), func(e canvas.AuthenticationEvent) incident.AuditEvent {
		out := incident.AuditEvent{ID: e.ID, Time: e.CreatedAt, Kind: incident.AuditAuthentication, Action: e.Type, Actor: actor(e.UserID)}
		out.Address, out.Agent = origin(e.PageView)
		return out
	})
}

func (l *AuditLog) changes(ctx context.Context, q incident.AuditQuery) iter.Seq2[incident.AuditEvent, error] {
	ask := canvas.AuditQuery{Account: l.cfg.Account, From: q.From, To: q.To}
	return mapped(l.cfg.Client.CourseEvents(ctx, ask), func(e canvas.CourseEvent) incident.AuditEvent {
		out := incident.AuditEvent{
			ID: e.ID, Time: e.CreatedAt, Kind: incident.AuditChange, Action: e.Type, Actor: actor(e.UserID), Object: "course " + e.CourseID.String(), Source: e.Source,
		}
		out.Address, out.Agent = origin(e.PageView)
		return out
	})
}

// requests are the page views of a user, also those of somebody who acted as that user:
// the Actor is who really did.
func (l *AuditLog) requests(ctx context.Context, q incident.AuditQuery) iter.Seq2[incident.AuditEvent, error] {
	return mapped(l.cfg.Client.PageViews(ctx, canvas.Ref(q.Actor), q.From, q.To), func(v canvas.PageView) incident.AuditEvent {
		out := incident.AuditEvent{
			ID: v.ID, Kind: incident.AuditRequest, Action: v.Method, Actor: actor(v.Links.RealUser.Or(v.Links.User)), Source: v.AppName.Or(""), Object: path(v.URL),
			Address: v.RemoteIP.Or(""), Agent: v.UserAgent.Or(""),
		}
		if at, ok := v.CreatedAt.Get(); ok {
			out.Time = at.Time
		}
		return out
	})
}

// path is what of an address was asked for, without the query, in which there may be more
// than is to be kept.
func path(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Path
}

func actor(id canvas.ID) string {
	if id == 0 {
		return ""
	}
	return id.String()
}

func origin(view canvas.Null[canvas.PageView]) (address, agent string) {
	v, ok := view.Get()
	if !ok {
		return "", ""
	}
	return v.RemoteIP.Or(""), v.UserAgent.Or("")
}

func mapped[A, B any](seq iter.Seq2[A, error], convert func(A) B) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		for a, err := range seq {
			var b B
			if err == nil {
				b = convert(a)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// merged returns the events of several logs, the newest first, as each of them
// has it.
func merged(logs []iter.Seq2[incident.AuditEvent, error]) iter.Seq2[incident.AuditEvent, error] {
	return func(yield func(incident.AuditEvent, error) bool) {
		type source struct {
			next func() (incident.AuditEvent, error, bool)
			head incident.AuditEvent
			more bool
		}
		sources := make([]source, len(logs))
		advance := func(s *source) error {
			var err error
			s.head, err, s.more = s.next()
			return err
		}
		for i, log := range logs {
			next, stop := iter.Pull2(log)
			defer stop()
			sources[i].next = next
			if err := advance(&sources[i]); err != nil {
				yield(incident.AuditEvent{}, err)
				return
			}
		}
		for {
			var newest *source
			for i := range sources {
				if s := &sources[i]; s.more && (newest == nil || s.head.Time.After(newest.head.Time)) {
					newest = s
				}
			}
			if newest == nil || !yield(newest.head, nil) {
				return
			}
			if err := advance(newest); err != nil {
				yield(incident.AuditEvent{}, err)
				return
			}
		}
	}
}
