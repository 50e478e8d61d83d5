package railwaytest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"

	"go.acu.edu.au/runbook/railway/internal/gql"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// TestEveryOperationIsPlayed sends every operation of package railway, with IDs that
// exist: whatever Railway says to it, no field is unknown, missing, or of another
// type than the schema has.
func TestEveryOperationIsPlayed(t *testing.T) {
	text, err := gql.Documents()
	require.NoError(t, err)
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: gql.Schema})
	doc, problems := gqlparser.LoadQueryWithRules(schema, text, nil)
	require.Empty(t, problems)
	for _, o := range doc.Operations {
		if o.Operation == ast.Subscription {
			continue
		}
		t.Run(o.Name, func(t *testing.T) {
			inSchool(t, func(t *testing.T, c *school) {
				v := vars{}
				for _, d := range o.VariableDefinitions {
					v[d.Variable] = c.sample(schema, d.Type, d.Variable)
				}
				got := c.raw(alone(o), v)
				for _, p := range got.problems(t) {
					assert.NotContains(t, p.Message, "railwaytest")
					assert.NotContains(t, p.Message, "Cannot return null")
					assert.NotContains(t, []string{"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"}, p.Extensions.Code, p.Message)
				}
			})
		})
	}
}

// alone is a document with one operation and the fragments that it needs.
func alone(o *ast.OperationDefinition) string {
	doc := &ast.QueryDocument{Operations: ast.OperationList{o}}
	var add func(set ast.SelectionSet)
	add = func(set ast.SelectionSet) {
		for _, selection := range set {
			switch v := selection.(type) {
			case *ast.Field:
				add(v.SelectionSet)
			case *ast.InlineFragment:
				add(v.SelectionSet)
			case *ast.FragmentSpread:
				if doc.Fragments.ForName(v.Name) == nil {
					doc.Fragments = append(doc.Fragments, v.Definition)
					add(v.Definition.SelectionSet)
				}
			}
		}
	}
	add(o.SelectionSet)
	var b strings.Builder
	formatter.NewFormatter(&b).FormatQueryDocument(doc)
	return b.String()
}

// sample makes a value of a type, an ID that exists if the name says of what.
func (c *school) sample(schema *ast.Schema, typ *ast.Type, name string) any {
	if typ.Elem != nil {
		return []any{c.sample(schema, typ.Elem, name)}
	}
	def := schema.Types[typ.NamedType]
	switch {
	case def.Kind == ast.Enum:
		return def.EnumValues[0].Name
	case def.Kind == ast.InputObject:
		fields := vars{}
		for _, f := range def.Fields {
			if f.Type.NonNull {
				fields[f.Name] = c.sample(schema, f.Type, f.Name)
			}
		}
		return fields
	}
	ids := map[string]string{
		"projectId": c.project, "environmentId": c.production, "serviceId": c.api, "workspaceId": c.workspace,
		"deploymentId": c.s.Newest(c.production, c.api), "id": c.s.Newest(c.production, c.api),
	}
	switch {
	case ids[name] != "":
		return ids[name]
	case def.Name == "Int", def.Name == "Float":
		return 1
	case def.Name == "Boolean":
		return true
	case def.Name == "DateTime":
		return "2000-01-01T00:00:00Z"
	case def.Name == "String", def.Name == "ID":
		return "x"
	}
	return vars{}
}

// introspectionQuery is that of graphql-js (getIntrospectionQuery), which most tools
// send.
const introspectionQuery = `query IntrospectionQuery {
	__schema {
		queryType { name }
		mutationType { name }
		subscriptionType { name }
		types { ...FullType }
		directives { name description locations args { ...InputValue } }
	}
}
fragment FullType on __Type {
	kind name description
	fields(includeDeprecated: true) {
		name description
		args { ...InputValue }
		type { ...TypeRef }
		isDeprecated deprecationReason
	}
	inputFields { ...InputValue }
	interfaces { ...TypeRef }
	enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
	possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
fragment TypeRef on __Type {
	kind name
	ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } }
}`

// typeRef is a type as introspection shows it.
type typeRef struct {
	Kind, Name string
	OfType     *typeRef
}

// String writes it as in a schema.
func (r *typeRef) String() string {
	switch r.Kind {
	case "NON_NULL":
		return r.OfType.String() + "!"
	case "LIST":
		return "[" + r.OfType.String() + "]"
	}
	return r.Name
}

// TestIntrospection rebuilds the schema from what introspection says, and compares
// it with the one that operations are validated against.
func TestIntrospection(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		var got struct {
			Data struct {
				Schema struct {
					QueryType, MutationType, SubscriptionType struct{ Name string }

					Types []struct {
						Kind, Name string
						Fields     []struct {
							Name string
							Args []struct{ Name string }
							Type typeRef
						}
						InputFields []struct {
							Name, DefaultValue string
							Type               typeRef
						}
						EnumValues []struct{ Name string }
					}
				} `json:"__schema"`
			}
		}
		answer := c.raw(introspectionQuery, nil)
		require.Empty(t, answer.problems(t))
		require.NoError(t, json.Unmarshal([]byte(answer.body), &got))
		assert.Equal(t, "Query", got.Data.Schema.QueryType.Name)
		assert.Equal(t, "Mutation", got.Data.Schema.MutationType.Name)
		assert.Equal(t, "Subscription", got.Data.Schema.SubscriptionType.Name)

		schema := gqlparser.MustLoadSchema(&ast.Source{Input: gql.Schema})
		var names, shown []string
		for _, typ := range got.Data.Schema.Types {
			def := schema.Types[typ.Name]
			require.NotNil(t, def, typ.Name)
			assert.Equal(t, string(def.Kind), typ.Kind, typ.Name)
			for _, f := range typ.Fields {
				shown = append(shown, typ.Name+"."+f.Name+": "+f.Type.String())
				assert.Len(t, f.Args, len(def.Fields.ForName(f.Name).Arguments), f.Name)
			}
			for _, f := range typ.InputFields {
				shown = append(shown, typ.Name+"."+f.Name+": "+f.Type.String()+f.DefaultValue)
			}
			for _, v := range typ.EnumValues {
				shown = append(shown, typ.Name+"."+v.Name)
			}
		}
		for _, def := range schema.Types {
			for _, f := range def.Fields {
				if def == schema.Query && (f.Name == "__schema" || f.Name == "__type") {
					continue // every schema has them, none shows them
				}
				line := def.Name + "." + f.Name + ": " + f.Type.String()
				if f.DefaultValue != nil {
					line += f.DefaultValue.String()
				}
				names = append(names, line)
			}
			for _, v := range def.EnumValues {
				names = append(names, def.Name+"."+v.Name)
			}
		}
		assert.ElementsMatch(t, names, shown)

		none := c.raw(`{ __type(name: "Nothing") { name } }`, nil)
		assert.JSONEq(t, `{"data":{"__type":null}}`, none.body)
	})
}

// TestNulls shows errors inside of an answer: what must not be null takes with it
// what it is in, up to what may be.
func TestNulls(t *testing.T) {
	incident := func(fields railwaytest.Object) railwaytest.Object {
		return railwaytest.Object{"isStable": true, "incident": fields}
	}
	cases := map[string]struct {
		value railwaytest.Object
		data  string
		path  []any
		want  string
	}{
		"may be null":   {incident(nil), `{"platformStatus":{"isStable":true,"incident":null}}`, nil, ""},
		"must not be":   {incident(railwaytest.Object{"message": "m"}), `{"platformStatus":{"isStable":true,"incident":null}}`, []any{"platformStatus", "incident", "id"}, "Cannot return null for non-nullable field Incident.id."},
		"up to the top": {railwaytest.Object{}, `null`, []any{"platformStatus", "isStable"}, "Cannot return null for non-nullable field PlatformStatus.isStable."},
		"another type":  {incident(railwaytest.Object{"id": 5}), `{"platformStatus":{"isStable":true,"incident":null}}`, []any{"platformStatus", "incident", "id"}, "railwaytest has a int for a String"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			inSchool(t, func(t *testing.T, c *school) {
				c.s.Play("platformStatus", test.value)
				got := c.raw(`{ platformStatus { isStable incident { id } } }`, nil)
				require.Equal(t, http.StatusOK, got.status)
				var answer struct{ Data json.RawMessage }
				require.NoError(t, json.Unmarshal([]byte(got.body), &answer))
				assert.JSONEq(t, test.data, string(answer.Data))
				if test.want == "" {
					require.Empty(t, got.problems(t))
					return
				}
				p := got.problem(t)
				assert.Equal(t, test.want, p.Message)
				assert.Equal(t, test.path, p.Path)
			})
		})
	}
	inSchool(t, func(t *testing.T, c *school) {
		c.s.Play("regions", []railwaytest.Object{{"name": "a", "location": "b", "country": "c"}, {"name": "a"}})
		got := c.raw(`{ regions { name location country } }`, nil)
		assert.Contains(t, got.body, `{"data":null,`)
		assert.Equal(t, []any{"regions", 1.0, "location"}, got.problem(t).Path)
	})
}
