package alert_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// limited is a router whose two targets, for alerts and for posts, share a limit.
func limited(in alert.Notifier, most int) alert.RouterConfig {
	return alert.RouterConfig{
		Targets: []alert.Target{
			{Name: "chat", Notifier: in, PerSecond: 100, Burst: 100, RemindAfter: -1},
			{Name: "desk", Notifier: in, PerSecond: 100, Burst: 100, Audience: alert.Everyone},
		},
		Routes: []alert.Route{{Name: "all", Targets: []string{"chat"}, GroupBy: []string{"environment"}, Wait: -1, Update: time.Second}},
		Limits: []alert.Limit{{Targets: []string{"chat", "desk"}, Most: most}},
		Store:  &alert.MemoryStore{},
	}
}

func post(t testing.TB, r *alert.Router, id string, urgent bool) {
	t.Helper()
	require.NoError(t, r.Post(t.Context(), alert.Post{ID: id, Title: "post " + id, Body: "body of " + id, By: "runbook", Last: true, Urgent: urgent}, "desk"))
}

func TestLimitRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits []alert.Limit
		want   string
	}{
		"too few":       {[]alert.Limit{{Targets: []string{"chat"}, Most: 3}}, "limit 1: Most is less than 4"},
		"negative":      {[]alert.Limit{{Targets: []string{"chat"}, Most: 4, Within: -1}}, "Within is negative"},
		"nobody":        {[]alert.Limit{{Most: 20}}, "limit 1: names no target"},
		"unknown":       {[]alert.Limit{{Targets: []string{"chat"}, Most: 4}, {Targets: []string{"cat"}, Most: 4}}, `limit 2: there is no target "cat"`},
		"twice":         {[]alert.Limit{{Targets: []string{"chat"}, Most: 4}, {Targets: []string{"chat"}, Most: 4}}, `limit 2: target "chat" is of two limits`},
		"a pager":       {[]alert.Limit{{Targets: []string{"phone"}, Most: 4}}, `"phone" pages`},
		"with approval": {[]alert.Limit{{Targets: []string{"vendor"}, Most: 4}}, `"vendor" pages or needs approval`},
	} {
		cfg := limited(&inbox{}, 20)
		cfg.Targets = append(cfg.Targets, alert.Target{Name: "phone", Notifier: &inbox{}, Pages: true},
			alert.Target{Name: "vendor", Notifier: &inbox{}, Audience: alert.Everyone, NeedsApproval: true})
		cfg.Limits = c.limits
		_, err := alert.NewRouter(cfg)
		assert.ErrorContains(t, err, c.want, name)
	}
}

// Posts that can wait become one message that has what each said, and when. What asks
// somebody comes at once, with all that was posted under its ID before.
//
// Requirement: AL-RULE-LIMIT
func TestLimitOfPosts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, limited(in, 8)) // 2 as they come, 4 in all of what can wait
		for i := range 6 {
			post(t, r, fmt.Sprint(i), false)
			pass(time.Second)
		}
		require.Equal(t, []string{"post 0", "post 1"}, in.titles())
		post(t, r, "question", true)
		pass(0)
		require.Equal(t, "post question", in.titles()[2])

		pass(20 * time.Minute)
		require.Len(t, in.told(), 4)
		n := in.told()[3]
		assert.Equal(t, "4 messages since 00:00 UTC: post 2; post 3; post 4; post 5", n.Title)
		for i := 2; i < 6; i++ {
			assert.Contains(t, n.Text, fmt.Sprintf("00:00 UTC: post %d\nbody of %d\n", i, i))
		}

		// Half of what there may be was sent: the rest is for what is urgent.
		post(t, r, "late", false)
		pass(30 * time.Minute)
		require.Len(t, in.told(), 4)
		pass(15 * time.Minute)
		require.Len(t, in.told(), 5)
		assert.Contains(t, in.told()[4].Text, "It waited, since there was much to tell: it says what was known at 00:20 UTC.")
	})
}

// A conversation of several posts is not torn apart, and keeps its order.
func TestLimitKeepsTheOrderOfAConversation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, limited(in, 8))
		for i := range 2 {
			post(t, r, fmt.Sprint(i), false)
		}
		for _, status := range []string{"investigating", "identified"} {
			require.NoError(t, r.Post(t.Context(), alert.Post{ID: "incident", Title: status, Status: status}, "desk"))
		}
		post(t, r, "2", false)
		pass(time.Minute)
		require.Equal(t, []string{"post 0", "post 1"}, in.titles())
		require.NoError(t, r.Post(t.Context(), alert.Post{ID: "incident", Title: "resolved", Status: "resolved", Last: true, Urgent: true}, "desk"))
		pass(time.Second)
		assert.Equal(t, []string{"post 0", "post 1", "investigating", "identified", "resolved"}, in.titles())
		pass(2 * time.Hour)
		assert.Contains(t, in.titles(), "post 2")
	})
}

// Alerts that can wait are told with those that came since; what began and ended meanwhile
// is no news. What is critical is told at once, its end too.
//
// Requirement: AL-RULE-LIMIT
func TestLimitOfAlerts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, limited(in, 8))
		post(t, r, "1", false)
		post(t, r, "2", false)
		pass(time.Minute)
		a, b, gone := firing(alert.High, "production", "a"), firing(alert.Low, "production", "b"), firing(alert.Low, "production", "gone")
		handle(t, r, a, b, gone)
		pass(time.Minute)
		require.Len(t, in.told(), 2)
		assert.Contains(t, r.Alerts()[0].Muted["chat"], "it waits")
		handle(t, r, over(gone))
		pass(10 * time.Minute)
		require.Len(t, in.told(), 3)
		assert.Contains(t, in.told()[2].Text, "a has failed")
		assert.Contains(t, in.told()[2].Text, "b has failed")
		assert.NotContains(t, in.told()[2].Text, "gone")
		assert.Empty(t, r.Alerts()[0].Muted)

		worst := firing(alert.Critical, "production", "worst")
		handle(t, r, worst)
		pass(time.Second)
		require.Len(t, in.told(), 4)
		assert.Contains(t, in.told()[3].Title, "UPDATE, CRITICAL production: worst has failed")
		b.Severity = alert.High // which can wait
		handle(t, r, b)
		pass(time.Minute)
		require.Len(t, in.told(), 4)
		b.Severity = alert.Critical
		handle(t, r, b)
		pass(time.Second)
		require.Len(t, in.told(), 5)
		for _, x := range []alert.Alert{a, b, worst} {
			require.NoError(t, r.Acknowledge(t.Context(), x.Key, alert.Acknowledgement{By: "ana"}))
		}
		pass(time.Second)
		require.Len(t, in.told(), 6, "who takes three takes them in one message")
		assert.Contains(t, in.told()[5].Title, "TAKEN by ana, CRITICAL")
		handle(t, r, over(b), over(worst))
		pass(time.Second)
		require.Len(t, in.told(), 7)
		assert.Contains(t, in.told()[6].Title, "PARTLY OVER, still HIGH")
		handle(t, r, over(a))
		pass(time.Minute)
		require.Len(t, in.told(), 7)
		pass(time.Hour)
		require.Len(t, in.told(), 8)
		assert.Contains(t, in.told()[7].Title, "RESOLVED")
	})
}

// Many conversations that wait to begin are the digest of the target, and not one message
// each as long as there is room.
func TestLimitOfConversations(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := limited(in, 20)
		cfg.Routes[0].GroupBy = []string{"entity"}
		r := router(t, cfg)
		var all []alert.Alert
		for i := range 40 {
			all = append(all, firing(alert.Low, "production", fmt.Sprintf("app-%02d", i)))
			handle(t, r, all[i])
			pass(time.Second)
		}
		assert.Len(t, in.told(), 5)
		pass(20 * time.Minute)
		assert.LessOrEqual(t, len(in.told()), 9)
		assert.Contains(t, strings.Join(in.titles(), "\n"), "ALERT STORM")
		for _, s := range r.Alerts() {
			assert.Equal(t, []string{"chat"}, s.Told)
		}
		for _, a := range all {
			handle(t, r, over(a))
		}
		pass(3 * time.Hour)
		assert.Empty(t, r.Alerts(), "all were told the end")
	})
}

// What was sent before a restart counts, and what waited is sent after it.
func TestLimitAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := limited(in, 8)
		r := start(t, cfg)
		for i := range 5 {
			post(t, r, fmt.Sprint(i), false)
		}
		require.NoError(t, r.Post(t.Context(), alert.Post{ID: "kept", Title: "kept"}, "desk"))
		pass(time.Minute)
		require.Len(t, in.told(), 2)
		stop(t, r)
		r = router(t, cfg)
		pass(2 * time.Hour)
		text := ""
		for _, n := range in.told() {
			text += n.Text
		}
		for i := range 5 {
			assert.Equal(t, 1, strings.Count(text, fmt.Sprintf("body of %d\n", i)), i)
		}
		assert.Equal(t, 1, strings.Count(text, "kept\n"))
		assert.Empty(t, r.Deliveries())
	})
}

// Whatever happens in whatever order: nothing that is urgent waits, nothing is lost, and no
// hour has more than there may be of what can wait.
//
// Requirement: AL-RULE-LIMIT
func TestLimitWhateverHappens(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { limitAtRandom(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func limitAtRandom(t *testing.T, random *rand.Rand) {
	const most = 20
	in := &inbox{}
	r := router(t, limited(in, most))
	open := make(map[string]alert.Alert)
	said := func(from int, what string) bool {
		return slices.ContainsFunc(in.told()[from:], func(n alert.Notification) bool { return strings.Contains(n.Text, what) })
	}
	var ids []string
	for i := range 400 {
		before, id := len(in.told()), fmt.Sprintf("n%d.", i)
		switch random.IntN(10) {
		case 0, 1, 2, 3, 4:
			ids = append(ids, id)
			post(t, r, id, i%40 == 0)
			pass(time.Second)
			assert.True(t, i%40 != 0 || said(before, "body of "+id), "what is urgent came at once")
		case 5, 6, 7:
			a := firing(alert.Severity(1+random.IntN(4)), "production", id)
			if a.Severity == alert.Critical && random.IntN(6) > 0 {
				a.Severity = alert.Medium
			}
			open[a.Key] = a
			handle(t, r, a)
			pass(time.Second)
			assert.True(t, a.Severity != alert.Critical || said(before, id), "what is critical came at once")
		default:
			for key, a := range open {
				handle(t, r, over(a))
				delete(open, key)
				break
			}
		}
		pass(time.Duration(random.IntN(240)) * time.Second)
	}
	for _, a := range open {
		handle(t, r, over(a))
	}
	pass(12 * time.Hour)
	assert.Empty(t, r.Alerts())
	assert.Empty(t, r.Deliveries())
	for _, id := range ids {
		assert.True(t, said(0, "body of "+id), "%s is lost", id)
	}
	told := in.told()
	for i, n := range told {
		if urgentOf(n) {
			continue
		}
		lately := slices.DeleteFunc(slices.Clone(told[:i+1]), func(o alert.Notification) bool { return n.At.Sub(o.At) >= time.Hour })
		assert.LessOrEqual(t, len(lately), most/2, "%s at %s", n.Title, n.At)
	}
}

// urgentOf reports whether a message may be one that does not wait.
func urgentOf(n alert.Notification) bool {
	return n.Post != nil && n.Post.Urgent || n.Post == nil && strings.Contains(n.Text, "CRITICAL")
}
