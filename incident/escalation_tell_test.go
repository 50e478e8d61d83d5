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
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/incident"
)

// pagesByItself is a channel of a service that calls one after the other.
type pagesByItself struct{ alert.Notifier }

func (pagesByItself) Escalates() bool { return true }

// withPager returns three levels, the first of which tells a service that calls people by
// itself, a phone and a mailbox.
func withPager() incident.EscalationPolicy {
	policy := threeLevels()
	policy.Paging.Channels = []string{"phone", "bo"}
	policy.Levels[0].Targets = append(policy.Levels[0].Targets, incident.EscalationTarget{Channel: "phone"}, incident.EscalationTarget{Channel: "pager", Who: "PagerDuty"})
	return policy
}

func addPager(w *escalationWorld) { w.cfg.Channels["pager"] = pagesByItself{w.channel("pager")} }

// Requirement: AL-PAGERDUTY-TWICE
func TestAServiceThatCallsPeopleByItself(t *testing.T) {
	t.Parallel()
	t.Run("takes over", func(t *testing.T) {
		t.Parallel()
		escalateIn(t, withPager(), addPager, func(t *testing.T, w *escalationWorld) {
			run := w.begin(criticalOutage())
			w.wait(48 * time.Hour)
			assert.Equal(t, []string{"0s ana firing", "0s pager firing"}, w.told(), "nobody else is woken, and no further level is called")
			e := w.event(incident.EscalationHanded)
			assert.Contains(t, e.Text, "pager calls people from here on")
			assert.True(t, e.Next.IsZero())
			assert.Equal(t, "pager calls people by itself", e.Told[1].Reason)
			w.do(w.x.Acknowledged(w.ctx, run, "Ana"))
			w.do(w.x.Ended(w.ctx, run))
			pager := w.channels["pager"].Notifications()
			require.Len(t, pager, 3)
			assert.Equal(t, alert.KindUpdate, pager[1].Kind)
			assert.NotNil(t, pager[1].Alerts[0].Acknowledged, "it is told that somebody takes care")
			assert.Equal(t, alert.KindResolved, pager[2].Kind, "and that it is over")
		})
	})
	for name, errs := range map[string][]error{"refuses": {errRefused()}, "is gone": {errUnsent(), errUnsent(), errUnsent()}, "may have taken it": {errLost(), errLost(), errLost()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			escalateIn(t, withPager(), addPager, func(t *testing.T, w *escalationWorld) {
				w.channels["pager"].Fail(errs...)
				w.begin(criticalOutage())
				w.wait(20 * time.Minute)
				var told []string
				for _, m := range w.messages() {
					if m.channel != "pager" {
						told = append(told, m.channel)
					}
				}
				assert.Equal(t, []string{"ana", "phone", "bo"}, told, "everything goes on as if there were none")
			})
		})
	}
	t.Run("a person calls the next level", func(t *testing.T) {
		t.Parallel()
		escalateIn(t, withPager(), addPager, func(t *testing.T, w *escalationWorld) {
			run := w.begin(criticalOutage())
			w.wait(time.Hour)
			w.do(w.x.Force(w.ctx, run, "Dee"))
			w.wait(20 * time.Minute)
			assert.Equal(t, []string{"1h0m0s bo firing", "1h15m0s infra firing"}, w.told()[2:])
		})
	})
	t.Run("one conversation for the incident", func(t *testing.T) {
		t.Parallel()
		policy := withPager()
		policy.Levels[1].Targets = []incident.EscalationTarget{{Channel: "pager"}}
		escalateIn(t, policy, addPager, func(t *testing.T, w *escalationWorld) {
			run := w.begin(criticalOutage())
			w.do(w.x.Force(w.ctx, run, "Dee"))
			pager := w.channels["pager"].Notifications()
			require.Len(t, pager, 2)
			assert.Equal(t, pager[0].Key, pager[1].Key)
		})
	})
}

func TestPhonesRingForWhatIsBadEnough(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		severity    alert.Severity
		environment string
		paging      incident.EscalationPaging
		rings       bool
	}{
		{"critical in production", alert.Critical, "production", incident.EscalationPaging{}, true},
		{"critical, nobody knows where", alert.Critical, "", incident.EscalationPaging{}, true},
		{"critical in test", alert.Critical, "test", incident.EscalationPaging{}, false},
		{"high in production", alert.High, "production", incident.EscalationPaging{}, false},
		{"high, if wanted", alert.High, "production", incident.EscalationPaging{From: alert.High}, true},
		{"in test, if wanted", alert.Critical, "test", incident.EscalationPaging{Environments: []string{"beta", "test"}}, true},
		{"in production, if not wanted", alert.Critical, "production", incident.EscalationPaging{Environments: []string{"beta"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			policy := threeLevels()
			policy.Paging = c.paging
			policy.Paging.Channels = []string{"phone"}
			policy.Levels[0].Targets = append(policy.Levels[0].Targets, incident.EscalationTarget{Channel: "phone", Who: "Operations manager"})
			escalate(t, policy, func(t *testing.T, w *escalationWorld) {
				inc := criticalOutage()
				inc.Severity, inc.Environment = c.severity, c.environment
				w.begin(inc)
				want := []string{"0s ana firing"}
				if c.rings {
					want = append(want, "0s phone firing")
				}
				assert.Equal(t, want, w.told())
			})
		})
	}
}

// A vendor gets nothing before a person has approved it, and does not count as somebody
// who was reached.
func TestWhatGoesToAVendorIsADraft(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Zone = "Australia/Sydney"
	policy.Levels[0].Targets = []incident.EscalationTarget{{Channel: "canvas-support", Who: "Canvas support", Draft: true}}
	synctest.Test(t, func(t *testing.T) {
		vendor := &alerttest.Recorder{}
		router, err := alert.NewRouter(alert.RouterConfig{
			Targets: []alert.Target{
				{Name: "mail", Notifier: &alerttest.Recorder{}},
				{Name: "vendor", Notifier: vendor, Audience: alert.Everyone, NeedsApproval: true},
			},
			Routes: []alert.Route{{Name: "all", Targets: []string{"mail"}}}, Store: &alert.MemoryStore{}, Logger: quietLogger(),
		})
		require.NoError(t, err)
		require.NoError(t, router.Start(t.Context()))
		w := newEscalationWorld(t, policy)
		w.cfg.Channels["canvas-support"] = incident.DraftChannel(router.Post, "vendor")
		w.launch()
		run := w.begin(criticalOutage())
		w.wait(time.Hour)
		e := w.event(incident.EscalationNobody)
		assert.Equal(t, 1, e.Level)
		assert.Contains(t, e.Text, "Not counted: Canvas support (canvas-support: drafted, waits for approval).")
		assert.Equal(t, "0s called 2", w.happened()[1])

		assert.Empty(t, vendor.Notifications())
		drafts := router.Drafts()
		require.Len(t, drafts, 1)
		require.NoError(t, router.Approve(t.Context(), drafts[0].ID, "Dee Dole"))
		w.wait(time.Minute)
		require.Len(t, vendor.Notifications(), 1)
		post := vendor.Notifications()[0].Post
		assert.Equal(t, "Canvas does not answer (INC-2026-0042)", post.Title)
		assert.Equal(t, "Since Sat 1 Jan 2000 11:00 AEDT we see this in our environment production: Canvas does not answer\n\n"+
			"GET /api/v1/courses: status 503\n\n"+
			"Our reference is INC-2026-0042; it is of critical severity for us. Please tell us what you know of it, and by when you expect it to be solved.\n", post.Body)
		assert.Equal(t, "Dee Dole", post.By)
		w.do(w.x.Ended(w.ctx, run))
		assert.Empty(t, router.Drafts(), "the vendor is not told that it is over")
		require.NoError(t, router.Stop(t.Context()))
		require.NoError(t, w.runs.Close(t.Context()))
	})
	t.Run("what is no post is refused", func(t *testing.T) {
		t.Parallel()
		post := func(context.Context, alert.Post, ...string) error { return errors.New("not to be called") }
		_, err := incident.DraftChannel(post, "vendor").Notify(t.Context(), alert.Notification{Kind: alert.KindFiring})
		require.ErrorIs(t, err, alert.ErrRefused)
	})
	t.Run("a repetition says so", func(t *testing.T) {
		t.Parallel()
		var got alert.Post
		post := func(_ context.Context, p alert.Post, targets ...string) error {
			got = p
			return nil
		}
		_, err := incident.DraftChannel(post, "vendor").Notify(t.Context(), alert.Notification{Kind: alert.KindPost, Post: &alert.Post{Title: "Help"}, PossibleRepeat: true})
		require.NoError(t, err)
		assert.Equal(t, "Possible repeat: Help", got.Title)
	})
}

// What was not sent is sent again; what may have arrived says that it may come twice.
func TestAttempts(t *testing.T) {
	t.Parallel()
	limited := &alert.Error{Service: "phone", Op: "call", Status: 429, Kind: alert.ErrLimited, RetryAfter: 20 * time.Second}
	tooLong := &alert.Error{Service: "phone", Op: "call", Status: 429, Kind: alert.ErrLimited, RetryAfter: time.Hour}
	for name, c := range map[string]struct {
		errs []error
		want []string // arrived at, and whether it says that it may be a repetition
		told incident.OutcomeStatus
	}{
		"at once":                       {nil, []string{"0s false"}, incident.Done},
		"at the second attempt":         {[]error{errUnsent()}, []string{"2s false"}, incident.Done},
		"at the third attempt":          {[]error{errUnsent(), errUnsent()}, []string{"10s false"}, incident.Done},
		"when the service lets it":      {[]error{limited}, []string{"20s false"}, incident.Done},
		"not in an hour":                {[]error{tooLong}, nil, incident.Failed},
		"never":                         {[]error{errUnsent(), errUnsent(), errUnsent()}, nil, incident.Failed},
		"refused at once":               {[]error{errRefused()}, nil, incident.Failed},
		"the answer is lost":            {[]error{errLost()}, []string{"0s false", "2s true"}, incident.Done},
		"lost, and then not sent":       {[]error{errLost(), errUnsent()}, []string{"0s false", "10s true"}, incident.Done},
		"the answer is lost each time":  {[]error{errLost(), errLost(), errLost()}, []string{"0s false", "2s true", "10s true"}, incident.Unknown},
		"lost, and then refused":        {[]error{errLost(), errRefused()}, []string{"0s false"}, incident.Unknown},
		"nobody knows what went wrong":  {[]error{errors.New("broken")}, []string{"0s false", "2s true"}, incident.Done},
		"lost, and then nothing to say": {[]error{errLost(), nil}, []string{"0s false", "2s true"}, incident.Done},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := threeLevels()
			policy.Levels = policy.Levels[:1]
			escalate(t, policy, func(t *testing.T, w *escalationWorld) {
				w.channels["ana"].Fail(c.errs...)
				w.begin(criticalOutage())
				w.wait(time.Minute)
				var got []string
				for _, m := range w.messages() {
					got = append(got, fmt.Sprintf("%v %v", m.at, m.PossibleRepeat))
					assert.Equal(t, 1, m.Seq, "it is the same message")
				}
				assert.Equal(t, c.want, got)
				kind := incident.EscalationNobody
				if c.told == incident.Done {
					kind = incident.EscalationCalled
				}
				assert.Equal(t, c.told, w.event(kind).Told[0].Status)
				unclear := slices.ContainsFunc(c.errs, func(err error) bool { return err != nil && !runbook.SafeToRetry(err) })
				assert.Equal(t, unclear, w.event(kind).Told[0].Repeat)
			})
		})
	}
}

func TestANotifierThatHangsOrPanics(t *testing.T) {
	t.Parallel()
	for name, notify := range map[string]alert.NotifierFunc{
		"hangs": func(ctx context.Context, _ alert.Notification) (alert.Receipt, error) {
			<-ctx.Done()
			return "", ctx.Err()
		},
		"panics": func(context.Context, alert.Notification) (alert.Receipt, error) { panic("at night") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			escalateIn(t, threeLevels(), func(w *escalationWorld) { w.cfg.Channels["ana"] = notify }, func(t *testing.T, w *escalationWorld) {
				w.begin(criticalOutage())
				w.wait(3 * time.Minute)
				assert.Equal(t, incident.Unknown, w.event(incident.EscalationNobody).Told[0].Status)
				require.Len(t, w.told(), 1)
				assert.True(t, strings.HasSuffix(w.told()[0], "bo firing"), "the next level is called")
			})
		})
	}
}

// People who share a channel are told once, and both are named.
func TestASharedChannel(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Levels[0].Targets = append(policy.Levels[0].Targets, incident.EscalationTarget{OnCall: "development"})
	escalate(t, policy, func(t *testing.T, w *escalationWorld) {
		w.onCall.Set("development", incident.Person{Name: "Bo", Contacts: []string{"ana", "bo"}}, incident.Person{Name: "Ana", Contacts: []string{"ana"}})
		w.begin(criticalOutage())
		assert.Equal(t, []string{"0s ana firing", "0s bo firing"}, w.told())
		assert.Contains(t, w.last("ana").Text, "You are called as Ana and Bo, level 1 of 3 (Operations).")
	})
}

func TestTheMessage(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Zone, policy.Helpdesk = "Australia/Sydney", "+61 2 5550 0199"
	policy.Levels[1].Note = "Canvas emergency support line: +61 2 5550 0123"
	prepare := func(w *escalationWorld) {
		w.cfg.Acknowledge = "reply ACK, or press the button at https://ops.example.edu/incidents/{incident}."
	}
	escalateIn(t, policy, prepare, func(t *testing.T, w *escalationWorld) {
		w.wait(untilSydney(t, "2026-12-05 03:12"))
		ana, bo := peopleOf("Ana"), peopleOf("Bo")
		ana[0].Contacts = []string{"ana", "cy"}
		bo[0].Zone = loadZone(t, "Europe/London")
		w.onCall.Set("operations", ana...)
		w.onCall.Set("development", append(bo, peopleOf("Zed")...)...)
		w.channels["cy"].Fail(errRefused())
		run := w.begin(criticalOutage())
		w.wait(16 * time.Minute)
		assert.Equal(t, "CRITICAL production: Canvas does not answer (INC-2026-0042, level 2)", w.last("bo").Title)
		assert.Equal(t, `CRITICAL production: Canvas does not answer (INC-2026-0042, level 2)

GET /api/v1/courses: status 503

INC-2026-0042 has severity 1, critical. It began at 16:12 GMT, 15 min ago.

You are called as Bo, level 2 of 3 (Development). Nobody has acknowledged. Called at the same time: Zed.

Called before you:
- 16:12 GMT, level 1, Operations: Ana (ana); Ana (cy: alert: phone: call: status 400: refused)

To acknowledge: reply ACK, or press the button at https://ops.example.edu/incidents/INC-2026-0042.

What to do: playbook canvas-outage

If nobody acknowledges, level 3, Infrastructure, is called at 16:42 GMT.

Canvas emergency support line: +61 2 5550 0123

Emergency line, IT helpdesk: +61 2 5550 0199
`, w.last("bo").Text)
		assert.Contains(t, w.last("ana").Text, "It began at 03:12 AEDT, 0 min ago.")
		assert.Contains(t, w.last("ana").Text, "Nobody was called before you.")
		a := w.last("bo").Alerts[0]
		assert.Equal(t, "INC-2026-0042", a.Entity)
		assert.Equal(t, "canvas-outage", a.Playbook)
		assert.Contains(t, a.Detail, "reply ACK", "a phone shows it as well")
		w.do(w.x.Ended(w.ctx, run))
		assert.Equal(t, "OVER: CRITICAL production: Canvas does not answer (INC-2026-0042)\n\nIt is over since 16:28 GMT. Nothing is to be done.\n", w.last("bo").Text)
	})
}

// Requirement: RB-CHANNEL-EMERGENCY-LINE
func TestTheEmergencyLineIsShownForWhatIsCritical(t *testing.T) {
	t.Parallel()
	for _, severity := range []alert.Severity{alert.Critical, alert.High} {
		t.Run(severity.String(), func(t *testing.T) {
			t.Parallel()
			policy := threeLevels()
			policy.Helpdesk = "+61 2 5550 0199"
			escalate(t, policy, func(t *testing.T, w *escalationWorld) {
				inc := criticalOutage()
				inc.Severity = severity
				w.begin(inc)
				assert.Equal(t, severity == alert.Critical, strings.Contains(w.last("ana").Text, "IT helpdesk: +61 2 5550 0199"))
			})
		})
	}
}

// Whatever an incident is called, a message has a title of one line that names it.
func TestHostileTitles(t *testing.T) {
	t.Parallel()
	escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
		inc := criticalOutage()
		inc.Title, inc.Summary, inc.Simulated = strings.Repeat("ünïcode\nand \x1b[31m ", 60), strings.Repeat("a line\n", 2000), true
		w.begin(inc)
		n := w.last("ana")
		assert.LessOrEqual(t, len([]rune(n.Title)), 200)
		assert.NotContains(t, n.Title, "\n")
		assert.NotContains(t, n.Title, "\x1b")
		assert.Contains(t, n.Title, "EXERCISE: CRITICAL production: ünïcode")
		assert.Contains(t, n.Title, "(INC-2026-0042, level 1)")
		assert.Less(t, len(n.Text), 8000)
		assert.Contains(t, n.Text, "To acknowledge: acknowledge incident INC-2026-0042.")
	})
}

// A rota that returns far too much is cut, and somebody is called all the same.
func TestAnEndlessRota(t *testing.T) {
	t.Parallel()
	escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
		var people []incident.Person
		for i := range 3000 {
			people = append(people, incident.Person{Name: fmt.Sprintf("%d%s", i, strings.Repeat("é", 300)), Contacts: []string{"ana", fmt.Sprintf("c%d", i)}})
		}
		people[0].Contacts = append(people[0].Contacts, "two words")
		w.onCall.Set("operations", people...)
		w.begin(criticalOutage())
		w.wait(time.Minute)
		assert.Equal(t, "0s ana firing", w.told()[0])
		e := w.event(incident.EscalationCalled)
		assert.Contains(t, e.Text, "it has more than 60 channels")
		assert.Contains(t, e.Text, `the contact "two words" is not the name of a channel`)
		assert.Contains(t, e.Text, "and 15 others (ana)")
		assert.LessOrEqual(t, len(e.Text), 12_100)
		assert.LessOrEqual(t, len(e.Told), 60)
	})
}
