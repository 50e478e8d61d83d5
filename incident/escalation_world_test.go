package incident_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// An escalationWorld is everything around escalations, in a bubble of virtual time.
type escalationWorld struct {
	t      *testing.T
	ctx    context.Context // of the bubble
	start  time.Time
	cfg    incident.EscalationsConfig
	runs   *incident.MemoryRuns
	x      *incident.Escalations
	onCall *incidenttest.OnCall

	mu        sync.Mutex
	channels  map[string]*alerttest.Recorder
	journal   []toldMessage
	events    []incident.EscalationEvent
	incidents map[string]incident.Incident
}

// toldMessage is what somebody was told.
type toldMessage struct {
	at      time.Duration // since the start
	channel string
	alert.Notification
}

// threeLevels calls operations at once, development after a quarter of an hour, and
// infrastructure after another one.
func threeLevels() incident.EscalationPolicy {
	return incident.EscalationPolicy{Name: "three", Levels: []incident.EscalationLevel{
		{Name: "Operations", Targets: []incident.EscalationTarget{{OnCall: "operations"}}},
		{Name: "Development", After: 15 * time.Minute, Targets: []incident.EscalationTarget{{OnCall: "development"}}},
		{Name: "Infrastructure", After: 15 * time.Minute, Targets: []incident.EscalationTarget{{Channel: "infra"}}},
	}}
}

// escalate runs a test of an escalation in virtual time.
func escalate(t *testing.T, policy incident.EscalationPolicy, test func(t *testing.T, w *escalationWorld)) {
	t.Helper()
	escalateIn(t, policy, func(*escalationWorld) {}, test)
}

// escalateIn is escalate in a world that was prepared.
func escalateIn(t *testing.T, policy incident.EscalationPolicy, prepare func(w *escalationWorld), test func(t *testing.T, w *escalationWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newEscalationWorld(t, policy)
		prepare(w)
		w.launch()
		defer func() { assert.NoError(t, w.runs.Close(t.Context())) }()
		test(t, w)
	})
}

// newEscalationWorld returns a world in which Ana is on call for operations and Bo for development.
func newEscalationWorld(t *testing.T, policies ...incident.EscalationPolicy) *escalationWorld {
	w := &escalationWorld{
		t: t, ctx: t.Context(), start: time.Now(), onCall: &incidenttest.OnCall{}, channels: make(map[string]*alerttest.Recorder),
		incidents: make(map[string]incident.Incident),
	}
	w.onCall.Set("operations", peopleOf("Ana")...)
	w.onCall.Set("development", peopleOf("Bo")...)
	w.runs = incident.NewMemoryRuns(incident.MemoryRunsConfig{Logger: quietLogger()})
	w.cfg = incident.EscalationsConfig{
		Runs: w.runs, Policies: policies, OnCall: w.onCall, Channels: make(map[string]alert.Notifier), Logger: quietLogger(),
		Hooks: incident.EscalationHooks{Incident: w.incident, Open: w.open, OnLevel: w.onLevel},
	}
	for _, name := range []string{"ana", "bo", "cy", "infra", "phone", "vendor"} {
		w.cfg.Channels[name] = w.channel(name)
	}
	return w
}

func quietLogger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// launch makes the escalations and begins to carry them out.
func (w *escalationWorld) launch() {
	var err error
	w.x, err = incident.NewEscalations(w.cfg)
	require.NoError(w.t, err)
	require.NoError(w.t, w.runs.Launch(w.ctx, map[string]incident.Program{incident.EscalationProgram: w.x.Program()}))
}

// channel returns a notifier that writes down what arrives.
func (w *escalationWorld) channel(name string) alert.Notifier {
	r := &alerttest.Recorder{}
	w.channels[name] = r
	return alert.NotifierFunc(func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		before := len(r.Notifications())
		receipt, err := r.Notify(ctx, n)
		if len(r.Notifications()) > before {
			w.journal = append(w.journal, toldMessage{time.Since(w.start), name, n})
		}
		return receipt, err
	})
}

func (w *escalationWorld) incident(_ context.Context, id string) (incident.Incident, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	inc, ok := w.incidents[id]
	if !ok {
		return inc, incident.ErrNotFound
	}
	return inc, nil
}

func (w *escalationWorld) open(context.Context) iter.Seq2[incident.Incident, error] {
	return func(yield func(incident.Incident, error) bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, inc := range w.incidents {
			if inc.State.Open() && !yield(inc, nil) {
				return
			}
		}
	}
}

func (w *escalationWorld) onLevel(_ context.Context, e incident.EscalationEvent) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	return nil
}

// change changes what the incident is, as a Manager does, without telling the escalation.
func (w *escalationWorld) change(id string, change func(inc *incident.Incident)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	inc := w.incidents[id]
	change(&inc)
	w.incidents[id] = inc
}

// criticalOutage is a critical incident that began now.
func criticalOutage() incident.Incident {
	return incident.Incident{
		ID: "INC-2026-0042", Title: "Canvas does not answer", Summary: "GET /api/v1/courses: status 503", Environment: "production",
		Severity: alert.Critical, State: incident.Triggered, Triggered: time.Now(), Opened: time.Now(), Playbook: "canvas-outage",
	}
}

// begin opens an incident and starts its escalation.
func (w *escalationWorld) begin(inc incident.Incident) string {
	w.t.Helper()
	w.change(inc.ID, func(i *incident.Incident) { *i = inc })
	run, err := w.x.Begin(w.ctx, inc)
	require.NoError(w.t, err)
	synctest.Wait()
	return run
}

// wait lets time pass, and then everything that is due.
func (w *escalationWorld) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// do does something that must succeed, and lets the escalation take notice.
func (w *escalationWorld) do(err error) {
	w.t.Helper()
	require.NoError(w.t, err)
	synctest.Wait()
}

// told returns what arrived: "15m0s bo firing".
func (w *escalationWorld) told() (lines []string) {
	for _, m := range w.messages() {
		lines = append(lines, fmt.Sprintf("%v %s %s", m.at.Round(time.Second), m.channel, m.Kind))
	}
	return lines
}

// messages returns what arrived, those of one moment in the order of their channels.
func (w *escalationWorld) messages() []toldMessage {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := slices.Clone(w.journal)
	slices.SortStableFunc(list, func(a, b toldMessage) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return slices.Compare([]string{a.channel}, []string{b.channel})
	})
	return list
}

// last returns the last message to a channel.
func (w *escalationWorld) last(channel string) alert.Notification {
	w.t.Helper()
	list := w.channels[channel].Notifications()
	require.NotEmpty(w.t, list, "nothing was told to %s", channel)
	return list[len(list)-1]
}

// happened returns the events: "15m0s called 2".
func (w *escalationWorld) happened() (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		lines = append(lines, fmt.Sprintf("%v %s %d", e.At.Sub(w.start).Round(time.Second), e.Kind, e.Level))
	}
	return lines
}

// event returns the last event of a kind.
func (w *escalationWorld) event(kind incident.EscalationEventKind) incident.EscalationEvent {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range slices.Backward(w.events) {
		if e.Kind == kind {
			return e
		}
	}
	require.Fail(w.t, "no such event", "%s", kind)
	return incident.EscalationEvent{}
}

// ended returns the record of a run that must have finished.
func (w *escalationWorld) ended(run string) {
	w.t.Helper()
	record, err := w.runs.Record(w.ctx, run, -1)
	require.NoError(w.t, err)
	require.Equal(w.t, incident.RunFinished, record.Status, "%s", record.Error)
	require.True(w.t, json.Valid(record.Result))
}

// untilSydney is how long it is from now until a time on the clock of Sydney.
func untilSydney(t testing.TB, s string) time.Duration {
	at, err := time.ParseInLocation("2006-01-02 15:04", s, loadZone(t, "Australia/Sydney"))
	require.NoError(t, err)
	return time.Until(at)
}
