package railwaytest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

func serviceInstance(r *request, a args) (any, error) {
	w, i, err := r.instance(a.text("environmentId"), a.text("serviceId"))
	if err != nil {
		return nil, err
	}
	return w.instanceObject(i), nil
}

func (w *world) instanceObject(i *instance) object {
	settings := i.settings()
	source, build, deploy := child(settings, "source"), child(settings, "build"), child(settings, "deploy")
	o := object{
		"id": i.id, "environmentId": i.env.id, "serviceId": i.service.id, "serviceName": i.service.name,
		"createdAt": i.created, "updatedAt": i.updated, "deletedAt": i.deleted, "isUpdatable": true,
		"builder": cmp.Or(text(build, "builder"), "RAILPACK"), "restartPolicyType": cmp.Or(text(deploy, "restartPolicyType"), "ON_FAILURE"),
		"restartPolicyMaxRetries": 10, "watchPatterns": []any{},
		"source":           object{"image": source["image"], "repo": source["repo"]},
		"latestDeployment": resolver(func(*request, args) (any, error) { return w.latestDeployment(i), nil }),
		"activeDeployments": resolver(func(*request, args) (any, error) {
			if d := i.active; d != nil && d.isActive() && !d.listed.After(w.now) {
				return []object{w.deploymentObject(d)}, nil
			}
			return []object{}, nil
		}),
		"domains": resolver(func(*request, args) (any, error) { return w.domainsOf(i), nil }),
	}
	for _, name := range []string{"buildCommand", "dockerfilePath", "watchPatterns"} {
		if v := build[name]; v != nil {
			o[name] = v
		}
	}
	for _, name := range []string{
		"startCommand", "preDeployCommand", "healthcheckPath", "healthcheckTimeout", "drainingSeconds", "overlapSeconds",
		"cronSchedule", "restartPolicyMaxRetries", "sleepApplication",
	} {
		if n, ok := deploy[name].(float64); ok {
			o[name] = int(n)
		} else if v := deploy[name]; v != nil {
			o[name] = v
		}
	}
	if v := source["rootDirectory"]; v != nil {
		o["rootDirectory"] = v
	}
	if text(deploy, "cronSchedule") != "" {
		o["nextCronRunAt"] = w.now.Truncate(time.Hour).Add(time.Hour)
	}
	regions := child(deploy, "multiRegionConfig")
	o["numReplicas"] = 1 // which is not true of several regions
	for name := range regions {
		if n, ok := child(regions, name)["numReplicas"].(float64); ok && len(regions) == 1 {
			o["numReplicas"], o["region"] = int(n), name
		}
	}
	return o
}

// latestDeployment is the newest one that is listed.
func (w *world) latestDeployment(i *instance) any {
	for _, d := range slices.Backward(i.deployments) {
		if !d.listed.After(w.now) {
			return w.deploymentObject(d)
		}
	}
	return nil
}

// settingsPath are where the fields of ServiceInstanceUpdateInput are in the
// configuration. Of others Railway takes no notice: numReplicas and region are there
// for old clients.
func settingsPath(field string) []string {
	switch field {
	case "buildCommand", "builder", "dockerfilePath", "watchPatterns":
		return []string{"build", field}
	case "rootDirectory":
		return []string{"source", field}
	case "cronSchedule", "drainingSeconds", "healthcheckPath", "healthcheckTimeout", "multiRegionConfig", "overlapSeconds", "preDeployCommand",
		"registryCredentials", "restartPolicyMaxRetries", "restartPolicyType", "sleepApplication", "startCommand":
		return []string{"deploy", field}
	}
	return nil
}

// serviceInstanceUpdate changes the settings of a service in one environment, and in
// all of them if none is given. Nothing is deployed. An explicit null removes a
// setting.
func serviceInstanceUpdate(r *request, a args) (any, error) {
	w, all, err := r.instances(a, "serviceId")
	if err != nil {
		return nil, err
	}
	in := a.object("input")
	change := tree{}
	for field, value := range in {
		if path := settingsPath(field); path != nil {
			change = stacked(change, at(plain(value), path...))
		}
	}
	if source := in.object("source"); source != nil {
		change["source"] = tree{"image": source["image"], "repo": source["repo"]}
	}
	for _, i := range all {
		p := at(change, "services", i.service.id)
		if why := w.problemOfPatch(i.env, p); why != "" {
			return nil, badInput(why)
		}
	}
	for _, i := range all {
		w.commit(i.env, at(change, "services", i.service.id))
	}
	r.s.effect("serviceInstanceUpdate %s %s", a.text("serviceId"), environmentNames(all))
	return true, nil
}

// instances returns the instances of a service that a mutation is about: that of an
// environment, or all that are not ephemeral.
func (r *request) instances(a args, id string) (*world, []*instance, error) {
	if a.has("environmentId") {
		w, i, err := r.instance(a.text("environmentId"), a.text(id))
		return w, []*instance{i}, err
	}
	w, v, err := r.service(a.text(id))
	if err != nil {
		return nil, nil, err
	}
	var all []*instance
	for _, e := range w.environmentsOf(v.project) {
		if i := e.instances.get(v.id); i != nil && i.deleted.IsZero() && !e.ephemeral {
			if err := r.canEnvironment(e.id); err != nil {
				return nil, nil, err
			}
			all = append(all, i)
		}
	}
	return w, all, nil
}

func environmentNames(all []*instance) string {
	var names []string
	for _, i := range all {
		names = append(names, i.env.name)
	}
	return strings.Join(names, ",")
}

func serviceCreate(r *request, a args) (any, error) {
	in := a.object("input")
	w, p, err := r.project(in.text("projectId"))
	if err != nil {
		return nil, err
	}
	where := []*environment{}
	if in.has("environmentId") {
		_, e, err := r.env(in.text("environmentId"))
		if err != nil {
			return nil, err
		}
		if e.project != p.id {
			return nil, notFound("Environment")
		}
		where = append(where, e)
	} else {
		for _, e := range w.environmentsOf(p.id) {
			if err := r.canEnvironment(e.id); err != nil {
				return nil, err
			}
			if !e.ephemeral {
				where = append(where, e)
			}
		}
	}
	name := cmp.Or(in.text("name"), "keen-"+newID()[:4])
	if w.serviceNamed(p.id, name) != nil {
		return nil, badInput("A service named \"" + name + "\" already exists in this project")
	}
	given := Service{Name: name, Image: in.object("source").text("image"), Repo: in.object("source").text("repo"), Variables: map[string]string{}}
	variables, _ := in["variables"].(map[string]any)
	for name, value := range variables {
		given.Variables[name] = asText(value)
	}
	v := w.addService(p.id, name)
	for _, e := range where {
		i := w.addInstance(e, v)
		w.commit(e, at(settingsOf(given), "services", v.id))
		if given.Repo != "" {
			i.head = madeUpCommit(v.id)
		}
		if given.Image != "" || given.Repo != "" {
			w.deploy(i, w.latest(i))
		}
	}
	r.s.effect("serviceCreate %s", v.id)
	return v.object(), nil
}

// serviceConnect gives a service another source, in all environments.
func serviceConnect(r *request, a args) (any, error) {
	w, all, err := r.instances(args{"id": a["id"]}, "id")
	if err != nil {
		return nil, err
	}
	in := a.object("input")
	for _, i := range all {
		source := tree{"image": in["image"], "repo": in["repo"]}
		if in.has("branch") {
			source["branch"] = in["branch"]
		}
		w.commit(i.env, at(source, "services", i.service.id, "source"))
		if in.has("repo") {
			i.head = madeUpCommit(in.text("repo"))
		}
		w.deploy(i, w.latest(i))
	}
	r.s.effect("serviceConnect %s", a.text("id"))
	return w.services.get(a.text("id")).object(), nil
}

// serviceDelete deletes a service: in a fork alone, if that is named, and else in all
// environments that are no forks, whichever is named. It takes a moment until it is gone.
func serviceDelete(r *request, a args) (any, error) {
	w, all, err := r.instances(a, "id")
	if err != nil {
		return nil, err
	}
	v := w.services.get(a.text("id"))
	if a.has("environmentId") && !all[0].env.ephemeral {
		all = nil
		for _, e := range w.environmentsOf(v.project) {
			if i := e.instances.get(v.id); i != nil && i.deleted.IsZero() && !e.ephemeral {
				all = append(all, i)
			}
		}
	}
	w.after(w.lag(), func() {
		for _, i := range all {
			w.deleteInstance(i)
		}
		left := slices.ContainsFunc(w.environmentsOf(v.project), func(e *environment) bool {
			i := e.instances.get(v.id)
			return i != nil && i.deleted.IsZero()
		})
		if !left {
			v.deleted = w.now
		}
	})
	r.s.effect("serviceDelete %s %s", v.id, environmentNames(all))
	return true, nil
}

func githubRepoDeploy(r *request, a args) (any, error) {
	in := a.object("input")
	repo := in.text("repo")
	if !strings.Contains(repo, "/") {
		return nil, badInput("repo must be of the form owner/name")
	}
	_, err := serviceCreate(r, args{"input": args{
		"projectId": in["projectId"], "environmentId": in["environmentId"], "name": repo[strings.Index(repo, "/")+1:], "source": args{"repo": repo},
	}})
	if err != nil {
		return nil, err
	}
	return r.world().start("deployRepo/"+newID(), nil).id, nil
}

// Limits of a plan, for one replica.
const (
	planCPU      = 24.0
	planMemoryGB = 24.0
)

func serviceInstanceLimits(r *request, a args) (any, error) {
	_, i, err := r.instance(a.text("environmentId"), a.text("serviceId"))
	if err != nil {
		return nil, err
	}
	limits := tree{"cpu": planCPU, "memoryBytes": planMemoryGB * 1e9}
	return tree{"containers": merged(limits, child(i.settings(), "deploy", "limitOverride", "containers"))}, nil
}

func serviceInstanceLimitOverride(r *request, a args) (any, error) {
	_, i, err := r.instance(a.text("environmentId"), a.text("serviceId"))
	if err != nil {
		return nil, err
	}
	if own := child(i.settings(), "deploy", "limitOverride"); len(own) > 0 {
		return own, nil
	}
	return nil, nil
}

func serviceInstanceLimitsUpdate(r *request, a args) (any, error) {
	in := a.object("input")
	w, i, err := r.instance(in.text("environmentId"), in.text("serviceId"))
	if err != nil {
		return nil, err
	}
	limits := tree{}
	for name, most := range map[string]float64{"vCPUs": planCPU, "memoryGB": planMemoryGB} {
		value, given := in[name]
		n, _ := value.(float64)
		switch {
		case !given:
			continue
		case value != nil && (n <= 0 || n > most):
			return nil, badInput(name + " is beyond the limits of the plan")
		case name == "vCPUs":
			limits["cpu"] = value
		case value == nil:
			limits["memoryBytes"] = nil
		default:
			limits["memoryBytes"] = n * 1e9
		}
	}
	w.commit(i.env, at(limits, "services", i.service.id, "deploy", "limitOverride", "containers"))
	r.s.effect("serviceInstanceLimitsUpdate %s", i.service.id)
	return true, nil
}
