package railway

import (
	"slices"
	"strings"

	"github.com/Khan/genqlient/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// introspection is what a GraphQL server says of its schema.
type introspection struct {
	Schema struct {
		Query        liveName   `json:"queryType"`
		Mutation     liveName   `json:"mutationType"`
		Subscription liveName   `json:"subscriptionType"`
		Types        []liveType `json:"types"`
	} `json:"__schema"`
}

type liveName struct {
	Name string `json:"name"`
}

type liveType struct {
	Kind   string      `json:"kind"`
	Name   string      `json:"name"`
	Fields []liveField `json:"fields"`
	Inputs liveInputs  `json:"inputFields"`
	Values []liveValue `json:"enumValues"`
}

type liveField struct {
	liveValue
	Args liveInputs `json:"args"`
	Type liveRef    `json:"type"`
}

// liveValue is the value of an enum, or what everything else with a name has too.
type liveValue struct {
	Name       string `json:"name"`
	Deprecated bool   `json:"isDeprecated"`
	Reason     string `json:"deprecationReason"`
}

type liveInputs []liveInput

type liveInput struct {
	liveValue
	Type    liveRef `json:"type"`
	Default *string `json:"defaultValue"`
}

// required reports whether it must be given.
func (i liveInput) required() bool { return i.Type.Kind == nonNull && i.Default == nil }

func (l liveInputs) find(name string) *liveInput {
	if i := slices.IndexFunc(l, func(in liveInput) bool { return in.Name == name }); i >= 0 {
		return &l[i]
	}
	return nil
}

func (t *liveType) field(name string) *liveField {
	if i := slices.IndexFunc(t.Fields, func(f liveField) bool { return f.Name == name }); i >= 0 {
		return &t.Fields[i]
	}
	return nil
}

func (t *liveType) value(name string) *liveValue {
	if i := slices.IndexFunc(t.Values, func(v liveValue) bool { return v.Name == name }); i >= 0 {
		return &t.Values[i]
	}
	return nil
}

const (
	nonNull  = "NON_NULL"
	listKind = "LIST"
)

// liveRef is a reference to a type: [Log!]! is NON_NULL of LIST of NON_NULL of Log.
type liveRef struct {
	Kind string   `json:"kind"`
	Name string   `json:"name"`
	Of   *liveRef `json:"ofType"`
}

// String writes it as the schema definition language does.
func (r *liveRef) String() string {
	switch {
	case r == nil:
		return "?" // nested deeper than was asked for
	case r.Kind == nonNull:
		return r.Of.String() + "!"
	case r.Kind == listKind:
		return "[" + r.Of.String() + "]"
	}
	return r.Name
}

// nullable returns the type without its being never null.
func (r *liveRef) nullable() *liveRef {
	if r != nil && r.Kind == nonNull {
		return r.Of
	}
	return r
}

// element returns the type of the elements of a list, or nil.
func (r *liveRef) element() *liveRef {
	if r = r.nullable(); r != nil && r.Kind == listKind {
		return r.Of
	}
	return nil
}

// named returns the type without lists.
func (r *liveRef) named() *liveRef {
	for r.element() != nil {
		r = r.element()
	}
	return r.nullable()
}

// introspect returns the query for a schema. Servers filter deprecated arguments and
// input fields out of it unless they are asked for, and old ones refuse to be asked.
func introspect(deprecatedInputs bool) *graphql.Request {
	all, reason := "", ""
	if deprecatedInputs {
		all, reason = "(includeDeprecated: true)", "isDeprecated deprecationReason"
	}
	query := `query Introspection {
  __schema {
    queryType { name }
    mutationType { name }
    subscriptionType { name }
    types {
      kind
      name
      fields(includeDeprecated: true) {
        name
        isDeprecated
        deprecationReason
        args$ALL { ...Input }
        type { ...Ref }
      }
      inputFields$ALL { ...Input }
      enumValues(includeDeprecated: true) { name isDeprecated deprecationReason }
    }
  }
}

fragment Input on __InputValue { name defaultValue $REASON type { ...Ref } }

fragment Ref on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }
}
`
	query = strings.NewReplacer("$ALL", all, "$REASON", reason).Replace(query)
	return &graphql.Request{OpName: "Introspection", Query: query}
}

// isLeafKind reports whether a type has no fields to select.
func isLeafKind(kind string) bool { return kind == "SCALAR" || kind == "ENUM" }

// usable reports whether a variable of a type may be used where one of another is
// expected (https://spec.graphql.org/October2021/#sec-All-Variable-Usages-Are-Allowed).
func usable(variable *ast.Type, hasDefault bool, at *liveRef) bool {
	if at == nil {
		return false
	}
	if at.Kind == nonNull {
		if !variable.NonNull && !hasDefault {
			return false
		}
		at = at.Of
	}
	if variable.Elem != nil {
		return at.element() != nil && usable(variable.Elem, false, at.element())
	}
	return at != nil && at.Kind != listKind && at.Name == variable.NamedType
}
