package playbooks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// canvasHouse is a house beside a Canvas in memory.
type canvasHouse struct {
	*house
	keys      *incidenttest.PlatformKeys
	quota     *incidenttest.Quota
	announcer *incidenttest.Announcer
	doctor    incident.Diagnosis
	expired   int
	done      []string
	// answered means that a person gave an answer that is given once.
	answered bool
}

func newCanvasHouse(t testing.TB) *canvasHouse {
	c := &canvasHouse{house: newHouse(t), keys: new(incidenttest.PlatformKeys), quota: new(incidenttest.Quota), announcer: new(incidenttest.Announcer)}
	// What never gets well is not waited for as long as it would be.
	c.Defaults = playbooks.Defaults{Recover: time.Minute, Calm: 3 * time.Minute, CanvasAway: 6 * time.Minute}
	c.keys.Add(incident.PlatformKey{ID: "10000000000042", Name: "QA tool", On: true})
	c.quota.Set(incident.QuotaState{Remaining: 600, Limit: 600, Measured: true})
	c.doctor = incident.Diagnosis{Checked: []string{"the key set is served"}}
	c.Key, c.PlatformKeys, c.Quota, c.Announcer, c.Nonces = "10000000000042", c, c.quota, c, c
	c.Doctor = incident.DiagnoserFunc(func(context.Context) (incident.Diagnosis, error) { return c.doctor, nil })
	return c
}

// note notes what was changed beside the platform.
func (c *canvasHouse) note(effect string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = append(c.done, effect)
}

// effects returns what was changed, on the platform and then beside it.
func (c *canvasHouse) effects(after int) []string {
	all := c.platform.Effects()[after:]
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(all, c.done...)
}

// PlatformKey implements incident.PlatformKeys.
func (c *canvasHouse) PlatformKey(ctx context.Context, id string) (incident.PlatformKey, error) {
	return c.keys.PlatformKey(ctx, id)
}

// SetPlatformKey implements incident.PlatformKeys.
func (c *canvasHouse) SetPlatformKey(ctx context.Context, id string, on bool) (incident.PlatformKey, error) {
	k, err := c.keys.SetPlatformKey(ctx, id, on)
	if err == nil {
		c.note(fmt.Sprintf("SetPlatformKey %v", on))
	}
	return k, err
}

// Announce implements incident.Announcer.
func (c *canvasHouse) Announce(ctx context.Context, a incident.Announcement) (incident.Announced, error) {
	announced, err := c.announcer.Announce(ctx, a)
	if err == nil && announced.Created {
		c.note("Announce " + a.Key)
	}
	return announced, err
}

// Withdraw implements incident.Announcer.
func (c *canvasHouse) Withdraw(ctx context.Context, key string) error {
	shown := len(c.announcer.Announcements())
	err := c.announcer.Withdraw(ctx, key)
	if err == nil && len(c.announcer.Announcements()) < shown {
		c.note("Withdraw " + key)
	}
	return err
}

// PurgeExpired implements incident.Nonces.
func (c *canvasHouse) PurgeExpired(context.Context) (int, error) {
	removed := c.expired
	c.expired = 0
	if removed > 0 {
		c.note(fmt.Sprintf("PurgeExpired %d", removed))
	}
	return removed, nil
}

// keyOn reports whether the developer key is on.
func (c *canvasHouse) keyOn() bool {
	k, err := c.keys.PlatformKey(context.Background(), "10000000000042")
	return err == nil && k.On
}

// got reports whether the current deployment has a variable with a value.
func (c *canvasHouse) got(name, value string) bool {
	has, ok := c.platform.Got(name)
	return ok && has == value
}

// runsWith deploys with variables, as people have configured them long ago.
func (c *canvasHouse) runsWith(values map[string]string) {
	c.platform.Configure(values)
	c.platform.Deploy(incident.Deployment{Commit: "2222222", Message: "new", Status: incident.DeploymentSucceeded})
	time.Sleep(24 * time.Hour)
}

// is says how a thing is from now on, by a func.
func (c *canvasHouse) isDown(name string, so func() bool, message string) {
	c.say(name, func() health.Result {
		if so() {
			return down(message)()
		}
		return health.Result{Status: health.Healthy}
	})
}

// once returns a func that says yes from the moment on at which something is so.
func once(so func() bool) func() bool {
	var was atomic.Bool
	return func() bool {
		if so() {
			was.Store(true)
		}
		return was.Load()
	}
}

func always() bool { return true }

// found makes the doctor find something.
func (c *canvasHouse) found(id, title, remedy string, l incident.Likelihood) {
	c.doctor.Findings = append(c.doctor.Findings, incident.Finding{ID: id, Title: title, Likelihood: l, Evidence: []string{"seen"}, Remedy: remedy})
}

// story is one case of a playbook.
type story struct {
	world func(c *canvasHouse)
	// want is how it ends; empty means succeeded.
	want incident.RunState
	// with are its parameters, answer what people say.
	with   map[string]string
	answer func(c *canvasHouse, q incident.Question) incident.Answer
	// does are the effects, without the numbers of deployments; why is what the decision
	// rests on.
	does []string
	why  string
	// plan means that the decision of a plan is all that there is to see.
	plan bool
	// check looks further.
	check func(t testing.TB, c *canvasHouse, run incident.Run)
}

// tellStories runs stories through the suite of playbooks.
func tellStories(t *testing.T, playbook func(c *canvasHouse) incident.Playbook, stories map[string]story) {
	for name, s := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s.plan {
				synctest.Test(t, func(t *testing.T) {
					c := newCanvasHouse(t)
					s.world(c)
					decided := c.planOf(t, playbook(c), s.with).Run.Step("decide")
					assert.Contains(t, string(decided.Output)+decided.Message, s.why)
				})
				return
			}
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want:       s.want,
				Repeatable: func(effect string) bool { return strings.HasPrefix(effect, "Set") },
				New: func(t testing.TB) incidenttest.PlaybookCase {
					c := newCanvasHouse(t)
					s.world(c)
					before := len(c.platform.Effects())
					this := incidenttest.PlaybookCase{
						Playbook: playbook(c), Again: func() incident.Playbook { return playbook(c) }, Parameters: s.with, Effects: func() []string { return c.effects(before) }, Refused: c.platform.Refused,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, s.does, short(c.effects(before)))
							decided := run.Step("decide")
							assert.Contains(t, string(decided.Output)+decided.Message, s.why)
							if s.want == "" && len(c.posts) > 0 {
								assert.Contains(t, []string{"resolved", "completed"}, c.posts[len(c.posts)-1].Status)
							}
							if s.check != nil {
								s.check(t, c, run)
							}
						},
					}
					if s.answer != nil {
						this.Answer = func(q incident.Question) incident.Answer { return s.answer(c, q) }
					}
					return this
				},
			})
		})
	}
}

// runner returns a runner of a playbook, whose runs the caller closes.
func (c *canvasHouse) runner(t testing.TB, p incident.Playbook) (*incident.Runner, *incident.MemoryRuns) {
	t.Helper()
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p}, Runs: runs, Store: new(incident.MemoryStore)})
	require.NoError(t, err)
	return r, runs
}

// planOf plans a playbook.
func (c *canvasHouse) planOf(t testing.TB, p incident.Playbook, with map[string]string) incident.Plan {
	t.Helper()
	r, runs := c.runner(t, p)
	defer func() { require.NoError(t, runs.Close(context.WithoutCancel(t.Context()))) }()
	plan, err := r.Plan(t.Context(), incident.Request{Environment: p.Environment, Playbook: p.Name, By: "jane", Parameters: with})
	require.NoError(t, err)
	return plan
}

// short returns effects without the ids of deployments.
func short(effects []string) (all []string) {
	for _, e := range effects {
		if what, _, deployment := strings.Cut(e, " d"); deployment {
			e = what
		}
		all = append(all, e)
	}
	return all
}

// isInvalid checks that a playbook says what it lacks.
func isInvalid(t *testing.T, p incident.Playbook, lacks ...string) {
	t.Helper()
	err := p.Validate()
	if !assert.Error(t, err) {
		return
	}
	for _, what := range lacks {
		assert.ErrorContains(t, err, what)
	}
}

// commands returns what the steps of a playbook replace.
func commands(steps []incident.Step) (all []string) {
	for _, s := range steps {
		all = append(all, s.Replaces...)
		switch do := s.Do.(type) {
		case incident.Parallel:
			all = append(all, commands(do.Steps)...)
		case incident.Sub:
			all = append(all, commands(do.Playbook.Steps)...)
		}
	}
	return all
}

var errNobody = errors.New("nobody answers")
