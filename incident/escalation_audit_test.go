package incident_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// An auditedWorld is escalations in a ledger, which one process carries out and another audits.
type auditedWorld struct {
	*escalationWorld
	l        *ledger
	programs map[string]incident.Program
	p        *ledgerProcess
}

// auditWorld runs a test with escalations of a policy.
func auditWorld(t *testing.T, policy incident.EscalationPolicy, prepare func(w *escalationWorld), test func(t *testing.T, a *auditedWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &auditedWorld{escalationWorld: newEscalationWorld(t, policy), l: newLedger()}
		a.cfg.Runs = a.l
		if prepare != nil {
			prepare(a.escalationWorld)
		}
		var err error
		a.x, err = incident.NewEscalations(a.cfg)
		require.NoError(t, err)
		a.programs = map[string]incident.Program{incident.EscalationProgram: a.x.Program()}
		test(t, a)
		if a.p != nil {
			a.p.stop()
		}
	})
}

// work starts the process that carries escalations out.
func (a *auditedWorld) work() {
	a.p = a.l.process(a.ctx, "worker", a.programs, nil)
	synctest.Wait()
}

// overdue audits in another process, which has the same configuration and carries nothing
// out.
func (a *auditedWorld) overdue() []incident.Overdue {
	a.t.Helper()
	x, err := incident.NewEscalations(a.cfg)
	require.NoError(a.t, err)
	list, err := x.Audit(a.ctx)
	require.NoError(a.t, err)
	return list
}

// Requirement: INC-ESC-AUDITOR
func TestAudit(t *testing.T) {
	t.Parallel()
	const id, run = "INC-2026-0042", "escalation-INC-2026-0042-0"
	ok := func(a *auditedWorld) { a.t.Helper(); assert.Empty(a.t, a.overdue()) }
	one := func(a *auditedWorld, due time.Duration, level, text string) {
		a.t.Helper()
		list := a.overdue()
		require.Len(a.t, list, 1)
		assert.Equal(a.t, id, list[0].Incident)
		assert.Equal(a.t, level, list[0].Level)
		assert.Equal(a.t, due, list[0].Due.Sub(a.start).Round(time.Second))
		assert.Contains(a.t, list[0].Text, text)
	}
	t.Run("all is well", func(t *testing.T) {
		t.Parallel()
		auditWorld(t, threeLevels(), nil, func(t *testing.T, a *auditedWorld) {
			a.begin(criticalOutage())
			a.work()
			for range 200 {
				ok(a)
				letPass(17 * time.Second)
			}
			a.do(a.x.Acknowledged(a.ctx, run, "Ana"))
			a.change(id, func(i *incident.Incident) { i.State = incident.Acknowledged })
			letPass(time.Hour)
			ok(a)
			a.change(id, func(i *incident.Incident) { i.State = incident.Resolved })
			a.do(a.x.Ended(a.ctx, run))
			ok(a)
		})
	})
	t.Run("nothing carries it out", func(t *testing.T) {
		t.Parallel()
		auditWorld(t, threeLevels(), nil, func(t *testing.T, a *auditedWorld) {
			a.begin(criticalOutage())
			letPass(2 * time.Minute)
			ok(a)
			letPass(time.Second)
			one(a, 0, "Operations", "should have gone on at 2000-01-01T00:00:00Z with Operations, and has not: nobody is called. Call somebody.")
		})
	})
	t.Run("its process has died", func(t *testing.T) {
		t.Parallel()
		auditWorld(t, threeLevels(), nil, func(t *testing.T, a *auditedWorld) {
			a.begin(criticalOutage())
			a.work()
			letPass(time.Minute)
			a.p.stop()
			letPass(16 * time.Minute)
			ok(a)
			letPass(time.Minute)
			one(a, 15*time.Minute, "Development", "at 2000-01-01T00:15:00Z with Development")
			a.work()
			ok(a)
			assert.Equal(t, "18m0s bo firing", a.told()[1])
		})
	})
	t.Run("it hangs while it calls somebody", func(t *testing.T) {
		t.Parallel()
		auditWorld(t, threeLevels(), func(w *escalationWorld) {
			w.cfg.Timeout = 24 * time.Hour
			w.cfg.Channels["ana"] = alert.NotifierFunc(func(ctx context.Context, _ alert.Notification) (alert.Receipt, error) {
				<-ctx.Done()
				return "", ctx.Err()
			})
		}, func(t *testing.T, a *auditedWorld) {
			a.begin(criticalOutage())
			a.work()
			letPass(3 * time.Minute)
			one(a, 0, "Operations", "has not")
		})
	})
	t.Run("no escalation was begun", func(t *testing.T) {
		t.Parallel()
		auditWorld(t, threeLevels(), nil, func(t *testing.T, a *auditedWorld) {
			a.incidents[id] = criticalOutage()
			letPass(2 * time.Minute)
			ok(a)
			letPass(time.Minute)
			one(a, 0, "Operations", "Incident INC-2026-0042 has no escalation: nobody is called.")
			a.change(id, func(i *incident.Incident) { i.NoEscalation = true })
			ok(a)
		})
	})
	t.Run("no policy is for it", func(t *testing.T) {
		t.Parallel()
		policy := threeLevels()
		policy.Environments = []string{"production"}
		auditWorld(t, policy, nil, func(t *testing.T, a *auditedWorld) {
			inc := criticalOutage()
			inc.Environment = "test"
			a.begin(inc)
			letPass(time.Hour)
			ok(a)
		})
	})
	t.Run("it has ended and nobody takes care", func(t *testing.T) {
		t.Parallel()
		auditWorld(t, threeLevels(), nil, func(t *testing.T, a *auditedWorld) {
			a.begin(criticalOutage())
			a.work()
			a.do(a.x.Ended(a.ctx, run))
			letPass(3 * time.Minute)
			one(a, 0, "Operations", "is finished, and nobody takes care of incident INC-2026-0042")
		})
	})
	t.Run("somebody takes care", func(t *testing.T) {
		t.Parallel()
		auditWorld(t, threeLevels(), nil, func(t *testing.T, a *auditedWorld) {
			a.begin(criticalOutage())
			a.change(id, func(i *incident.Incident) { i.State = incident.Acknowledged })
			letPass(time.Hour)
			ok(a)
			a.change(id, func(i *incident.Incident) { i.State = incident.Resolved })
			ok(a)
		})
	})
	t.Run("an acknowledgement has expired", func(t *testing.T) {
		t.Parallel()
		policy := threeLevels()
		policy.AckTimeout = time.Hour
		auditWorld(t, policy, nil, func(t *testing.T, a *auditedWorld) {
			a.begin(criticalOutage())
			a.work()
			a.do(a.x.Acknowledged(a.ctx, run, "Ana"))
			a.change(id, func(i *incident.Incident) { i.State = incident.Acknowledged })
			a.p.stop()
			letPass(time.Hour)
			ok(a)
			letPass(3 * time.Minute)
			one(a, time.Hour, "Operations", "should have gone on")
			a.change(id, func(i *incident.Incident) { i.AckExpires = time.Now().Add(time.Hour) })
			ok(a)
		})
	})
	t.Run("it waits for signals only", func(t *testing.T) {
		t.Parallel()
		auditWorld(t, threeLevels(), func(w *escalationWorld) { w.cfg.Channels["ana"] = pagesByItself{w.channel("pager")} }, func(t *testing.T, a *auditedWorld) {
			a.begin(criticalOutage())
			a.work()
			a.p.stop()
			letPass(48 * time.Hour)
			ok(a)
		})
	})
	t.Run("somebody has paused it, or it is stranded", func(t *testing.T) {
		t.Parallel()
		auditWorld(t, threeLevels(), func(w *escalationWorld) { w.cfg.Hooks.Open = nil }, func(t *testing.T, a *auditedWorld) {
			a.begin(criticalOutage())
			r := a.l.runs[run]
			r.Held, r.Status, r.Attention = &incident.Control{By: "Dee"}, incident.RunStranded, "its process is dead"
			letPass(3 * time.Minute)
			one(a, 0, "Operations", "Dee has paused it. It says: its process is dead.")
		})
	})
	t.Run("the end is overdue", func(t *testing.T) {
		t.Parallel()
		policy := threeLevels()
		policy.Levels = policy.Levels[:1]
		auditWorld(t, policy, nil, func(t *testing.T, a *auditedWorld) {
			a.begin(criticalOutage())
			a.work()
			a.p.stop()
			letPass(20 * time.Minute)
			one(a, 15*time.Minute, "", "should have gone on at 2000-01-01T00:15:00Z, and has not")
		})
	})
}

// failingRuns cannot be asked.
type failingRuns struct {
	incident.Runs
	list, record error
}

func (f failingRuns) List(ctx context.Context, q incident.RunQuery) iter.Seq2[incident.RunRecord, error] {
	if f.list == nil {
		return f.Runs.List(ctx, q)
	}
	return func(yield func(incident.RunRecord, error) bool) { yield(incident.RunRecord{}, f.list) }
}

func (f failingRuns) Record(ctx context.Context, id string, revision int64) (incident.RunRecord, error) {
	if f.record == nil {
		return f.Runs.Record(ctx, id, revision)
	}
	return incident.RunRecord{}, f.record
}

// What can be seen is reported, and what cannot is an error.
func TestAuditThatCannotSeeEverything(t *testing.T) {
	t.Parallel()
	down := errors.New("the database is on fire")
	for name, c := range map[string]struct {
		prepare func(a *auditedWorld)
		overdue int
	}{
		"the incidents": {func(a *auditedWorld) {
			a.cfg.Hooks.Open = func(context.Context) iter.Seq2[incident.Incident, error] {
				return func(yield func(incident.Incident, error) bool) { yield(incident.Incident{}, down) }
			}
		}, 1},
		"the list":    {func(a *auditedWorld) { a.cfg.Runs = failingRuns{Runs: a.l, list: down} }, 0},
		"the records": {func(a *auditedWorld) { a.cfg.Runs = failingRuns{Runs: a.l, record: down} }, 0},
		"what it is": {func(a *auditedWorld) {
			a.l.runs["escalation-INC-2026-0042-0"].Input = json.RawMessage(`{"version":99}`)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			auditWorld(t, threeLevels(), nil, func(t *testing.T, a *auditedWorld) {
				a.begin(criticalOutage())
				letPass(time.Hour)
				c.prepare(a)
				x, err := incident.NewEscalations(a.cfg)
				require.NoError(t, err)
				list, err := x.Audit(a.ctx)
				require.Error(t, err)
				assert.Len(t, list, c.overdue)
			})
		})
	}
}

// FuzzEscalationInput carries out whatever is recorded as the input of a run: it ends in an
// error and not in a panic.
func FuzzEscalationInput(f *testing.F) {
	f.Add([]byte(`{"version":1,"policy":{"name":"a","levels":[]},"incident":{"severity":"high"}}`))
	f.Add([]byte(`{"version":1,"policy":{"name":"a","repeat":3,"levels":[{"name":"b","targets":[{"channel":"c"}],"hours":{"windows":[{"for":3600000000000,"zone":"UTC"}]}}]},"incident":{"id":"i","severity":"low","triggered":"2026-12-05T03:12:00Z"}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, input []byte) {
		l := newLedger()
		x, err := incident.NewEscalations(incident.EscalationsConfig{
			Runs: l, Policies: []incident.EscalationPolicy{{Name: "a", Levels: []incident.EscalationLevel{{Name: "b", Targets: []incident.EscalationTarget{{Channel: "c"}}}}}},
			Channels: map[string]alert.Notifier{"c": alert.NotifierFunc(func(context.Context, alert.Notification) (alert.Receipt, error) { return "", nil })}, Logger: quietLogger(),
		})
		require.NoError(t, err)
		_, err = l.Start(t.Context(), incident.RunStart{ID: "r", Program: incident.EscalationProgram, Input: input, At: time.Now().Add(-time.Hour)})
		require.NoError(t, err)
		list, _ := x.Audit(t.Context())
		assert.LessOrEqual(t, len(list), 1)
	})
}
