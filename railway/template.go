package railway

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// deployTemplate makes what a template has, and follows it to its end.
func (e *Environment) deployTemplate(ctx context.Context, o op, spec incident.ServiceSpec) error {
	got, err := gql.Template(ctx, o, spec.Template)
	if err != nil {
		return err
	}
	if got.Template.SerializedConfig == nil {
		return o.refuse(incident.ErrUnsupported, "template %q has no configuration", printable(spec.Template, 100))
	}
	config, err := fillTemplate(*got.Template.SerializedConfig, spec)
	if err != nil {
		return o.refuse(incident.ErrUnsupported, "template %q: %v", printable(spec.Template, 100), err)
	}
	made, err := gql.TemplateDeploy(ctx, o, e.project, e.id, got.Template.Id, nil, config)
	if err != nil {
		return err
	}
	if id := gql.Text(made.TemplateDeployV2.WorkflowId); id != "" {
		return e.c.follow(ctx, o, id, commitLimit)
	}
	return nil
}

// fillTemplate puts the name and the variables of a service into the configuration
// of a template. Everything else is kept as it is, also what is not known here. Its
// errors have no values.
func fillTemplate(config json.RawMessage, spec incident.ServiceSpec) (json.RawMessage, error) {
	var tree map[string]any
	if json.Unmarshal(config, &tree) != nil {
		return nil, errors.New("its configuration is not understood")
	}
	services := objects(tree["services"])
	id, err := rootService(services, spec.Name)
	if err != nil {
		return nil, err
	}
	root := services[id]
	var missing []string
	for other, service := range services {
		variables := objects(service["variables"])
		if other == id {
			variables = ownVariables(service, spec)
		}
		for name, v := range variables {
			if !fillVariable(v) {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, errors.New("it needs values for " + list(missing))
	}
	if old, ok := root["name"].(string); ok && old != spec.Name {
		root["name"] = spec.Name
		renameReferences(tree, "${{"+old+".", "${{"+spec.Name+".")
	}
	return json.Marshal(tree)
}

// objects returns the members of an object that are objects themselves.
func objects(node any) map[string]map[string]any {
	members, _ := node.(map[string]any) // what is none has no members
	found := make(map[string]map[string]any, len(members))
	for name, member := range members {
		if object, ok := member.(map[string]any); ok {
			found[name] = object
		}
	}
	return found
}

// rootService returns the ID of the service of a template that a specification is
// about.
func rootService(services map[string]map[string]any, name string) (string, error) {
	var names []string
	for id, service := range services {
		own, _ := service["name"].(string)
		if strings.EqualFold(own, name) || len(services) == 1 {
			return id, nil
		}
		names = append(names, own)
	}
	if len(names) == 0 {
		return "", errors.New("it has no service")
	}
	slices.Sort(names)
	return "", errors.New("it has several services, and none of that name; name it as one of them: " + list(names))
}

// ownVariables sets the variables of a specification, and returns all.
func ownVariables(service map[string]any, spec incident.ServiceSpec) map[string]map[string]any {
	members, ok := service["variables"].(map[string]any)
	if !ok {
		members = make(map[string]any, len(spec.Variables))
		service["variables"] = members
	}
	for name, value := range spec.Variables {
		v, ok := members[name].(map[string]any)
		if !ok {
			v = make(map[string]any, 1)
			members[name] = v
		}
		v["value"] = value.Reveal()
	}
	return objects(members)
}

// fillVariable gives a variable of a template its default, and reports whether it
// has what it needs.
func fillVariable(v map[string]any) bool {
	if _, has := v["value"].(string); has {
		return true
	}
	if text, ok := v["defaultValue"].(string); ok && text != "" {
		v["value"] = text
		return true
	}
	optional, _ := v["isOptional"].(bool)
	_, generated := v["generator"].(map[string]any)
	return optional || generated
}

// renameReferences lets the texts of a template that refer to a service by its name
// do so by the new one.
func renameReferences(node any, old, new string) {
	members, ok := node.(map[string]any)
	if !ok {
		return
	}
	for key, member := range members {
		if text, ok := member.(string); ok {
			members[key] = strings.ReplaceAll(text, old, new)
			continue
		}
		renameReferences(member, old, new)
	}
}
