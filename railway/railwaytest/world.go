package railwaytest

import (
	"cmp"
	"slices"
	"time"
)

// world is what Railway has. Its time stands still while an operation runs: what
// became due since the one before happens first, each thing at its own time.
type world struct {
	s   *Server
	now time.Time

	workspaces   table[workspace]
	projects     table[project]
	environments table[environment]
	services     table[service]
	deployments  table[deployment]
	volumes      table[volume]
	mounts       table[volumeInstance]
	workflows    table[workflow]
	applies      table[changeSetApply]
	tokens       table[projectToken]
	domains      table[domain]
	rules        table[rule]
	deliveries   table[delivery]

	due       []due
	outcomes  []string // of the next deployments
	lists     int      // how often deployments were listed
	twoFactor bool
	platform  platformStatus
}

func newWorld() *world { return &world{platform: platformStatus{stable: true}} }

// table holds things by their ID, in the order in which they were added.
type table[T any] struct {
	byID map[string]*T
	all  []*T
}

func (t *table[T]) get(id string) *T { return t.byID[id] }

func (t *table[T]) add(id string, v *T) {
	if t.byID == nil {
		t.byID = make(map[string]*T)
	}
	t.byID[id] = v
	t.all = append(t.all, v)
}

func (t *table[T]) remove(id string) {
	v := t.byID[id]
	delete(t.byID, id)
	t.all = slices.DeleteFunc(t.all, func(other *T) bool { return other == v })
}

type workspace struct{ id, name string }

type project struct {
	id, workspace, name string
	created, deleted    time.Time
}

type service struct {
	id, project, name string
	created, deleted  time.Time
}

type environment struct {
	id, project, name         string
	created, updated, deleted time.Time
	ephemeral, restricted     bool
	config                    tree
	rows                      map[rowKey]*row
	instances                 table[instance] // by service
	staged                    *patch
	patches                   []*patch // the oldest first
}

// instance is a service in an environment.
type instance struct {
	id                        string
	env                       *environment
	service                   *service
	created, updated, deleted time.Time
	active                    *deployment
	deployments               []*deployment // the oldest first
	head                      string        // the newest commit of the branch
	frozen                    bool          // no automatic deployments
	samples                   []sample
}

// settings are the configuration of an instance.
func (i *instance) settings() tree { return child(i.env.config, "services", i.service.id) }

type due struct {
	at  time.Time
	run func()
}

// after runs something later.
func (w *world) after(d time.Duration, run func()) {
	w.due = append(w.due, due{w.now.Add(d), run})
	slices.SortStableFunc(w.due, func(a, b due) int { return a.at.Compare(b.at) })
}

// settle lets everything happen that is due by now.
func (w *world) settle(now time.Time) {
	for len(w.due) > 0 && !w.due[0].at.After(now) {
		next := w.due[0]
		w.due = w.due[1:]
		w.now = next.at
		next.run()
	}
	w.now = now
}

// pending returns how long until something is due, at most most.
func (w *world) pending(most time.Duration) time.Duration {
	if len(w.due) == 0 {
		return most
	}
	return max(0, min(most, w.due[0].at.Sub(w.now)))
}

// live returns the world as it is now. The lock is held.
func (s *Server) live(now time.Time) *world {
	s.world.s = s
	s.world.settle(now)
	return s.world
}

func (r *request) world() *world { return r.s.live(r.now) }

// span is a duration of the configuration: zero means another one, negative none.
func span(d, otherwise time.Duration) time.Duration { return max(0, cmp.Or(d, otherwise)) }

func (w *world) lag() time.Duration     { return span(w.s.Lag, 200*time.Millisecond) }
func (w *world) working() time.Duration { return span(w.s.Working, 2*time.Second) }

// workspaceOf returns the workspace of a project; "" if there is none.
func (w *world) workspaceOf(project string) string {
	if p := w.projects.get(project); p != nil {
		return p.workspace
	}
	return ""
}

// projectOf returns the project of an environment; "" if there is none.
func (w *world) projectOf(environment string) string {
	if e := w.environments.get(environment); e != nil {
		return e.project
	}
	return ""
}

// env returns an environment that the request may see.
func (r *request) env(id string) (*world, *environment, error) {
	w := r.world()
	if err := r.canEnvironment(id); err != nil {
		return nil, nil, err
	}
	e := w.environments.get(id)
	if e == nil || !e.deleted.IsZero() {
		return nil, nil, notFound("Environment")
	}
	if e.restricted {
		return nil, nil, errNotAuthorized
	}
	return w, e, nil
}

// project returns a project that the request may see.
func (r *request) project(id string) (*world, *project, error) {
	w := r.world()
	if err := r.canProject(id); err != nil {
		return nil, nil, err
	}
	p := w.projects.get(id)
	if p == nil || !p.deleted.IsZero() {
		return nil, nil, notFound("Project")
	}
	return w, p, nil
}

// instance returns a service in an environment that the request may see.
func (r *request) instance(environment, service string) (*world, *instance, error) {
	w, e, err := r.env(environment)
	if err != nil {
		return nil, nil, err
	}
	i := e.instances.get(service)
	if i == nil || !i.deleted.IsZero() {
		return nil, nil, notFound("ServiceInstance")
	}
	return w, i, nil
}

// service returns a service that the request may see.
func (r *request) service(id string) (*world, *service, error) {
	w := r.world()
	v := w.services.get(id)
	if v == nil || !v.deleted.IsZero() {
		return nil, nil, notFound("Service")
	}
	if err := r.canProject(v.project); err != nil {
		return nil, nil, err
	}
	return w, v, nil
}

// environmentsOf returns the environments of a project that are not deleted.
func (w *world) environmentsOf(project string) (all []*environment) {
	for _, e := range w.environments.all {
		if e.project == project && e.deleted.IsZero() {
			all = append(all, e)
		}
	}
	return all
}

// must returns what a method of the server was told of, which has to be there.
func must[T any](v *T, what, id string) *T {
	if v == nil {
		panic("railwaytest: there is no " + what + " " + id)
	}
	return v
}

func (w *world) mustInstance(environment, service string) *instance {
	e := must(w.environments.get(environment), "environment", environment)
	return must(e.instances.get(service), "service in environment "+e.name+":", service)
}
