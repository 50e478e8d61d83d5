package incident_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// Requirement: INC-POLICY-BINDING
func TestBindings(t *testing.T) {
	t.Parallel()
	rule := func(name string) alert.Matcher { return alert.Matcher{Labels: map[string]string{"rule": name}} }
	opened := make(map[string]incident.Binding)
	c := newCase(t, incident.ManagerConfig{
		Bindings: []incident.Binding{
			{Name: "exercise", Match: alert.Matcher{Labels: map[string]string{"exercise": "yes"}}, Simulated: true},
			{Name: "down", Match: rule("health_check"), Severity: alert.Critical, Title: "Application down", Playbook: "application-down", Automatic: true},
			{Name: "slow", Match: rule("response_time"), Playbook: "performance-degradation"},
			{Name: "pager", Match: rule("pager"), PagedElsewhere: true},
		},
		Hooks: incident.ManagerHooks{OnOpened: func(_ context.Context, i incident.Incident, b incident.Binding) { opened[i.ID] = b }},
	})
	now := time.Now()
	unbound := firing("memory", alert.High, now)
	drill := firing("health_check", alert.High, now)
	drill.Labels = map[string]string{"exercise": "yes"}
	talk := conversation{key: "c1"}
	talk.say(t, c.manager, alert.KindFiring, firing("health_check", alert.High, now), firing("response_time", alert.Medium, now), unbound, firing("pager", alert.High, now))
	drills := conversation{key: "c2"}
	drills.say(t, c.manager, alert.KindFiring, drill)

	all := make(map[string]incident.Incident)
	for _, inc := range c.all(t) {
		all[inc.Binding] = inc
	}
	require.Len(t, all, 4)
	assert.Equal(t, alert.Critical, all["down"].Severity, "the severity is that of the binding")
	assert.Equal(t, "Application down", all["down"].Title)
	assert.Equal(t, "application-down", all["down"].Playbook)
	assert.Equal(t, alert.Medium, all["slow"].Severity, "or that of the alert")
	assert.Equal(t, "response_time is too high", all["slow"].Title)
	assert.True(t, all["exercise"].Simulated, "an exercise is an incident of its own")
	assert.False(t, all["down"].Simulated)
	assert.True(t, opened[all["down"].ID].Automatic, "the host is told of the binding")
	assert.False(t, opened[all["slow"].ID].Automatic)
	assert.Len(t, opened, 4)
	assert.NotContains(t, strings.Join(c.escalator.take(), " "), all["pager"].ID, "another service calls people")

	// What no binding matches opens nothing, and is listed.
	talk.say(t, c.manager, alert.KindReminder, firing("health_check", alert.High, now), unbound)
	require.Len(t, c.manager.Unbound(), 1)
	assert.Equal(t, "memory", c.manager.Unbound()[0].Rule)
	assert.Len(t, c.all(t), 4)
}

func TestManagerConfigProblems(t *testing.T) {
	t.Parallel()
	_, err := incident.NewManager(incident.ManagerConfig{
		IDs: "2 b", AckFor: -1, Every: -1,
		SLAs: map[alert.Severity]incident.SLA{7: {}, alert.High: {Resolve: -3}},
		Bindings: []incident.Binding{
			{Name: "a b", Severity: 9, Automatic: true},
			{Name: "x", GroupBy: []string{""}},
			{Name: "x", Match: alert.Matcher{Severities: []alert.Severity{8}}},
		},
	})
	require.Error(t, err)
	for _, want := range []string{
		"Store is missing", "AckFor", "Every", "IDs", "severity 7", "the time to resolve", `binding "a b": the name`, "severity 9",
		"no playbook", "a label to group by", "severity 8", "is there twice", `"a b" before it matches everything`,
	} {
		assert.Contains(t, err.Error(), want)
	}
	c := newCase(t, incident.ManagerConfig{Bindings: []incident.Binding{{Name: "down", Playbook: "application-down"}}})
	require.NoError(t, c.manager.Validate([]string{"application-down"}))
	assert.ErrorContains(t, c.manager.Validate([]string{"database-issues"}), `binding "down": there is no playbook "application-down"`)
}

func TestAlertsBecomeOneIncident(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{})
		began := time.Now()
		time.Sleep(2 * time.Minute)
		a := firing("health_check", alert.High, began)
		b := a
		b.Entity, b.Key = "worker", alert.Key("health_check", "production", "worker", alert.Failing)
		b.Severity, b.Fired = alert.Critical, time.Now()
		talk := conversation{key: "c1"}

		n := talk.say(t, c.manager, alert.KindFiring, a)
		id := string(talk.prior)
		assert.Equal(t, "INC-2000-0001", id, "the receipt is the incident")
		inc := c.read(t, id)
		assert.Equal(t, incident.Triggered, inc.State)
		assert.Equal(t, alert.High, inc.Severity)
		assert.Equal(t, began.UTC(), inc.Triggered, "the clocks run from the first trigger, however late it was told")
		assert.Equal(t, began.Add(30*time.Minute).UTC(), clock(t, inc, incident.ClockAcknowledge).Due)

		// The same again, once its answer was lost, and as a reminder.
		before := c.timeline(t, id)
		n.PossibleRepeat, n.Prior = true, ""
		assert.Equal(t, alert.Receipt(id), c.notify(t, n))
		talk.say(t, c.manager, alert.KindReminder, a)
		assert.Equal(t, before, c.timeline(t, id), "a repetition changes nothing")
		assert.Equal(t, inc.Version, c.read(t, id).Version)

		// A second alert joins, and makes it worse.
		talk.say(t, c.manager, alert.KindUpdate, b, a)
		inc = c.read(t, id)
		require.Len(t, c.all(t), 1)
		require.Len(t, inc.Alerts, 2)
		assert.Equal(t, alert.Critical, inc.Severity)
		assert.Equal(t, alert.High, inc.First)
		contains(t, c.texts(t, id), "the severity is critical, and was high: an alert is worse: health_check is too high (worker)")

		// One ends, then all do.
		time.Sleep(time.Minute)
		talk.say(t, c.manager, alert.KindUpdate, b, over(a, time.Now()))
		inc = c.read(t, id)
		assert.Equal(t, time.Now().UTC(), inc.Alerts[0].Ended)
		assert.Zero(t, inc.Alerts[1].Ended)
		assert.Zero(t, inc.AlertsEnded)
		time.Sleep(time.Minute)
		talk.say(t, c.manager, alert.KindResolved, over(b, time.Now()))
		inc = c.read(t, id)
		assert.Equal(t, time.Now().UTC(), inc.AlertsEnded)
		assert.Equal(t, incident.Triggered, inc.State, "a person resolves it")
		contains(t, c.texts(t, id), "none of its alerts fires any more; resolve it if it is over")
		assert.Equal(t, []string{
			"opened", "alert fired", "escalation", "alert fired", "severity", "alert ended", "alert ended", "all alerts ended",
		}, c.kinds(t, id))
	})
}

// An alert that is no longer in its conversation is over, also if the notification that
// said so named too many others.
func TestEndsThatWereMissed(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{AutoResolve: true})
	now := time.Now()
	a, b := firing("health_check", alert.High, now), firing("memory", alert.High, now)
	talk := conversation{key: "c1"}
	talk.say(t, c.manager, alert.KindDigest, a, b)
	require.Len(t, strings.Split(string(talk.prior), ","), 2, "two rules are two incidents of one conversation")
	talk.say(t, c.manager, alert.KindDigest, a)
	all := c.all(t)
	states := map[string]incident.State{all[0].Alerts[0].Rule: all[0].State, all[1].Alerts[0].Rule: all[1].State}
	assert.Equal(t, map[string]incident.State{"health_check": incident.Triggered, "memory": incident.Resolved}, states)
	talk.say(t, c.manager, alert.KindResolved)
	for _, inc := range c.all(t) {
		assert.Equal(t, incident.Resolved, inc.State)
	}
}

func TestAutoResolveAndFlapping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{AutoResolve: true, ReopenWithin: 20 * time.Minute})
		first := firing("health_check", alert.High, time.Now())
		talk := conversation{key: "c1"}
		talk.say(t, c.manager, alert.KindFiring, first)
		time.Sleep(5 * time.Minute)
		talk.say(t, c.manager, alert.KindResolved, over(first, time.Now()))
		inc := c.all(t)[0]
		assert.Equal(t, incident.Resolved, inc.State)
		assert.Equal(t, time.Now().UTC(), inc.Resolved)
		assert.Empty(t, inc.AcknowledgedBy, "nobody took care")
		contains(t, c.texts(t, inc.ID), "resolved, since none of its alerts fires any more")

		// It fires again soon: the same incident goes on.
		time.Sleep(19 * time.Minute)
		again := firing("health_check", alert.High, time.Now())
		talk = conversation{key: "c2"}
		talk.say(t, c.manager, alert.KindFiring, again)
		require.Len(t, c.all(t), 1)
		got := c.read(t, inc.ID)
		assert.Equal(t, incident.Triggered, got.State)
		assert.Equal(t, 1, got.Reopens)
		assert.Equal(t, 2, got.Alerts[0].Times)
		assert.Zero(t, got.AlertsEnded)
		contains(t, c.texts(t, inc.ID), "reopened: it fires again, 19m0s after it was resolved")

		// It fires again late: another incident.
		talk.say(t, c.manager, alert.KindResolved, over(again, time.Now()))
		time.Sleep(21 * time.Minute)
		talk = conversation{key: "c3"}
		talk.say(t, c.manager, alert.KindFiring, firing("health_check", alert.High, time.Now()))
		assert.Len(t, c.all(t), 2)
		assert.Equal(t, incident.Resolved, c.read(t, inc.ID).State)
	})
}

// A person has closed an incident whose alert goes on firing: it stays closed, and that
// is on its timeline.
func TestClosedAlthoughItFires(t *testing.T) {
	t.Parallel()
	for name, closes := range map[string]string{"resolved": "resolve", "cancelled": "cancel"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCase(t, incident.ManagerConfig{})
				a := firing("health_check", alert.High, time.Now())
				talk := conversation{key: "c1"}
				talk.say(t, c.manager, alert.KindFiring, a)
				inc, err := commands[closes](t.Context(), c.manager, string(talk.prior), "")
				require.NoError(t, err)
				for range 3 {
					time.Sleep(time.Hour)
					talk.say(t, c.manager, alert.KindReminder, a)
				}
				require.Len(t, c.all(t), 1)
				got := c.read(t, inc.ID)
				assert.Equal(t, incident.State(name), got.State)
				still := slices.DeleteFunc(c.kinds(t, inc.ID), func(kind string) bool { return kind != "alert still fires" })
				assert.Len(t, still, 1, "once")
				talk.say(t, c.manager, alert.KindResolved, over(a, time.Now()))
				assert.Equal(t, time.Now().UTC(), c.read(t, inc.ID).Alerts[0].Ended, "its end is noted")
				assert.Equal(t, incident.State(name), c.read(t, inc.ID).State)
			})
		})
	}
}

func TestMitigatedIncidentThatFiresAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{SLAs: map[alert.Severity]incident.SLA{alert.High: {Mitigate: time.Hour}}})
		a := firing("health_check", alert.High, time.Now())
		talk := conversation{key: "c1"}
		talk.say(t, c.manager, alert.KindFiring, a)
		id := string(talk.prior)
		_, err := c.manager.Acknowledge(t.Context(), id, incident.Ack{By: "ben"})
		require.NoError(t, err)
		_, err = c.manager.Mitigate(t.Context(), id, "ben", "restarted")
		require.NoError(t, err)
		talk.say(t, c.manager, alert.KindReminder, a)
		assert.Equal(t, incident.Mitigated, c.read(t, id).State, "it fired before")
		time.Sleep(time.Minute)
		talk.say(t, c.manager, alert.KindUpdate, firing("health_check", alert.High, time.Now()))
		got := c.read(t, id)
		assert.Equal(t, incident.Acknowledged, got.State, "users are hurt again, and ben takes care still")
		assert.Zero(t, got.Mitigated)
		assert.Zero(t, clock(t, got, incident.ClockMitigate).Stopped, "the time runs on")
	})
}

func TestSeverityThatAPersonChoseStays(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	now := time.Now()
	a, b := firing("health_check", alert.High, now), firing("health_check", alert.Critical, now)
	b.Key = alert.Key("health_check", "production", "worker", alert.Failing)
	talk := conversation{key: "c1"}
	talk.say(t, c.manager, alert.KindFiring, a)
	id := string(talk.prior)
	_, err := c.manager.SetSeverity(t.Context(), id, alert.Low, "ben", "nobody works today")
	require.NoError(t, err)
	talk.say(t, c.manager, alert.KindUpdate, a, b)
	talk.say(t, c.manager, alert.KindReminder, a, b)
	got := c.read(t, id)
	assert.Equal(t, alert.Low, got.Severity)
	assert.Equal(t, "ben", got.SeverityBy)
	notes := slices.DeleteFunc(c.texts(t, id), func(text string) bool { return !strings.HasPrefix(text, "an alert is critical, and ben chose low") })
	assert.Len(t, notes, 1, "that it may be wrong is noted, once")
}

func TestMergedIncidentsGoOnTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{AutoResolve: true})
		now := time.Now()
		a, b := firing("health_check", alert.Critical, now), firing("memory", alert.High, now)
		one, two := conversation{key: "c1"}, conversation{key: "c2"}
		one.say(t, c.manager, alert.KindFiring, a)
		two.say(t, c.manager, alert.KindFiring, b)
		gone, stays := string(one.prior), string(two.prior)
		_, err := c.manager.Merge(t.Context(), gone, stays, "ben", "the same cause")
		require.NoError(t, err)
		got := c.read(t, stays)
		assert.Equal(t, []string{gone}, got.Merged)
		assert.Len(t, got.Alerts, 2)
		assert.Equal(t, alert.Critical, got.Severity, "the worse one")
		assert.Equal(t, stays, c.read(t, gone).MergedInto)
		assert.Equal(t, incident.Merged, c.read(t, gone).State)
		assert.Contains(t, strings.Join(c.escalator.take(), "\n"), "ended escalation-"+gone)
		require.Len(t, c.chain(t, "audit"), 2+1, "merging is on both timelines, and twice on the audit record")

		// More of what was merged comes to the one that goes on.
		worker := a
		worker.Entity, worker.Key = "worker", alert.Key("health_check", "production", "worker", alert.Failing)
		one.say(t, c.manager, alert.KindUpdate, a, worker)
		require.Len(t, c.all(t), 2)
		assert.Len(t, c.read(t, stays).Alerts, 3)
		two.say(t, c.manager, alert.KindResolved, over(b, time.Now()))
		assert.Equal(t, incident.Triggered, c.read(t, stays).State)
		one.say(t, c.manager, alert.KindResolved, over(a, time.Now()), over(worker, time.Now()))
		assert.Equal(t, incident.Resolved, c.read(t, stays).State)
	})
}

func TestLinkedAlertBringsItsKey(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	inc := c.open(t, alert.High)
	a := firing("health_check", alert.High, time.Now())
	_, err := c.manager.LinkAlert(t.Context(), inc.ID, a, "ana")
	require.NoError(t, err)
	talk := conversation{key: "c1"}
	talk.say(t, c.manager, alert.KindFiring, a)
	assert.Equal(t, alert.Receipt(inc.ID), talk.prior, "what is told of it comes to the incident that a person opened")
	assert.Len(t, c.all(t), 1)

	other := c.open(t, alert.High)
	_, err = c.manager.LinkAlert(t.Context(), other.ID, a, "ana")
	assert.ErrorIs(t, err, incident.ErrTaken)
	assert.ErrorContains(t, err, "merge")
}

func TestAcknowledgementsGoBothWays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{AckFor: time.Hour})
		a, b := firing("health_check", alert.High, time.Now()), firing("health_check", alert.High, time.Now())
		b.Key = alert.Key("health_check", "production", "worker", alert.Failing)
		talk := conversation{key: "c1"}
		talk.say(t, c.manager, alert.KindFiring, a, b)
		id := string(talk.prior)

		// From the router: the incident is acknowledged, and nothing is sent back.
		time.Sleep(time.Minute)
		a.Acknowledged = &alert.Acknowledgement{By: "ben", At: time.Now(), Comment: "on it"}
		time.Sleep(time.Second)
		talk.say(t, c.manager, alert.KindUpdate, a, b)
		got := c.read(t, id)
		assert.Equal(t, incident.Acknowledged, got.State)
		assert.Equal(t, "ben", got.AcknowledgedBy)
		assert.Equal(t, a.Acknowledged.At.UTC(), got.Acknowledged)
		assert.Empty(t, c.acks.said)
		last := c.chain(t, "audit")
		assert.Equal(t, "ben", last[len(last)-1].Actor, "a person did something")

		// After it has expired, the same acknowledgement does not count again.
		time.Sleep(2 * time.Hour)
		require.NoError(t, c.manager.Tick(t.Context()))
		talk.say(t, c.manager, alert.KindReminder, a, b)
		assert.Equal(t, incident.Triggered, c.read(t, id).State)

		// From a person: the alerts that fire are acknowledged, and what comes back of that
		// changes nothing.
		talk.say(t, c.manager, alert.KindUpdate, a, over(b, time.Now()))
		_, err := c.manager.Acknowledge(t.Context(), id, incident.Ack{By: "eve", For: -1})
		require.NoError(t, err)
		assert.Equal(t, []string{"eve " + a.Key}, c.acks.said)
		before := c.timeline(t, id)
		a.Acknowledged = &alert.Acknowledgement{By: "eve", At: time.Now()}
		talk.say(t, c.manager, alert.KindUpdate, a)
		assert.Equal(t, before, c.timeline(t, id))
		assert.Len(t, c.acks.said, 1)

		// Somebody else takes over at the router.
		time.Sleep(time.Minute)
		a.Acknowledged = &alert.Acknowledgement{By: "ben", At: time.Now()}
		talk.say(t, c.manager, alert.KindUpdate, a)
		assert.Equal(t, "ben", c.read(t, id).AcknowledgedBy)
		assert.Len(t, c.acks.said, 1, "and nothing is sent back")
	})
}

// What could not be told to others after a change is told later, also by another process.
func TestWhatIsOwedIsDoneLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{})
		c.escalator.errs = []error{errDown}
		a := firing("health_check", alert.High, time.Now())
		talk := conversation{key: "c1"}
		talk.say(t, c.manager, alert.KindFiring, a)
		id := string(talk.prior)
		assert.Empty(t, c.read(t, id).Escalation, "the incident is there although nobody could be called")
		other := c.another(t)
		require.NoError(t, other.Tick(t.Context()))
		assert.Empty(t, c.escalator.take(), "what was changed just now is left to who changed it")
		time.Sleep(time.Minute)
		require.NoError(t, other.Tick(t.Context()))
		assert.Equal(t, []string{"begin escalation-" + id + "-0"}, c.escalator.take())

		c.escalator.errs, c.acks.errs = []error{errDown}, []error{errDown}
		_, err := c.manager.Acknowledge(t.Context(), id, incident.Ack{By: "ben"})
		require.NoError(t, err, "it is acknowledged")
		assert.True(t, c.read(t, id).Alerts[0].AckOwed)
		time.Sleep(time.Minute)
		require.NoError(t, other.Tick(t.Context()))
		assert.Equal(t, []string{"acknowledged escalation-" + id + "-0 by ben"}, c.escalator.take())
		assert.Equal(t, []string{"ben " + a.Key}, c.acks.said)
		assert.False(t, c.read(t, id).Alerts[0].AckOwed)

		c.escalator.errs = []error{errDown, errDown}
		_, err = c.manager.Resolve(t.Context(), id, incident.Resolution{By: "ben"})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.ErrorIs(t, other.Tick(t.Context()), errDown)
		require.NoError(t, other.Tick(t.Context()))
		assert.Equal(t, []string{"ended escalation-" + id + "-0"}, c.escalator.take(), "also of one that is closed")
		require.NoError(t, other.Tick(t.Context()))
		assert.Empty(t, c.escalator.take())
	})
}

func TestEscalationThatHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{AckFor: time.Minute})
		inc := c.open(t, alert.High)
		_, err := c.manager.SetSeverity(t.Context(), inc.ID, alert.Critical, "ben", "everybody is hurt")
		require.NoError(t, err)
		_, err = c.manager.SetSeverity(t.Context(), inc.ID, alert.High, "ben", "not everybody")
		require.NoError(t, err)
		run := "escalation-" + inc.ID + "-0"
		assert.Equal(t, []string{"begin " + run, "worse " + run + ": critical, says ben"}, c.escalator.take())
		_, err = c.manager.Acknowledge(t.Context(), inc.ID, incident.Ack{By: "ben"})
		require.NoError(t, err)
		c.escalator.errs = []error{incident.ErrStale}
		time.Sleep(time.Hour)
		require.NoError(t, c.manager.Tick(t.Context()))
		contains(t, c.texts(t, inc.ID), "nobody is called any more: the escalation has ended before")
		require.NoError(t, c.manager.Escalated(t.Context(), inc.ID, 2, []string{"eve", "ana"}, ""))
		require.NoError(t, c.manager.Escalated(t.Context(), inc.ID, 3, nil, "nobody is on call"))
		assert.Equal(t, 3, c.read(t, inc.ID).Level)
		contains(t, c.texts(t, inc.ID), "level 2 of the escalation called eve, ana")
		contains(t, c.texts(t, inc.ID), "level 3 of the escalation has reached nobody: nobody is on call")
	})
}

func TestNotificationsOfOtherKinds(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	_, err := c.manager.Notify(t.Context(), alert.Notification{Key: "p", Kind: alert.KindPost, Post: &alert.Post{ID: "x"}})
	assert.ErrorIs(t, err, alert.ErrRefused)
	for _, kind := range []alert.Kind{alert.KindTest, alert.KindNotice} {
		r, err := c.manager.Notify(t.Context(), alert.Notification{Key: "p", Kind: kind, Prior: "INC-1"})
		require.NoError(t, err)
		assert.Equal(t, alert.Receipt("INC-1"), r)
	}
	odd := firing("health_check", alert.High, time.Now())
	odd.Key = strings.Repeat("k", 65)
	talk := conversation{key: "c1", prior: "INC-1999-0001,nonsense/x"}
	talk.say(t, c.manager, alert.KindFiring, odd, alert.Alert{Key: "pending", State: alert.Pending})
	assert.Empty(t, c.all(t))
}

func TestHostileAlerts(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	a := firing("health_check", alert.Severity(200), time.Time{})
	a.Began = time.Time{}
	a.Summary, a.Detail, a.Entity = "down\x00\x1b[31m\xff\u202egnp", strings.Repeat("x\x00é", 5000), strings.Repeat("e|%#", 200)
	a.Key = alert.Key("r", "e", "n", "")
	talk := conversation{key: "c1"}
	talk.say(t, c.manager, alert.KindFiring, a)
	talk.say(t, c.manager, alert.KindReminder, a)
	require.Len(t, c.all(t), 1)
	inc := c.all(t)[0]
	assert.Equal(t, alert.Critical, inc.Severity, "which severity that is cannot be known: the worst")
	assert.Equal(t, "down [31m\ufffd gnp", inc.Title)
	c.timeline(t, inc.ID) // is whole
}

func TestStoreThatFails(t *testing.T) {
	t.Parallel()
	store := &faultyStore{Store: &incident.MemoryStore{}}
	c := newCase(t, incident.ManagerConfig{Store: store})
	a := firing("health_check", alert.High, time.Now())
	n := alert.Notification{Key: "c1", Seq: 1, Kind: alert.KindFiring, At: time.Now(), Alerts: []alert.Alert{a}}

	store.before = []error{unsentError{errDown}}
	_, err := c.manager.Notify(t.Context(), n)
	assert.ErrorIs(t, err, errDown)
	assert.True(t, runbook.SafeToRetry(err), "nothing happened")
	assert.Empty(t, c.all(t))

	store.after = []error{errDown} // it is written, and nobody knows
	_, err = c.manager.Notify(t.Context(), n)
	assert.ErrorIs(t, err, incident.ErrOutcomeUnknown)
	assert.False(t, runbook.SafeToRetry(err))
	n.PossibleRepeat = true
	assert.Equal(t, alert.Receipt(c.all(t)[0].ID), c.notify(t, n))
	require.Len(t, c.all(t), 1, "it is one incident")

	id := c.all(t)[0].ID
	store.after = []error{errDown}
	_, err = c.manager.Note(t.Context(), id, "ben", "a note")
	assert.ErrorIs(t, err, incident.ErrOutcomeUnknown)
	store.before = []error{unsentError{errDown}}
	_, err = c.manager.Note(t.Context(), id, "ben", "another one")
	assert.NotErrorIs(t, err, incident.ErrOutcomeUnknown)
	assert.True(t, runbook.SafeToRetry(err))
	assert.NotContains(t, fmt.Sprint(err), "another one", "no content in errors")
	busy := make([]error, 1000)
	for i := range busy {
		busy[i] = unsentError{incident.ErrStale}
	}
	synctest.Test(t, func(t *testing.T) {
		store.before = busy
		_, err = c.manager.Note(t.Context(), id, "ben", "a third one")
		assert.True(t, errors.Is(err, incident.ErrBusy) && runbook.SafeToRetry(err), "it is not tried for ever: %v", err)
	})
}
