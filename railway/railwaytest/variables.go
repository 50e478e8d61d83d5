package railwaytest

import (
	"maps"
	"regexp"
	"strings"
	"time"
)

// rowKey names a variable of an environment; the service is empty if it is shared.
type rowKey struct{ service, name string }

// row is what is kept of a variable beside its value.
type row struct {
	id      string
	updated time.Time
}

// snapshot are the variables of a deployment: what it got, and what is shown of it,
// in which sealed values are null.
type snapshot struct {
	got   map[string]string
	shown map[string]any
}

func shownAs(got map[string]string) map[string]any {
	shown := make(map[string]any, len(got))
	for name, value := range got {
		shown[name] = value
	}
	return shown
}

// variable is one as it is configured.
func variable(variables tree, name string) (raw string, sealed, ok bool) {
	v, ok := variables[name].(tree)
	raw, _ = v["value"].(string)
	sealed, _ = v["isSealed"].(bool)
	return raw, sealed, ok
}

// rawVariables are those of a service, or the shared ones, as they are configured.
func (e *environment) rawVariables(service string) tree {
	if service == "" {
		return child(e.config, "sharedVariables")
	}
	return child(e.config, "services", service, "variables")
}

// snapshotFor renders what a deployment gets.
func (w *world) snapshotFor(d *deployment, from *snapshot) snapshot {
	var s snapshot
	if from != nil {
		s = snapshot{maps.Clone(from.got), maps.Clone(from.shown)}
	} else {
		r := renderer{w: w, e: d.of.env}
		s = snapshot{make(map[string]string), make(map[string]any)}
		for name := range d.of.env.rawVariables(d.of.service.id) {
			s.got[name], s.shown[name] = r.both(d.of.service, name)
		}
		for name, value := range w.injected(d.of.env, d.of.service) {
			s.got[name], s.shown[name] = value, value
		}
	}
	own := map[string]string{"RAILWAY_DEPLOYMENT_ID": d.id, "RAILWAY_GIT_COMMIT_SHA": d.commit}
	for name, value := range own {
		if value != "" {
			s.got[name], s.shown[name] = value, value
		}
	}
	return s
}

// injected are the variables that the platform gives a service.
func (w *world) injected(e *environment, v *service) map[string]string {
	p := w.projects.get(e.project)
	all := map[string]string{
		"RAILWAY_PROJECT_ID": p.id, "RAILWAY_PROJECT_NAME": p.name, "RAILWAY_ENVIRONMENT_ID": e.id, "RAILWAY_ENVIRONMENT_NAME": e.name,
		"RAILWAY_SERVICE_ID": v.id, "RAILWAY_SERVICE_NAME": v.name, "RAILWAY_PRIVATE_DOMAIN": strings.ToLower(v.name) + ".railway.internal",
	}
	for _, d := range w.domains.all {
		if d.environment == e.id && d.service == v.id && !d.custom && d.proxyPort == 0 {
			all["RAILWAY_PUBLIC_DOMAIN"] = d.name
		}
	}
	return all
}

// renderer replaces references by what they stand for.
type renderer struct {
	w     *world
	e     *environment
	hides bool // sealed values are left out
	depth int
}

var reference = regexp.MustCompile(`\$\{\{\s*(?:"?([^}."]+)"?\.)?([A-Za-z_][A-Za-z0-9_]*)\s*\}\}`)

// both renders a variable as a deployment gets it, and as it is shown.
func (r renderer) both(v *service, name string) (got string, shown any) {
	raw, sealed, _ := variable(r.e.rawVariables(v.id), name)
	got = r.text(v, raw)
	if sealed {
		return got, nil
	}
	r.hides = true
	return got, r.text(v, raw)
}

func (r renderer) text(v *service, raw string) string {
	if r.depth++; r.depth > 16 {
		return "" // it refers to itself
	}
	return reference.ReplaceAllStringFunc(raw, func(match string) string {
		parts := reference.FindStringSubmatch(match)
		owner, name := strings.TrimSpace(parts[1]), parts[2]
		of := v
		switch {
		case owner == "shared":
			of = nil
		case owner != "":
			if of = r.w.serviceNamed(r.e.project, owner); of == nil {
				return ""
			}
		}
		return r.value(of, name)
	})
}

// value renders a variable of a service, or a shared one.
func (r renderer) value(v *service, name string) string {
	id := ""
	if v != nil {
		id = v.id
	}
	raw, sealed, ok := variable(r.e.rawVariables(id), name)
	switch {
	case ok && sealed && r.hides:
		return ""
	case ok:
		return r.text(v, raw)
	case v != nil:
		return r.w.injected(r.e, v)[name]
	}
	return ""
}

// shownVariables are the variables of a service, or the shared ones, as they are
// read: sealed ones are null.
func (w *world) shownVariables(e *environment, service string, rendered bool) map[string]any {
	shown := make(map[string]any)
	v := w.services.get(service)
	for name := range e.rawVariables(service) {
		raw, sealed, _ := variable(e.rawVariables(service), name)
		switch {
		case sealed:
			shown[name] = nil
		case rendered:
			shown[name] = renderer{w: w, e: e, hides: true}.text(v, raw)
		default:
			shown[name] = raw
		}
	}
	return shown
}

// Variables returns what is configured of a service, raw, sealed ones too; of the
// shared ones if service is empty. It panics if there is no such environment.
func (s *Server) Variables(environment, service string) map[string]string {
	defer s.lock()()
	e := must(s.live(time.Now()).environments.get(environment), "environment", environment)
	all := make(map[string]string)
	for name := range e.rawVariables(service) {
		all[name], _, _ = variable(e.rawVariables(service), name)
	}
	return all
}

// SetVariable is what somebody else writes, without a deployment. An empty service
// means a shared variable. It panics if there is no such environment.
func (s *Server) SetVariable(environment, service, name, value string, sealed bool) {
	defer s.lock()()
	w := s.live(time.Now())
	e := must(w.environments.get(environment), "environment", environment)
	v := tree{"value": value}
	if sealed {
		v["isSealed"] = true
	}
	w.commit(e, variablesPatch(service, tree{name: v}))
}

// variablesPatch is a patch of variables of a service, or of the shared ones.
func variablesPatch(service string, variables tree) tree {
	if service == "" {
		return tree{"sharedVariables": variables}
	}
	return at(variables, "services", service, "variables")
}

// touch gives the variables that a patch names new rows, or a newer time.
func (w *world) touch(e *environment, patch tree) {
	write := func(service string, variables tree) {
		for name := range variables {
			key := rowKey{service, name}
			if _, _, ok := variable(e.rawVariables(service), name); !ok {
				delete(e.rows, key)
				continue
			}
			if e.rows[key] == nil {
				e.rows[key] = &row{id: newID()}
			}
			now := w.now
			if last := e.rows[key].updated; !now.After(last) {
				now = last.Add(time.Millisecond)
			}
			e.rows[key].updated = now
		}
	}
	write("", child(patch, "sharedVariables"))
	for id := range child(patch, "services") {
		write(id, child(patch, "services", id, "variables"))
	}
}
