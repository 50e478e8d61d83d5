package railwaytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// variablesIn returns who may see what of the arguments of an operation on
// variables, and the service: nil if it is about shared ones.
func (r *request) variablesIn(a args) (*world, *environment, *service, error) {
	w, e, err := r.env(a.text("environmentId"))
	if err != nil {
		return nil, nil, nil, err
	}
	if e.project != a.text("projectId") {
		return nil, nil, nil, notFound("Project")
	}
	if !a.has("serviceId") {
		return w, e, nil, nil
	}
	_, i, err := r.instance(e.id, a.text("serviceId"))
	if err != nil {
		return nil, nil, nil, notFound("Service")
	}
	return w, e, i.service, nil
}

func (v *service) orShared() string {
	if v == nil {
		return ""
	}
	return v.id
}

func variablesQuery(r *request, a args) (any, error) {
	w, e, v, err := r.variablesIn(a)
	if err != nil {
		return nil, err
	}
	return w.shownVariables(e, v.orShared(), !a.flag("unrendered")), nil
}

func variablesForDeployment(r *request, a args) (any, error) {
	w, e, v, err := r.variablesIn(a)
	if err != nil {
		return nil, err
	}
	all := w.shownVariables(e, v.id, true)
	for name, value := range w.injected(e, v) {
		all[name] = value
	}
	return all, nil
}

func variableUpsert(r *request, a args) (any, error) {
	in := a.object("input")
	return r.write(in, tree{in.text("name"): tree{"value": in.text("value")}}, !in.flag("skipDeploys"), "variableUpsert")
}

func variableCollectionUpsert(r *request, a args) (any, error) {
	in := a.object("input")
	given, ok := in["variables"].(map[string]any)
	if !ok {
		return nil, badInput("variables must be an object")
	}
	patch := tree{}
	if in.flag("replace") {
		_, e, v, err := r.variablesIn(in)
		if err != nil {
			return nil, err
		}
		for name := range e.rawVariables(v.orShared()) {
			patch[name] = nil
		}
	}
	for name, value := range given {
		// A null is written as nothing: that is how a sealed value that was read and
		// written back is lost.
		patch[name] = tree{"value": asText(value)}
	}
	return r.write(in, patch, !in.flag("skipDeploys"), "variableCollectionUpsert")
}

func asText(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	}
	b, _ := json.Marshal(value)
	return string(b)
}

func variableDelete(r *request, a args) (any, error) {
	in := a.object("input")
	_, e, v, err := r.variablesIn(in)
	if err != nil {
		return nil, err
	}
	if _, _, ok := variable(e.rawVariables(v.orShared()), in.text("name")); !ok {
		return nil, notFound("Variable")
	}
	return r.write(in, tree{in.text("name"): nil}, true, "variableDelete")
}

// write changes variables and deploys.
func (r *request) write(in args, variables tree, deploys bool, effect string) (any, error) {
	w, e, v, err := r.variablesIn(in)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(variables))
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "= \t\r\n\x00") {
			return nil, badInput("Invalid variable name")
		}
	}
	w.commit(e, variablesPatch(v.orShared(), variables))
	r.s.effect("%s %s %s", effect, v.orShared(), strings.Join(names, ","))
	if !deploys {
		return true, nil
	}
	for _, i := range e.instances.all {
		if v != nil && i.service == v || v == nil && i.refersTo(names) {
			w.redeployed(i)
		}
	}
	return true, nil
}

// refersTo reports whether a service uses one of some shared variables.
func (i *instance) refersTo(shared []string) bool {
	for name := range child(i.settings(), "variables") {
		raw, _, _ := variable(child(i.settings(), "variables"), name)
		for _, parts := range reference.FindAllStringSubmatch(raw, -1) {
			if strings.TrimSpace(parts[1]) == "shared" && slices.Contains(shared, parts[2]) {
				return true
			}
		}
	}
	return false
}

// redeployed deploys a service anew because its settings changed, if it is deployed.
func (w *world) redeployed(i *instance) {
	if i.active != nil && i.deleted.IsZero() {
		o := i.active.again()
		o.reason = "redeploy"
		w.deploy(i, o)
	}
}

func sharedVariableConfigure(r *request, a args) (any, error) {
	in := a.object("input")
	w, e, _, err := r.variablesIn(args{"projectId": in["projectId"], "environmentId": in["environmentId"]})
	if err != nil {
		return nil, err
	}
	name := in.text("name")
	if _, _, ok := variable(e.rawVariables(""), name); !ok {
		return nil, notFound("Variable")
	}
	patch := tree{}
	for list, value := range map[string]any{"enabledServiceIds": tree{"value": fmt.Sprintf("${{shared.%s}}", name)}, "disabledServiceIds": nil} {
		for _, id := range in.texts(list) {
			if e.instances.get(id) == nil {
				return nil, notFound("Service")
			}
			patch[id] = at(value, "variables", name)
		}
	}
	w.commit(e, tree{"services": patch})
	r.s.effect("sharedVariableConfigure %s", name)
	for id := range patch {
		w.redeployed(e.instances.get(id))
	}
	return e.variableObject(rowKey{"", name}), nil
}

// texts returns a list of text.
func (a args) texts(name string) (all []string) {
	list, _ := a[name].([]any)
	for _, v := range list {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// variableObject shows a variable without its value.
func (e *environment) variableObject(k rowKey) object {
	_, sealed, _ := variable(e.rawVariables(k.service), k.name)
	o := object{"id": e.rows[k].id, "name": k.name, "isSealed": sealed, "updatedAt": e.rows[k].updated}
	if k.service != "" {
		o["serviceId"] = k.service
	}
	return o
}

func (e *environment) variablesConnection(r *request, a args) (any, error) {
	keys := slices.SortedFunc(maps.Keys(e.rows), func(a, b rowKey) int {
		return strings.Compare(a.service+"\x00"+a.name, b.service+"\x00"+b.name)
	})
	return connect(keys, a, func(k rowKey) string { return e.rows[k].id }, e.variableObject)
}
