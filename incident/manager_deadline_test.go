package incident_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// reminders are what people were told of deadlines.
type reminders struct {
	mu    sync.Mutex
	fail  error
	panic bool
	list  []incident.Reminder
}

func (r *reminders) remind(_ context.Context, one incident.Reminder) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.panic {
		panic("no mail today")
	}
	if r.fail != nil {
		return r.fail
	}
	r.list = append(r.list, one)
	return nil
}

// take returns what was told since, by the marks.
func (r *reminders) take() (marks []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.list {
		marks = append(marks, one.Deadline.Name+" "+string(one.Deadline.Told))
	}
	r.list = nil
	return marks
}

// notifyIn is the deadline of a breach.
func notifyIn(lasts time.Duration) incident.Obligation {
	return incident.Obligation{By: "runbook", Name: "notify", What: "settle whether it must be notified", Tell: "the privacy officer", Due: time.Now().Add(lasts), Run: "run-1"}
}

func setDeadline(t testing.TB, m *incident.Manager, id string, o incident.Obligation) incident.Deadline {
	t.Helper()
	_, set, err := m.SetDeadline(t.Context(), id, o)
	require.NoError(t, err)
	return set
}

// The month of a breach: people are told at each mark once, whoever looks, how often, and
// although the incident is over; and it is open until a person settles it.
//
// Requirement: INC-DEADLINE
func TestDeadlineOutlivesItsIncident(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reminders
		c := newCase(t, incident.ManagerConfig{Remind: told.remind})
		other := c.another(t)
		inc := c.open(t, alert.Critical)
		began := time.Now().UTC()
		set := setDeadline(t, c.manager, inc.ID, notifyIn(30*day))
		assert.Equal(t, began.Add(30*day), set.Due)
		_, err := c.manager.Resolve(t.Context(), inc.ID, incident.Resolution{By: "ben"})
		require.NoError(t, err)
		_, err = c.manager.Review(t.Context(), inc.ID, "ana", "")
		require.NoError(t, err)

		for hour := range 31 * 24 {
			time.Sleep(time.Hour)
			require.NoError(t, c.manager.Tick(t.Context()))
			require.NoError(t, other.Tick(t.Context()), hour)
		}
		assert.Equal(t, []string{"notify half", "notify four fifths", "notify last day", "notify over"}, told.take(), "once each")
		var marks []string
		for _, e := range c.timeline(t, inc.ID) {
			if e.Kind == "deadline nears" {
				marks = append(marks, fmt.Sprint(e.At.Sub(began).Hours()/24, " ", e.Actor))
			}
		}
		assert.Equal(t, []string{"15 runbook", "24 runbook", "29 runbook", "30 runbook"}, marks, "with the times at which it was")

		got := c.read(t, inc.ID)
		assert.Equal(t, incident.Reviewed, got.State)
		l, ok := got.Deadline("notify")
		require.True(t, ok)
		assert.True(t, l.Open())
		assert.True(t, l.Missed(time.Now()))
		assert.Equal(t, -day, l.Left(time.Now()))
		assert.Equal(t, "notify by Mon 31 Jan 2000 00:00 UTC, MISSED 24 hours ago and still open", l.Line(time.Now(), nil))

		got, err = c.manager.SettleDeadline(t.Context(), inc.ID, "notify", incident.Settlement{By: "pia", Reason: "the Commissioner was notified, NDB-1"})
		require.NoError(t, err)
		l, _ = got.Deadline("notify")
		assert.True(t, l.Missed(time.Now()), "too late stays too late")
		assert.Contains(t, l.Line(time.Now(), nil), "settled TOO LATE by pia")
		contains(t, c.texts(t, inc.ID), "the deadline to notify is settled, 24 hours TOO LATE: it was due by Mon 31 Jan 2000 00:00 UTC: the Commissioner was notified, NDB-1")
		time.Sleep(60 * day)
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Empty(t, told.take())
	})
}

// Nobody looked for the whole month: all of it is on the timeline, and people are told of
// the last at least.
func TestDeadlineAfterALongSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reminders
		c := newCase(t, incident.ManagerConfig{Remind: told.remind})
		inc := c.open(t, alert.High)
		setDeadline(t, c.manager, inc.ID, notifyIn(30*day))
		_, err := c.manager.Cancel(t.Context(), inc.ID, "ben", "a test")
		require.NoError(t, err)
		time.Sleep(40 * day)
		var wait sync.WaitGroup
		for range 4 { // several processes come back at a time
			m := c.another(t)
			wait.Go(func() { assert.NoError(t, m.Tick(t.Context())) })
		}
		wait.Wait()
		assert.Equal(t, []string{"notify over"}, told.take())
		assert.Equal(t, 4, countOf(c.kinds(t, inc.ID), "deadline nears"))
	})
}

func countOf(list []string, what string) (n int) {
	for _, one := range list {
		if one == what {
			n++
		}
	}
	return n
}

// Who could not be told is told a minute later, and once.
func TestReminderThatFails(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]*reminders{"error": {fail: errors.New("the mail server is down")}, "panic": {panic: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCase(t, incident.ManagerConfig{Remind: told.remind})
				inc := c.open(t, alert.High)
				setDeadline(t, c.manager, inc.ID, notifyIn(10*day))
				time.Sleep(5 * day)
				require.ErrorContains(t, c.manager.Tick(t.Context()), "remind people of the deadline to notify")
				told.mu.Lock()
				told.fail, told.panic = nil, false
				told.mu.Unlock()
				require.NoError(t, c.manager.Tick(t.Context()))
				assert.Empty(t, told.take(), "it is left to the process that began")
				time.Sleep(2 * time.Minute)
				for range 3 {
					require.NoError(t, c.another(t).Tick(t.Context()))
					time.Sleep(2 * time.Minute)
				}
				assert.Equal(t, []string{"notify half"}, told.take())
				assert.Equal(t, 1, countOf(c.kinds(t, inc.ID), "deadline nears"))
			})
		})
	}
}

func TestDeadlineIsSetOnceAndNeverLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{})
		inc := c.open(t, alert.High)
		first := setDeadline(t, c.manager, inc.ID, notifyIn(30*day))
		time.Sleep(day)
		assert.Equal(t, first, setDeadline(t, c.manager, inc.ID, notifyIn(30*day)), "a step that is made again")
		again := notifyIn(30 * day)
		again.Run = "run-2"
		assert.Equal(t, first, setDeadline(t, c.manager, inc.ID, again), "another playbook")
		assert.Equal(t, 1, countOf(c.kinds(t, inc.ID), "deadline"))

		sooner := notifyIn(10 * day)
		sooner.By, sooner.Run = "ana", ""
		got := setDeadline(t, c.manager, inc.ID, sooner)
		assert.Equal(t, first.From, got.From)
		assert.Equal(t, sooner.Due.UTC(), got.Due)
		contains(t, c.texts(t, inc.ID), "the deadline is brought forward: notify by Wed 12 Jan 2000 00:00 UTC, in 10 days; it was Mon 31 Jan 2000 00:00 UTC")

		_, err := c.manager.SettleDeadline(t.Context(), inc.ID, "notify", incident.Settlement{By: "pia", Reason: "no personal data", Void: true})
		require.NoError(t, err)
		time.Sleep(time.Hour)
		got = setDeadline(t, c.manager, inc.ID, notifyIn(30*day))
		assert.True(t, got.Void, "the run that set it does not set it again")
		got = setDeadline(t, c.manager, inc.ID, again)
		assert.Equal(t, "notify-2", got.Name, "what began after it was settled is another one")
		assert.Equal(t, got, setDeadline(t, c.manager, inc.ID, again))
		assert.Len(t, c.read(t, inc.ID).Deadlines, 2)
	})
}

func TestSettlingNeedsAPersonAndAReason(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	inc := c.open(t, alert.High)
	setDeadline(t, c.manager, inc.ID, notifyIn(30*day))
	for name, one := range map[string]struct {
		deadline string
		s        incident.Settlement
		want     error
		text     string
	}{
		"nobody":      {"notify", incident.Settlement{Reason: "done"}, nil, "who does it is missing"},
		"the program": {"notify", incident.Settlement{By: "runbook", Reason: "done"}, incident.ErrState, "a person settles"},
		"no reason":   {"notify", incident.Settlement{By: "pia", Reason: " \n"}, nil, "the reason is missing"},
		"another":     {"pay", incident.Settlement{By: "pia", Reason: "done"}, incident.ErrNotFound, `deadline "pay"`},
	} {
		_, err := c.manager.SettleDeadline(t.Context(), inc.ID, one.deadline, one.s)
		require.ErrorContains(t, err, one.text, name)
		if one.want != nil {
			require.ErrorIs(t, err, one.want, name)
		}
	}
	assert.Len(t, c.read(t, inc.ID).OpenDeadlines(), 1)
	done := incident.Settlement{By: "pia", Reason: "assessed: no personal data"}
	_, err := c.manager.SettleDeadline(t.Context(), inc.ID, "notify", done)
	require.NoError(t, err)
	_, err = c.manager.SettleDeadline(t.Context(), inc.ID, "notify", done)
	require.NoError(t, err, "the same again")
	_, err = c.manager.SettleDeadline(t.Context(), inc.ID, "notify", incident.Settlement{By: "mallory", Reason: "never mind", Void: true})
	require.ErrorIs(t, err, incident.ErrState)
	assert.Equal(t, 1, countOf(c.kinds(t, inc.ID), "deadline settled"))
	audit := c.chain(t, "audit")
	assert.Contains(t, audit[len(audit)-1].Text, "the deadline to notify is settled in time")
	assert.Equal(t, "pia", audit[len(audit)-1].Actor)
}

func TestMergedIncidentHandsItsDeadlineOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reminders
		c := newCase(t, incident.ManagerConfig{Remind: told.remind})
		gone := c.open(t, alert.High)
		set := setDeadline(t, c.manager, gone.ID, notifyIn(30*day))
		stays := c.open(t, alert.High)
		time.Sleep(day)
		later := notifyIn(30 * day)
		later.Run = "run-2"
		setDeadline(t, c.manager, stays.ID, later)
		got, err := c.manager.Merge(t.Context(), gone.ID, stays.ID, "ana", "the same")
		require.NoError(t, err)
		require.Len(t, got.Deadlines, 1)
		assert.Equal(t, set.Due, got.Deadlines[0].Due, "the earlier one")
		assert.Equal(t, set.From, got.Deadlines[0].From)
		left, _ := c.read(t, gone.ID).Deadline("notify")
		assert.False(t, left.Open())
		assert.Equal(t, stays.ID, left.MovedTo)
		assert.Equal(t, "notify by Mon 31 Jan 2000 00:00 UTC: it goes on in "+stays.ID, left.Line(time.Now(), nil))
		_, err = c.manager.SettleDeadline(t.Context(), gone.ID, "notify", incident.Settlement{By: "pia", Reason: "done"})
		require.ErrorIs(t, err, incident.ErrState)
		require.ErrorContains(t, err, "settle it there")
		inc, l, err := c.manager.SetDeadline(t.Context(), gone.ID, notifyIn(30*day))
		require.NoError(t, err, "a run of the merged incident goes on")
		assert.Equal(t, []string{stays.ID, "notify"}, []string{inc.ID, l.Name})
		assert.Len(t, inc.Deadlines, 1)
		time.Sleep(40 * day)
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Equal(t, []string{"notify over"}, told.take(), "of one of them")

		// What was settled in the one does not hide what is open in the other.
		_, err = c.manager.SettleDeadline(t.Context(), stays.ID, "notify", incident.Settlement{By: "pia", Reason: "done"})
		require.NoError(t, err)
		third := c.open(t, alert.High)
		setDeadline(t, c.manager, third.ID, notifyIn(30*day))
		got, err = c.manager.Merge(t.Context(), third.ID, stays.ID, "ana", "that too")
		require.NoError(t, err)
		require.Len(t, got.OpenDeadlines(), 1)
		assert.Equal(t, "notify-2", got.OpenDeadlines()[0].Name)
	})
}

func TestReopenedIncidentKeepsItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{})
		inc := c.open(t, alert.High)
		set := setDeadline(t, c.manager, inc.ID, notifyIn(30*day))
		_, err := c.manager.Resolve(t.Context(), inc.ID, incident.Resolution{By: "ben"})
		require.NoError(t, err)
		time.Sleep(3 * day)
		got, err := c.manager.Reopen(t.Context(), inc.ID, "ana", "it is back")
		require.NoError(t, err)
		assert.Equal(t, []incident.Deadline{set}, got.OpenDeadlines(), "its clocks begin anew, its deadline does not")
	})
}

// An open deadline is like an open incident for what is removed by rule; one that was settled
// is not.
func TestRetentionKeepsAnOpenDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{})
		inc, merged := c.open(t, alert.High), c.open(t, alert.High)
		setDeadline(t, c.manager, merged.ID, notifyIn(30*day))
		_, err := c.manager.Merge(t.Context(), merged.ID, inc.ID, "ana", "")
		require.NoError(t, err)
		_, err = c.manager.Resolve(t.Context(), inc.ID, incident.Resolution{By: "ben"})
		require.NoError(t, err)
		owing := func() (ids []string) {
			for i, err := range c.manager.Incidents(t.Context(), incident.IncidentQuery{Deadlines: true}) {
				require.NoError(t, err)
				ids = append(ids, i.ID)
			}
			return ids
		}
		time.Sleep(5 * 365 * day)
		removed, err := incident.Retention{Store: c.store}.Apply(t.Context())
		require.NoError(t, err)
		assert.Zero(t, removed.Incidents)
		assert.Equal(t, []string{inc.ID}, owing())
		assert.NotEmpty(t, c.timeline(t, merged.ID), "nor what was merged into it")
		_, err = c.manager.SettleDeadline(t.Context(), inc.ID, "notify", incident.Settlement{By: "pia", Reason: "done"})
		require.NoError(t, err)
		assert.Empty(t, owing())
		time.Sleep(3 * 365 * day)
		removed, err = incident.Retention{Store: c.store}.Apply(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, removed.Incidents)
		for d, err := range c.store.Documents(t.Context(), incident.DocumentQuery{Kind: "deadline"}) {
			require.NoError(t, err)
			assert.Fail(t, "something is left of it", d.ID)
		}
	})
}

// Documents that were written before there were deadlines are read, and get them.
func TestDeadlineInAnOldDocument(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	inc := c.open(t, alert.High)
	doc, err := c.store.Document(t.Context(), "incident", inc.ID)
	require.NoError(t, err)
	assert.NotContains(t, string(doc.Data), "deadline", "what has none is written as before")
	setDeadline(t, c.manager, inc.ID, notifyIn(30*day))
	doc, err = c.store.Document(t.Context(), "incident", inc.ID)
	require.NoError(t, err)
	var old struct {
		ID    string `json:"id"`
		State string `json:"state"`
	}
	require.NoError(t, json.Unmarshal(doc.Data, &old), "an older program reads it")
	assert.Equal(t, inc.ID, old.ID)
}

func TestShortDeadlineHasNoLastDay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reminders
		c := newCase(t, incident.ManagerConfig{Remind: told.remind})
		inc := c.open(t, alert.High)
		setDeadline(t, c.manager, inc.ID, notifyIn(72*time.Hour))
		for range 80 {
			time.Sleep(time.Hour)
			require.NoError(t, c.manager.Tick(t.Context()))
		}
		assert.Equal(t, []string{"notify half", "notify four fifths", "notify over"}, told.take())
		late := c.open(t, alert.High)
		o := notifyIn(2 * day)
		o.From = time.Now().Add(-28 * day)
		setDeadline(t, c.manager, late.ID, o)
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Equal(t, []string{"notify four fifths"}, told.take(), "of what had passed already people are told the last")
	})
}

func TestObligationValidate(t *testing.T) {
	t.Parallel()
	good := notifyIn(day)
	require.NoError(t, good.Validate())
	for want, spoil := range map[string]func(o *incident.Obligation){
		"who sets it is missing":        func(o *incident.Obligation) { o.By = " " },
		"lower-case letters":            func(o *incident.Obligation) { o.Name = "Tell them" },
		"at most 40":                    func(o *incident.Obligation) { o.Name = strings.Repeat("a", 41) },
		"end in a dash and a number":    func(o *incident.Obligation) { o.Name = "notify-2" },
		"what is due is missing":        func(o *incident.Obligation) { o.What = "\x00" },
		"in the future":                 func(o *incident.Obligation) { o.From = time.Now().Add(time.Hour) },
		"until when there is time":      func(o *incident.Obligation) { o.Due = time.Time{} },
		"it would be over before it be": func(o *incident.Obligation) { o.From = o.Due },
	} {
		o := good
		spoil(&o)
		require.ErrorContains(t, o.Validate(), want)
	}
	c := newCase(t, incident.ManagerConfig{})
	inc := c.open(t, alert.High)
	o := good
	o.Due = time.Now().Add(-time.Hour)
	_, _, err := c.manager.SetDeadline(t.Context(), inc.ID, o)
	require.ErrorContains(t, err, "over before it begins")
	_, _, err = c.manager.SetDeadline(t.Context(), "INC-1999-0001", good)
	require.ErrorIs(t, err, incident.ErrNotFound)
	for i := range 20 {
		o.Name, o.Due = fmt.Sprintf("a%d", i), good.Due
		setDeadline(t, c.manager, inc.ID, o)
	}
	_, _, err = c.manager.SetDeadline(t.Context(), inc.ID, good)
	require.ErrorIs(t, err, incident.ErrState)
	other := c.open(t, alert.High)
	setDeadline(t, c.manager, other.ID, good)
	_, err = c.manager.Merge(t.Context(), other.ID, inc.ID, "ana", "")
	require.ErrorIs(t, err, incident.ErrState, "rather than lose it")
	assert.Len(t, c.read(t, other.ID).OpenDeadlines(), 1)
}

func TestReportSaysWhetherADeadlineWasKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{})
		inc := c.open(t, alert.High)
		for _, name := range []string{"notify", "file", "pay", "sue"} {
			o := notifyIn(2 * day)
			o.Name, o.What, o.Run = name, "what | must be done", ""
			setDeadline(t, c.manager, inc.ID, o)
		}
		settle := func(name string, void bool) {
			_, err := c.manager.SettleDeadline(t.Context(), inc.ID, name, incident.Settlement{By: "pia", Reason: "said *so*", Void: void})
			require.NoError(t, err)
		}
		settle("notify", false)
		settle("sue", true)
		time.Sleep(3 * day)
		settle("file", false)
		r, err := c.manager.Report(t.Context(), inc.ID, incident.ReportConfig{})
		require.NoError(t, err)
		assert.True(t, r.Record.Verified)
		assert.Equal(t, []string{"file", "pay"}, r.Times.MissedDeadlines)
		contains(t, r.Open, `a deadline is open: pay by Mon 3 Jan 2000 00:00 UTC, MISSED 24 hours ago and still open: what | must be done`)
		text := r.Markdown()
		assert.Contains(t, text, "\n## Deadlines\n")
		assert.Contains(t, text, `| notify: what \| must be done | 2000-01-01 00:00:00 UTC | 2000-01-03 00:00:00 UTC | 2000-01-01 00:00:00 UTC by pia: said \*so\* | yes |`)
		assert.Contains(t, text, `| 2000-01-04 00:00:00 UTC by pia: said \*so\* | **no** |`)
		assert.Contains(t, text, "| not yet | **no** |")
		assert.Contains(t, text, "| did not apply |")
		assert.Len(t, r.Decisions, 3)
	})
}

// It costs the incidents that have none nothing but one question to the store.
func BenchmarkTick(b *testing.B) {
	c := newCase(b, incident.ManagerConfig{})
	for range 100 {
		c.open(b, alert.High)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.manager.Tick(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
