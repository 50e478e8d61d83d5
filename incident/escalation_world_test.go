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

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// A world is everything around escalations, in a bubble of virtual time.
type world struct {
	t      *testing.T
	start  time.Time
	cfg    incident.EscalationsConfig
	runs   *incident.MemoryRuns
	x      *incident.Escalations
	onCall *incidenttest.OnCall

	mu        sync.Mutex
	channels  map[string]*alerttest.Recorder
	journal   []message
	events    []incident.EscalationEvent
	incidents map[string]incident.Incident
}

// message is what somebody was told.
type message struct {
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

// inBubble runs a test of an escalation in virtual time.
func inBubble(t *testing.T, policy incident.EscalationPolicy, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, policy)
		w.launch()
		test(w)
		require.NoError(t, w.runs.Close(t.Context()))
	})
}

// newWorld returns a world in which Ana is on call for operations and Bo for development.
func newWorld(t *testing.T, policies ...incident.EscalationPolicy) *world {
	w := &world{
		t: t, start: time.Now(), onCall: &incidenttest.OnCall{}, channels: make(map[string]*alerttest.Recorder),
		incidents: make(map[string]incident.Incident),
	}
	w.onCall.Set("operations", called("Ana")...)
	w.onCall.Set("development", called("Bo")...)
	w.runs = incident.NewMemoryRuns(incident.MemoryRunsConfig{Logger: quiet()})
	w.cfg = incident.EscalationsConfig{
		Runs: w.runs, Policies: policies, OnCall: w.onCall, Channels: make(map[string]alert.Notifier), Logger: quiet(),
		Hooks: incident.EscalationHooks{Incident: w.incident, Open: w.open, OnLevel: w.onLevel},
	}
	for _, name := range []string{"ana", "bo", "cy", "infra", "phone", "vendor"} {
		w.cfg.Channels[name] = w.channel(name)
	}
	return w
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// launch makes the escalations and begins to carry them out.
func (w *world) launch() {
	var err error
	w.x, err = incident.NewEscalations(w.cfg)
	require.NoError(w.t, err)
	require.NoError(w.t, w.runs.Launch(w.t.Context(), map[string]incident.Program{incident.EscalationProgram: w.x.Program()}))
}

// channel returns a notifier that writes down what arrives.
func (w *world) channel(name string) alert.Notifier {
	r := &alerttest.Recorder{}
	w.channels[name] = r
	return alert.NotifierFunc(func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		before := len(r.Notifications())
		receipt, err := r.Notify(ctx, n)
		if len(r.Notifications()) > before {
			w.journal = append(w.journal, message{time.Since(w.start), name, n})
		}
		return receipt, err
	})
}

func (w *world) incident(_ context.Context, id string) (incident.Incident, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	inc, ok := w.incidents[id]
	if !ok {
		return inc, incident.ErrNotFound
	}
	return inc, nil
}

func (w *world) open(context.Context) iter.Seq2[incident.Incident, error] {
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

func (w *world) onLevel(_ context.Context, e incident.EscalationEvent) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	return nil
}

// change changes what the incident is, as a Manager does, without telling the escalation.
func (w *world) change(id string, change func(inc *incident.Incident)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	inc := w.incidents[id]
	change(&inc)
	w.incidents[id] = inc
}

// outage is a critical incident that began now.
func outage() incident.Incident {
	return incident.Incident{
		ID: "INC-2026-0042", Title: "Canvas does not answer", Summary: "GET /api/v1/courses: status 503", Environment: "production",
		Severity: alert.Critical, State: incident.Triggered, Triggered: time.Now(), Opened: time.Now(), Playbook: "canvas-outage",
	}
}

// begin opens an incident and starts its escalation.
func (w *world) begin(inc incident.Incident) string {
	w.t.Helper()
	w.change(inc.ID, func(i *incident.Incident) { *i = inc })
	run, err := w.x.Begin(w.t.Context(), inc)
	require.NoError(w.t, err)
	synctest.Wait()
	return run
}

// wait lets time pass, and then everything that is due.
func (w *world) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// do does something that must succeed, and lets the escalation take notice.
func (w *world) do(err error) {
	w.t.Helper()
	require.NoError(w.t, err)
	synctest.Wait()
}

// told returns what arrived: "15m0s bo firing".
func (w *world) told() (lines []string) {
	for _, m := range w.messages() {
		lines = append(lines, fmt.Sprintf("%v %s %s", m.at.Round(time.Second), m.channel, m.Kind))
	}
	return lines
}

// messages returns what arrived, those of one moment in the order of their channels.
func (w *world) messages() []message {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := slices.Clone(w.journal)
	slices.SortStableFunc(list, func(a, b message) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return slices.Compare([]string{a.channel}, []string{b.channel})
	})
	return list
}

// last returns the last message to a channel.
func (w *world) last(channel string) alert.Notification {
	w.t.Helper()
	list := w.channels[channel].Notifications()
	require.NotEmpty(w.t, list, "nothing was told to %s", channel)
	return list[len(list)-1]
}

// happened returns the events: "15m0s called 2".
func (w *world) happened() (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		lines = append(lines, fmt.Sprintf("%v %s %d", e.At.Sub(w.start).Round(time.Second), e.Kind, e.Level))
	}
	return lines
}

// event returns the last event of a kind.
func (w *world) event(kind incident.EscalationEventKind) incident.EscalationEvent {
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
func (w *world) ended(run string) {
	w.t.Helper()
	record, err := w.runs.Record(w.t.Context(), run, -1)
	require.NoError(w.t, err)
	require.Equal(w.t, incident.RunFinished, record.Status, "%s", record.Error)
	require.True(w.t, json.Valid(record.Result))
}

// until is how long it is from now until a time on the clock of Sydney.
func until(t testing.TB, s string) time.Duration {
	at, err := time.ParseInLocation("2006-01-02 15:04", s, zone(t, "Australia/Sydney"))
	require.NoError(t, err)
	return time.Until(at)
}
