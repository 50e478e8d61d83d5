package playbooks_test

import (
	"context"
	"errors"
	"testing"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// withKey gives the house a developer key in Canvas, which is on or off.
func (h *deskHouse) withKey(on bool) {
	keys := new(incidenttest.PlatformKeys)
	keys.Add(incident.PlatformKey{ID: "10000000000042", Name: "QA tool", On: on})
	h.Key, h.PlatformKeys = "10000000000042", keys
}

// doctorFinds gives the house a doctor.
func (h *deskHouse) doctorFinds(d incident.Diagnosis, err error) {
	h.Doctor = incident.DiagnoserFunc(func(context.Context) (incident.Diagnosis, error) { return d, err })
}

// Requirement: RB-SCRIPT-VALIDATE-CANVAS-INTEGRATION
func TestValidateCanvasIntegration(t *testing.T) {
	finding := func(l incident.Likelihood) incident.Diagnosis {
		return incident.Diagnosis{Checked: []string{"keys"}, Findings: []incident.Finding{{ID: "client-id", Title: "Canvas has another client id", Likelihood: l, Evidence: []string{"seen"}, Remedy: "Configure that one"}}}
	}
	routines(t, "proven", func(h *deskHouse) incident.Playbook { return playbooks.ValidateCanvasIntegration(h.Environment) }, map[string]routineCase{
		"all of it works": {
			world: func(h *deskHouse) {
				h.withKey(true)
				h.doctorFinds(incident.Diagnosis{Checked: []string{"keys", "endpoints"}}, nil)
			}, ends: "all is well",
		},
		"the application does not reach Canvas": {
			world: func(h *deskHouse) { h.say("canvas", down("status 401")) }, want: incident.StateFailed, ends: "connectivity: unhealthy: status 401",
		},
		"the key set is not served": {
			world: func(h *deskHouse) { h.say("lti", down("status 404")) }, want: incident.StateFailed, ends: "LTI endpoints: unhealthy: status 404",
		},
		"a launch fails": {
			world: func(h *deskHouse) { h.say("login", down("invalid signature")) }, want: incident.StateFailed, ends: "a launch: unhealthy: invalid signature",
		},
		"the developer key is off": {
			world: func(h *deskHouse) { h.withKey(false) }, want: incident.StateFailed, ends: "developer key: it is switched off in Canvas",
		},
		"Canvas has no such key": {
			world: func(h *deskHouse) { h.withKey(true); h.Key = "10000000000043" }, want: incident.StateFailed, ends: "developer key: Canvas has no such key",
		},
		"the doctor is certain": {
			world: func(h *deskHouse) { h.doctorFinds(finding(incident.Certain), nil) }, want: incident.StateFailed, ends: "diagnosis: Canvas has another client id. Configure that one",
		},
		"what is only possible does not fail it": {
			world: func(h *deskHouse) { h.doctorFinds(finding(incident.Possible), nil) }, ends: "all is well",
		},
		"a doctor that cannot look proves nothing": {
			world: func(h *deskHouse) { h.doctorFinds(incident.Diagnosis{}, errors.New("no token")) }, want: incident.StateFailed, ends: "diagnosis: no token",
		},
		"it is Canvas that is down": {
			world: func(h *deskHouse) {
				h.say("canvas", down("timeout"))
				h.say("canvas host", down("status 503"))
			}, want: incident.StateFailed, ends: "it is Canvas, and not us; validate again when it is back: Canvas itself does not answer",
		},
		"Canvas is in maintenance": {
			world: func(h *deskHouse) { h.shows("canvas status", health.Maintenance, "until 06:00") }, want: incident.StateFailed, ends: "Canvas is in maintenance: until 06:00",
		},
		"what cannot be seen is not proven": {
			world: func(h *deskHouse) { h.shows("lti", health.Unknown, "no such host") }, want: incident.StateFailed, ends: "LTI endpoints: unknown: no such host",
		},
	})
}

func TestValidateCanvasIntegrationNeeds(t *testing.T) {
	t.Parallel()
	isInvalid(t, playbooks.ValidateCanvasIntegration(playbooks.Environment{Name: "production"}), "probe of Canvas", "probe of the LTI endpoints", "to prove the credentials")
}
