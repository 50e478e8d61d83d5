package playbooks_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

func authentication(c *canvasHouse) incident.Playbook {
	return playbooks.CanvasAuthentication(c.Environment)
}

// loginFailsUntil says that launches fail until something is so.
func (c *canvasHouse) loginFailsUntil(so func() bool) {
	c.isDown("login", func() bool { return !so() }, "the launch ends with status 401")
}

func never() bool { return false }

// Requirement: RB-PLAYBOOK-2, RB-PLAYBOOK-2-SYMPTOMS, RB-PLAYBOOK-2-STEP-1, RB-PLAYBOOK-2-STEP-2-KEY-STATUS
// Requirement: RB-PLAYBOOK-2-STEP-2-PRIVATE-KEY, RB-PLAYBOOK-2-STEP-2-CLIENT-ID, RB-PLAYBOOK-2-STEP-2-MAINTENANCE, RB-PLAYBOOK-2-STEP-3
func TestCanvasAuthentication(t *testing.T) {
	tellStories(t, authentication, map[string]story{
		"worthless tokens are fetched anew by a restart": {
			world: func(c *canvasHouse) {
				c.found("jwks_slow", "The tool's key set is slow", "Serve it from memory.", incident.Possible)
				c.loginFailsUntil(func() bool { return c.did("Restart") })
			},
			does: []string{"Restart"},
			why:  "nothing certain is wrong with keys, client id and addresses",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Less(t, run.Step("decide").Ended.Sub(run.Began), 10*time.Minute)
			},
		},
		"what works is left alone": {
			world: func(*canvasHouse) {},
			why:   "a launch works, and the application works with Canvas",
		},
		"a maintenance of Canvas is waited for": {
			world: func(c *canvasHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 3*time.Minute }
				c.loginFailsUntil(over)
				c.say("canvas status", func() health.Result {
					if over() {
						return health.Result{Status: health.Healthy}
					}
					return health.Result{Status: health.Maintenance, Message: "until 04:00"}
				})
			},
			why: "Canvas is in maintenance: until 04:00",
		},
		"a fault of the platform is waited for": {
			world: func(c *canvasHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 3*time.Minute }
				c.loginFailsUntil(over)
				c.isDown("platform", func() bool { return !over() }, "major outage")
			},
			why: "the platform itself has a fault",
		},
		"a key that is off is switched on when that is approved": {
			world: func(c *canvasHouse) {
				c.keys.Add(incident.PlatformKey{ID: "10000000000042", Name: "QA tool", LastUsed: time.Date(2026, 11, 1, 2, 3, 4, 0, time.UTC)})
				c.loginFailsUntil(c.keyOn)
			},
			does: []string{"SetPlatformKey true"},
			why:  "the developer key QA tool is switched off in Canvas, last used 2026-11-01 02:03:04 UTC",
		},
		"a key stays off when that is denied": {
			world: func(c *canvasHouse) {
				c.keys.Add(incident.PlatformKey{ID: "10000000000042", Name: "QA tool"})
				c.loginFailsUntil(c.keyOn)
			},
			answer: func(_ *canvasHouse, q incident.Question) incident.Answer {
				return incident.Answer{Kind: incident.AnswerDeny, Actor: "kim", Comment: "it was compromised"}
			},
			want: incident.StateFailed,
			why:  "switched off in Canvas",
		},
		"a key stays off when nobody answers": {
			world: func(c *canvasHouse) {
				c.keys.Add(incident.PlatformKey{ID: "10000000000042", Name: "QA tool"})
				c.loginFailsUntil(c.keyOn)
			},
			answer: func(*canvasHouse, incident.Question) incident.Answer { return incident.Answer{} },
			want:   incident.StateFailed,
			why:    "switched off in Canvas",
		},
		"a key that is gone is for people": {
			world: func(c *canvasHouse) {
				c.Key = "10000000000043"
				c.loginFailsUntil(never)
			},
			want: incident.StateFailed,
			why:  "there is no developer key of this id in Canvas",
		},
		"a wrong configuration is put right by people, and not restarted": {
			world: func(c *canvasHouse) {
				c.found("key_not_published", "The key with which the tool signs is not in its published set", "Publish it.", incident.Certain)
				c.found("client_id", "The client id of the tool is not the one that the platform has for it", "Set the platform's client id.", incident.Certain)
				c.loginFailsUntil(func() bool { return len(c.doctor.Findings) == 0 })
			},
			answer: func(c *canvasHouse, q incident.Question) incident.Answer {
				if q.Kind != "manual" {
					return incident.Answer{Kind: incident.AnswerAbort, Actor: "kim", Comment: "no"}
				}
				c.doctor.Findings = nil
				return incident.Answer{Kind: incident.AnswerDone, Actor: "kim"}
			},
			why: "a restart mends no configuration: The key with which the tool signs is not in its published set; The client id of the tool is not",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.NotNil(t, run.Step("put-right"))
			},
		},
		"a restart that does not help is not repeated": {
			world: func(c *canvasHouse) { c.loginFailsUntil(never) },
			want:  incident.StateFailed,
			does:  []string{"Restart"},
			why:   "what is left are the tokens",
		},
		"an application that is down is for another playbook": {
			world: func(c *canvasHouse) {
				c.loginFailsUntil(never)
				c.isDown("application", always, "status 502")
			},
			want: incident.StateFailed,
			why:  "see the playbook application-down",
		},
		"a maintenance mode that was left on is for another playbook": {
			world: func(c *canvasHouse) {
				c.loginFailsUntil(never)
				c.say("application", func() health.Result { return health.Result{Status: health.Maintenance} })
			},
			want: incident.StateFailed,
			why:  "its maintenance mode was left on; see the playbook canvas-maintenance",
		},
		"a key that cannot be read is said": {
			world: func(c *canvasHouse) {
				c.loginFailsUntil(func() bool { return c.did("Restart") })
				c.keys.Fail(incident.ErrNotPermitted)
			},
			does: []string{"Restart"},
			why:  "the developer key could not be read: not permitted",
		},
		"without a diagnosis nothing is restarted": {
			world: func(c *canvasHouse) {
				c.loginFailsUntil(never)
				c.Doctor = incident.DiagnoserFunc(func(context.Context) (incident.Diagnosis, error) { return incident.Diagnosis{}, errNobody })
			},
			want: incident.StateFailed,
			why:  "the LTI configuration could not be diagnosed",
		},
	})
}

func TestCanvasAuthenticationNeeds(t *testing.T) {
	t.Parallel()
	isInvalid(t, playbooks.CanvasAuthentication(playbooks.Environment{Name: "production"}), "Doctor", "Deployer", "probe of a login")
}

// Requirement: RB-SCRIPT-VALIDATE-CANVAS-INTEGRATION
func TestCanvasAuthenticationReplaces(t *testing.T) {
	t.Parallel()
	assert.Subset(t, commands(playbooks.CanvasAuthentication(playbooks.Environment{Name: "production"}).Steps), []string{
		`curl -s "https://qa-automation.acu.edu.au/health/canvas?instance=prod"`, `curl -f "https://qa-automation.acu.edu.au/.well-known/jwks.json"`,
		"railway restart --environment production", "./scripts/validate-canvas-integration.sh production",
	})
}
