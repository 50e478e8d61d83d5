package railwaytest

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// deployment returns a deployment that the request may see.
func (r *request) deployment(id string) (*world, *deployment, error) {
	w := r.world()
	d := w.deployments.get(id)
	if d == nil {
		return nil, nil, r.missing("Deployment")
	}
	if _, _, err := r.env(d.of.env.id); err != nil {
		return nil, nil, err
	}
	return w, d, nil
}

func (w *world) deploymentObject(d *deployment) object {
	instances := []object{}
	for _, r := range d.replicas {
		instances = append(instances, object{"id": r.id, "status": r.status})
	}
	o := object{
		"id": d.id, "status": d.status, "statusUpdatedAt": d.statusAt, "createdAt": d.created, "updatedAt": d.updated,
		"projectId": d.of.env.project, "environmentId": d.of.env.id, "serviceId": d.of.service.id, "snapshotId": d.id,
		"canRedeploy": d.canRedeploy(), "canRollback": d.canRollback(w.now), "deploymentStopped": d.stopped,
		"meta": d.meta, "instances": instances,
		"creator": object{"id": "00000000-0000-4000-8000-00000000000a", "email": "ada@example.com", "name": "Ada"},
	}
	for _, v := range w.domains.all {
		if v.environment == d.of.env.id && v.service == d.of.service.id && !v.custom && v.proxyPort == 0 {
			o["url"], o["staticUrl"] = v.name, v.name
		}
	}
	return o
}

// listed returns the deployments that are so, the newest first. Those that were just
// made are not listed yet.
func (w *world) listed(is func(d *deployment) bool) (all []*deployment) {
	for _, d := range w.deployments.all {
		if is(d) && !d.listed.After(w.now) {
			all = append(all, d)
		}
	}
	slices.SortStableFunc(all, func(a, b *deployment) int {
		return cmp.Or(b.created.Compare(a.created), cmp.Compare(b.id, a.id))
	})
	return all
}

func deployments(r *request, a args) (any, error) {
	in := a.object("input")
	w := r.world()
	if in.has("environmentId") {
		if _, _, err := r.env(in.text("environmentId")); err != nil {
			return nil, err
		}
	} else if _, _, err := r.project(in.text("projectId")); err != nil {
		return nil, err
	}
	in2 := in.object("status")
	all := w.listed(func(d *deployment) bool {
		return (!in.has("environmentId") || d.of.env.id == in.text("environmentId")) &&
			(!in.has("projectId") || d.of.env.project == in.text("projectId")) &&
			(!in.has("serviceId") || d.of.service.id == in.text("serviceId")) &&
			(!in2.has("in") || slices.Contains(in2.texts("in"), d.status)) &&
			(!in2.has("notIn") || !slices.Contains(in2.texts("notIn"), d.status)) &&
			(in.flag("includeDeleted") || d.of.deleted.IsZero()) && !d.of.env.restricted && r.canEnvironment(d.of.env.id) == nil
	})
	o, err := connect(all, a, func(d *deployment) string { return d.id }, w.deploymentObject)
	// Railway does not promise an order, so now and then there is another one.
	if edges, _ := o["edges"].([]object); err == nil && len(edges) > 1 {
		if w.lists++; w.lists%3 == 0 {
			edges[0], edges[1] = edges[1], edges[0]
		}
	}
	return o, err
}

func deploymentQuery(r *request, a args) (any, error) {
	w, d, err := r.deployment(a.text("id"))
	if err != nil {
		return nil, err
	}
	return w.deploymentObject(d), nil
}

func deploymentEvents(r *request, a args) (any, error) {
	_, d, err := r.deployment(a.text("id"))
	if err != nil {
		return nil, err
	}
	return connect(d.events, a, func(e *event) string { return e.id }, (*event).object)
}

func deploymentSnapshot(r *request, a args) (any, error) {
	_, d, err := r.deployment(a.text("deploymentId"))
	if err != nil {
		return nil, err
	}
	return object{"variables": d.snapshot.shown}, nil
}

// on is a mutation of a deployment.
func on(name string, do func(w *world, d *deployment) error) resolver {
	return func(r *request, a args) (any, error) {
		w, d, err := r.deployment(a.text("id"))
		if err != nil {
			return nil, err
		}
		if err := do(w, d); err != nil {
			return nil, err
		}
		r.s.effect("%s %s", name, d.id)
		return true, nil
	}
}

func deploymentRollback(r *request, a args) (any, error) {
	return on("deploymentRollback", func(w *world, d *deployment) error {
		if !d.canRollback(w.now) {
			return &apiError{message: "This deployment cannot be rolled back to"}
		}
		o := d.again()
		o.build, o.got, o.reason = false, &d.snapshot, "rollback"
		w.deploy(d.of, o)
		return nil
	})(r, a)
}

func deploymentRestart(r *request, a args) (any, error) {
	return on("deploymentRestart", func(w *world, d *deployment) error {
		if d.of.active != d || d.stopped {
			return &apiError{message: "Cannot restart a deployment that is not running"}
		}
		w.restart(d)
		return nil
	})(r, a)
}

func deploymentStop(r *request, a args) (any, error) {
	return on("deploymentStop", func(w *world, d *deployment) error {
		if d.of.active != d {
			return &apiError{message: "Cannot stop a deployment that is not running"}
		}
		w.stop(d)
		return nil
	})(r, a)
}

func deploymentCancel(r *request, a args) (any, error) {
	return on("deploymentCancel", func(w *world, d *deployment) error {
		if !underWay(d.status) || d.of.active == d {
			return &apiError{message: "Cannot cancel a deployment that has ended"}
		}
		w.cancel(d)
		return nil
	})(r, a)
}

func deploymentRemove(r *request, a args) (any, error) {
	return on("deploymentRemove", func(w *world, d *deployment) error {
		if !deployed(d.status) {
			return &apiError{message: "Cannot remove a deployment that is not running"}
		}
		w.retire(d)
		return nil
	})(r, a)
}

func deploymentApprove(r *request, a args) (any, error) {
	return on("deploymentApprove", func(w *world, d *deployment) error {
		if d.status != "NEEDS_APPROVAL" {
			return &apiError{message: "This deployment does not need approval"}
		}
		d.manual = false
		w.run(d, w.outcome())
		return nil
	})(r, a)
}

func deploymentRedeploy(r *request, a args) (any, error) {
	w, d, err := r.deployment(a.text("id"))
	if err != nil {
		return nil, err
	}
	if !d.canRedeploy() {
		return nil, &apiError{message: "This deployment cannot be redeployed"}
	}
	o := d.again()
	o.reason, o.build = "redeploy", d.build && !a.flag("usePreviousImageTag")
	made := w.deploy(d.of, o)
	r.s.effect("deploymentRedeploy %s", d.id)
	return w.deploymentObject(made), nil
}

// serviceInstanceRedeploy runs again what runs, whatever the source is by now.
func serviceInstanceRedeploy(r *request, a args) (any, error) {
	w, i, err := r.instance(a.text("environmentId"), a.text("serviceId"))
	if err != nil {
		return nil, err
	}
	if i.active == nil {
		return nil, notFound("Deployment")
	}
	o := i.active.again()
	o.reason = "redeploy"
	w.deploy(i, o)
	r.s.effect("serviceInstanceRedeploy %s", i.service.id)
	return true, nil
}

// deploy begins a deployment of a commit, or of the source of a service.
func (r *request) deploy(a args, effect string) (*deployment, error) {
	w, i, err := r.instance(a.text("environmentId"), a.text("serviceId"))
	if err != nil {
		return nil, err
	}
	o := w.latest(i)
	commit := a.text("commitSha")
	switch {
	case commit != "" && (o.image != "" || !i.hasCommit(commit)):
		return nil, notFound("Commit")
	case commit != "":
		o.commit, o.message = commit, "work on "+i.service.name
	case o.image == "" && o.commit == "":
		return nil, &apiError{message: "Service has no source to deploy"}
	case o.image == "" && !a.flag("latestCommit") && i.active != nil && i.active.commit != "":
		o.commit, o.message = i.active.commit, i.active.message // that of the service, and not the newest one
	}
	d := w.deploy(i, o)
	r.s.effect("%s %s %s", effect, i.service.id, cmp.Or(o.image, o.commit))
	return d, nil
}

func serviceInstanceDeployV2(r *request, a args) (any, error) {
	d, err := r.deploy(a, "serviceInstanceDeployV2")
	if err != nil {
		return nil, err
	}
	return d.id, nil
}

func serviceInstanceDeploy(r *request, a args) (any, error) {
	_, err := r.deploy(a, "serviceInstanceDeploy")
	return err == nil, err
}

func environmentTriggersDeploy(r *request, a args) (any, error) {
	in := a.object("input")
	in["latestCommit"] = true
	_, err := r.deploy(in, "environmentTriggersDeploy")
	return err == nil, err
}

func autoDeployStatus(r *request, a args) (any, error) {
	_, i, err := r.instance(a.text("environmentId"), a.text("serviceId"))
	if err != nil {
		return nil, err
	}
	if text(i.settings(), "source", "repo") == "" {
		return object{"enabled": false, "canEnable": false, "reason": "Service has no connected repository"}, nil
	}
	return object{"enabled": !i.frozen, "canEnable": true}, nil
}

func autoDeployUpdate(r *request, a args) (any, error) {
	in := a.object("input")
	_, i, err := r.instance(in.text("environmentId"), in.text("serviceId"))
	if err != nil {
		return nil, err
	}
	if text(i.settings(), "source", "repo") == "" {
		return nil, &apiError{message: "Service has no connected repository"}
	}
	i.frozen = !in.flag("enabled")
	r.s.effect("serviceInstanceAutoDeployUpdate %s %t", i.service.id, in.flag("enabled"))
	return object{"enabled": !i.frozen}, nil
}

// upload deploys code that is sent. The lock is held.
func (s *Server) upload(t *token, project, environment, service, message string, body []byte) (status int, answer any) {
	refuse := func(status int, why string) (int, any) { return status, map[string]any{"message": why} }
	r := &request{s: s, token: t, now: time.Now()}
	if t == nil {
		return refuse(http.StatusUnauthorized, "Not Authorized")
	}
	w, e, err := r.env(environment)
	switch {
	case err != nil:
		return refuse(http.StatusForbidden, err.Error())
	case e.project != project:
		return refuse(http.StatusNotFound, "Project not found")
	case len(body) < 2 || body[0] != 0x1f || body[1] != 0x8b:
		return refuse(http.StatusBadRequest, "The archive could not be read")
	}
	i := e.instances.get(service)
	if i == nil || !i.deleted.IsZero() {
		return refuse(http.StatusNotFound, "Service instance not found in this environment")
	}
	d := w.deploy(i, order{message: message, build: true})
	s.effect("up %s", service)
	return http.StatusOK, map[string]any{
		"deploymentId": d.id, "url": "https://railway.com/project/" + project, "logsUrl": "https://railway.com/project/" + project + "/logs",
		"deploymentDomain": i.service.name + ".up.railway.app",
	}
}
