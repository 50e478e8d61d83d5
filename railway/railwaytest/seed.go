package railwaytest

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Service is what [Server.AddService] adds.
type Service struct {
	// Name is its name. Required.
	Name string
	// Image is the image that it runs, or Repo the repository that it is built
	// from, as owner/name. Both empty means a service without a source.
	Image, Repo string
	// Commit is the newest commit of the branch. Empty means one that is made up, if
	// there is a Repo.
	Commit string
	// Variables are its variables, raw, by name, and Sealed those that nobody can
	// read.
	Variables, Sealed map[string]string
	// Regions are its replicas by region. Nil means one in us-west2.
	Regions map[string]int
	// Undeployed leaves it without any deployment. Otherwise it has one that
	// succeeded just now.
	Undeployed bool
	// HTTPPort is the port of a generated domain. Zero means no domain.
	HTTPPort int
}

// Deployment is what [Server.AddDeployment] adds.
type Deployment struct {
	// Status is one of Railway's, or any other. Empty means REMOVED.
	Status string
	// Commit, Image and Message are what it runs.
	Commit, Image, Message string
	// Created is when it was made. Zero means now.
	Created time.Time
	// CanRollback says that its image is still kept.
	CanRollback bool
	// Variables are those that it got. Nil means those that are configured.
	Variables map[string]string
}

// AddWorkspace adds a workspace, and returns its ID.
func (s *Server) AddWorkspace(name string) (id string) {
	defer s.lock()()
	id = newID()
	s.live(time.Now()).workspaces.add(id, &workspace{id, name})
	return id
}

// AddProject adds a project to a workspace, without environments, and returns its
// ID. It panics if there is no such workspace.
func (s *Server) AddProject(workspace, name string) (id string) {
	defer s.lock()()
	w := s.live(time.Now())
	must(w.workspaces.get(workspace), "workspace", workspace)
	return w.addProject(workspace, name).id
}

func (w *world) addProject(workspace, name string) *project {
	p := &project{id: newID(), workspace: workspace, name: name, created: w.now}
	w.projects.add(p.id, p)
	return p
}

// AddEnvironment adds an empty environment to a project, and returns its ID. It
// panics if there is no such project.
func (s *Server) AddEnvironment(project, name string) (id string) {
	defer s.lock()()
	w := s.live(time.Now())
	must(w.projects.get(project), "project", project)
	return w.addEnvironment(project, name).id
}

func (w *world) addEnvironment(project, name string) *environment {
	e := &environment{
		id: newID(), project: project, name: name, created: w.now, updated: w.now,
		// A key that no client knows has to survive whatever a client does.
		config: tree{"services": tree{}, "sharedVariables": tree{}, "volumes": tree{}, "placementHints": tree{"tier": "standard"}},
		rows:   make(map[rowKey]*row),
	}
	w.environments.add(e.id, e)
	return e
}

// AddService adds a service to an environment, and returns its ID. In another
// environment of the same project a service of that name is the same service. It
// panics if there is no such environment.
func (s *Server) AddService(environment string, v Service) (id string) {
	defer s.lock()()
	w := s.live(time.Now())
	e := must(w.environments.get(environment), "environment", environment)
	sv := w.serviceNamed(e.project, v.Name)
	if sv == nil {
		sv = w.addService(e.project, v.Name)
	}
	i := w.addInstance(e, sv)
	w.commit(e, at(settingsOf(v), "services", sv.id))
	if i.head = v.Commit; i.head == "" && v.Repo != "" {
		i.head = madeUpCommit(sv.id)
	}
	if v.HTTPPort != 0 {
		w.addServiceDomain(i, v.HTTPPort)
	}
	if !v.Undeployed {
		d := w.newDeployment(i, w.latest(i))
		d.listed = w.now
		w.end(d, "SUCCESS")
	}
	return sv.id
}

func settingsOf(v Service) tree {
	source := tree{}
	if v.Image != "" {
		source["image"] = v.Image
	}
	if v.Repo != "" {
		source["repo"], source["branch"] = v.Repo, "main"
	}
	variables := tree{}
	for name, value := range v.Variables {
		variables[name] = tree{"value": value}
	}
	for name, value := range v.Sealed {
		variables[name] = tree{"value": value, "isSealed": true}
	}
	if v.Regions == nil {
		v.Regions = map[string]int{defaultRegion: 1}
	}
	regions := tree{}
	for region, n := range v.Regions {
		regions[region] = tree{"numReplicas": float64(n)}
	}
	return tree{
		"source": source, "variables": variables, "deploy": tree{"multiRegionConfig": regions},
		"build": tree{"builder": "RAILPACK"}, "edgeAffinity": tree{"sticky": false},
	}
}

func madeUpCommit(seed string) string { return etag(tree{"commit": seed}) + "00c0ffee" }

func (w *world) serviceNamed(project, name string) *service {
	for _, v := range w.services.all {
		if v.project == project && v.name == name && v.deleted.IsZero() {
			return v
		}
	}
	return nil
}

func (w *world) addService(project, name string) *service {
	v := &service{id: newID(), project: project, name: name, created: w.now}
	w.services.add(v.id, v)
	return v
}

func (w *world) addInstance(e *environment, v *service) *instance {
	i := &instance{id: newID(), env: e, service: v, created: w.now, updated: w.now}
	e.instances.remove(v.id)
	e.instances.add(v.id, i)
	return i
}

// AddDeployment adds a deployment to the history of a service, or one that is under
// way and that moves only by [Server.SetStatus]. It returns its ID. It panics if
// there is no such service in the environment.
func (s *Server) AddDeployment(environment, service string, d Deployment) (id string) {
	defer s.lock()()
	w := s.live(time.Now())
	i := w.mustInstance(environment, service)
	o := order{commit: d.Commit, image: d.Image, message: d.Message, build: d.Commit != ""}
	if d.Variables != nil {
		o.got = &snapshot{maps.Clone(d.Variables), shownAs(d.Variables)}
	}
	added := w.newDeployment(i, o)
	added.manual, added.kept, added.listed = true, d.CanRollback, w.now
	if !d.Created.IsZero() {
		added.created, added.listed = d.Created, d.Created
		slices.SortStableFunc(i.deployments, func(a, b *deployment) int { return a.created.Compare(b.created) })
	}
	if d.Status == "" {
		d.Status = "REMOVED"
	}
	newest := i.deployments[len(i.deployments)-1] == added
	if newest && deployed(d.Status) || strings.HasPrefix(d.Status, "FAILED") {
		w.end(added, d.Status)
	} else {
		w.set(added, d.Status)
	}
	added.updated, added.statusAt = added.created, added.created
	return added.id
}

// SetStatus moves a deployment to another status, and ends what it would have done
// by itself. One that succeeds replaces the one before it. It panics if there is no
// such deployment.
func (s *Server) SetStatus(deployment, status string) {
	defer s.lock()()
	w := s.live(time.Now())
	d := must(w.deployments.get(deployment), "deployment", deployment)
	d.manual = true
	w.end(d, status)
}

// NextDeployments says what the next deployments end as, one after the other:
// "FAILED", "CRASHED", "NEEDS_APPROVAL", "SKIPPED" and so on. A restart counts as
// one. A status that is no end is where it stays. A failure can name the step at
// which it happens, as "FAILED:PRE_DEPLOY_COMMAND"; otherwise it is the health check
// if there is one, or the build, or the start of the container.
func (s *Server) NextDeployments(status ...string) {
	defer s.lock()()
	s.world.outcomes = slices.Clone(status)
}

// Push moves the branch of a service to a commit, which deploys it unless automatic
// deployments are switched off. It panics if there is no such service in the
// environment.
func (s *Server) Push(environment, service, commit, message string) {
	defer s.lock()()
	w := s.live(time.Now())
	i := w.mustInstance(environment, service)
	i.head = commit
	if !i.frozen && text(i.settings(), "source", "repo") != "" {
		w.deploy(i, order{commit: commit, message: message, build: true})
	}
}

// Newest returns the ID of the newest deployment of a service, listed or not; "" if
// there is none. It panics if there is no such service in the environment.
func (s *Server) Newest(environment, service string) (deployment string) {
	defer s.lock()()
	i := s.live(time.Now()).mustInstance(environment, service)
	if n := len(i.deployments); n > 0 {
		return i.deployments[n-1].id
	}
	return ""
}

// Running returns how many processes of a service run, by region. It panics if there
// is no such service in the environment.
func (s *Server) Running(environment, service string) map[string]int {
	defer s.lock()()
	i := s.live(time.Now()).mustInstance(environment, service)
	running := make(map[string]int)
	for _, d := range i.deployments {
		for _, r := range d.replicas {
			if r.status == "RUNNING" || r.status == "RESTARTING" || r.status == "REMOVING" {
				running[r.region]++
			}
		}
	}
	return running
}

// Got returns the variables that a deployment got, sealed ones too. It panics if
// there is no such deployment.
func (s *Server) Got(deployment string) map[string]string {
	defer s.lock()()
	w := s.live(time.Now())
	return maps.Clone(must(w.deployments.get(deployment), "deployment", deployment).snapshot.got)
}

// Restrict takes an environment out of reach of every token, as one that is for
// some people only. It panics if there is no such environment.
func (s *Server) Restrict(environment string) {
	defer s.lock()()
	must(s.world.environments.get(environment), "environment", environment).restricted = true
}

// RequireTwoFactor makes the account one with a second factor: a browser session has
// to show it before it deletes something. Tokens do not.
func (s *Server) RequireTwoFactor() {
	defer s.lock()()
	s.world.twoFactor = true
}
