package railwaytest

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// deployment is one of an instance. It moves by itself unless it is manual.
type deployment struct {
	id                                 string
	of                                 *instance
	status                             string
	created, updated, statusAt, listed time.Time
	commit, image, message             string
	meta                               tree
	snapshot                           snapshot
	replicas                           []replica
	events                             []*event
	build                              bool
	stopped                            bool
	succeeded                          bool
	removed                            time.Time
	manual                             bool // came by AddDeployment or was moved by SetStatus
	kept                               bool // its image is kept, says AddDeployment
	epoch                              int  // what was to happen to an older one does not
	logs, buildLogs                    []*line
	requests                           []*line
}

type replica struct{ id, region, status string }

// order is what a deployment is made of.
type order struct {
	commit, image, message, reason string
	build                          bool
	got                            *snapshot // nil: what is configured now
}

// retention is for how long an image is kept after its deployment was removed: that
// of the plan Pro, https://docs.railway.com/deployments/image-retention.
const retention = 120 * time.Hour

// drain is how long a deployment that was replaced takes to go away.
const drain = 2 * time.Second

// deployed reports whether a status is that of a deployment that has run.
func deployed(status string) bool {
	return status == "SUCCESS" || status == "SLEEPING" || status == "CRASHED"
}

// underWay reports whether a status is one that passes by itself or by a person.
func underWay(status string) bool {
	switch status {
	case "QUEUED", "WAITING", "INITIALIZING", "BUILDING", "DEPLOYING", "NEEDS_APPROVAL":
		return true
	}
	return false
}

// latest is an order of what the source of a service is now.
func (w *world) latest(i *instance) order {
	source := child(i.settings(), "source")
	if image := text(source, "image"); image != "" {
		return order{image: image}
	}
	return order{commit: i.head, message: "work on " + i.service.name, build: true}
}

// again is an order of what a deployment ran.
func (d *deployment) again() order {
	return order{commit: d.commit, image: d.image, message: d.message, build: d.build}
}

func (w *world) newDeployment(i *instance, o order) *deployment {
	d := &deployment{
		id: newID(), of: i, created: w.now, listed: w.now.Add(w.lag()),
		commit: o.commit, image: o.image, message: o.message, build: o.build,
	}
	if n := len(i.deployments); n > 0 && !d.created.After(i.deployments[n-1].created) {
		d.created = i.deployments[n-1].created.Add(time.Millisecond)
	}
	d.updated = d.created
	d.snapshot = w.snapshotFor(d, o.got)
	d.meta = tree{
		"reason": o.reason, "serviceManifest": tree{"build": child(i.settings(), "build"), "deploy": child(i.settings(), "deploy")},
		"placement": tree{"pool": "general"}, // no client knows it
	}
	for key, value := range map[string]string{"commitHash": o.commit, "commitMessage": o.message, "image": o.image, "repo": text(i.settings(), "source", "repo")} {
		if value != "" {
			d.meta[key] = value
		}
	}
	i.deployments = append(i.deployments, d)
	w.deployments.add(d.id, d)
	return d
}

// deploy begins a deployment. Those that wait for their turn are superseded.
func (w *world) deploy(i *instance, o order) *deployment {
	if o.reason == "" {
		o.reason = "deploy"
	}
	for _, other := range i.deployments {
		if !other.manual && underWay(other.status) && other.status != "DEPLOYING" && other.status != "NEEDS_APPROVAL" {
			w.cancel(other)
		}
	}
	d := w.newDeployment(i, o)
	outcome := w.outcome()
	if outcome == "NEEDS_APPROVAL" {
		w.set(d, outcome)
		return d
	}
	w.run(d, outcome)
	return d
}

// outcome takes the next of [Server.NextDeployments].
func (w *world) outcome() string {
	if len(w.outcomes) == 0 {
		return "SUCCESS"
	}
	next := w.outcomes[0]
	w.outcomes = w.outcomes[1:]
	return next
}

// run lets a deployment move to its end.
func (w *world) run(d *deployment, outcome string) {
	d.epoch++
	status, _, _ := strings.Cut(outcome, ":")
	if underWay(status) {
		w.set(d, status)
		return
	}
	w.set(d, "INITIALIZING")
	if status == "SKIPPED" {
		w.later(d, w.lag(), func() { w.set(d, status) })
		return
	}
	building, deploying := span(w.s.Building, 20*time.Second), span(w.s.Deploying, 5*time.Second)
	start := min(time.Second, deploying/5)
	if d.build {
		w.later(d, min(time.Second, building/10), func() { w.set(d, "BUILDING") })
		start = building
	}
	if d.build && status == "FAILED" && failsAt(d, outcome) == "BUILD_IMAGE" {
		w.later(d, building, func() { w.end(d, outcome) })
		return
	}
	w.later(d, start, func() { w.set(d, "DEPLOYING") })
	w.later(d, start+deploying, func() { w.end(d, outcome) })
}

// later does something to a deployment, unless something else happens to it before.
func (w *world) later(d *deployment, after time.Duration, do func()) {
	epoch := d.epoch
	w.after(after, func() {
		if d.epoch == epoch {
			do()
		}
	})
}

// set gives a deployment a status.
func (w *world) set(d *deployment, status string) {
	d.note(w.now, status)
	d.status, d.statusAt, d.updated = status, w.now, w.now
	switch status {
	case "DEPLOYING":
		d.start("INITIALIZING")
	case "SUCCESS":
		if len(d.replicas) == 0 {
			d.start("RUNNING")
		}
		d.mark("RUNNING")
	case "CRASHED":
		d.mark("CRASHED")
	case "SLEEPING":
		d.mark("EXITED")
	case "REMOVING":
		for i := range d.replicas {
			if d.replicas[i].status == "RUNNING" {
				d.replicas[i].status = status
			}
		}
	case "REMOVED", "FAILED":
		d.mark("REMOVED")
	}
	if status == "REMOVED" {
		d.removed = w.now
	}
}

// start makes new replicas, as many as are configured.
func (d *deployment) start(status string) {
	d.replicas = nil
	regions := child(d.meta, "serviceManifest", "deploy", "multiRegionConfig")
	for _, region := range slices.Sorted(maps.Keys(regions)) {
		n, _ := child(regions, region)["numReplicas"].(float64)
		for range int(n) {
			d.replicas = append(d.replicas, replica{newID(), region, status})
		}
	}
}

func (d *deployment) mark(status string) {
	for i := range d.replicas {
		d.replicas[i].status = status
	}
}

// end gives a deployment the status of an outcome. If it ran, it replaces the one
// before it.
func (w *world) end(d *deployment, outcome string) {
	d.epoch++
	status, step, _ := strings.Cut(outcome, ":")
	if status == "FAILED" {
		d.failed(w.now, step)
	}
	w.set(d, status)
	w.notify(d)
	if !deployed(status) {
		if d.of.active == d {
			d.of.active = nil
		}
		return
	}
	d.succeeded, d.stopped = true, false
	d.of.active = d
	for _, other := range d.of.deployments {
		if other != d && deployed(other.status) {
			w.retire(other)
		}
	}
}

// retire takes a deployment away.
func (w *world) retire(d *deployment) {
	d.epoch++
	w.set(d, "REMOVING")
	if d.of.active == d {
		d.of.active = nil
	}
	w.later(d, drain, func() { w.set(d, "REMOVED") })
}

func (w *world) cancel(d *deployment) {
	d.epoch++
	w.set(d, "REMOVING")
	w.later(d, w.lag(), func() { w.set(d, "REMOVED") })
}

// restart begins anew with what the deployment got when it was made. That it does
// is seen only after a while.
func (w *world) restart(d *deployment) {
	outcome := w.outcome()
	if outcome == "FAILED" {
		outcome = "CRASHED"
	}
	d.epoch++
	w.later(d, w.lag(), func() {
		w.set(d, "DEPLOYING")
		w.later(d, span(w.s.Deploying, 5*time.Second), func() { w.end(d, outcome) })
	})
}

func (w *world) stop(d *deployment) {
	d.epoch++
	w.later(d, w.lag(), func() {
		d.stopped, d.updated = true, w.now
		d.mark("STOPPED")
	})
}

// isActive reports whether a deployment serves.
func (d *deployment) isActive() bool {
	return d.of.active == d && !d.stopped && d.status != "CRASHED"
}

// canRollback reports whether the image is still there. It is not said of the
// deployment that is the current one.
func (d *deployment) canRollback(now time.Time) bool {
	if d.of.active == d || underWay(d.status) {
		return false
	}
	return d.kept || d.succeeded && (d.removed.IsZero() || now.Before(d.removed.Add(retention)))
}

func (d *deployment) canRedeploy() bool { return !underWay(d.status) && d.status != "SKIPPED" }

var commitForm = regexp.MustCompile(`^[0-9a-f]{7,40}$`)

// hasCommit reports whether a repository has a commit: one that was deployed or
// pushed, or any hexadecimal text that is not all zeros.
func (i *instance) hasCommit(sha string) bool {
	if sha == i.head || slices.ContainsFunc(i.deployments, func(d *deployment) bool { return d.commit == sha }) {
		return true
	}
	return commitForm.MatchString(sha) && strings.Trim(sha, "0") != ""
}
