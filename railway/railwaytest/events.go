package railwaytest

import (
	"slices"
	"time"
)

// event is a step of a deployment.
type event struct {
	id, step           string
	created, completed time.Time
	payload            object
}

// note records the steps that a change of status stands for.
func (d *deployment) note(now time.Time, status string) {
	switch status {
	case "BUILDING":
		d.did(now, "SNAPSHOT_CODE")
		d.begin(now, "BUILD_IMAGE")
	case "DEPLOYING":
		d.complete(now)
		if d.build {
			d.did(now, "PUBLISH_IMAGE")
		}
		if child(d.meta, "serviceManifest", "deploy")["preDeployCommand"] != nil {
			d.begin(now, "PRE_DEPLOY_COMMAND")
		}
		d.begin(now, "CREATE_CONTAINER")
		if d.hasHealthcheck() {
			d.begin(now, "HEALTHCHECK")
		}
	case "SUCCESS":
		d.complete(now)
		d.did(now, "CONFIGURE_NETWORK")
	case "REMOVING":
		d.did(now, "DRAIN_INSTANCES")
	}
}

func (d *deployment) hasHealthcheck() bool {
	return text(d.meta, "serviceManifest", "deploy", "healthcheckPath") != ""
}

func (d *deployment) begin(now time.Time, step string) *event {
	e := &event{id: newID(), step: step, created: now}
	d.events = append(d.events, e)
	return e
}

func (d *deployment) did(now time.Time, step string) { d.begin(now, step).completed = now }

// complete ends the steps that were begun.
func (d *deployment) complete(now time.Time) {
	for _, e := range d.events {
		if e.completed.IsZero() {
			e.completed = now
			e.payload = object{"durationMs": int(now.Sub(e.created).Milliseconds())}
		}
	}
}

// failsAt returns the step at which a deployment fails.
func failsAt(d *deployment, outcome string) string {
	if i := len("FAILED:"); len(outcome) > i {
		return outcome[i:]
	}
	switch {
	case d.hasHealthcheck():
		return "HEALTHCHECK"
	case d.build:
		return "BUILD_IMAGE"
	}
	return "CREATE_CONTAINER"
}

// failed records why a deployment failed.
func (d *deployment) failed(now time.Time, step string) {
	switch {
	case step != "":
	case d.status == "BUILDING":
		step = "BUILD_IMAGE"
	case d.hasHealthcheck():
		step = "HEALTHCHECK"
	default:
		step = "CREATE_CONTAINER"
	}
	why := object{"error": "the container could not be started"}
	switch step {
	case "BUILD_IMAGE":
		why = object{"error": "failed to build: exit code 1", "detail": "RUN pip install -r requirements.txt"}
	case "PRE_DEPLOY_COMMAND":
		why = object{"error": "the pre-deploy command exited with code 1"}
	case "HEALTHCHECK":
		why = object{"error": "1/1 replicas never became healthy!", "reason": "service unavailable", "attempt": 3, "maxAttempts": 3}
	}
	at := slices.IndexFunc(d.events, func(e *event) bool { return e.step == step && e.completed.IsZero() })
	if at < 0 {
		d.begin(now, step)
		at = len(d.events) - 1
	}
	why["durationMs"] = int(now.Sub(d.events[at].created).Milliseconds())
	d.events[at].completed, d.events[at].payload = now, why
	for _, e := range d.events[at+1:] {
		if e.completed.IsZero() {
			e.completed, e.payload = now, object{"skipped": true}
		}
	}
}

func (e *event) object() object {
	return object{"id": e.id, "step": e.step, "createdAt": e.created, "completedAt": e.completed, "payload": nilable(e.payload)}
}

// nilable is an object that is null if there is none.
func nilable(o object) any {
	if o == nil {
		return nil
	}
	return o
}
