package world_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/incident"
)

// What is told is in the ledger, and a channel that does not work takes nothing.
func TestChannels(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		c := s.w.Channels()
		chat, err := c.Chat("#qa-automation-alerts")
		require.NoError(s, err)
		mail, err := c.Mail("on-call-team@acu.edu.au")
		require.NoError(s, err)
		phone, err := c.Phone("+61 400 111 222")
		require.NoError(s, err)
		told := func(key, text string) (errs []error) {
			for _, n := range []alert.Notifier{chat, mail, phone} {
				_, err := n.Notify(s.Context(), alert.Notification{
					Key: key, Seq: 1, Kind: alert.KindFiring, At: time.Now(), Severity: alert.Critical, Title: text, Text: text,
					Alerts: []alert.Alert{{Key: key, Rule: "r", Environment: "production", Severity: alert.Critical, State: alert.Firing, Summary: text}},
				})
				errs = append(errs, err)
				time.Sleep(5 * time.Second)
			}
			return errs
		}
		for _, err := range told("a", "The application is down") {
			require.NoError(s, err)
		}
		acts := s.w.Acts()
		require.Len(s, acts, 3)
		for i, want := range []struct{ kind, detail string }{{"slack", "#qa-automation-alerts"}, {"mail", "on-call-team@acu.edu.au"}, {"page", "+61 400 111 222"}} {
			assert.Equal(s, want.kind, acts[i].Kind)
			assert.Equal(s, want.detail, acts[i].Detail)
			assert.Contains(s, acts[i].Text, "The application is down")
		}
		s.inject(world.SlackDown, "")
		s.inject(world.MailDown, "")
		errs := told("b", "Again")
		assert.Error(s, errs[0])
		assert.Error(s, errs[1])
		assert.NoError(s, errs[2])
		assert.Len(s, s.w.Acts(), 4)
		s.pass(time.Hour)
		vars, err := s.app.Variables(s.Context())
		require.NoError(s, err)
		for _, err := range told("c", "The key is "+vars.Values["SECRET_KEY"].Reveal()) {
			require.NoError(s, err)
		}
		secrets := s.acted("secret-told")
		assert.Equal(s, 3, secrets)
		for _, a := range s.w.Acts() {
			if a.Kind == "secret-told" {
				assert.True(s, strings.HasSuffix(a.Detail, " SECRET_KEY"))
			}
		}
	})
}

// The ledger has what took effect at the platform, in the environment where it did.
func TestActs(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		_, err := s.app.SetDeployFreeze(s.Context(), true)
		require.NoError(s, err)
		assert.True(s, s.w.Truth().Frozen)
		s.set("ASYNC_WORKERS", "8")
		_, err = s.app.SetScale(s.Context(), incident.Scale{Regions: []incident.RegionScale{{Region: "us-west2", Replicas: 2}}})
		require.NoError(s, err)
		_, err = s.app.SetDeployFreeze(s.Context(), false)
		require.NoError(s, err)
		_, err = s.app.Stop(s.Context())
		require.NoError(s, err)
		s.pass(time.Minute)
		assert.True(s, s.w.Truth().Stopped)
		code, _ := s.get("/health")
		assert.Equal(s, 404, code)
		var got []string
		for _, a := range s.w.Acts() {
			assert.Equal(s, "production", a.Environment)
			got = append(got, strings.TrimSpace(a.Kind+" "+a.Detail))
		}
		assert.Equal(s, []string{"freeze app", "set-variable ASYNC_WORKERS=8", "redeploy app", "scale replicas", "unfreeze app", "stop app"}, got)
	})
}

// The platform has measured the days before, with which now can be compared.
func TestHistory(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.pass(30 * time.Minute)
		s.inject(world.Overload, "") // of now, and not of the days before
		s.pass(time.Minute)
		series, err := s.app.Metrics(s.Context(), incident.MetricQuery{Metrics: []incident.Metric{incident.MetricRequests}, From: time.Now().Add(-8 * 24 * time.Hour), Step: 10 * time.Minute})
		require.NoError(s, err)
		days := map[int][]float64{}
		for _, p := range series[0].Points {
			if p.Time.Hour() == 10 && p.Value > 0 {
				days[p.Time.Day()] = append(days[p.Time.Day()], p.Value)
				assert.InDelta(s, 8, p.Value, 5, "%v", p.Time)
			}
		}
		assert.Len(s, days, 8, "%v", days)
	})
}

// What was written since a copy is lost when it is restored.
func TestCopies(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		dumps := s.at.Dumps
		list, err := dumps.List(s.Context())
		require.NoError(s, err)
		require.Len(s, list, 1)
		assert.Less(s, time.Since(list[0].Receipt.Time), 26*time.Hour)
		load := s.at.Dumper.(incident.DumpLoader)
		for _, target := range []string{dumps.Rehearsal, dumps.Live} {
			plan, err := load.PlanLoad(s.Context(), list[0].Receipt, target)
			require.NoError(s, err)
			from, err := dumps.Open(s.Context(), list[0].Name)
			require.NoError(s, err)
			_, err = load.Load(s.Context(), plan, from)
			require.NoError(s, err)
			require.NoError(s, from.Close())
			assert.Equal(s, target == dumps.Rehearsal, s.w.Truth().Whole)
		}
		assert.Equal(s, 2, s.acted("dump-restored"))
		m, err := s.at.Migrator.Migrate(s.Context())
		require.NoError(s, err)
		assert.True(s, m.Succeeded)
	})
}
