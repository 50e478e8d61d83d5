package railwaytest

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// projectToken is a token of a project as it is listed: without its text.
type projectToken struct {
	id, name, project, environment, text string
	created                              time.Time
}

func (w *world) tokenObject(t *projectToken) object {
	return object{
		"id": t.id, "name": t.name, "environmentId": t.environment, "createdAt": t.created,
		"project": w.projectObject(w.projects.get(t.project)), "environment": w.environmentObject(w.environments.get(t.environment)),
	}
}

// projectTokenQuery is answered to tokens of projects only.
func projectTokenQuery(r *request, _ args) (any, error) {
	w := r.world()
	if r.token.Kind != "project" {
		return nil, &apiError{message: "Project Token not found"}
	}
	for _, t := range w.tokens.all {
		if t.text == r.token.text {
			return w.tokenObject(t), nil
		}
	}
	return w.tokenObject(&projectToken{
		id: r.token.id, name: r.token.name, project: r.token.Project, environment: r.token.Environment, created: w.projects.get(r.token.Project).created,
	}), nil
}

func projectTokens(r *request, a args) (any, error) {
	if err := r.asMember(); err != nil {
		return nil, err
	}
	w, p, err := r.project(a.text("projectId"))
	if err != nil {
		return nil, err
	}
	var all []*projectToken
	for _, t := range w.tokens.all {
		if t.project == p.id {
			all = append(all, t)
		}
	}
	return connect(all, a, func(t *projectToken) string { return t.id }, w.tokenObject)
}

func projectTokenCreate(r *request, a args) (any, error) {
	in := a.object("input")
	if err := r.asMember(); err != nil {
		return nil, err
	}
	w, e, err := r.env(in.text("environmentId"))
	if err != nil {
		return nil, err
	}
	if e.project != in.text("projectId") {
		return nil, notFound("Project")
	}
	t := &projectToken{id: newID(), name: in.text("name"), project: e.project, environment: e.id, created: w.now}
	t.text = r.s.addToken(Token{Kind: "project", Project: e.project, Environment: e.id})
	w.tokens.add(t.id, t)
	r.s.effect("projectTokenCreate %s", t.id)
	return t.text, nil
}

func projectTokenDelete(r *request, a args) (any, error) {
	if err := r.asMember(); err != nil {
		return nil, err
	}
	w := r.world()
	t := w.tokens.get(a.text("id"))
	if t == nil {
		return nil, r.missing("Project Token")
	}
	if err := r.canProject(t.project); err != nil {
		return nil, err
	}
	w.tokens.remove(t.id)
	r.s.removeToken(t.text)
	r.s.effect("projectTokenDelete %s", t.id)
	return true, nil
}

// missing is the answer to an ID that there is nothing of.
func (r *request) missing(what string) error {
	if err := r.canEnvironment(""); err != nil {
		return err
	}
	return notFound(what)
}

func projectCreate(r *request, a args) (any, error) {
	in := a.object("input")
	if err := r.asMember(); err != nil {
		return nil, err
	}
	w := r.world()
	id := in.text("workspaceId")
	if id == "" {
		seen := slices.DeleteFunc(slices.Clone(w.workspaces.all), func(v *workspace) bool { return r.canWorkspace(v.id) != nil })
		if len(seen) != 1 {
			return nil, badInput("You must specify a workspaceId to create a project")
		}
		id = seen[0].id
	}
	if err := r.canWorkspace(id); err != nil {
		return nil, err
	}
	if w.workspaces.get(id) == nil {
		return nil, notFound("Workspace")
	}
	p := w.addProject(id, cmp.Or(in.text("name"), "quiet-harbor"))
	w.addEnvironment(p.id, cmp.Or(in.text("defaultEnvironmentName"), "production"))
	r.s.effect("projectCreate %s", p.id)
	return w.projectObject(p), nil
}

func projectDelete(r *request, a args) (any, error) {
	return r.deleteProject(a.text("id"), "projectDelete", 0)
}

func projectScheduleDelete(r *request, a args) (any, error) {
	return r.deleteProject(a.text("id"), "projectScheduleDelete", 48*time.Hour)
}

func (r *request) deleteProject(id, effect string, after time.Duration) (any, error) {
	if err := r.asMember(); err != nil {
		return nil, err
	}
	w, p, err := r.project(id)
	if err != nil {
		return nil, err
	}
	if err := r.secondFactor(); err != nil {
		return nil, err
	}
	end := func() {
		p.deleted = w.now
		for _, e := range w.environmentsOf(p.id) {
			w.deleteEnvironment(e)
		}
	}
	if after > 0 {
		w.after(after, end)
	} else {
		end()
	}
	r.s.effect("%s %s", effect, p.id)
	return true, nil
}

// secondFactor asks a browser session of an account with a second factor for it.
func (r *request) secondFactor() error {
	w := r.world()
	if w.twoFactor && r.token.Kind == "session" {
		return &apiError{message: "Two Factor Authentication Required", extra: map[string]any{"workspaceName": w.workspaces.all[0].name}}
	}
	return nil
}

func environmentCreate(r *request, a args) (any, error) {
	in := a.object("input")
	if err := r.asMember(); err != nil {
		return nil, err
	}
	w, p, err := r.project(in.text("projectId"))
	if err != nil {
		return nil, err
	}
	name := in.text("name")
	if name == "" || slices.ContainsFunc(w.environmentsOf(p.id), func(e *environment) bool { return e.name == name }) {
		return nil, badInput("An environment with that name already exists")
	}
	var source *environment
	if in.has("sourceEnvironmentId") {
		if _, source, err = r.env(in.text("sourceEnvironmentId")); err != nil {
			return nil, err
		}
	}
	e := w.addEnvironment(p.id, name)
	e.ephemeral = in.flag("ephemeral")
	r.s.effect("environmentCreate %s", e.id)
	switch {
	case source == nil:
	case in.flag("stageInitialChanges"):
		w.stage(e, copied(source.config), false)
	default:
		w.commitLater(e, w.newPatch(copied(source.config)), !in.flag("skipInitialDeploys"))
	}
	return w.environmentObject(e), nil
}

// copied is the patch that makes a copy of a configuration: with neither sealed
// variables nor what belongs to one environment.
func copied(config tree) tree {
	kept := func(variables tree) tree {
		out := tree{}
		for name, value := range variables {
			if _, sealed, _ := variable(variables, name); !sealed {
				out[name] = value
			}
		}
		return out
	}
	services := tree{}
	for id, settings := range child(config, "services") {
		v := maps.Clone(settings.(tree))
		delete(v, "volumeMounts")
		delete(v, "networking")
		v["variables"] = kept(child(v, "variables"))
		v["isCreated"] = true
		services[id] = v
	}
	return tree{"services": services, "sharedVariables": kept(child(config, "sharedVariables"))}
}

func environmentRename(r *request, a args) (any, error) {
	if err := r.asMember(); err != nil {
		return nil, err
	}
	w, e, err := r.env(a.text("id"))
	if err != nil {
		return nil, err
	}
	name := a.object("input").text("name")
	for _, other := range w.environmentsOf(e.project) {
		if other != e && other.name == name {
			return nil, badInput("An environment with that name already exists")
		}
	}
	e.name, e.updated = name, w.now
	r.s.effect("environmentRename %s", e.id)
	return w.environmentObject(e), nil
}

func environmentDelete(r *request, a args) (any, error) {
	if err := r.asMember(); err != nil {
		return nil, err
	}
	w, e, err := r.env(a.text("id"))
	if err != nil {
		return nil, err
	}
	if err := r.secondFactor(); err != nil {
		return nil, err
	}
	w.deleteEnvironment(e)
	r.s.effect("environmentDelete %s", e.id)
	return true, nil
}

func (w *world) deleteEnvironment(e *environment) {
	e.deleted, e.updated = w.now, w.now
	for _, i := range e.instances.all {
		w.deleteInstance(i)
	}
	for _, v := range w.mountsIn(e.id) {
		v.deleted = w.now
	}
}

// deleteInstance takes a service out of an environment, and everything with it.
func (w *world) deleteInstance(i *instance) {
	if !i.deleted.IsZero() {
		return
	}
	i.deleted, i.updated = w.now, w.now
	for _, d := range i.deployments {
		if deployed(d.status) || underWay(d.status) {
			w.retire(d)
		}
	}
	i.env.config = merged(i.env.config, tree{"services": tree{i.service.id: nil}})
	for k := range i.env.rows {
		if k.service == i.service.id {
			delete(i.env.rows, k)
		}
	}
	w.remount(i.env)
}
