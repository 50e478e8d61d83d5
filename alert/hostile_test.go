package alert_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
)

// atOnce returns a router that tells without waiting, and what it has told.
func atOnce(t *testing.T) (*alert.Router, *inbox) {
	in := &inbox{}
	cfg := one(in)
	cfg.Routes[0].Wait = -1
	return router(t, cfg), in
}

// What a host does with its configuration afterwards changes nothing.
func TestConfigIsCopied(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := alert.RouterConfig{
			Targets: []alert.Target{{Name: "slack", Notifier: in, Severities: []alert.Severity{alert.Critical}}},
			Routes: []alert.Route{{
				Name: "all", Targets: []string{"slack"}, GroupBy: []string{"rule"}, Wait: -1,
				Match: alert.Matcher{Environments: []string{"production"}, Labels: map[string]string{"entity": "app"}},
			}},
		}
		r := router(t, cfg)
		cfg.Targets[0].Severities[0] = alert.Low
		cfg.Routes[0].Targets[0], cfg.Routes[0].GroupBy[0] = "gone", "gone"
		cfg.Routes[0].Match.Environments[0], cfg.Routes[0].Match.Labels["entity"] = "gone", "gone"
		handle(t, r, firing(alert.Critical, "production", "app"))
		pass(time.Second)
		assert.Len(t, in.told(), 1)
	})
	inTime(t, func(t *testing.T) {
		windows := []alert.BurnWindow{{Long: time.Hour, Short: 5 * time.Minute, Factor: 2}}
		all := []string{"slow"}
		e, out := run(t, []alert.Input{{Name: "g", Kind: alert.Gauge}, {Name: "c", Kind: alert.Counter}}, nil,
			alert.Rule{Name: "slow", Input: "g", Severity: alert.High, When: alert.Above{Limit: 1}},
			alert.Rule{Name: "burn", Input: "c", Severity: alert.High, When: alert.BurnRate{Objective: 0.9, Windows: windows}},
			alert.Rule{Name: "both", Severity: alert.High, When: alert.Combined{All: all}})
		windows[0], all[0] = alert.BurnWindow{}, "gone"
		feed(t, e, "c", "app").Count(0, 200, "")
		feed(t, e, "g", "app").Observe(2)
		time.Sleep(3 * time.Second)
		assert.ElementsMatch(t, []string{"burn/app firing", "slow/app firing", "both/app firing"}, out.take())
	})
}

// With a pace that is no number, or next to none, nothing would ever be sent.
func TestPaceIsOne(t *testing.T) {
	for name, pace := range map[string]float64{"no number": math.NaN(), "infinite": math.Inf(1), "next to none": 1e-300, "negative": -1} {
		t.Run(name, func(t *testing.T) {
			cfg := one(&inbox{})
			cfg.Targets[0].PerSecond = pace
			_, err := alert.NewRouter(cfg)
			assert.ErrorContains(t, err, `target "slack": `)
		})
	}
}

// A draft for a target that is no longer configured, or no longer for everyone, is not sent,
// and can be discarded.
func TestDraftOfAnotherConfiguration(t *testing.T) {
	for name, change := range map[string]func(*alert.RouterConfig){
		"gone": func(c *alert.RouterConfig) { c.Targets = c.Targets[:1] },
		"for operators": func(c *alert.RouterConfig) {
			c.Targets[1].Audience, c.Targets[1].NeedsApproval = alert.Operators, false
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				vendor := &inbox{}
				cfg := one(&inbox{})
				cfg.Store = &alert.MemoryStore{}
				cfg.Targets = append(cfg.Targets, alert.Target{Name: "vendor", Notifier: vendor, Audience: alert.Everyone, NeedsApproval: true})
				r := start(t, cfg)
				require.NoError(t, r.Post(t.Context(), alert.Post{ID: "incident-7", Title: "Canvas answers 500"}, "vendor"))
				stop(t, r)

				change(&cfg)
				r = start(t, cfg)
				require.Len(t, r.Drafts(), 1)
				id := r.Drafts()[0].ID
				require.Error(t, r.Approve(t.Context(), id, "ana"))
				require.NoError(t, r.Discard(t.Context(), id, "ana"))
				stop(t, r)

				r = router(t, cfg)
				assert.Empty(t, r.Drafts())
				pass(time.Minute)
				assert.Empty(t, vendor.told())
			})
		})
	}
}

// An alert of a host that does not say when it began began when it came, and its text does not
// speak of two thousand years; one that ended before it began lasted no time.
func TestTimesThatCannotBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, in := atOnce(t)
		a := firing(alert.Critical, "production", "app")
		a.Began, a.Fired = time.Time{}, time.Time{}
		handle(t, r, a)
		pass(5 * time.Minute)
		a.Affected = []string{"grade sync"}
		handle(t, r, a)
		pass(5 * time.Minute)
		require.Len(t, r.Alerts(), 1)
		assert.Equal(t, 10*time.Minute, r.Alerts()[0].Duration(time.Now()).Round(time.Minute))
		a.State, a.Ended = alert.Resolved, time.Now().Add(-time.Hour)
		handle(t, r, a)
		pass(time.Minute)
		got := in.told()
		require.Len(t, got, 2)
		assert.Contains(t, got[0].Text, ", for 0 s;")
		assert.Contains(t, got[1].Text, ", for 0 s;")
		assert.NotContains(t, got[1].Text, "for -")
	})
}

// The text of a post says everything, for services that show nothing else.
func TestPostSaysEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		status := &inbox{}
		cfg := one(&inbox{})
		cfg.Zone = sydney(t)
		cfg.Targets = append(cfg.Targets, alert.Target{Name: "status", Notifier: status, Audience: alert.Everyone})
		r := router(t, cfg)
		from := time.Date(2026, time.October, 10, 16, 0, 0, 0, time.UTC)
		require.NoError(t, r.Post(t.Context(), alert.Post{
			ID: "maintenance-3", Title: "Maintenance\non Sunday", Body: "Reports are not available.\n", Status: "in_progress", By: "Ana Silva",
			From: from, To: from.Add(2 * time.Hour), Components: map[string]string{"Reports": "under_maintenance", "LTI": "operational"},
		}))
		require.NoError(t, r.Post(t.Context(), alert.Post{ID: "short", Title: "All is well"}))
		pass(time.Minute)
		texts := make(map[string]string)
		for _, n := range status.told() {
			texts[n.Post.ID] = n.Text
		}
		assert.Equal(t, "Maintenance on Sunday\n\nReports are not available.\n\nStatus: in progress\n"+
			"Planned: from Sun 11 Oct 2026 03:00 AEDT to Sun 11 Oct 2026 05:00 AEDT\nLTI: operational\nReports: under maintenance\nPosted by Ana Silva\n", texts["maintenance-3"])
		assert.Equal(t, "All is well\n", texts["short"])
	})
}

// A source without a name is one of its own, and not the one that stands for an input of
// which nothing was heard.
func TestSourceWithoutName(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: "beat", Kind: alert.Heartbeat}}, nil,
			alert.Rule{Name: "dead", Input: "beat", Severity: alert.High, When: alert.Silent{Period: time.Minute}})
		time.Sleep(2 * time.Second) // nothing was heard of the input yet
		f, err := e.Feed(alert.Source{Input: "beat"}, map[string]string{"team": "ops"})
		require.NoError(t, err)
		feed(t, e, "beat", "worker").Beat()
		time.Sleep(5 * time.Second) // it has not beaten yet
		f.Beat()
		time.Sleep(50 * time.Second)
		feed(t, e, "beat", "worker").Beat()
		time.Sleep(20 * time.Second)
		assert.Equal(t, "ops", out.last("dead").Labels["team"])
		assert.Equal(t, []string{"dead/ firing"}, out.take())
		f.Beat()
		time.Sleep(time.Second)
		assert.Equal(t, []string{"dead/ resolved"}, out.take())
	})
}

// Text from outside turns neither terminals nor the direction of text around.
func TestTextsFromOutside(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, in := atOnce(t)
		a := firing(alert.Critical, "production", "app")
		a.Summary = "down \u202egnihton si ti\u202c \u2066x\u2069"
		a.Detail = "GET /health\x1b[2J\r\u202eok\x00\nsecond"
		handle(t, r, a)
		pass(time.Second)
		require.Len(t, in.told(), 1)
		n := in.told()[0]
		assert.Equal(t, -1, strings.IndexFunc(n.Title+n.Text, func(r rune) bool {
			return r < ' ' && r != '\n' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
		}), "%q", n.Text)
		assert.Contains(t, n.Text, "  GET /health [2J ok\n  second\n")
	})
}

// A test says who sends it.
func TestTestNeedsSomebody(t *testing.T) {
	r := router(t, one(&alerttest.Recorder{}))
	assert.Error(t, r.Test(t.Context(), "slack", ""))
}

// A time that cannot be stored is refused: the record of the alert would never be written
// again, and a restart would tell it anew.
func TestTimeOfAnAcknowledgement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, in := atOnce(t)
		a := firing(alert.High, "production", "app")
		handle(t, r, a)
		pass(time.Second)
		never := alert.Acknowledgement{By: "ana", At: time.Date(20000, time.January, 1, 0, 0, 0, 0, time.UTC)}
		require.Error(t, r.Acknowledge(t.Context(), a.Key, never))
		require.Error(t, r.AcknowledgeConversation(t.Context(), in.told()[0].Key, never))
		a.Acknowledged = &never
		require.Error(t, r.Handle(t.Context(), a))
		assert.Nil(t, r.Alerts()[0].Acknowledged)
	})
}

// However long what comes from outside is, the title says what is wrong, and the text ends.
func TestTextsHaveAnEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, in := atOnce(t)
		a := firing(alert.Critical, "production", "app")
		long := strings.Repeat("endless ", 100_000)
		a.Rule, a.Environment, a.Entity, a.Detail, a.Playbook, a.Affected = long, long, long, long, long, []string{long}
		a.Acknowledged = &alert.Acknowledgement{By: long, Comment: long}
		handle(t, r, a)
		pass(time.Second)
		require.Len(t, in.told(), 1)
		assert.Contains(t, in.told()[0].Title, "app has failed 3 checks in a row")
		assert.Less(t, len(in.told()[0].Text), 5000)
	})
}

// A target that is named twice gets a post once.
func TestPostOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		status := &inbox{}
		cfg := one(&inbox{})
		cfg.Targets = append(cfg.Targets, alert.Target{Name: "status", Notifier: status, Audience: alert.Everyone})
		r := router(t, cfg)
		require.NoError(t, r.Post(t.Context(), alert.Post{ID: "a", Title: "All is well"}, "status", "status"))
		pass(time.Minute)
		assert.Len(t, status.told(), 1)
	})
}

// A thousand replicas that differ are no text of a megabyte.
func TestManyDiffer(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: "version", Kind: alert.Text}}, nil,
			alert.Rule{Name: "drift", Input: "version", Severity: alert.Low, When: alert.Unequal{}})
		for i := range 1000 {
			feed(t, e, "version", fmt.Sprint("replica-", i)).Say(fmt.Sprint(i))
		}
		time.Sleep(3 * time.Second)
		assert.Less(t, len(out.last("drift").Detail), 1100)
		assert.Contains(t, out.last("drift").Detail, "replica-0: 0; ")
	})
}

// A router that was stopped acknowledges nothing, not even to itself.
func TestNothingIsAcknowledgedAfterStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Routes[0].Wait = -1
		r := start(t, cfg)
		handle(t, r, firing(alert.High, "production", "app"))
		pass(time.Second)
		stop(t, r)
		err := r.AcknowledgeConversation(t.Context(), in.told()[0].Key, alert.Acknowledgement{By: "ana"})
		require.ErrorIs(t, err, alert.ErrStopped)
		assert.Nil(t, r.Alerts()[0].Acknowledged)
	})
}

// What counts more than there can be does not begin at 0 again.
func TestCountsDoNotOverflow(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: "c", Kind: alert.Counter}}, nil,
			alert.Rule{Name: "errors", Input: "c", Severity: alert.High, When: alert.Rate{Limit: 10, Window: time.Hour}})
		f := feed(t, e, "c", "app")
		f.Count(0, math.MaxUint64, "")
		time.Sleep(2 * time.Second)
		f.Count(0, 2, "")
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"errors/app firing"}, out.take())
	})
}
