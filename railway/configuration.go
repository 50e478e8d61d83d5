package railway

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"maps"
	"slices"

	"go.acu.edu.au/runbook/railway/internal/gql"
)

// mask is what Railway shows instead of a secret in the settings.
const mask = "*****"

// A configuration is that of a whole environment, as it is read: with all its keys,
// whether we know them or not.
type configuration struct {
	environment Named
	tree        map[string]any
	services    map[string]string // names by ID, of those in the environment
	readable    int               // how many variables have their value
	sealed      []SealedValue
	masked      []string
}

// configuration reads the configuration with all values that can be read.
func (e *Environment) configuration(ctx context.Context, o op) (*configuration, error) {
	got, err := gql.EnvironmentConfig(ctx, o, e.id, true)
	if err != nil {
		return nil, err
	}
	services := make(map[string]string)
	for service, err := range e.c.services(ctx, o, e.project) {
		if err != nil {
			return nil, err
		}
		services[service.ID] = service.Name
	}
	sealed := make(map[SealedValue]bool)
	for row, err := range e.variableRows(ctx, o) {
		if err != nil {
			return nil, err
		}
		if row.sealed {
			sealed[SealedValue{services[row.service], row.name}] = true
		}
	}
	c := &configuration{environment: Named{got.Environment.Id, got.Environment.Name}}
	return c, c.parse(o, got.Environment.Config, services, sealed)
}

// parse reads a configuration, and takes out of it what looks like a value and is
// none. services are names by ID, of the whole project.
func (c *configuration) parse(o op, config json.RawMessage, services map[string]string, sealed map[SealedValue]bool) error {
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber() // a number stays as it is written
	if err := decoder.Decode(&c.tree); err != nil || c.tree == nil {
		return &Error{Op: o.name, Code: "unreadable", Message: "the configuration is no object"}
	}
	c.services = make(map[string]string)
	for id := range object(c.tree, "services") {
		if name, ok := services[id]; ok {
			c.services[id] = name
		}
	}
	c.clean(sealed)
	return nil
}

// clean removes the values of sealed variables, whatever stands there for them, and
// the masks of settings.
func (c *configuration) clean(sealed map[SealedValue]bool) {
	c.cleanVariables("", object(c.tree, "sharedVariables"), sealed)
	for id, service := range object(c.tree, "services") {
		settings, _ := service.(map[string]any)
		name, ok := c.services[id]
		if !ok {
			// It is deleted, or not to be seen: there is no name to restore it by.
			delete(object(c.tree, "services"), id)
			continue
		}
		c.cleanVariables(name, object(settings, "variables"), sealed)
		c.masked = append(c.masked, unmask(name, settings)...)
	}
	slices.SortFunc(c.sealed, compareSealed)
	slices.Sort(c.masked)
}

func (c *configuration) cleanVariables(service string, variables map[string]any, sealed map[SealedValue]bool) {
	for name, v := range variables {
		settings, _ := v.(map[string]any)
		if settings == nil {
			delete(variables, name)
			continue
		}
		key := SealedValue{service, name}
		if _, isText := settings["value"].(string); isText && settings["isSealed"] != true && !sealed[key] {
			c.readable++
			continue
		}
		delete(settings, "value")
		settings["isSealed"] = true
		c.sealed = append(c.sealed, key)
	}
}

// unmask removes the objects that have a mask in them, and returns their paths.
func unmask(path string, settings map[string]any) (masked []string) {
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if key == "variables" {
			continue
		}
		child, ok := settings[key].(map[string]any)
		if !ok {
			continue
		}
		if hasMask(child) {
			delete(settings, key)
			masked = append(masked, path+"."+key)
			continue
		}
		masked = append(masked, unmask(path+"."+key, child)...)
	}
	return masked
}

func hasMask(settings map[string]any) bool {
	for _, v := range settings {
		if v == mask {
			return true
		}
	}
	return false
}

// object returns an object within one; nil if there is none.
func object(of map[string]any, key string) map[string]any {
	child, _ := of[key].(map[string]any)
	return child
}

// named yields the services.
func (c *configuration) named() iter.Seq2[Named, error] {
	return func(yield func(Named, error) bool) {
		for id, name := range c.services {
			if !yield(Named{id, name}, nil) {
				return
			}
		}
	}
}
