package railway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"go.acu.edu.au/runbook/railway/internal/gql"
)

// documents are our own operations, and the part of the schema that they are about.
type documents struct {
	operations ast.OperationList
	fragments  ast.FragmentDefinitionList
	want       map[string]*ast.Definition
}

// readDocuments reads them once. Only the parser is needed for that: that they are
// valid is tested when this package is.
var readDocuments = sync.OnceValues(func() (*documents, error) {
	text, err := gql.Documents()
	if err != nil {
		return nil, fmt.Errorf("railway: read the operations: %w", err)
	}
	parsed, err := parser.ParseQuery(&ast.Source{Name: "operations", Input: text})
	if err != nil {
		return nil, fmt.Errorf("railway: parse the operations: %w", err)
	}
	schema, err := parser.ParseSchema(&ast.Source{Name: "schema", Input: gql.Schema})
	if err != nil {
		return nil, fmt.Errorf("railway: parse the schema: %w", err)
	}
	d := &documents{operations: parsed.Operations, fragments: parsed.Fragments, want: make(map[string]*ast.Definition)}
	for _, def := range schema.Definitions {
		d.want[def.Name] = def
	}
	return d, nil
})

// missing returns the path of something that an answer must have by the schema and
// has not; empty if it has all. Only that is looked at without which the answer
// would be misread: an object that is not there, a list that is null and would look
// empty, an ID, a status. data is what the answer of an operation was decoded into.
func missing(operation string, data any) string {
	type key struct {
		operation string
		of        reflect.Type
	}
	k := key{operation, reflect.TypeOf(data)}
	made, known := checks.Load(k)
	if !known {
		made, _ = checks.LoadOrStore(k, checkOf(operation, k.of))
	}
	if c, _ := made.(check); c != nil {
		return strings.TrimPrefix(c(reflect.ValueOf(data)), ".")
	}
	return ""
}

// checks are those that were made, by operation and type.
var checks sync.Map

// A check returns the path of what is missing in a value, with a dot before it.
type check func(v reflect.Value) (path string)

func checkOf(operation string, t reflect.Type) check {
	d, err := readDocuments()
	if err != nil || t == nil {
		return nil
	}
	o := d.operations.ForName(operation)
	if o == nil {
		return nil
	}
	return d.value(&ast.Type{NamedType: rootName(o.Operation), NonNull: true}, o.SelectionSet, t)
}

// value returns the check of a value; nil if there is nothing to check.
func (d *documents) value(want *ast.Type, set ast.SelectionSet, t reflect.Type) check {
	var below check
	absent := func(v reflect.Value) bool { return v.IsNil() }
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		absent = func(v reflect.Value) bool { return len(v.Bytes()) == 0 || bytes.Equal(v.Bytes(), []byte("null")) }
	case t.Kind() == reflect.Pointer:
		if element := d.value(want, set, t.Elem()); element != nil {
			below = func(v reflect.Value) string { return element(v.Elem()) }
		}
	case t.Kind() == reflect.Slice && want.Elem != nil:
		if element := d.value(want.Elem, set, t.Elem()); element != nil {
			below = func(v reflect.Value) (path string) {
				for i := 0; i < v.Len() && path == ""; i++ {
					path = element(v.Index(i))
				}
				return path
			}
		}
	case t.Kind() == reflect.Map:
	case t.Kind() == reflect.Struct:
		return d.object(want, set, t)
	case t.Kind() == reflect.String && d.want[want.NamedType] != nil && d.want[want.NamedType].Kind == ast.Enum:
		absent = reflect.Value.IsZero
	default:
		return nil
	}
	if !want.NonNull && below == nil {
		return nil
	}
	return func(v reflect.Value) string {
		switch {
		case absent(v) && want.NonNull:
			return "."
		case absent(v) || below == nil:
			return ""
		}
		return below(v)
	}
}

// object returns the check of the fields that are selected of an object.
func (d *documents) object(of *ast.Type, set ast.SelectionSet, t reflect.Type) check {
	def := d.want[of.NamedType]
	if def == nil {
		return nil // a scalar
	}
	type field struct {
		name  string
		index []int
		check check
	}
	var fields []field
	places := make(map[string]reflect.StructField)
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		places[name] = f
	}
	for _, f := range d.fields(set) {
		of, place := def.Fields.ForName(f.Name), places[f.Alias]
		if of == nil || place.Type == nil {
			continue
		}
		c := d.value(of.Type, f.SelectionSet, place.Type)
		if f.Name == "id" && place.Type.Kind() == reflect.String {
			c = func(v reflect.Value) string {
				if v.IsZero() {
					return "."
				}
				return ""
			}
		}
		if c != nil {
			fields = append(fields, field{f.Alias, place.Index, c})
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return func(v reflect.Value) string {
		for _, f := range fields {
			if path := f.check(v.FieldByIndex(f.index)); path != "" {
				return "." + f.name + strings.TrimSuffix(path, ".")
			}
		}
		return ""
	}
}

// fields returns the fields of a selection, with those of its fragments.
func (d *documents) fields(set ast.SelectionSet) (all []*ast.Field) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			all = append(all, s)
		case *ast.FragmentSpread:
			all = append(all, d.fields(d.fragments.ForName(s.Name).SelectionSet)...)
		case *ast.InlineFragment:
			all = append(all, d.fields(s.SelectionSet)...)
		}
	}
	return all
}
