package playbooks_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// announces lets the operator of Canvas announce a maintenance, as a function of the time that
// has passed. Nil means that the page does not list it.
func (c *canvasHouse) announces(say func(began time.Time, gone time.Duration) (*playbooks.AnnouncedMaintenance, error)) {
	began := time.Now()
	c.Announced = func(context.Context) ([]playbooks.AnnouncedMaintenance, error) {
		m, err := say(began, time.Since(began))
		if m == nil || err != nil {
			return nil, err
		}
		m.Key = "k1"
		return []playbooks.AnnouncedMaintenance{{Key: "other", From: began, To: began.Add(time.Hour)}, *m}, nil
	}
}

// at is a maintenance from some minutes after the beginning of a test to others.
func at(began time.Time, from, to int) *playbooks.AnnouncedMaintenance {
	return &playbooks.AnnouncedMaintenance{From: began.Add(time.Duration(from) * time.Minute), To: began.Add(time.Duration(to) * time.Minute)}
}

// said are the statuses of what users were told.
func (c *canvasHouse) said() (list []string) {
	for _, p := range c.posts {
		list = append(list, p.Status+": "+p.Title)
	}
	return list
}

// A maintenance that is announced is followed on the page: when it begins, until when it
// lasts, and whether it will be at all.
//
// Requirement: RB-CANVAS-MAINTENANCE-ANNOUNCED
func TestCanvasMaintenanceAsItIsAnnounced(t *testing.T) {
	const minute = time.Minute
	with := func(more ...string) map[string]string {
		p := map[string]string{"planned": "yes", "in": "10m", "lasts": "6m", "announcement": "k1", "users": "begun"}
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
		return p
	}
	both := []string{setMode, "Redeploy", setMode, "Redeploy"}
	whole := []string{"in_progress: Canvas is in maintenance", "completed: Canvas is back"}
	tellStories(t, maintenance, map[string]story{
		"the times are those of the page": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				c.announces(func(began time.Time, _ time.Duration) (*playbooks.AnnouncedMaintenance, error) {
					return at(began, 8, 20), nil
				})
				c.awayFor(8*minute, 5*minute)
			},
			with: with(), does: both, why: "the maintenance is planned",
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				assert.Equal(t, whole, c.said())
				assert.Equal(t, "canvas-maintenance-k1", c.posts[0].ID, "one thread with what was told before")
				assert.False(t, c.posts[0].From.IsZero(), "status pages have its times")
				assert.GreaterOrEqual(t, run.Step("degrade").Began.Sub(run.Began), 8*minute)
				assert.GreaterOrEqual(t, run.Step("restore").Began.Sub(run.Began), 20*minute)
			},
		},
		"an end that is put off is waited for": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				c.announces(func(began time.Time, gone time.Duration) (*playbooks.AnnouncedMaintenance, error) {
					if gone > 12*minute {
						return at(began, 10, 40), nil
					}
					return at(began, 10, 16), nil
				})
			},
			with: with(), does: both, why: "the maintenance is planned",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.GreaterOrEqual(t, run.Step("restore").Began.Sub(run.Began), 40*minute)
			},
		},
		"what is said to be over early is over": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				c.announces(func(began time.Time, gone time.Duration) (*playbooks.AnnouncedMaintenance, error) {
					if gone > 15*minute {
						return nil, nil
					}
					return at(began, 10, 300), nil
				})
			},
			with: with(), does: both, why: "the maintenance is planned",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Less(t, run.Step("restore").Began.Sub(run.Began), 25*minute)
			},
		},
		"a Canvas that is away shortly before is left alone at once": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				c.announces(func(began time.Time, _ time.Duration) (*playbooks.AnnouncedMaintenance, error) {
					return at(began, 10, 16), nil
				})
				c.awayFor(4*minute, 10*minute)
			},
			with: with(), does: both, why: "the maintenance is planned",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Less(t, run.Step("degrade").Began.Sub(run.Began), 7*minute)
			},
		},
		"one that is called off while it is waited for changes nothing": {
			world: func(c *canvasHouse) {
				c.announces(func(began time.Time, gone time.Duration) (*playbooks.AnnouncedMaintenance, error) {
					if gone > 5*minute {
						return nil, nil
					}
					return at(began, 10, 16), nil
				})
			},
			with: with(), why: "the maintenance is planned",
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				assert.Empty(t, c.said(), "another run tells it")
				assert.Contains(t, run.Step("degrade").Message, "it was called off")
			},
		},
		"one that is missing for a moment is not called off": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				c.announces(func(began time.Time, gone time.Duration) (*playbooks.AnnouncedMaintenance, error) {
					if gone > 5*minute && gone < 5*minute+15*time.Second {
						return nil, nil
					}
					return at(began, 10, 16), nil
				})
			},
			with: with(), does: both, why: "the maintenance is planned",
		},
		"one that is moved is for another run": {
			world: func(c *canvasHouse) {
				c.announces(func(began time.Time, gone time.Duration) (*playbooks.AnnouncedMaintenance, error) {
					if gone > 5*minute {
						return at(began, 600, 606), nil
					}
					return at(began, 10, 16), nil
				})
			},
			with: with(), why: "the maintenance is planned",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Contains(t, run.Step("restore").Message, "it was moved")
				assert.Less(t, run.Ended.Sub(run.Began), 20*minute)
			},
		},
		"users who were told are told that it is called off": {
			world: func(c *canvasHouse) {
				c.announces(func(time.Time, time.Duration) (*playbooks.AnnouncedMaintenance, error) { return nil, nil })
			},
			with: with("users", "off"), why: "does not announce it any more",
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				assert.Equal(t, []string{"completed: The maintenance of Canvas is called off"}, c.said())
			},
		},
		"a page that cannot be read is as it was": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				c.announces(func(began time.Time, gone time.Duration) (*playbooks.AnnouncedMaintenance, error) {
					if gone > 3*minute {
						return nil, errors.New("status 503")
					}
					return at(began, 10, 16), nil
				})
			},
			with: with(), does: both, why: "the maintenance is planned",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.GreaterOrEqual(t, run.Step("degrade").Began.Sub(run.Began), 10*minute)
				assert.GreaterOrEqual(t, run.Step("restore").Began.Sub(run.Began), 16*minute)
			},
		},
	})
}
