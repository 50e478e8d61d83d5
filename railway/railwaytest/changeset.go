package railwaytest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// changeSetApply is a change set on its way.
type changeSetApply struct {
	id, environment, status, deployment string
	changes                             []object
	diagnostics                         []any
}

func (c *changeSetApply) object() object {
	o := object{"id": c.id, "status": c.status, "changes": c.changes, "diagnostics": c.diagnostics}
	if c.deployment != "" {
		o["deploymentId"] = c.deployment
	}
	return o
}

// changeSet reads a change set: what it changes as a patch, and what is wrong with
// it. Only changes of variables are known, as `railway config apply` sends them
// (https://github.com/railwayapp/cli/blob/master/src/iac/change_set.rs).
func (w *world) changeSet(e *environment, input any) (p tree, changes []tree, diagnostics []any, err error) {
	set, ok := input.(tree)
	if !ok || set["version"] != 1.0 {
		return nil, nil, nil, badInput("Unsupported ChangeSet version")
	}
	list, ok := set["changes"].([]any)
	if !ok {
		return nil, nil, nil, badInput("changes must be a list")
	}
	diagnostics = []any{}
	given, _ := set["diagnostics"].([]any)
	diagnostics = append(diagnostics, given...)
	p = tree{}
	for _, item := range list {
		c, _ := item.(tree)
		if kind := text(c, "kind"); kind != "variable.set" && kind != "variable.delete" {
			return nil, nil, nil, badInput(fmt.Sprintf("Unsupported change kind %q", kind))
		}
		changes = append(changes, c)
		change, why := w.change(e, c)
		if why != "" {
			diagnostics = append(diagnostics, tree{"severity": "error", "path": text(c, "path"), "message": why})
			continue
		}
		p = stacked(p, change)
	}
	return p, changes, diagnostics, nil
}

// change reads one change.
func (w *world) change(e *environment, c tree) (p tree, why string) {
	name := text(c, "variable")
	of, resource, _ := strings.Cut(text(c, "address"), ".")
	v := w.serviceNamed(e.project, resource)
	if of != "service" && of != "database" || v == nil || e.instances.get(v.id) == nil || !e.instances.get(v.id).deleted.IsZero() {
		return nil, fmt.Sprintf("Resource %s not found", text(c, "address"))
	}
	if name == "" {
		return nil, "A variable needs a name"
	}
	if text(c, "kind") == "variable.delete" {
		return variablesPatch(v.id, tree{name: nil}), ""
	}
	after := child(c, "after")
	value, ok := after["value"].(string)
	switch text(after, "type") {
	case "literal":
		if !ok {
			return nil, "A literal needs a value"
		}
	case "reference":
		_, target, _ := strings.Cut(text(after, "resource"), ".")
		value = fmt.Sprintf("${{%s.%s}}", target, text(after, "output"))
	case "sharedReference":
		value = fmt.Sprintf("${{shared.%s}}", text(after, "name"))
	case "preserve":
		return tree{}, ""
	default:
		return nil, fmt.Sprintf("Unsupported variable type %q", text(after, "type"))
	}
	set := tree{"value": value}
	if sealed, ok := after["isSealed"].(bool); ok {
		set["isSealed"] = sealed
	}
	return variablesPatch(v.id, tree{name: set}), ""
}

func hasErrors(diagnostics []any) bool {
	return slices.ContainsFunc(diagnostics, func(d any) bool {
		t, _ := d.(tree)
		return t["severity"] == "error"
	})
}

func environmentPreviewChangeSet(r *request, a args) (any, error) {
	w, e, err := r.env(a.text("environmentId"))
	if err != nil {
		return nil, err
	}
	_, changes, diagnostics, err := w.changeSet(e, plain(a["input"]))
	if err != nil {
		return nil, err
	}
	effects := []any{}
	for _, c := range changes {
		effects = append(effects, tree{"kind": "deploy", "address": c["address"]})
	}
	return object{"changeSet": plain(a["input"]), "diagnostics": diagnostics, "effects": effects}, nil
}

func environmentApplyChangeSet(r *request, a args) (any, error) {
	w, e, err := r.env(a.text("environmentId"))
	if err != nil {
		return nil, err
	}
	if base := a.text("baseConfigEtag"); a.has("baseConfigEtag") && base != etag(e.config) {
		return nil, &apiError{message: "Environment config has changed since the ChangeSet was created"}
	}
	p, changes, diagnostics, err := w.changeSet(e, plain(a["input"]))
	if err != nil {
		return nil, err
	}
	c := &changeSetApply{id: newID(), environment: e.id, status: "applying", diagnostics: diagnostics, changes: []object{}}
	for _, change := range changes {
		c.changes = append(c.changes, object{"kind": change["kind"], "path": change["path"], "status": "pending"})
	}
	w.applies.add(c.id, c)
	base := etag(e.config)
	w.after(max(w.working(), w.lag()), func() { w.applyChangeSet(e, c, p, base) })
	r.s.effect("environmentApplyChangeSet %s %s", e.id, strings.Join(named(changes), ","))
	return c.object(), nil
}

// applyChangeSet is the end of a change set: it takes effect as a whole, or it fails.
func (w *world) applyChangeSet(e *environment, c *changeSetApply, p tree, base string) {
	if base != etag(e.config) {
		c.diagnostics = append(c.diagnostics, tree{"severity": "error", "path": "environment", "message": "Environment config has changed"})
	} else if why := w.problemOfPatch(e, p); why != "" {
		c.diagnostics = append(c.diagnostics, tree{"severity": "error", "path": "environment", "message": why})
	}
	c.status = "applied"
	if hasErrors(c.diagnostics) {
		c.status = "failed"
	}
	for _, change := range c.changes {
		change["status"] = c.status
	}
	if c.status == "failed" {
		return
	}
	w.commit(e, p)
	for _, i := range w.deploysFor(e, p) {
		w.redeployed(i)
		c.deployment = i.deployments[len(i.deployments)-1].id
	}
	done := w.newPatch(p)
	done.status, done.applied = "COMMITTED", w.now
	e.patches = append(e.patches, done)
}

// named lists the variables that changes are about.
func named(changes []tree) []string {
	names := make(map[string]bool)
	for _, c := range changes {
		names[text(c, "variable")] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func environmentChangeSetApply(r *request, a args) (any, error) {
	w, e, err := r.env(a.text("environmentId"))
	if err != nil {
		return nil, err
	}
	c := w.applies.get(a.text("id"))
	if c == nil || c.environment != e.id {
		return nil, notFound("ChangeSet apply")
	}
	return c.object(), nil
}
