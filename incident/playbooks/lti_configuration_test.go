package playbooks_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

func configuration(c *canvasHouse) incident.Playbook {
	return playbooks.LTIConfiguration(c.Environment)
}

// mends answers that a person has put the configuration right.
func mends(c *canvasHouse, q incident.Question) incident.Answer {
	if q.Kind == "manual" {
		c.doctor.Findings = nil
		return incident.Answer{Kind: incident.AnswerDone, Actor: "kim"}
	}
	return incident.Answer{Kind: incident.AnswerAbort, Actor: "kim", Comment: "no"}
}

// Requirement: RB-LTI-NONCE-CACHE
func TestLTIConfiguration(t *testing.T) {
	tellStories(t, configuration, map[string]story{
		"what is wrong is put right by people, and diagnosed again": {
			world: func(c *canvasHouse) {
				c.expired = 3
				c.found("private_key_not_base64", "The private key cannot be used: it is not base64", "Store the base64 of the whole PEM file again.", incident.Certain)
				c.found("client_id", "The client id is another one", "Set the client id.", incident.Certain)
				c.found("algorithm", "The tool expects another algorithm than RS256", "Expect RS256.", incident.Certain)
				c.found("nonce_life", "Nonces are forgotten before their tokens expire", "Keep them for 2 hours.", incident.Likely)
				c.found("clock", "The clock is behind", "Set it by NTP.", incident.Likely)
				c.found("deep_link_url", "There is no address to launch", "Set it.", incident.Likely)
				c.found("placement_off", "The placement is switched off", "Switch it on.", incident.Likely)
				c.found("placement_message", "It launches another message", "Set LtiDeepLinkingRequest.", incident.Possible)
				c.found("redirect_uri", "It is not registered", "Register it.", incident.Possible)
				c.isDown("login", func() bool { return len(c.doctor.Findings) > 0 }, "the signature is not valid")
			},
			answer: mends,
			does:   []string{"PurgeExpired 3"},
			why: "Invalid JWT signature: The private key cannot be used: it is not base64 (certain); Invalid JWT signature: The client id is another one (certain); " +
				"Invalid JWT signature: The tool expects another algorithm than RS256 (certain); Nonce validation: Nonces are forgotten before their tokens expire (likely); " +
				"Nonce validation: The clock is behind (likely); Deep linking: There is no address to launch (likely); Deep linking: The placement is switched off (likely); " +
				"Deep linking: It launches another message (possible); Registration and addresses: It is not registered (possible)",
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) { assert.Len(t, c.mails, 1) },
		},
		"what is still wrong is not called right": {
			world: func(c *canvasHouse) {
				c.found("client_id", "The client id is another one", "Set the client id.", incident.Certain)
			},
			want: incident.StateFailed,
			why:  "The client id is another one",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Contains(t, run.Step("configured").Message, "it is still so: Invalid JWT signature: The client id is another one")
			},
		},
		"of what is right nothing is touched, and no nonce removed": {
			world: func(c *canvasHouse) { c.expired = 12 },
			why:   "1 things were looked at and are right",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Equal(t, incident.StepSkipped, run.Step("purge-nonces").State)
				assert.Contains(t, run.Step("purge-nonces").Message, "it was decided to nothing")
			},
		},
		"what is wrong elsewhere is no reason to remove nonces": {
			world: func(c *canvasHouse) {
				c.expired = 12
				c.found("client_id", "The client id is another one", "Set the client id.", incident.Certain)
				c.found("clock", "The clock is behind", "Set it by NTP.", incident.Likely)
			},
			answer: mends,
			why:    "Nonce validation: The clock is behind (likely)",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Equal(t, "nothing that was found is about nonces", run.Step("purge-nonces").Message)
			},
		},
		"a finding about nonces is one": {
			world: func(c *canvasHouse) {
				c.expired = 12
				c.found("login_nonce", "Two logins have the same nonce", "Make a new one for each.", incident.Certain)
			},
			answer: mends,
			does:   []string{"PurgeExpired 12"},
			why:    "Nonce validation: Two logins have the same nonce (certain)",
		},
		"a launch that is refused for its nonce is one too": {
			world: func(c *canvasHouse) {
				c.expired = 12
				c.isDown("login", func() bool { return c.expired > 0 }, "launch: the tool answers 401: the nonce was not taken")
			},
			does: []string{"PurgeExpired 12"},
			why:  "a launch is refused for its nonce",
		},
		"what was not looked at is said": {
			world: func(c *canvasHouse) {
				c.Nonces = nil
				c.doctor.NotChecked = []incident.NotChecked{{What: "the token endpoint", Why: "TryToken is not set"}}
			},
			why: "; not looked at: the token endpoint: TryToken is not set",
		},
		"a launch that fails without a finding is for people": {
			world: func(c *canvasHouse) { c.loginFailsUntil(never) },
			want:  incident.StateFailed,
			why:   "in the configuration nothing was found",
		},
		"a Canvas that is away says nothing about the configuration": {
			world: func(c *canvasHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 3*time.Minute }
				c.isDown("canvas host", func() bool { return !over() }, "status 503")
				c.loginFailsUntil(over)
			},
			why: "Canvas itself does not answer",
		},
		"a fault of the platform is waited for": {
			world: func(c *canvasHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 3*time.Minute }
				c.isDown("platform", func() bool { return !over() }, "major outage")
				c.loginFailsUntil(over)
			},
			why: "the platform itself has a fault",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Equal(t, incident.StepDone, run.Step("wait-platform").State)
				assert.Equal(t, incident.StepSkipped, run.Step("put-right").State)
			},
		},
		"a key that is off is for another playbook": {
			world: func(c *canvasHouse) { c.keys.Add(incident.PlatformKey{ID: "10000000000042"}) },
			want:  incident.StateFailed,
			why:   "see the playbook canvas-authentication",
		},
		"without a diagnosis nothing is decided": {
			world: func(c *canvasHouse) {
				c.expired = 3
				c.Doctor = incident.DiagnoserFunc(func(context.Context) (incident.Diagnosis, error) { return incident.Diagnosis{}, errNobody })
			},
			want: incident.StateFailed,
			why:  "the configuration could not be diagnosed",
		},
	})
}

func TestLTIConfigurationNeeds(t *testing.T) {
	t.Parallel()
	isInvalid(t, playbooks.LTIConfiguration(playbooks.Environment{Name: "production"}), "Doctor")
}
