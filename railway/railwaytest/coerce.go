package railwaytest

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
)

// variables makes the variables of an operation from what a client sent, as decoded
// by encoding/json with numbers as json.Number. It does what the specification of
// GraphQL asks for under "Coercing Variable Values", and takes nothing else: no
// number for a String, no text for an Int, no enum in another case.
func (s *Server) variables(o *ast.OperationDefinition, given map[string]any) (map[string]any, *problem) {
	c := coercer{schema: s.catalogue.schema}
	vars := map[string]any{}
	for _, d := range o.VariableDefinitions {
		value, ok := given[d.Variable]
		switch {
		case !ok && d.DefaultValue != nil:
			vars[d.Variable] = c.literal(d.Type, d.DefaultValue, nil)
		case !ok && d.Type.NonNull:
			return nil, c.wrong(d, fmt.Sprintf("of required type %q was not provided.", d.Type))
		case !ok:
		case value == nil && d.Type.NonNull:
			return nil, c.wrong(d, fmt.Sprintf("of non-null type %q must not be null.", d.Type))
		default:
			v, err := c.json(d.Type, value)
			if err != nil {
				return nil, c.wrong(d, "got invalid value "+inspect(err.value)+err.at(d.Variable)+"; "+err.text)
			}
			vars[d.Variable] = v
		}
	}
	return vars, nil
}

// coercer turns what a client gives into what the types say.
type coercer struct{ schema *ast.Schema }

func (coercer) wrong(d *ast.VariableDefinition, text string) *problem {
	p := newProblem(fmt.Sprintf("Variable \"$%s\" %s", d.Variable, text), codeInput)
	return &p
}

// misfit is a value that is not of its type. Railway quotes it.
type misfit struct {
	path  []string
	value any
	text  string
}

func (m *misfit) at(variable string) string {
	if len(m.path) == 0 {
		return ""
	}
	return fmt.Sprintf(" at %q", variable+strings.Join(m.path, ""))
}

func (m *misfit) below(step string) *misfit {
	m.path = append([]string{step}, m.path...)
	return m
}

func inspect(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(b)
}

// json makes a value of a type from decoded JSON.
func (c coercer) json(t *ast.Type, v any) (any, *misfit) {
	if v == nil {
		if t.NonNull {
			return nil, &misfit{value: v, text: fmt.Sprintf("Expected non-nullable type %q not to be null.", t)}
		}
		return nil, nil
	}
	if t.Elem != nil {
		return c.list(t, v)
	}
	def := c.schema.Types[t.NamedType]
	switch def.Kind {
	case ast.InputObject:
		return c.input(def, v)
	case ast.Enum:
		if name, ok := v.(string); ok && def.EnumValues.ForName(name) != nil {
			return name, nil
		}
		return nil, &misfit{value: v, text: fmt.Sprintf("Value %s does not exist in %q enum.", inspect(v), def.Name)}
	}
	return c.scalar(def.Name, v)
}

// list takes one value for a list of it, as the specification says.
func (c coercer) list(t *ast.Type, v any) (any, *misfit) {
	items, ok := v.([]any)
	if !ok {
		items = []any{v}
	}
	list := make([]any, len(items))
	for i, item := range items {
		made, err := c.json(t.Elem, item)
		if err != nil {
			return nil, err.below(fmt.Sprintf("[%d]", i))
		}
		list[i] = made
	}
	return list, nil
}

func (c coercer) input(def *ast.Definition, v any) (any, *misfit) {
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, &misfit{value: v, text: fmt.Sprintf("Expected type %q to be an object.", def.Name)}
	}
	for name := range fields {
		if def.Fields.ForName(name) == nil {
			return nil, &misfit{value: v, text: fmt.Sprintf("Field %q is not defined by type %q.", name, def.Name)}
		}
	}
	made := args{}
	for _, f := range def.Fields {
		value, ok := fields[f.Name]
		switch {
		case ok:
			field, err := c.json(f.Type, value)
			if err != nil {
				return nil, err.below("." + f.Name)
			}
			made[f.Name] = field
		case f.DefaultValue != nil:
			made[f.Name] = c.literal(f.Type, f.DefaultValue, nil)
		case f.Type.NonNull:
			return nil, &misfit{value: v, text: fmt.Sprintf("Field %q of required type %q was not provided.", f.Name, f.Type)}
		}
	}
	return made, nil
}

func (coercer) scalar(name string, v any) (any, *misfit) {
	bad := func(format string) (any, *misfit) {
		return nil, &misfit{value: v, text: fmt.Sprintf(format, inspect(v))}
	}
	number, _ := v.(json.Number)
	switch name {
	case "String":
		if text, ok := v.(string); ok {
			return text, nil
		}
		return bad("String cannot represent a non string value: %s")
	case "ID":
		if text, ok := v.(string); ok {
			return text, nil
		}
		if n, err := number.Int64(); err == nil {
			return fmt.Sprint(n), nil
		}
		return bad("ID cannot represent value: %s")
	case "Int":
		f, err := number.Float64()
		if err != nil || f != math.Trunc(f) {
			return bad("Int cannot represent non-integer value: %s")
		}
		if f > math.MaxInt32 || f < math.MinInt32 {
			return bad("Int cannot represent non 32-bit signed integer value: %s")
		}
		return int64(f), nil
	case "Float":
		if f, err := number.Float64(); err == nil {
			return f, nil
		}
		return bad("Float cannot represent non numeric value: %s")
	case "Boolean":
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return bad("Boolean cannot represent a non boolean value: %s")
	case "DateTime":
		if text, ok := v.(string); ok && isDate(text) {
			return text, nil
		}
		return bad("DateTime cannot represent an invalid date-time-string %s.")
	}
	return decoded(v), nil
}

func isDate(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return err == nil
}

// decoded makes of numbers what encoding/json does by default.
func decoded(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64() // what is too large is infinite, as in JavaScript
		if math.IsInf(f, 0) {
			return nil
		}
		return f
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = decoded(item)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, item := range v {
			m[key] = decoded(item)
		}
		return m
	}
	return v
}

// literal makes a value of a type from what is written in a document, which is
// known to be valid. Variables are in vars, already made.
func (c coercer) literal(t *ast.Type, v *ast.Value, vars map[string]any) any {
	switch {
	case v.Kind == ast.Variable:
		return vars[v.Raw]
	case v.Kind == ast.NullValue:
		return nil
	case t.Elem != nil && v.Kind == ast.ListValue:
		list := make([]any, len(v.Children))
		for i, child := range v.Children {
			list[i] = c.literal(t.Elem, child.Value, vars)
		}
		return list
	case t.Elem != nil:
		return []any{c.literal(t.Elem, v, vars)}
	}
	def := c.schema.Types[t.NamedType]
	if def.Kind == ast.InputObject {
		made := args{}
		for _, f := range def.Fields {
			if child := v.Children.ForName(f.Name); child != nil && !absent(child, vars) {
				made[f.Name] = c.literal(f.Type, child, vars)
			} else if f.DefaultValue != nil {
				made[f.Name] = c.literal(f.Type, f.DefaultValue, nil)
			}
		}
		return made
	}
	return c.leaf(def.Name, v, vars)
}

// absent reports whether a value is a variable that was not given.
func absent(v *ast.Value, vars map[string]any) bool {
	if v.Kind != ast.Variable {
		return false
	}
	_, ok := vars[v.Raw]
	return !ok
}

// leaf makes a scalar from what is written in a document.
func (c coercer) leaf(name string, v *ast.Value, vars map[string]any) any {
	switch v.Kind {
	case ast.ListValue:
		list := make([]any, len(v.Children))
		for i, child := range v.Children {
			list[i] = c.leaf(name, child.Value, vars)
		}
		return list
	case ast.ObjectValue:
		m := map[string]any{}
		for _, child := range v.Children {
			m[child.Name] = c.leaf(name, child.Value, vars)
		}
		return m
	case ast.Variable:
		return vars[v.Raw]
	case ast.NullValue:
		return nil
	case ast.BooleanValue:
		return v.Raw == "true"
	case ast.IntValue, ast.FloatValue:
		made, err := c.scalar(name, json.Number(v.Raw))
		if err != nil {
			return nil
		}
		return made
	}
	return v.Raw
}
