package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// A stage is a host in the world in memory, in a bubble of virtual time.
type stage struct {
	*testing.T
	world *world.World
	host  *host.Host
	store *incident.MemoryStore
}

// onStage runs a test on a host that has watched a world in which all is well for half an
// hour, on the morning of a working day. change may change its configuration. That nothing
// is left running when the host was stopped, the bubble sees to.
func onStage(t *testing.T, change func(*host.Config), test func(s *stage)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(3*24*time.Hour - 30*time.Minute) // Tuesday, 10:30 in Sydney
		w, err := world.New(world.Config{Seed: 7})
		require.NoError(t, err)
		s := &stage{T: t, world: w, store: new(incident.MemoryStore)}
		cfg := s.config()
		if change != nil {
			change(&cfg)
		}
		s.host, err = host.New(t.Context(), cfg)
		require.NoError(t, err)
		require.NoError(t, s.host.Start(t.Context()))
		time.Sleep(30 * time.Minute)
		test(s)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		assert.NoError(t, s.host.Stop(ctx))
		assert.NoError(t, w.Close())
	})
}

func (s *stage) config() host.Config {
	return host.Config{
		Connections: s.world.Connections(), Channels: s.world.Channels(), Store: s.store, Runs: incident.NewMemoryRuns(incident.MemoryRunsConfig{}),
		People:   host.RehearsalPeople(),
		Policies: []incident.AutomationPolicy{{Environment: "production", Mode: incident.Act, PerHour: 20}},
		Defaults: playbooks.Defaults{Security: "security@example.edu", Escalation: host.RehearsalNumbers()}, Logger: slog.New(slog.DiscardHandler),
		Evidence: new(incidenttest.EvidenceStore), Pseudonyms: runbook.NewSecret("a key of pseudonyms"),
	}
}

// observing has automation begin nothing.
func observing(cfg *host.Config) { cfg.Policies = nil }

// incidents returns those of production.
func (s *stage) incidents() (all []incident.Incident) {
	s.Helper()
	for i, err := range s.host.Manager().Incidents(s.Context(), incident.IncidentQuery{}) {
		require.NoError(s, err)
		if i.Environment == "production" {
			all = append(all, i)
		}
	}
	return all
}

// of returns the incident of production that is bound to a playbook.
func (s *stage) of(playbook string) (incident.Incident, bool) {
	s.Helper()
	all := s.incidents()
	i := slices.IndexFunc(all, func(i incident.Incident) bool { return i.Playbook == playbook })
	if i < 0 {
		return incident.Incident{}, false
	}
	return all[i], true
}

// timeline is that of an incident, a line each.
func (s *stage) timeline(id string) string {
	s.Helper()
	var lines []string
	for e, err := range s.host.Manager().Timeline(s.Context(), id, 0) {
		require.NoError(s, err)
		lines = append(lines, fmt.Sprintf("%s %s: %s", e.At.Format("15:04:05"), e.Actor, e.Text))
	}
	return strings.Join(lines, "\n")
}

// told are the messages of a kind that somebody got since a time, in order: their first line.
func (s *stage) told(kind, to string, since time.Time) (lines []string) {
	for _, a := range s.world.Acts() {
		if a.Kind == kind && (to == "" || a.Detail == to) && !a.At.Before(since) {
			line, _, _ := strings.Cut(a.Text, "\n")
			lines = append(lines, line)
		}
	}
	return lines
}

// story logs everything, for whoever looks why a test failed.
func (s *stage) story() {
	if !s.Failed() {
		return
	}
	for _, i := range s.incidents() {
		s.Logf("%s %s %s %s\n%s", i.ID, i.Severity, i.State, i.Title, s.timeline(i.ID))
	}
	for _, a := range s.world.Acts() {
		line, _, _ := strings.Cut(a.Text, "\n")
		s.Log(a.At.Format("15:04:05"), a.Environment, a.Kind, a.Detail, line)
	}
}

// A bad deployment, from the first failure to the closed incident: who was told what, what
// was done, and that the acknowledgement of a person reaches the alert.
func TestFromAFaultToTheClosedIncident(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		defer s.story()
		require.Empty(s, s.incidents(), "all was well")
		began := time.Now()
		require.NoError(s, s.world.Inject(world.Fault{Kind: world.BadDeploy}))
		time.Sleep(4 * time.Minute)
		inc, ok := s.of("application-down")
		require.True(s, ok)
		assert.Equal(s, alert.Critical, inc.Severity)
		assert.WithinDuration(s, began, inc.Triggered, 2*time.Minute)
		_, err := s.host.Manager().Acknowledge(s.Context(), inc.ID, incident.Ack{By: "Ana Silva"})
		require.NoError(s, err)
		synctest.Wait()
		for _, a := range s.host.Router().Alerts() {
			if a.Rule == "health_check" {
				require.NotNil(s, a.Acknowledged, "the acknowledgement goes back to the alert")
				assert.Equal(s, "Ana Silva", a.Acknowledged.By)
			}
		}
		time.Sleep(time.Hour)
		inc, _ = s.of("application-down")
		assert.Equal(s, incident.Resolved, inc.State)
		assert.True(s, s.world.Truth().Served)
		assert.Len(s, s.incidents(), 1, "what the outage left behind is explained by it")
		assert.Len(s, inc.Runs, 1)

		var did []string
		for _, a := range s.world.Acts() {
			if a.Environment == "production" && !a.At.Before(began) {
				did = append(did, a.Kind)
			}
		}
		assert.Equal(s, []string{"freeze", "rollback"}, did)
		stakeholders := []string{"The application does not answer", "The application works again"}
		assert.Equal(s, stakeholders, s.told("slack", "#qa-automation-status", began))
		assert.Equal(s, stakeholders, s.told("mail", "qa-automation-alerts@acu.edu.au", began))
		for _, to := range []string{"#qa-automation-alerts"} {
			operators := s.told("slack", to, began)
			require.NotEmpty(s, operators)
			assert.Contains(s, operators[0], "CRITICAL production: production/application has failed 3 checks in a row")
		}
		assert.NotEmpty(s, s.told("mail", "on-call-team@acu.edu.au", began))
		assert.Len(s, s.told("page", "+61 400 111 201", began), 2, "it is wrong, and it is over")
		assert.Empty(s, s.told("secret-told", "", began))
	})
}

// Phones are for critical incidents of production: an application that is down in test wakes
// nobody, and automation, which has no policy there, does nothing.
//
// Requirement: RB-ALERT-SMS
func TestTestIsNotProduction(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		f, err := s.host.Engine().Feed(alert.Source{Input: "application", Environment: "test", Entity: "test/extra"}, nil)
		require.NoError(s, err)
		for range 4 {
			f.Result(true, "it answers 502")
			time.Sleep(30 * time.Second)
		}
		time.Sleep(time.Hour)
		assert.Empty(s, s.told("page", "", time.Time{}))
		var found []incident.Incident
		for i, err := range s.host.Manager().Incidents(s.Context(), incident.IncidentQuery{}) {
			require.NoError(s, err)
			if i.Playbook == "application-down" {
				found = append(found, i)
			}
		}
		require.Len(s, found, 1)
		assert.Equal(s, alert.Medium, found[0].Severity)
		assert.Empty(s, found[0].Runs)
	})
}

// The host that is killed in the middle of a step leaves nothing running either.
func TestAHostIsKilled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, err := world.New(world.Config{Seed: 3})
		require.NoError(t, err)
		s := &stage{T: t, world: w, store: new(incident.MemoryStore)}
		began := make(chan struct{}, 1)
		cfg := s.config()
		cfg.Hooks.OnEvent = func(_ context.Context, e incident.Event) {
			if e.Kind == incident.EventStep && e.Step == "roll-back" {
				began <- struct{}{}
			}
		}
		s.host, err = host.New(t.Context(), cfg)
		require.NoError(t, err)
		require.NoError(t, s.host.Start(t.Context()))
		require.NoError(t, w.Inject(world.Fault{Kind: world.BadDeploy}))
		<-began
		s.host.Kill()
		assert.NoError(t, w.Close())
	})
}

// A host that only watches judges nothing, and stops in each state.
func TestAHostOnlyWatches(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"new", "watching", "in charge"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, err := world.New(world.Config{Seed: 3})
				require.NoError(t, err)
				s := &stage{T: t, world: w, store: new(incident.MemoryStore)}
				h, err := host.New(t.Context(), s.config())
				require.NoError(t, err)
				if name != "new" {
					require.NoError(t, w.Inject(world.Fault{Kind: world.BadDeploy}))
					require.NoError(t, h.Watch(t.Context()))
					time.Sleep(10 * time.Minute)
					assert.Empty(t, h.Router().Alerts())
				}
				if name == "in charge" {
					require.NoError(t, h.Start(t.Context()))
					time.Sleep(5 * time.Minute)
					assert.NotEmpty(t, h.Router().Alerts())
				} else {
					report, err := h.Monitor().Check(t.Context(), "production/application")
					require.NoError(t, err)
					assert.NotEmpty(t, report.Checks)
				}
				assert.NoError(t, h.Stop(t.Context()))
				assert.NoError(t, w.Close())
			})
		})
	}
}

func TestEverythingThatIsWrongIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	_, err := host.New(t.Context(), host.Config{Connections: []host.Connection{{Name: "test"}, {Name: "test", Application: "https://qa.example.edu"}}})
	require.Error(t, err)
	for _, want := range []string{
		"Store is missing", "Runs is missing", "Channels.Chat is missing", "Channels.Mail is missing", "Channels.Phone is missing", "Defaults.Security is missing",
		`"test" is there twice`, "the address of the application is missing", "nobody is on call", "Operations: the phone number is missing",
	} {
		assert.ErrorContains(t, err, want)
	}
}
