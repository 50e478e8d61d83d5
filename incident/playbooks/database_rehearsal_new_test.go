package playbooks_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// rehearsalHouse is a dataHouse on a platform that makes databases for rehearsals, beside
// that of the application.
type rehearsalHouse struct {
	*dataHouse
	project, environment, live incident.Provisioned
	// elsewhere means that the address of the new database leads to that of the application.
	elsewhere bool
	// slow is how often the new database does not answer yet.
	slow int
}

func newRehearsalHouse(t testing.TB) *rehearsalHouse {
	h := &rehearsalHouse{dataHouse: newDataHouse(t)}
	take := func(p incident.Provisioned, err error) incident.Provisioned {
		require.NoError(t, err)
		return p
	}
	h.project = take(h.platform.EnsureProject(t.Context(), incident.ProjectSpec{Name: "qa"}))
	h.environment = take(h.platform.EnsureEnvironment(t.Context(), incident.EnvironmentSpec{Project: h.project.ID, Name: "production"}))
	h.live = take(h.platform.EnsureService(t.Context(), incident.ServiceSpec{Project: h.project.ID, Environment: h.environment.ID, Name: "postgres", Template: "postgres"}))
	h.platform.SetTarget("live", "accounts\ntasks\n")
	h.Provisioner = h.platform
	h.begin()
	return h
}

// dumps keeps dumps, and makes a database for each rehearsal.
func (h *rehearsalHouse) dumps() playbooks.Dumps {
	d := h.vault.keeping()
	d.Rehearsals = playbooks.Rehearsals{
		Project: h.project.ID, Environment: h.environment.ID, Keep: []string{h.live.ID}, Connect: h.connect,
	}
	return d
}

func (h *rehearsalHouse) connect(_ context.Context, made incident.Disposable) (incident.DumpLoader, error) {
	if h.slow > 0 {
		h.slow--
		return nil, errors.New("connection refused")
	}
	if h.platform.Target(made.Name) == "" {
		h.platform.SetTarget(made.Name, "")
	}
	if h.elsewhere {
		h.platform.SetTarget(made.Name, "accounts\ntasks\n")
	}
	return h.platform, nil
}

// left makes what an earlier rehearsal left, by its mark.
func (h *rehearsalHouse) left(name, mark string) incident.Provisioned {
	p, err := h.platform.EnsureService(h.t.Context(), incident.ServiceSpec{Project: h.project.ID, Environment: h.environment.ID, Name: name, Template: "postgres", Mark: mark})
	require.NoError(h.t, err)
	return p
}

// services returns the names of what is left that could be removed.
func (h *rehearsalHouse) services(t testing.TB) (names []string) {
	list, err := h.platform.Disposables(t.Context(), h.project.ID, h.environment.ID)
	require.NoError(t, err)
	for _, d := range list {
		names = append(names, d.Name)
	}
	return names
}

// theRun is what a run adds to the name of the database.
var theRun = regexp.MustCompile(`rehearsal-(\d{4}-\d\d-\d\d)-[0-9a-f]{4}`)

// withoutRun leaves out what differs from run to run.
func withoutRun(effects []string) (all []string) {
	for _, e := range effects {
		all = append(all, theRun.ReplaceAllString(e, "rehearsal"))
	}
	return all
}

// rehearsed is what a rehearsal in a new database does.
var rehearsed = []string{"EnsureService rehearsal", "Load rehearsal", "Dispose rehearsal"}

// Requirement: RB-BACKUP-VERIFY, RB-RESTORE-REHEARSED, INC-DUMP-ELSEWHERE
func TestRehearsalInANewDatabase(t *testing.T) {
	yes := map[string]string{"rehearse": "yes"}
	down := func(n int, err error) []error { return slices.Repeat([]error{err}, n) }
	for name, c := range map[string]struct {
		world      func(h *rehearsalHouse)
		dumps      func(h *rehearsalHouse, d *playbooks.Dumps)
		parameters map[string]string
		want       incident.RunState
		does       []string
		left       []string
		says       string
	}{
		"none is asked for": {does: []string{}, says: "2h0m old"},
		"the platform has no backup any more, so that the dump has to be good": {
			world: func(h *rehearsalHouse) { h.Environment.Backups = new(incidenttest.Platform) }, want: incident.StateFailed,
			does: rehearsed, says: "there is no backup",
		},
		"it is made, loaded, looked at and removed": {
			parameters: yes, does: rehearsed, says: "the newest dump was restored into another database, and what it has is there",
		},
		"in an environment for rehearsals": {
			dumps: func(h *rehearsalHouse, d *playbooks.Dumps) {
				d.Rehearsals.Environment, d.Rehearsals.Named = "", "rehearsals"
			},
			parameters: yes, does: append([]string{"EnsureEnvironment rehearsals"}, rehearsed...), says: "and what it has is there",
		},
		"there is no environment for it": {
			world: func(h *rehearsalHouse) { h.platform.Fail("EnsureEnvironment", down(9, incident.ErrNotPermitted)...) },
			dumps: func(h *rehearsalHouse, d *playbooks.Dumps) {
				d.Rehearsals.Environment, d.Rehearsals.Named = "", "rehearsals"
			},
			parameters: yes, want: incident.StateFailed, does: []string{}, says: "was not shown: not permitted",
		},
		"it takes a while until it answers": {
			world: func(h *rehearsalHouse) { h.slow = 20 }, parameters: yes, does: rehearsed, says: "and what it has is there",
		},
		"it never answers, and is removed": {
			world: func(h *rehearsalHouse) { h.slow = 1e6 }, parameters: yes, want: incident.StateFailed,
			does: []string{"EnsureService rehearsal", "Dispose rehearsal"}, says: "was not shown: not within 15m0s: connection refused",
		},
		"its address leads to the database of the application": {
			world: func(h *rehearsalHouse) { h.elsewhere = true }, parameters: yes, want: incident.StateFailed,
			does: []string{"EnsureService rehearsal", "Dispose rehearsal"}, says: "is not empty, and so not the one that was made",
		},
		"rows are missing, and it is removed": {
			dumps: func(_ *rehearsalHouse, d *playbooks.Dumps) {
				d.Rehearsals.Check = func(context.Context, incident.Disposable) error { return errors.New("accounts has no rows") }
			},
			parameters: yes, want: incident.StateFailed, does: rehearsed, says: "accounts has no rows",
		},
		"it cannot be made": {
			world:      func(h *rehearsalHouse) { h.platform.Fail("EnsureService", down(9, incident.ErrNotPermitted)...) },
			parameters: yes, want: incident.StateFailed, does: []string{}, says: "was not shown",
		},
		"the answer to making it is lost": {
			world:      func(h *rehearsalHouse) { h.platform.Fail("EnsureService", incident.ErrOutcomeUnknown) },
			parameters: yes, does: rehearsed, says: "and what it has is there",
		},
		"it is needed by somebody meanwhile": {
			dumps: func(h *rehearsalHouse, d *playbooks.Dumps) {
				d.Rehearsals.Check = func(_ context.Context, made incident.Disposable) error {
					h.platform.Need(made.ID, "service reports")
					return nil
				}
			},
			parameters: yes, want: incident.StateFailed, does: rehearsed[:2], left: []string{"rehearsal"}, says: "service reports",
		},
		"the answer to removing it is lost": {
			world:      func(h *rehearsalHouse) { h.platform.Fail("Dispose", incident.ErrOutcomeUnknown) },
			parameters: yes, does: rehearsed, says: "and what it has is there",
		},
		"the platform is away for a moment when it is removed": {
			world:      func(h *rehearsalHouse) { h.platform.Fail("Dispose", errors.New("gateway")) },
			parameters: yes, does: rehearsed, says: "and what it has is there",
		},
		"what an earlier run left is removed": {
			world: func(h *rehearsalHouse) {
				h.left("rehearsal-2026-11-01-aaaa", "rehearsal/production/run-0/rehearsal-plan")
				time.Sleep(13 * time.Hour)
			},
			parameters: yes, does: append([]string{"Dispose rehearsal"}, rehearsed...), says: "15h0m old",
		},
		"what may be under way is left alone, and told": {
			world: func(h *rehearsalHouse) {
				h.left("rehearsal-2026-11-01-aaaa", "rehearsal/production/run-0/rehearsal-plan")
				time.Sleep(11 * time.Hour)
			},
			parameters: yes, does: rehearsed, left: []string{"rehearsal"}, says: "rehearsal-2026-11-01-aaaa of another rehearsal, which may be under way",
		},
		"what is somebody else's is left alone, however old": {
			world: func(h *rehearsalHouse) {
				h.left("rehearsal-2026-11-01-aaaa", "")
				h.left("rehearsal-2026-11-02-aaaa", "rehearsal/test/run-0/rehearsal-plan")
				h.left("rehearsal-2026-11-03-aaaa", "made by hand")
				h.left("postgres-new", "rehearsal/production/run-0/rehearsal-plan")
				time.Sleep(13 * time.Hour)
			},
			parameters: yes, does: rehearsed, left: []string{"rehearsal", "rehearsal", "postgres-new"}, says: "15h0m old",
		},
		"what is to be kept is kept, whatever its name and mark": {
			world: func(h *rehearsalHouse) {
				h.live = h.left("rehearsal-2026-11-01-aaaa", "rehearsal/production/run-0/rehearsal-plan")
				time.Sleep(13 * time.Hour)
			},
			parameters: yes, does: rehearsed, left: []string{"rehearsal"}, says: "15h0m old",
		},
		"what was left cannot be removed": {
			world: func(h *rehearsalHouse) {
				p := h.left("rehearsal-2026-11-01-aaaa", "rehearsal/production/run-0/rehearsal-plan")
				h.platform.Need(p.ID, "domain db.example.edu")
				time.Sleep(13 * time.Hour)
			},
			parameters: yes, want: incident.StateFailed, does: rehearsed, left: []string{"rehearsal"}, says: "domain db.example.edu",
		},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newRehearsalHouse(t)
					if c.world != nil {
						c.world(h)
					}
					dumps := h.dumps()
					if c.dumps != nil {
						c.dumps(h, &dumps)
					}
					h.begin()
					return incidenttest.PlaybookCase{
						Playbook: playbooks.BackupVerification(h.Environment, dumps), Parameters: c.parameters, Refused: h.platform.Refused,
						Effects: func() []string { return withoutRun(h.effects()) },
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, append([]string{}, c.does...), append([]string{}, withoutRun(h.effects())...), stepsOf(run))
							last := run.Step("as-they-should-be")
							assert.Contains(t, string(last.Output)+last.Message, c.says, stepsOf(run))
							assert.Equal(t, c.left, withoutRun(h.services(t)))
							assert.True(t, h.platform.Has(h.live.ID), "the database of the application")
						},
					}
				},
			})
		})
	}
}

// A restore of a dump is rehearsed in a new database first, and nothing is destroyed if
// that does not show that it works.
//
// Requirement: RB-RESTORE-REHEARSED
func TestRestoreIsRehearsedInANewDatabase(t *testing.T) {
	for name, c := range map[string]struct {
		check error
		want  incident.RunState
		does  []string
	}{
		"it works":    {does: append(slices.Clone(rehearsed), "SetDeployFreeze true", "Stop d2", "Keep aside", "Load live", "Start d2", "SetDeployFreeze false")},
		"it does not": {check: errors.New("accounts has no rows"), want: incident.StateFailed, does: rehearsed},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want:       c.want,
				Repeatable: func(effect string) bool { return strings.HasPrefix(effect, "Keep ") },
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newRehearsalHouse(t)
					dumps := h.dumps()
					dumps.Rehearsals.Check = func(context.Context, incident.Disposable) error { return c.check }
					aside := regexp.MustCompile(`Keep .*`)
					effects := func() (all []string) {
						for _, e := range withoutRun(h.effects()) {
							all = append(all, aside.ReplaceAllString(e, "Keep aside"))
						}
						return all
					}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.DatabaseRestore(h.Environment, dumps), Parameters: map[string]string{"from": "dump"}, Refused: h.platform.Refused, Effects: effects,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, c.does, effects(), stepsOf(run))
							assert.Empty(t, h.services(t))
						},
					}
				},
			})
		})
	}
}

// What it was, after a person has decided to take everything back, is gone.
func TestRehearsalIsTakenBack(t *testing.T) {
	testPlaybook(t, incidenttest.PlaybookHarness{
		Want: incident.StateUndone,
		New: func(t testing.TB) incidenttest.PlaybookCase {
			h := newRehearsalHouse(t)
			h.platform.Fail("Load", incident.ErrOutcomeUnknown)
			h.begin()
			return incidenttest.PlaybookCase{
				Playbook: playbooks.BackupVerification(h.Environment, h.dumps()), Parameters: map[string]string{"rehearse": "yes"}, Refused: h.platform.Refused,
				Effects: func() []string { return withoutRun(h.effects()) },
				Answer: func(q incident.Question) incident.Answer {
					return incident.Answer{Kind: incident.AnswerUndo, Actor: "kim", Comment: "it is not known what is in it"}
				},
				Check: func(t testing.TB, run incident.Run) {
					assert.Equal(t, rehearsed, withoutRun(h.effects()), stepsOf(run))
					assert.Empty(t, h.services(t))
				},
			}
		},
	})
}

// A service of the name that the run did not make is no database of the rehearsal.
func TestRehearsalDoesNotTakeWhatIsThere(t *testing.T) {
	for name, mark := range map[string]string{"no mark": "", "the mark of another run": "rehearsal/production/run-0/rehearsal-plan"} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: incident.StateFailed,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newRehearsalHouse(t)
					h.Provisioner = &taken{Platform: h.platform, mark: mark}
					dumps := h.dumps()
					h.begin()
					return incidenttest.PlaybookCase{
						Playbook: playbooks.BackupVerification(h.Environment, dumps), Parameters: map[string]string{"rehearse": "yes"}, Refused: h.platform.Refused,
						Effects: func() []string { return withoutRun(h.effects()) },
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, []string{"EnsureService rehearsal"}, withoutRun(h.effects()), "only the one that somebody else made")
							assert.Contains(t, run.Step("as-they-should-be").Message, "which this run did not make: it is left alone")
						},
					}
				},
			})
		})
	}
}

// taken is a platform on which somebody else makes a service of each name, right before.
type taken struct {
	*incidenttest.Platform
	mark string
}

func (p *taken) EnsureService(ctx context.Context, s incident.ServiceSpec) (incident.Provisioned, error) {
	theirs := s
	theirs.Mark = p.mark
	if made, err := p.Platform.EnsureService(ctx, theirs); err != nil {
		return made, fmt.Errorf("theirs: %w", err)
	}
	return p.Platform.EnsureService(ctx, s)
}
