package incident_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// managerCase is a manager with all that it talks to.
type managerCase struct {
	manager   *incident.Manager
	cfg       incident.ManagerConfig
	store     incident.Store
	escalator *fakeEscalator
	acks      *fakeAcks
}

// newCase returns a manager. What cfg lacks is filled in: a store, and a binding for each
// rule that has no other.
func newCase(t testing.TB, cfg incident.ManagerConfig) *managerCase {
	t.Helper()
	c := &managerCase{escalator: &fakeEscalator{}, acks: &fakeAcks{}}
	if cfg.Store == nil {
		cfg.Store = &incident.MemoryStore{}
	}
	if cfg.Bindings == nil {
		cfg.Bindings = []incident.Binding{{Name: "any", Match: alert.Matcher{Environments: []string{"production"}}}}
	}
	if cfg.Escalator == nil {
		cfg.Escalator = c.escalator
	}
	if cfg.Acknowledger == nil {
		cfg.Acknowledger = c.acks
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	c.cfg, c.store = cfg, cfg.Store
	c.manager = c.another(t)
	return c
}

// another returns one more manager with the same configuration: another process.
func (c *managerCase) another(t testing.TB) *incident.Manager {
	t.Helper()
	m, err := incident.NewManager(c.cfg)
	require.NoError(t, err)
	return m
}

// open opens an incident by hand.
func (c *managerCase) open(t testing.TB, s alert.Severity) incident.Incident {
	t.Helper()
	inc, err := c.manager.Open(t.Context(), incident.Opening{By: "ana", Title: "the application is slow", Environment: "production", Severity: s})
	require.NoError(t, err)
	return inc
}

// read returns an incident.
func (c *managerCase) read(t testing.TB, id string) incident.Incident {
	t.Helper()
	inc, err := c.manager.Incident(t.Context(), id)
	require.NoError(t, err)
	return inc
}

// timeline returns the timeline of an incident, which is whole.
func (c *managerCase) timeline(t testing.TB, id string) []incident.Entry {
	t.Helper()
	return c.chain(t, "incident/"+id)
}

func (c *managerCase) chain(t testing.TB, chain string) []incident.Entry {
	t.Helper()
	var list []incident.Entry
	_, err := incident.VerifyChain(func(yield func(incident.Entry, error) bool) {
		for e, err := range c.store.Entries(t.Context(), chain, 0) {
			list = append(list, e)
			if !yield(e, err) {
				return
			}
		}
	})
	require.NoError(t, err)
	return list
}

// texts returns what is on the timeline.
func (c *managerCase) texts(t testing.TB, id string) []string {
	t.Helper()
	var list []string
	for _, e := range c.timeline(t, id) {
		list = append(list, e.Text)
	}
	return list
}

// kinds returns the kinds of the entries of the timeline.
func (c *managerCase) kinds(t testing.TB, id string) []string {
	t.Helper()
	var list []string
	for _, e := range c.timeline(t, id) {
		list = append(list, e.Kind)
	}
	return list
}

// all returns all incidents, the oldest first.
func (c *managerCase) all(t testing.TB) []incident.Incident {
	t.Helper()
	var list []incident.Incident
	for inc, err := range c.manager.Incidents(t.Context(), incident.IncidentQuery{}) {
		require.NoError(t, err)
		list = append(list, inc)
	}
	slices.SortFunc(list, func(a, b incident.Incident) int { return a.Opened.Compare(b.Opened) })
	return list
}

// notify tells the manager of a notification.
func (c *managerCase) notify(t testing.TB, n alert.Notification) alert.Receipt {
	t.Helper()
	r, err := c.manager.Notify(t.Context(), n)
	require.NoError(t, err)
	return r
}

// firing returns an alert of a rule of production that fires since a moment.
func firing(rule string, severity alert.Severity, fired time.Time) alert.Alert {
	return alert.Alert{
		Key: alert.Key(rule, "production", "app", alert.Failing), Rule: rule, Environment: "production", Entity: "app", Severity: severity,
		Summary: rule + " is too high", State: alert.Firing, Began: fired.Add(-time.Minute), Fired: fired,
	}
}

// over returns the end of an alert.
func over(a alert.Alert, ended time.Time) alert.Alert {
	a.State, a.Ended = alert.Resolved, ended
	return a
}

// conversation makes notifications as a router does: each of the same key with the next
// number and the last receipt.
type conversation struct {
	key   string
	seq   int
	prior alert.Receipt
}

func (v *conversation) say(t testing.TB, m *incident.Manager, kind alert.Kind, alerts ...alert.Alert) alert.Notification {
	t.Helper()
	v.seq++
	n := alert.Notification{Key: v.key, Seq: v.seq, Kind: kind, At: time.Now(), Alerts: alerts, Prior: v.prior, Title: "title", Text: "text"}
	r, err := m.Notify(t.Context(), n)
	require.NoError(t, err)
	v.prior = r
	return n
}

// fakeEscalator notes what it is told.
type fakeEscalator struct {
	mu   sync.Mutex
	said []string
	errs []error
	none bool            // no policy is for it
	runs map[string]bool // that have begun
}

func (f *fakeEscalator) say(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		if err != nil {
			return err
		}
	}
	f.said = append(f.said, fmt.Sprintf(format, args...))
	return nil
}

// take returns what was said since it was asked last.
func (f *fakeEscalator) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	said := f.said
	f.said = nil
	return said
}

func (f *fakeEscalator) Begin(_ context.Context, i incident.Incident) (string, error) {
	if f.none {
		return "", f.say("begin nothing")
	}
	run := f.RunOf(i)
	if err := f.say("begin %s", run); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runs == nil {
		f.runs = make(map[string]bool)
	}
	f.runs[run] = true
	return run, nil
}

func (f *fakeEscalator) RunOf(i incident.Incident) string {
	return fmt.Sprintf("escalation-%s-%d", i.ID, i.Reopens)
}

// tell notes what a run is told, if there is such a run.
func (f *fakeEscalator) tell(run, format string, args ...any) error {
	f.mu.Lock()
	begun := f.runs[run]
	f.mu.Unlock()
	if !begun {
		return incident.ErrNotFound
	}
	return f.say(format, args...)
}

func (f *fakeEscalator) Acknowledged(_ context.Context, run, by string) error {
	return f.tell(run, "acknowledged %s by %s", run, by)
}

func (f *fakeEscalator) Unacknowledged(_ context.Context, run string) error {
	return f.tell(run, "unacknowledged %s", run)
}

func (f *fakeEscalator) Worse(_ context.Context, run string, s alert.Severity, by string) error {
	return f.tell(run, "worse %s: %s, says %s", run, s, by)
}

func (f *fakeEscalator) Ended(_ context.Context, run string) error {
	return f.tell(run, "ended %s", run)
}

// fakeAcks notes which alerts are acknowledged.
type fakeAcks struct {
	mu   sync.Mutex
	said []string
	errs []error
}

func (f *fakeAcks) Acknowledge(_ context.Context, key string, ack alert.Acknowledgement) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		if err != nil {
			return err
		}
	}
	f.said = append(f.said, ack.By+" "+key)
	return nil
}

// faultyStore is a store whose commits fail.
type faultyStore struct {
	incident.Store
	mu     sync.Mutex
	before []error // nothing is written
	after  []error // it is written, and the answer is lost
	slow   time.Duration
}

// Documents takes its time with each document, which others may change meanwhile.
func (s *faultyStore) Documents(ctx context.Context, q incident.DocumentQuery) iter.Seq2[incident.Document, error] {
	return func(yield func(incident.Document, error) bool) {
		for doc, err := range s.Store.Documents(ctx, q) {
			time.Sleep(s.slow)
			if !yield(doc, err) {
				return
			}
		}
	}
}

func (s *faultyStore) Commit(ctx context.Context, c incident.Change) (incident.Change, error) {
	next := func(list *[]error) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(*list) == 0 {
			return nil
		}
		err := (*list)[0]
		*list = (*list)[1:]
		return err
	}
	if err := next(&s.before); err != nil {
		return incident.Change{}, err
	}
	done, err := s.Store.Commit(ctx, c)
	if lost := next(&s.after); err == nil && lost != nil {
		return incident.Change{}, lost
	}
	return done, err
}

// unsentError is an error after which nothing has happened.
type unsentError struct{ error }

func (e unsentError) Unwrap() error   { return e.error }
func (unsentError) SafeToRetry() bool { return true }

var errDown = errors.New("the database is down")

// dataOf returns the data of an entry.
func dataOf(t testing.TB, e incident.Entry) map[string]any {
	t.Helper()
	data := make(map[string]any)
	if len(e.Data) > 0 {
		require.NoError(t, json.Unmarshal(e.Data, &data))
	}
	return data
}

// clock returns a clock of an incident.
func clock(t testing.TB, i incident.Incident, kind incident.ClockKind) incident.Clock {
	t.Helper()
	n := slices.IndexFunc(i.Clocks, func(c incident.Clock) bool { return c.Kind == kind })
	require.GreaterOrEqual(t, n, 0, "a clock to %s", kind)
	return i.Clocks[n]
}

func contains(t testing.TB, list []string, want string) {
	t.Helper()
	assert.Contains(t, list, want)
}
