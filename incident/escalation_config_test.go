package incident_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// matrixNumbers are for the matrix of the runbook, from the ranges that are kept for fiction.
func matrixNumbers() incident.MatrixNumbers {
	return incident.MatrixNumbers{
		Operations: "+61 2 5550 0101", Development: "+61 2 5550 0102", CanvasEmergency: "+61 2 5550 0103",
		OperationsManager: "+61 491 570 006", ITDirector: "+61 491 570 156", CanvasAdministrator: "+61 491 570 157", Helpdesk: "+61 2 5550 0199",
	}
}

func TestPolicySaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	target := incident.EscalationTarget{Channel: "infra"}
	policy := incident.EscalationPolicy{
		Name: "two words", Repeat: 21, RepeatAfter: -1, Zone: "EST", Helpdesk: "+61-x-xxxx-xxxx", Severities: []alert.Severity{7},
		Paging: incident.EscalationPaging{From: 9, Channels: []string{"a b"}},
		Levels: []incident.EscalationLevel{
			{Name: "two\nlines", After: -1, AfterFor: map[alert.Severity]time.Duration{alert.High: -1, 8: 1}, Severities: []alert.Severity{0}, Else: "next"},
			{Name: "a", Targets: []incident.EscalationTarget{target}, Hours: incident.EscalationHours{Calendar: "business", Outside: true}},
			{Name: "b", Targets: []incident.EscalationTarget{target}, Hours: incident.EscalationHours{Calendar: "business", Windows: nineToFive(nil).Windows}},
			{Name: "c", Targets: []incident.EscalationTarget{target}, Hours: incident.EscalationHours{Unless: 5}},
			{Name: "d", Targets: []incident.EscalationTarget{target}, Hours: nineToFive(time.FixedZone("AEST", 36000))},
			{Name: "e", Targets: []incident.EscalationTarget{
				{}, {OnCall: "ops", Channel: "infra"}, {OnCall: "a b", Draft: true}, {Channel: "a b", Who: "two\nlines", Severities: []alert.Severity{6}},
				{Channel: "infra", Hours: nineToFive(nil)}, {OnCall: "ops", Hours: nineToFive(nil)},
			}},
		},
	}
	err := policy.Validate()
	for _, problem := range []string{
		"its name is not made of", "Repeat 21", "RepeatAfter or AckTimeout is negative", `Zone: health: "EST"`, "Helpdesk: the phone number", "severity 7", "severity 9", `Paging: "a b"`,
		`level 1, "two\nlines": its name`, "After is negative", "AfterFor is negative for severity 2", "severity 8", "severity 0", `Else is "next"`, `level 1, "two\nlines": it has no target`,
		`level 2, "a": what is called outside of hours cannot be held`, `level 3, "b": hours are those of windows or of a calendar`, `level 3, "b": hours: window`,
		`level 4, "c": hours have neither`, "severity 5", `level 5, "d": hours: window "": health: "AEST"`,
		"target 1: it must have a team or a channel", "target 2: it must have a team or a channel", `target 3: "a b" is not the name of a team`, "target 3: only a channel can be a draft",
		`target 4: "a b" is not the name of a channel`, "target 4: Who is not one line", "severity 6", `target 5: hours: window "": a zone is required`,
	} {
		assert.ErrorContains(t, err, problem)
	}
	assert.NotContains(t, err.Error(), "target 6", "it is in the zone of each person")
	assert.ErrorContains(t, incident.EscalationPolicy{Name: "none"}.Validate(), "it has no level")
	assert.NoError(t, threeLevels().Validate())
}

func TestEscalationsSayEverythingThatIsMissing(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Paging.Channels = []string{"phone"}
	policy.Levels[0].Hours.Calendar = "business"
	policy.Levels[1].Targets[0].Hours.Calendar = "vacation"
	_, err := incident.NewEscalations(incident.EscalationsConfig{
		Policies: []incident.EscalationPolicy{policy, {Name: "three"}}, Timeout: -1,
		Channels: map[string]alert.Notifier{"nil": nil, "a b": &alerttest.Recorder{}}, Calendars: map[string]incident.Calendar{"nil": nil},
	})
	for _, problem := range []string{
		"Runs is missing", "Timeout or Grace is negative", `channel "nil" has no notifier`, `channel "a b" has no notifier, or its name`, `calendar "nil" is nil`,
		`policy "three" is there twice`, "it has no level", `there is no channel "phone"`, `there is no channel "infra"`, `there is no calendar "business"`, `there is no calendar "vacation"`,
		"a level calls a team, and OnCall is missing",
	} {
		assert.ErrorContains(t, err, problem)
	}
	_, err = incident.NewEscalations(incident.EscalationsConfig{})
	require.ErrorContains(t, err, "there is no policy")
}

func TestCheckPhone(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"+61 2 5550 0101", "+61491570006", "+1 202 555 0123", "+44 20 7946 0018"} {
		assert.NoError(t, incident.CheckPhone(number), number)
	}
	for _, number := range []string{
		"", "+", "+61-x-xxxx-xxxx", "+61-xxx-xxx-xxx", "+61 x xxxx xxxx", "02 5550 0101", "61255500101", "+0255500101", "+61 2 55", "+61 2 5550 0101 0101 0101",
		"+61 400 000 000", "+61 2 9999 9999", "+61-2-5550-0101", "++61255500101", "000",
	} {
		assert.Error(t, incident.CheckPhone(number), number)
	}
}

// Placeholders of the document are never taken for numbers.
func TestTheMatrixNeedsRealNumbers(t *testing.T) {
	t.Parallel()
	_, _, err := incident.DefaultEscalation(incident.MatrixNumbers{Operations: "+61-x-xxxx-xxxx", ITDirector: "+61-xxx-xxx-xxx"}, "two words")
	for _, problem := range []string{"Operations: the phone number is not", "Development: the phone number is missing", "CanvasEmergency", "OperationsManager", "ITDirector: the phone number is not", "CanvasAdministrator", "Helpdesk", "calendar \"two words\""} {
		assert.ErrorContains(t, err, problem)
	}
}

// matrixTold returns who is told in a world with the contacts of the runbook, in which work is from 9 to 17.
func matrixTold(t *testing.T, at string, severity alert.Severity) (told map[string][]string, policy incident.EscalationPolicy) {
	t.Helper()
	policy, contacts, err := incident.DefaultEscalation(matrixNumbers(), "business")
	require.NoError(t, err)
	told = make(map[string][]string)
	prepare := func(w *escalationWorld) {
		w.cfg.Calendars = map[string]incident.Calendar{"business": windowCalendar{nineToFive(loadZone(t, "Australia/Sydney")).Windows[0]}}
		for _, c := range contacts {
			w.cfg.Channels[c.Channel] = w.channel(c.Channel)
		}
	}
	escalateIn(t, policy, prepare, func(t *testing.T, w *escalationWorld) {
		w.wait(untilSydney(t, at))
		w.start = time.Now()
		inc := criticalOutage()
		inc.Severity = severity
		w.begin(inc)
		w.wait(5 * 24 * time.Hour)
		for _, m := range w.messages() {
			told[m.at.String()] = append(told[m.at.String()], m.channel)
		}
	})
	return told, policy
}

// windowCalendar is a calendar of one window.
type windowCalendar struct{ health.Window }

func (c windowCalendar) IsOpen(t time.Time) bool { return c.Contains(t) }

func (c windowCalendar) AddBusinessTime(t time.Time, _ time.Duration) (time.Time, error) {
	next, ok := c.Next(t)
	if !ok {
		return time.Time{}, errors.New("never")
	}
	if next.Start.Before(t) {
		next.Start = t
	}
	return next.Start, nil
}

func (windowCalendar) BusinessTime(time.Time, time.Time) time.Duration { return 0 }
func (windowCalendar) EndOfBusinessDay(time.Time) (time.Time, error) {
	return time.Time{}, errors.ErrUnsupported
}
func (windowCalendar) NextBusinessDay(time.Time) (time.Time, error) {
	return time.Time{}, errors.ErrUnsupported
}

// Requirement: RB-ESCALATION-L1, RB-ESCALATION-L2, RB-ESCALATION-L3, RB-ESCALATION-L4, RB-EMERGENCY-CONTACTS
func TestTheMatrixOfTheRunbook(t *testing.T) {
	t.Parallel()
	t.Run("contacts", func(t *testing.T) {
		t.Parallel()
		policy, contacts, err := incident.DefaultEscalation(matrixNumbers(), "business")
		require.NoError(t, err)
		byName := make(map[string]incident.Contact)
		for _, c := range contacts {
			byName[c.Channel] = c
			assert.NotEqual(t, c.Mail == "", c.Phone == "", c.Channel)
		}
		var levels [][]string
		for _, l := range policy.Levels {
			var who []string
			for _, target := range l.Targets {
				c := byName[target.Channel]
				assert.Equal(t, c.Draft, target.Draft, c.Channel)
				assert.Equal(t, c.Who, target.Who, c.Channel)
				how := c.Mail + c.Phone
				if c.Draft {
					how += " (draft)"
				}
				who = append(who, how)
			}
			levels = append(levels, append([]string{l.Name}, who...))
		}
		assert.Equal(t, [][]string{
			{"Operations Team", "operations@acu.edu.au", "sys-admin@acu.edu.au", "+61 2 5550 0101", "+61 491 570 006", "+61 491 570 156", "+61 491 570 157"},
			{"Development Team", "dev-team@acu.edu.au", "lead-dev@acu.edu.au", "+61 2 5550 0102"},
			{"Canvas Support", "canvas-admin@acu.edu.au", "support@instructure.com (draft)"},
			{"Infrastructure", "infra@acu.edu.au", "support@railway.app (draft)"},
		}, levels)
		assert.Equal(t, "Canvas emergency support line: +61 2 5550 0103", policy.Levels[2].Note)
		assert.Equal(t, "+61 2 5550 0199", policy.Helpdesk)
	})
	ops, dev := []string{"operations", "operations-phone", "sys-admin"}, []string{"dev-phone", "dev-team", "lead-dev"}
	opsMail, devMail := []string{"operations", "sys-admin"}, []string{"dev-team", "lead-dev"}
	canvas, infra := []string{"canvas-admin", "canvas-support"}, []string{"infra", "railway-support"}
	night := []string{"canvas-administrator", "it-director", "operations", "operations-manager", "operations-phone", "sys-admin"}
	for _, c := range []struct {
		name, at string
		severity alert.Severity
		want     map[string][]string
	}{
		{"critical, in office hours", "2026-12-04 10:00", alert.Critical, map[string][]string{
			"0s": ops, "15m0s": dev, "30m0s": canvas, "45m0s": infra, "1h0m0s": ops, "1h15m0s": dev, "1h30m0s": canvas, "1h45m0s": infra,
		}},
		{"critical, after hours", "2026-12-05 03:00", alert.Critical, map[string][]string{
			"0s": night, "15m0s": dev, "30m0s": canvas, "45m0s": infra, "1h0m0s": night, "1h15m0s": dev, "1h30m0s": canvas, "1h45m0s": infra,
		}},
		{"high, after hours", "2026-12-05 03:00", alert.High, map[string][]string{
			"0s": opsMail, "30m0s": devMail, "1h0m0s": canvas, "1h30m0s": infra, "1h45m0s": opsMail, "2h15m0s": devMail, "2h45m0s": canvas, "3h15m0s": infra,
		}},
		{"medium, after hours", "2026-12-05 03:00", alert.Medium, map[string][]string{
			"0s": opsMail, "2h0m0s": devMail, "4h0m0s": canvas, "6h0m0s": infra, "6h15m0s": opsMail, "8h15m0s": devMail, "10h15m0s": canvas, "12h15m0s": infra,
		}},
		{"low, on Saturday", "2026-12-05 09:00", alert.Low, map[string][]string{
			"48h0m0s": opsMail, "72h0m0s": devMail, "72h15m0s": opsMail, "96h15m0s": devMail,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			told, _ := matrixTold(t, c.at, c.severity)
			assert.Equal(t, c.want, told)
		})
	}
}

func TestBegin(t *testing.T) {
	t.Parallel()
	escalateIn(t, threeLevels(), func(w *escalationWorld) {
		w.cfg.Policies[0].Environments = []string{"production"}
		w.cfg.Policies[0].Severities = []alert.Severity{alert.Critical}
	}, func(t *testing.T, w *escalationWorld) {
		inc := criticalOutage()
		run := w.begin(inc)
		assert.Equal(t, "escalation-INC-2026-0042-0", run)
		record, err := w.runs.Record(w.ctx, run, -1)
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"incident": "INC-2026-0042", "environment": "production", "policy": "three"}, record.Labels)
		again := inc
		again.Title, again.Version = "Canvas answers slowly", 7
		assert.Equal(t, run, w.begin(again), "one incident is one escalation")
		assert.Equal(t, []string{"0s ana firing"}, w.told())
		w.do(w.x.Ended(w.ctx, inc.ID))
		assert.Equal(t, run, w.begin(inc), "also when it has ended")

		reopened := inc
		reopened.Reopens, reopened.Reopened = 1, time.Now().Add(time.Hour)
		assert.Equal(t, "escalation-INC-2026-0042-1", w.begin(reopened))
		w.wait(time.Hour)
		assert.Equal(t, "1h0m0s ana firing", w.told()[2], "from when it was reopened")
		w.do(w.x.Acknowledged(w.ctx, inc.ID, "Ana"))
		assert.Equal(t, incident.EscalationAcknowledged, w.event(incident.EscalationAcknowledged).Kind)

		for name, change := range map[string]func(i *incident.Incident){
			"of another environment": func(i *incident.Incident) { i.Environment = "test" },
			"of another severity":    func(i *incident.Incident) { i.Severity = alert.High },
		} {
			other := criticalOutage()
			change(&other)
			run, err := w.x.Begin(w.ctx, other)
			assert.NoError(t, err, name)
			assert.Empty(t, run, name)
		}
		over := criticalOutage()
		over.State = incident.Resolved
		_, err = w.x.Begin(w.ctx, over)
		require.ErrorIs(t, err, incident.ErrStale)
		_, err = w.x.Begin(w.ctx, incident.Incident{ID: "INC-1"})
		require.Error(t, err)

		odd := criticalOutage()
		odd.ID = "INC/2026 with spaces"
		run = w.begin(odd)
		assert.Regexp(t, `^escalation-[0-9a-f]{24}-0$`, run)
		w.do(w.x.Force(w.ctx, odd.ID, "Dee"))
	})
}

func TestSignalsOfNoEscalation(t *testing.T) {
	t.Parallel()
	escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
		ctx := w.ctx
		for _, err := range []error{
			w.x.Acknowledged(ctx, "INC-1", "Ana"), w.x.Progress(ctx, "INC-1", "Ana"), w.x.Unacknowledged(ctx, "INC-1"), w.x.Force(ctx, "INC-1", "Ana"),
			w.x.Worse(ctx, "INC-1", alert.Critical, "Ana"), w.x.Ended(ctx, "INC-1"),
		} {
			assert.ErrorIs(t, err, incident.ErrNotFound)
		}
		run := w.begin(criticalOutage())
		require.ErrorContains(t, w.x.Force(ctx, run, " "), "who says so is missing")
		require.Error(t, w.x.Worse(ctx, run, 0, "Ana"))
		w.do(w.x.Acknowledged(ctx, run, ""))
		assert.Equal(t, "somebody", w.event(incident.EscalationAcknowledged).Actor)
		w.do(w.x.Ended(ctx, run))
		require.ErrorIs(t, w.x.Force(ctx, run, "Ana"), incident.ErrStale)
		require.ErrorIs(t, w.x.Worse(ctx, run, alert.Critical, "Ana"), incident.ErrStale)
	})
}

// What the incident says when a level is reached counts, although no signal has arrived.
func TestTheIncidentIsReadWhenALevelIsReached(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(inc *incident.Incident)
		kind   incident.EscalationEventKind // of what happens at the second level
	}{
		{"acknowledged", func(i *incident.Incident) { i.State, i.AcknowledgedBy = incident.Acknowledged, "Cy" }, incident.EscalationAcknowledged},
		{"mitigated", func(i *incident.Incident) { i.State = incident.Mitigated }, incident.EscalationAcknowledged},
		{"acknowledged, and that has expired", func(i *incident.Incident) {
			i.State, i.AckExpires = incident.Acknowledged, i.Triggered.Add(time.Minute)
		}, incident.EscalationCalled},
		{"resolved", func(i *incident.Incident) { i.State = incident.Resolved }, incident.EscalationOver},
		{"merged", func(i *incident.Incident) { i.State = incident.Merged }, incident.EscalationOver},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
				run := w.begin(criticalOutage())
				w.change("INC-2026-0042", c.change)
				w.wait(16 * time.Minute)
				assert.Equal(t, 15*time.Minute, w.event(c.kind).At.Sub(w.start))
				assert.Equal(t, c.kind == incident.EscalationCalled, len(w.channels["bo"].Notifications()) > 0)
				if c.kind == incident.EscalationOver {
					w.ended(run)
				}
			})
		})
	}
	t.Run("it reads what is known by then", func(t *testing.T) {
		t.Parallel()
		escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
			w.begin(criticalOutage())
			w.change("INC-2026-0042", func(i *incident.Incident) { i.Title, i.Summary = "Canvas and the database do not answer", "both" })
			w.wait(16 * time.Minute)
			assert.Contains(t, w.last("bo").Title, "Canvas and the database do not answer")
		})
	})
	t.Run("it cannot be read", func(t *testing.T) {
		t.Parallel()
		prepare := func(w *escalationWorld) {
			w.cfg.Hooks.Incident = func(context.Context, string) (incident.Incident, error) { panic("the database is on fire") }
			w.cfg.Hooks.OnLevel = func(context.Context, incident.EscalationEvent) error { return errors.New("the database is on fire") }
		}
		escalateIn(t, threeLevels(), prepare, func(t *testing.T, w *escalationWorld) {
			w.begin(criticalOutage())
			w.wait(16 * time.Minute)
			assert.Equal(t, []string{"0s ana firing", "15m0s bo firing"}, w.told(), "people are called all the same")
		})
	})
	t.Run("there are no hooks", func(t *testing.T) {
		t.Parallel()
		escalateIn(t, threeLevels(), func(w *escalationWorld) { w.cfg.Hooks = incident.EscalationHooks{} }, func(t *testing.T, w *escalationWorld) {
			w.begin(criticalOutage())
			w.wait(16 * time.Minute)
			assert.Equal(t, []string{"0s ana firing", "15m0s bo firing"}, w.told())
		})
	})
}

// What was sent while nothing ran counts before anybody is woken, also if the time of a
// level has come and gone meanwhile.
func TestSignalsWhileNothingRuns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		signal func(ctx context.Context, x *incident.Escalations, run string) error
		want   []string
	}{
		"acknowledged": {func(ctx context.Context, x *incident.Escalations, run string) error {
			return x.Acknowledged(ctx, run, "Ana")
		}, nil},
		"ended": {func(ctx context.Context, x *incident.Escalations, run string) error { return x.Ended(ctx, run) }, nil},
		"progress": {func(ctx context.Context, x *incident.Escalations, run string) error {
			return x.Progress(ctx, run, "Ana")
		}, []string{"2h0m0s ana firing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newEscalationWorld(t, threeLevels())
				x, err := incident.NewEscalations(w.cfg)
				require.NoError(t, err)
				run, err := x.Begin(w.ctx, criticalOutage())
				require.NoError(t, err)
				w.wait(time.Hour)
				require.NoError(t, c.signal(w.ctx, x, run))
				w.wait(time.Hour)
				w.cfg.Hooks.Incident = nil
				w.launch()
				synctest.Wait()
				assert.Equal(t, c.want, w.told())
				require.NoError(t, w.runs.Close(w.ctx))
			})
		})
	}
}

// Nothing is begun or told where nothing may be changed.
func TestEscalationsInAPlan(t *testing.T) {
	t.Parallel()
	escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
		run := w.begin(criticalOutage())
		ctx := runbook.ReadOnly(w.ctx)
		_, err := w.x.Begin(ctx, criticalOutage())
		for _, err := range []error{err, w.x.Acknowledged(ctx, run, "Ana"), w.x.Force(ctx, run, "Ana"), w.x.Ended(ctx, run)} {
			require.ErrorIs(t, err, runbook.ErrReadOnly)
			assert.True(t, runbook.SafeToRetry(err))
		}
		post := func(context.Context, alert.Post, ...string) error { return errors.New("not to be called") }
		_, err = incident.DraftChannel(post, "vendor").Notify(ctx, alert.Notification{Post: &alert.Post{}})
		require.ErrorIs(t, err, runbook.ErrReadOnly)
		_, err = w.x.Audit(ctx)
		require.NoError(t, err)
	})
}
