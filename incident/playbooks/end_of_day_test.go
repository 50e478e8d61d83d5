package playbooks_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// measuresRequests says that the platform measured requests each hour until now.
func (h *deskHouse) measuresRequests(hours int) {
	now := time.Now()
	var requests, failed incident.Series
	requests.Metric, failed.Metric = incident.MetricRequests, incident.MetricErrors
	for i := range hours {
		at := now.Add(-time.Duration(hours-i) * time.Hour)
		requests.Points = append(requests.Points, incident.Point{Time: at, Value: 100})
		failed.Points = append(failed.Points, incident.Point{Time: at, Value: 1})
	}
	h.platform.Measure(requests, failed)
}

// Requirement: RB-REPORT-EVENING
func TestEndOfDay(t *testing.T) {
	const report = "End-of-day status of production"
	// The house stands at midnight UTC: 18 hours later it is evening.
	evening := func(then func(h *deskHouse)) func(h *deskHouse) {
		return func(h *deskHouse) {
			time.Sleep(18 * time.Hour)
			then(h)
		}
	}
	source := func(context.Context, time.Time, time.Time) ([]playbooks.Figure, error) {
		return []playbooks.Figure{{Name: "incidents", Value: 1}}, nil
	}
	routines(t, "report", func(h *deskHouse) incident.Playbook { return playbooks.EndOfDay(h.Environment, source) }, map[string]routineCase{
		"a day on which all is well": {
			world:  evening(func(h *deskHouse) { h.users(3, 1, 0); h.measuresRequests(48) }),
			letter: report, says: []string{
				": all is well", "application: healthy", "users: active_sessions 3", "nothing was deployed",
				"requests: 1800 (before: 1800), of 18 samples from", "metrics of the platform, requests", "share of answers of 500 and above: 1 %",
			},
		},
		"what is not well is in the report and no failure of it": {
			world:  evening(func(h *deskHouse) { h.say("database", down("connection refused")) }),
			letter: report, says: []string{": 1 problems", "Problems:\n- database: unhealthy: connection refused"},
		},
		"what was deployed": {
			world: evening(func(h *deskHouse) {
				h.platform.Deploy(incident.Deployment{Commit: "3333333", Message: "faster", Status: incident.DeploymentSucceeded})
				time.Sleep(time.Minute)
			}),
			letter: report, says: []string{"deployed at", "commit 3333333, faster"}, omits: []string{"nothing was deployed", "2222222"},
		},
		"a figure of which nothing says what it was made of is not told": {
			world: evening(func(*deskHouse) {}), letter: report, says: []string{"not told: incidents: it is not said of which stored samples it was made"}, omits: []string{"incidents: 1"},
		},
		"metrics that cannot be read are named": {
			world: evening(func(h *deskHouse) {
				h.platform.Fail("Metrics", errors.New("gateway"), errors.New("gateway"))
			}), letter: report, says: []string{"not told: source 1 of figures: gateway"},
		},
		"deployments that cannot be read are not none": {
			world: evening(func(h *deskHouse) {
				h.platform.Fail("Deployments", errors.New("gateway"), errors.New("gateway"), errors.New("gateway"))
			}), letter: report, says: []string{"what was deployed is not known: gateway"}, omits: []string{"nothing was deployed"},
		},
		"who has no platform says so": {
			world:  evening(func(h *deskHouse) { h.Deployer, h.Environment.Metrics = nil, nil }),
			letter: report, says: []string{"what was deployed is not known: this environment deploys nothing"},
		},
		"a report that reaches nobody is a failure": {
			world: evening(func(h *deskHouse) { h.deaf = errDeaf }), want: incident.StateFailed, ends: "the mail server does not answer",
		},
		"how old the newest backup is": {
			world: func(h *deskHouse) {
				h.Backups = h.platform
				time.Sleep(12 * time.Hour)
				if _, err := h.platform.CreateBackup(context.Background(), "noon"); err != nil {
					panic(err)
				}
				time.Sleep(6 * time.Hour)
			},
			letter: report, says: []string{"the newest backup, b3 (noon), is 6h0m old"},
		},
		"that there is no backup is said": {
			world:  evening(func(h *deskHouse) { h.Backups = h.platform }),
			letter: report, says: []string{"there is no backup"},
		},
		"backups that cannot be read are not none": {
			world: evening(func(h *deskHouse) {
				h.Backups = h.platform
				h.platform.Fail("Backups", errors.New("gateway"), errors.New("gateway"), errors.New("gateway"))
			}),
			letter: report, says: []string{"how old the newest backup is is not known: gateway"}, omits: []string{"there is no backup"},
		},
		"something slow is a problem": {
			world: evening(func(h *deskHouse) {
				h.shows("performance", health.Healthy, "", health.Measurement{Name: "response_time", Value: 7})
			}), letter: report, says: []string{"performance: it takes 7s (limit 5s)"},
		},
	})
}

func TestEndOfDayNeedsSomebodyToTell(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, playbooks.EndOfDay(playbooks.Environment{Name: "production"}).Validate(), "it needs a Inform")
}
