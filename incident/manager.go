package incident

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// A Manager opens incidents, and changes them as alerts and people say. It is the target
// of an alert.Router: alerts become incidents by its bindings, one incident for what
// belongs together, however many processes share the store. Make one with [NewManager].
// All methods are safe for concurrent use.
//
//	manager, err := incident.NewManager(incident.ManagerConfig{
//		Store:    store,
//		SLAs:     incident.DefaultSLAs(business),
//		Bindings: []incident.Binding{
//			{Name: "application-down", Match: down, Severity: alert.Critical, Playbook: "application-down"},
//		},
//	})
//	...
//	router, err := alert.NewRouter(alert.RouterConfig{
//		Targets: []alert.Target{{Name: "incidents", Notifier: manager, RemindAfter: -1}, …},
//		…
//	})
//	...
//	err = manager.Start(ctx)
//
// Whatever changes an incident puts that on its timeline in the same write, and what a
// person does on the audit record as well. A change is made to what the incident is at
// that moment: of several at a time none is lost.
//
// The errors of commands are of three kinds. [ErrState], [ErrNotFound] and [ErrTaken] say
// no. An error for which runbook.SafeToRetry is true means that the store could not be
// asked, and that nothing was changed. One that is [ErrOutcomeUnknown] means that nobody
// knows: read the incident.
type Manager struct {
	cfg  ManagerConfig
	slas [alert.Low + 1]SLA

	mu      sync.Mutex
	unbound []alert.Alert
	stop    context.CancelFunc
	stopped chan struct{}
}

var _ alert.Notifier = (*Manager)(nil)

// ManagerConfig says what a [Manager] works with. See [NewManager].
type ManagerConfig struct {
	// Store keeps the incidents. Required.
	Store Store
	// Bindings say which alerts become incidents, the first that matches. None means that
	// people open them.
	Bindings []Binding
	// SLAs are the times for each severity. A severity that is left out has those of
	// [DefaultSLAs] without a calendar.
	SLAs map[alert.Severity]SLA
	// AckFor is how long an acknowledgement counts if nobody says how long. After that the
	// incident is triggered again. Zero means that it does not expire.
	AckFor time.Duration
	// ReopenWithin is for how long after an incident was closed the same thing, when it
	// fires again, reopens it. After that it is another incident. Zero means 30 minutes; a
	// negative value means that nothing is reopened by alerts.
	ReopenWithin time.Duration
	// AutoResolve resolves an incident when the last of its alerts has ended. Else that is
	// put on the timeline, and a person resolves it.
	AutoResolve bool

	// Escalator calls people until one takes care. Nil means that nobody is called.
	Escalator IncidentEscalator
	// Acknowledger is told that alerts are taken care of when their incident is:
	// *alert.Router is one. Nil means that nobody is told.
	Acknowledger Acknowledger
	// Poster tells people how far an incident is: *alert.Router is one. Nil means that
	// updates are recorded only, and that whoever writes them tells people.
	Poster Poster
	// Ticketer keeps tickets. Nil means that [Manager.OpenTicket] is not supported.
	Ticketer Ticketer
	// Remind tells people of a deadline: when half of its time, and four fifths, have passed,
	// when its last day begins, and when it was missed, once each. After an error, and after a
	// crash, it is called again a minute later, by one process at a time, so that people are
	// told twice rather than not. Whom it tells is up to the host: a breach is not for all.
	// It has 20 s, with all else that follows from a change. Nil means that marks are on the
	// timeline, in the hooks and in the log only.
	Remind func(ctx context.Context, r Reminder) error
	// Hooks are told of what happens.
	Hooks ManagerHooks

	// IDs is what the names of incidents begin with. Empty means "INC", and the first of
	// 2026 is INC-2026-0001. The year is that in which it was opened, in Zone.
	IDs string
	// Zone is the zone of times in texts. Nil means UTC.
	Zone *time.Location
	// Every is how often [Manager.Tick] is called after [Manager.Start]. Zero means 15 s.
	Every time.Duration
	// Logger is told what goes wrong. Nil means slog.Default().
	Logger *slog.Logger
}

// ManagerHooks are told what happens to incidents. A nil func is not called. They are
// called without a lock held and must not block. A panic is logged.
type ManagerHooks struct {
	// OnOpened is called when an alert has opened an incident, with the binding by which it
	// did: to begin what is automatic. It is called again only if the process ended before
	// it returned, a minute later, and perhaps by another process: by one at a time. It is
	// not called for an incident that is reopened, or that a person opened.
	OnOpened func(ctx context.Context, i Incident, b Binding)
	// OnReopened is called in the same way each time that an alert has reopened an
	// incident: what was done about it has not lasted. It is not called for one that a
	// person reopened. If it was reopened again before it could be called, it is called once.
	OnReopened func(ctx context.Context, i Incident, b Binding)
	// OnChanged is called after each change, with what was put on the timeline.
	OnChanged func(ctx context.Context, i Incident, entries []Entry)
	// OnClock is called when half, four fifths or all of the time of a clock has passed.
	OnClock func(ctx context.Context, i Incident, c Clock)
}

// Acknowledger takes acknowledgements of alerts: *alert.Router.
type Acknowledger interface {
	// Acknowledge says that somebody takes care of an alert. The error wraps
	// alert.ErrNoAlert if no such alert fires. After any other error, and after a crash,
	// it is called again with the same acknowledgement.
	Acknowledge(ctx context.Context, key string, ack alert.Acknowledgement) error
}

// Poster tells people what somebody wrote for them: *alert.Router.
type Poster interface {
	// Post takes a post that will be told to the targets that are named, or to all for
	// everyone. Posts of one ID are one thread. It need not wait until it was told.
	Post(ctx context.Context, p alert.Post, targets ...string) error
}

// IncidentEscalator calls people about incidents until one takes care. Methods may be
// called concurrently. Each may be called again, after a crash or by several processes at
// a time, and does nothing then. After an error it is called again by [Manager.Tick];
// [ErrStale] means that the run has ended, so that nobody is called any more, which is put
// on the timeline.
type IncidentEscalator interface {
	// Begin begins to call people about an incident, and returns the run that does so. Two
	// calls for an incident with the same ID and the same Reopens are one escalation, even
	// if the rest of the incident has changed in between. An empty runID without an error
	// means that nobody is to be called: it is asked again when the incident is reopened.
	Begin(ctx context.Context, i Incident) (runID string, err error)
	// RunOf returns the ID of the run of an incident that Begin returns, or would, without
	// asking anybody: by it the run is told what happens if the process ended after Begin and
	// before that was recorded. The methods that follow return [ErrNotFound] for a run that
	// has not begun.
	RunOf(i Incident) string
	// Acknowledged says that somebody takes care, and who. It is called for each person who
	// does, and again if one says so again.
	Acknowledged(ctx context.Context, runID, by string) error
	// Unacknowledged says that nobody does any more.
	Unacknowledged(ctx context.Context, runID string) error
	// Worse says that the incident is more severe than was said before, and who said so.
	Worse(ctx context.Context, runID string, severity alert.Severity, by string) error
	// Ended says that the incident is over. It is no error if the run is.
	Ended(ctx context.Context, runID string) error
}

// ErrState means that something cannot be done to an incident in the state in which it is.
// Nothing was changed. The error says which state that is, and what is possible.
var ErrState = errors.New("not possible in this state")

var isPrefix = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,19}$`)

// NewManager returns a Manager, or all problems of cfg.
func NewManager(cfg ManagerConfig) (*Manager, error) {
	var problems []error
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("incident: manager: "+format, args...))
		}
	}
	bad(cfg.Store == nil, "Store is missing")
	bad(cfg.AckFor < 0, "AckFor %v is negative", cfg.AckFor)
	bad(cfg.Every < 0, "Every %v is negative", cfg.Every)
	if cfg.IDs == "" {
		cfg.IDs = "INC"
	}
	bad(!isPrefix.MatchString(cfg.IDs), "IDs %q must be a letter and up to 19 letters and digits", cfg.IDs)
	problems = append(problems, checkBindings(cfg.Bindings)...)
	m := &Manager{}
	slas := DefaultSLAs(nil)
	maps.Copy(slas, cfg.SLAs)
	for _, severity := range slices.Sorted(maps.Keys(slas)) {
		bad(!isSeverity(severity), "SLAs: severity %d is not one from 1, critical, to 4, low", uint8(severity))
		if err := slas[severity].Validate(); err != nil {
			bad(true, "SLAs: %s: %w", severity, err)
		}
		if isSeverity(severity) {
			m.slas[severity] = slas[severity]
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if cfg.ReopenWithin == 0 {
		cfg.ReopenWithin = 30 * time.Minute
	}
	if cfg.Every == 0 {
		cfg.Every = 15 * time.Second
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.Bindings = cloneBindings(cfg.Bindings)
	m.cfg = cfg
	return m, nil
}

// sla returns the times of a severity.
func (m *Manager) sla(s alert.Severity) SLA { return m.slas[WorseSeverity(s)] }
