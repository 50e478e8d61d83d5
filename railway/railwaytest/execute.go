package railwaytest

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
)

// execution is one operation that runs. It writes its answer as it goes, and takes
// back what a null in a place where none may be makes void.
type execution struct {
	r      *request
	doc    *ast.QueryDocument
	vars   map[string]any
	root   map[string]resolver
	out    bytes.Buffer
	path   []any
	issues []problem
}

// execute runs a query or a mutation. The lock is held.
func (s *Server) execute(o *operation, vars map[string]any, t *token) answer {
	x := &execution{r: &request{s: s, token: t, now: time.Now()}, doc: o.document.query, vars: vars, root: s.query}
	def := s.catalogue.schema.Query
	if o.definition.Operation == ast.Mutation {
		def, x.root = s.catalogue.schema.Mutation, s.mutate
	}
	if !x.object(def, nil, []ast.SelectionSet{o.definition.SelectionSet}) {
		x.out.Reset()
		x.out.WriteString("null")
	}
	return answer{status: http.StatusOK, data: x.out.Bytes(), problems: x.issues}
}

// object writes the fields of an object; of is nil for the root. It reports false if
// the object must be null.
func (x *execution) object(def *ast.Definition, of object, sets []ast.SelectionSet) bool {
	x.out.WriteByte('{')
	groups := x.collect(def, sets)
	for i, fields := range groups {
		if i > 0 {
			x.out.WriteByte(',')
		}
		x.out.WriteString(`"` + fields[0].Alias + `":`) // names need no escapes
		x.path = append(x.path, fields[0].Alias)
		ok := x.field(def, of, fields)
		x.path = x.path[:len(x.path)-1]
		if !ok {
			return false
		}
	}
	x.out.WriteByte('}')
	return true
}

// collect gathers the selected fields by the name that they have in the answer.
func (x *execution) collect(def *ast.Definition, sets []ast.SelectionSet) [][]*ast.Field {
	var groups [][]*ast.Field
	index := map[string]int{}
	var add func(set ast.SelectionSet)
	add = func(set ast.SelectionSet) {
		for _, selection := range set {
			switch v := selection.(type) {
			case *ast.Field:
				if !x.included(v.Directives) {
					continue
				}
				i, ok := index[v.Alias]
				if !ok {
					i = len(groups)
					index[v.Alias], groups = i, append(groups, nil)
				}
				groups[i] = append(groups[i], v)
			case *ast.InlineFragment:
				if x.included(v.Directives) && (v.TypeCondition == "" || v.TypeCondition == def.Name) {
					add(v.SelectionSet)
				}
			case *ast.FragmentSpread:
				if x.included(v.Directives) && v.Definition.TypeCondition == def.Name {
					add(v.Definition.SelectionSet)
				}
			}
		}
	}
	for _, set := range sets {
		add(set)
	}
	return groups
}

// included reads @include and @skip.
func (x *execution) included(list ast.DirectiveList) bool {
	for _, d := range list {
		if d.Name != "include" && d.Name != "skip" {
			continue
		}
		if on := d.Arguments.ForName("if"); on != nil {
			is, _ := x.coercer().leaf("Boolean", on.Value, x.vars).(bool)
			if is != (d.Name == "include") {
				return false
			}
		}
	}
	return true
}

func (x *execution) coercer() coercer { return coercer{schema: x.r.s.catalogue.schema} }

// field writes the value of a field. It reports false if the object that it is of
// must be null.
func (x *execution) field(def *ast.Definition, of object, fields []*ast.Field) bool {
	f := fields[0]
	if f.Name == "__typename" {
		x.out.WriteString(`"` + def.Name + `"`)
		return true
	}
	mark := x.out.Len()
	value, err := x.resolve(of, f)
	if err == nil {
		if x.complete(f.Definition.Type, value, fields) {
			return true
		}
	} else {
		x.fail(f, problemOf(err))
	}
	x.out.Truncate(mark)
	if f.Definition.Type.NonNull {
		return false
	}
	x.out.WriteString("null")
	return true
}

func (x *execution) fail(f *ast.Field, p problem) {
	p.Path = append([]any(nil), x.path...)
	if f.Position != nil {
		p.Locations = append(p.Locations, location(f.Position))
	}
	x.issues = append(x.issues, p)
}

// resolve gets the value of a field.
func (x *execution) resolve(of object, f *ast.Field) (any, error) {
	if of == nil {
		return x.resolveRoot(f)
	}
	switch value := of[f.Name].(type) {
	case resolver:
		return value(x.r, x.arguments(f))
	case func(*request, args) (any, error):
		return value(x.r, x.arguments(f))
	default:
		return value, nil
	}
}

func (x *execution) resolveRoot(f *ast.Field) (any, error) {
	switch t := x.r.token; {
	case f.Name == "projectToken" && (t == nil || t.Kind != "project"):
		return nil, &apiError{message: "Project Token not found"}
	case t == nil:
		return nil, errNotAuthorized
	}
	a := x.arguments(f)
	switch f.Name {
	case "__schema":
		return introspection{x.r.s.catalogue.schema}.describe(), nil
	case "__type":
		return introspection{x.r.s.catalogue.schema}.named(a.text("name")), nil
	}
	resolve := x.root[f.Name]
	if resolve == nil {
		return nil, fmt.Errorf("railwaytest does not play %s", f.Name)
	}
	return resolve(x.r, a)
}

// arguments makes the arguments of a field.
func (x *execution) arguments(f *ast.Field) args {
	made := args{}
	for _, d := range f.Definition.Arguments {
		if a := f.Arguments.ForName(d.Name); a != nil && !absent(a.Value, x.vars) {
			made[d.Name] = x.coercer().literal(d.Type, a.Value, x.vars)
		} else if d.DefaultValue != nil {
			made[d.Name] = x.coercer().literal(d.Type, d.DefaultValue, nil)
		}
	}
	return made
}

// complete writes a value of a type. It reports false if it is null and must not be,
// or if what it is in must be null for that; why is noted then.
func (x *execution) complete(t *ast.Type, value any, fields []*ast.Field) bool {
	mark := x.out.Len()
	value = deref(value)
	if value == nil {
		if t.NonNull {
			f := fields[0]
			x.fail(f, newProblem(fmt.Sprintf("Cannot return null for non-nullable field %s.%s.", f.ObjectDefinition.Name, f.Name), codeInternal))
			return false
		}
		x.out.WriteString("null")
		return true
	}
	if x.present(t, value, fields) {
		return true
	}
	if t.NonNull {
		return false
	}
	x.out.Truncate(mark)
	x.out.WriteString("null")
	return true
}

// present writes a value that is there.
func (x *execution) present(t *ast.Type, value any, fields []*ast.Field) bool {
	if t.Elem != nil {
		return x.list(t, value, fields)
	}
	def := x.r.s.catalogue.schema.Types[t.NamedType]
	if def.Kind != ast.Object {
		if err := x.leaf(def, value); err != nil {
			x.fail(fields[0], problemOf(err))
			return false
		}
		return true
	}
	of, ok := value.(object)
	if !ok {
		x.fail(fields[0], newProblem(fmt.Sprintf("railwaytest has a %T for a %s", value, def.Name), codeInternal))
		return false
	}
	sets := make([]ast.SelectionSet, len(fields))
	for i, f := range fields {
		sets[i] = f.SelectionSet
	}
	return x.object(def, of, sets)
}

func (x *execution) list(t *ast.Type, value any, fields []*ast.Field) bool {
	items := reflect.ValueOf(value)
	if items.Kind() != reflect.Slice {
		x.fail(fields[0], newProblem(fmt.Sprintf("railwaytest has a %T for a list", value), codeInternal))
		return false
	}
	x.out.WriteByte('[')
	for i := range items.Len() {
		if i > 0 {
			x.out.WriteByte(',')
		}
		x.path = append(x.path, i)
		ok := x.complete(t.Elem, items.Index(i).Interface(), fields)
		x.path = x.path[:len(x.path)-1]
		if !ok {
			return false
		}
	}
	x.out.WriteByte(']')
	return true
}

// dateForm is how Railway writes times, as JavaScript does.
const dateForm = "2006-01-02T15:04:05.000Z"

// leaf writes a scalar or a value of an enum.
func (x *execution) leaf(def *ast.Definition, value any) error {
	if at, ok := value.(time.Time); ok {
		value = at.UTC().Format(dateForm)
	}
	kind := reflect.ValueOf(value).Kind()
	fits := true
	switch {
	case def.Kind == ast.Enum, def.Name == "String", def.Name == "ID", def.Name == "DateTime":
		fits = kind == reflect.String
	case def.Name == "Int":
		fits = kind >= reflect.Int && kind <= reflect.Uint64
	case def.Name == "Float":
		fits = kind >= reflect.Int && kind <= reflect.Uint64 || kind == reflect.Float64 || kind == reflect.Float32
	case def.Name == "Boolean":
		fits = kind == reflect.Bool
	}
	if !fits || encode(&x.out, value) != nil {
		return fmt.Errorf("railwaytest has a %T for a %s", value, def.Name)
	}
	return nil
}

// deref makes one null of the many that Go has.
func deref(value any) any {
	for {
		v := reflect.ValueOf(value)
		switch v.Kind() {
		case reflect.Invalid:
			return nil
		case reflect.Pointer:
			if v.IsNil() {
				return nil
			}
			value = v.Elem().Interface()
			continue
		case reflect.Map:
			if v.IsNil() {
				return nil
			}
		}
		if at, ok := value.(time.Time); ok && at.IsZero() {
			return nil
		}
		return value
	}
}
