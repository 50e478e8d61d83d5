package railwaytest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// patch is a change of the configuration of an environment.
type patch struct {
	id, status, message       string
	created, updated, applied time.Time
	tree                      tree
	failed                    string
}

// commit puts a patch into the configuration of an environment, and lets it take
// effect on everything but deployments.
func (w *world) commit(e *environment, p tree) {
	e.config, e.updated = merged(e.config, p), w.now
	w.touch(e, p)
	for id := range child(p, "services") {
		settings := child(e.config, "services", id)
		v := w.services.get(id)
		i := e.instances.get(id)
		if i == nil && v != nil {
			i = w.addInstance(e, v)
		}
		if i == nil {
			continue
		}
		i.updated = w.now
		if deleted, _ := settings["isDeleted"].(bool); deleted {
			w.deleteInstance(i)
			continue
		}
		if child(p, "services", id, "deploy")["multiRegionConfig"] != nil {
			i.scale()
		}
		w.setProxies(i, child(p, "services", id, "networking", "tcpProxies"))
	}
	w.remount(e)
}

// scale brings the replicas of what runs to what is configured, which needs no
// deployment.
func (i *instance) scale() {
	if i.active == nil {
		return
	}
	before := i.active.replicas
	meta := merged(i.active.meta, nil)
	manifest := merged(child(meta, "serviceManifest"), nil)
	deploy := merged(child(manifest, "deploy"), nil)
	deploy["multiRegionConfig"] = child(i.settings(), "deploy")["multiRegionConfig"]
	manifest["deploy"], meta["serviceManifest"] = deploy, manifest
	i.active.meta = meta
	if len(before) == 0 {
		return
	}
	i.active.start("RUNNING")
	for n := range i.active.replicas { // those that stay keep their IDs
		at := slices.IndexFunc(before, func(r replica) bool { return r.region == i.active.replicas[n].region })
		if at >= 0 {
			i.active.replicas[n] = before[at]
			before = slices.Delete(before, at, at+1)
		}
	}
}

// deploysFor lists the services that have to be deployed for a patch to take effect.
func (w *world) deploysFor(e *environment, p tree) (all []*instance) {
	for id := range child(p, "services") {
		i := e.instances.get(id)
		if i == nil || !i.deleted.IsZero() {
			continue
		}
		change := child(p, "services", id)
		deploy := merged(child(change, "deploy"), tree{"multiRegionConfig": nil})
		for _, part := range []string{"source", "build", "variables", "volumeMounts"} {
			if len(child(change, part)) > 0 {
				deploy[part] = true
			}
		}
		if len(deploy) > 0 && (i.active != nil || len(i.deployments) == 0 && change["isCreated"] == true) {
			all = append(all, i)
		}
	}
	shared := slices.Collect(func(yield func(string) bool) {
		for name := range child(p, "sharedVariables") {
			if !yield(name) {
				return
			}
		}
	})
	for _, i := range e.instances.all {
		if i.active != nil && i.refersTo(shared) && !slices.Contains(all, i) {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b *instance) int { return a.created.Compare(b.created) })
	return all
}

// problemOfPatch says what is wrong with a patch; "" if nothing is.
func (w *world) problemOfPatch(e *environment, p tree) string {
	for id, change := range child(p, "services") {
		v := w.services.get(id)
		if v == nil || v.project != e.project || !v.deleted.IsZero() {
			return fmt.Sprintf("Service %s not found", id)
		}
		if _, ok := change.(tree); !ok {
			return fmt.Sprintf("services.%s must be an object", id)
		}
		if why := problemOfVariables(child(p, "services", id, "variables")); why != "" {
			return why
		}
		if why := problemOfRegions(child(merged(child(e.config, "services", id), child(p, "services", id)), "deploy")["multiRegionConfig"]); why != "" {
			return why
		}
		for volume := range child(p, "services", id, "volumeMounts") {
			if w.volumes.get(volume) == nil {
				return fmt.Sprintf("Volume %s not found", volume)
			}
		}
	}
	return problemOfVariables(child(p, "sharedVariables"))
}

func problemOfVariables(variables tree) string {
	for name, value := range variables {
		v, ok := value.(tree)
		if !ok && value != nil {
			return fmt.Sprintf("Variable %s must be an object with a value", name)
		}
		switch v["value"].(type) {
		case nil, string:
		default:
			return fmt.Sprintf("The value of variable %s must be a string", name)
		}
	}
	return ""
}

// maxReplicas is how many replicas a service may have in all regions,
// https://docs.railway.com/deployments/scaling.
const maxReplicas = 50

func problemOfRegions(config any) string {
	if config == nil {
		return ""
	}
	regions, ok := config.(tree)
	if !ok {
		return "multiRegionConfig must be an object"
	}
	total := 0
	for name, value := range regions {
		settings, ok := value.(tree)
		n, isNumber := settings["numReplicas"].(float64)
		switch {
		case !ok, !isNumber, n < 1, n != float64(int(n)):
			return fmt.Sprintf("numReplicas of region %s must be a positive integer", name)
		case !regionIsOpen(name):
			return fmt.Sprintf("Region %s is not available", name)
		}
		total += int(n)
	}
	switch {
	case total == 0:
		return "A service needs a region"
	case total > maxReplicas:
		return fmt.Sprintf("A service can have at most %d replicas", maxReplicas)
	}
	return ""
}

// workflow is a job of the platform.
type workflow struct {
	id, status, failed string
	known              time.Time // before that it is not found
}

// start begins a workflow that does something at its end, or fails with why.
func (w *world) start(id string, work func() (why string)) *workflow {
	f := &workflow{id: id, status: "Running", known: w.now.Add(w.lag())}
	w.workflows.add(id, f)
	w.after(max(w.working(), w.lag()), func() {
		if f.status = "Complete"; work == nil {
			return
		}
		if f.failed = work(); f.failed != "" {
			f.status = "Error"
		}
	})
	return f
}

func workflowStatus(r *request, a args) (any, error) {
	w := r.world()
	f := w.workflows.get(a.text("workflowId"))
	if f == nil || w.now.Before(f.known) {
		return object{"status": "NotFound"}, nil
	}
	o := object{"status": f.status}
	if f.failed != "" {
		o["error"] = f.failed
	}
	return o, nil
}

// commitLater commits a patch by a workflow, which may find out that it cannot be.
func (w *world) commitLater(e *environment, p *patch, deploys bool) *workflow {
	p.status, p.failed, p.updated = "APPLYING", "", w.now
	if !slices.Contains(e.patches, p) {
		e.patches = append(e.patches, p)
	}
	return w.start("commitChanges/"+e.id+"/"+p.id+"/"+newID()[:8], func() string {
		p.updated = w.now
		if p.failed = w.problemOfPatch(e, p.tree); p.failed != "" {
			p.status = "STAGED"
			e.patches = slices.DeleteFunc(e.patches, func(q *patch) bool { return q == p })
			if e.staged != nil { // somebody staged something meanwhile
				p.tree = stacked(p.tree, e.staged.tree)
			}
			e.staged = p
			return p.failed
		}
		p.status, p.applied = "COMMITTED", w.now
		w.commit(e, p.tree)
		if !deploys {
			return ""
		}
		for _, i := range w.deploysFor(e, p.tree) {
			if i.active == nil {
				w.deploy(i, w.latest(i))
				continue
			}
			w.redeployedFrom(i, p.tree)
		}
		return ""
	})
}

// redeployedFrom deploys a service for a patch: from its source, if that is changed.
func (w *world) redeployedFrom(i *instance, p tree) {
	if len(child(p, "services", i.service.id, "source")) > 0 {
		w.deploy(i, w.latest(i))
		return
	}
	w.redeployed(i)
}

// newPatch is one that nothing is done with yet.
func (w *world) newPatch(t tree) *patch {
	return &patch{id: newID(), status: "STAGED", created: w.now, updated: w.now, tree: t}
}

// stagedNow returns what is staged, or what is being applied if nothing is.
func (w *world) stagedNow(e *environment) *patch {
	if e.staged != nil {
		return e.staged
	}
	if n := len(e.patches); n > 0 && e.patches[n-1].status == "APPLYING" {
		return e.patches[n-1]
	}
	e.staged = w.newPatch(tree{})
	return e.staged
}

func (w *world) stage(e *environment, t tree, merge bool) *patch {
	if e.staged == nil {
		e.staged = w.newPatch(tree{})
	}
	if merge {
		t = stacked(e.staged.tree, t)
	}
	e.staged.tree, e.staged.updated, e.staged.failed = t, w.now, ""
	return e.staged
}

// Stage stages a change, as somebody else does. It panics if the text is no JSON
// object, or if there is no such environment.
func (s *Server) Stage(environment, patchJSON string) {
	defer s.lock()()
	w := s.live(time.Now())
	var t tree
	if err := json.Unmarshal([]byte(patchJSON), &t); err != nil {
		panic("railwaytest: the patch is no JSON object: " + err.Error())
	}
	w.stage(must(w.environments.get(environment), "environment", environment), t, true)
}

// Staged returns what is staged, as JSON. It panics if there is no such environment.
func (s *Server) Staged(environment string) string {
	defer s.lock()()
	w := s.live(time.Now())
	e := must(w.environments.get(environment), "environment", environment)
	if e.staged == nil {
		return "{}"
	}
	b, _ := json.Marshal(e.staged.tree)
	return string(b)
}

func (p *patch) object() object {
	o := object{
		"id": p.id, "status": p.status, "createdAt": p.created, "updatedAt": p.updated, "appliedAt": p.applied,
		"patch": masked(p.tree, sealedOnly),
	}
	if p.failed != "" {
		o["lastAppliedError"] = p.failed
	}
	if p.message != "" {
		o["message"] = p.message
	}
	return o
}
