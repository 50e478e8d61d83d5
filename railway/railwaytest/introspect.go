package railwaytest

import (
	"maps"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

func location(p *ast.Position) gqlerror.Location {
	return gqlerror.Location{Line: p.Line, Column: p.Column}
}

// introspection shows a schema to those who ask for it.
type introspection struct{ schema *ast.Schema }

// later is a field of which the value is made only if it is asked for: types refer
// to each other in circles.
func later(f func(a args) any) resolver {
	return func(_ *request, a args) (any, error) { return f(a), nil }
}

// describe is the type __Schema.
func (i introspection) describe() object {
	root := func(def *ast.Definition) resolver {
		return later(func(args) any {
			if def == nil {
				return nil
			}
			return i.named(def.Name)
		})
	}
	return object{
		"types": later(func(args) any {
			var list []object
			for _, name := range slices.Sorted(maps.Keys(i.schema.Types)) {
				list = append(list, i.named(name))
			}
			return list
		}),
		"queryType": root(i.schema.Query), "mutationType": root(i.schema.Mutation), "subscriptionType": root(i.schema.Subscription),
		"directives": later(func(args) any {
			list := []object{}
			for _, name := range slices.Sorted(maps.Keys(i.schema.Directives)) {
				list = append(list, i.directive(i.schema.Directives[name]))
			}
			return list
		}),
	}
}

func (i introspection) directive(d *ast.DirectiveDefinition) object {
	return object{
		"name": d.Name, "description": description(d.Description), "isRepeatable": d.IsRepeatable,
		"locations": d.Locations, "args": i.arguments(d.Arguments),
	}
}

// named is the type __Type of a name, nil if there is none.
func (i introspection) named(name string) object {
	def := i.schema.Types[name]
	if def == nil {
		return nil
	}
	o := object{"kind": string(def.Kind), "name": def.Name, "description": description(def.Description)}
	switch def.Kind {
	case ast.Object:
		o["interfaces"] = []object{}
		o["fields"] = later(func(a args) any { return i.fields(def, a.flag("includeDeprecated")) })
	case ast.InputObject:
		o["isOneOf"] = false
		o["inputFields"] = later(func(args) any { return i.inputs(def) })
	case ast.Enum:
		o["enumValues"] = later(func(a args) any { return i.values(def, a.flag("includeDeprecated")) })
	}
	return o
}

// typed is the type __Type of a type as it is used, with its lists and exclamation
// marks.
func (i introspection) typed(t *ast.Type) object {
	switch {
	case t.NonNull:
		inner := *t
		inner.NonNull = false
		return object{"kind": "NON_NULL", "ofType": later(func(args) any { return i.typed(&inner) })}
	case t.Elem != nil:
		return object{"kind": "LIST", "ofType": later(func(args) any { return i.typed(t.Elem) })}
	}
	return i.named(t.NamedType)
}

func (i introspection) fields(def *ast.Definition, deprecated bool) []object {
	list := []object{}
	for _, f := range def.Fields {
		o := object{
			"name": f.Name, "description": description(f.Description), "args": i.arguments(f.Arguments),
			"type": i.typed(f.Type),
		}
		if !o.deprecate(f.Directives) || deprecated {
			if !strings.HasPrefix(f.Name, "__") { // __schema and __type are fields of Query to the library
				list = append(list, o)
			}
		}
	}
	return list
}

func (i introspection) values(def *ast.Definition, deprecated bool) []object {
	list := []object{}
	for _, v := range def.EnumValues {
		o := object{"name": v.Name, "description": description(v.Description)}
		if !o.deprecate(v.Directives) || deprecated {
			list = append(list, o)
		}
	}
	return list
}

func (i introspection) arguments(defs ast.ArgumentDefinitionList) []object {
	list := []object{}
	for _, d := range defs {
		list = append(list, i.value(d.Name, d.Description, d.Type, d.DefaultValue, d.Directives))
	}
	return list
}

func (i introspection) inputs(def *ast.Definition) []object {
	list := []object{}
	for _, f := range def.Fields {
		list = append(list, i.value(f.Name, f.Description, f.Type, f.DefaultValue, f.Directives))
	}
	return list
}

// value is the type __InputValue.
func (i introspection) value(name, about string, t *ast.Type, otherwise *ast.Value, directives ast.DirectiveList) object {
	o := object{"name": name, "description": description(about), "type": i.typed(t)}
	if otherwise != nil {
		o["defaultValue"] = otherwise.String()
	}
	o.deprecate(directives)
	return o
}

// deprecate says whether something is deprecated, and why.
func (o object) deprecate(directives ast.DirectiveList) bool {
	d := directives.ForName("deprecated")
	o["isDeprecated"] = d != nil
	if d == nil {
		return false
	}
	o["deprecationReason"] = "No longer supported"
	if reason := d.Arguments.ForName("reason"); reason != nil {
		o["deprecationReason"] = reason.Value.Raw
	}
	return true
}

// description is null if there is none.
func description(text string) any {
	if text == "" {
		return nil
	}
	return text
}
