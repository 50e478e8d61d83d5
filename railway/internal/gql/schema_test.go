package gql_test

import (
	"context"
	"encoding/json"
	goast "go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/Khan/genqlient/graphql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"go.acu.edu.au/runbook/railway/internal/gql"
)

// subset is our part of the schema, and documents are our operations, valid against it.
func subset(t testing.TB) (*ast.Schema, *ast.QueryDocument) {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: gql.Schema})
	require.NoError(t, err)
	text, err := gql.Documents()
	require.NoError(t, err)
	documents, list := gqlparser.LoadQueryWithRules(schema, text, rules.NewDefaultRules())
	require.Empty(t, list, "the operations are valid against our part of the schema")
	return schema, documents
}

// published is Railway's own schema, from the file that RUNBOOK_RAILWAY_SCHEMA names.
func published(t testing.TB) *ast.Schema {
	t.Helper()
	path := os.Getenv("RUNBOOK_RAILWAY_SCHEMA")
	if path == "" {
		t.Skip("RUNBOOK_RAILWAY_SCHEMA does not name a file with Railway's schema (railwayapp/cli has it as src/gql/schema.json; print it as SDL)")
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err, "RUNBOOK_RAILWAY_SCHEMA is set, so it has to be readable")
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: path, Input: string(text)})
	require.NoError(t, err)
	return schema
}

func TestOperationsAreValid(t *testing.T) {
	_, documents := subset(t)
	assert.Greater(t, len(documents.Operations), 60)
	for _, f := range documents.Fragments {
		assert.Contains(t, gql.Schema, "type "+f.TypeCondition+" {", f.Name)
	}
}

// Every operation is valid against Railway's own schema, and our part of it is a part
// of it: what has another type, or is null where it should not be, would be found out
// by users.
//
// Requirement: RW-SCHEMA-VALID
func TestSchemaAgrees(t *testing.T) {
	ours, documents := subset(t)
	theirs := published(t)
	text, err := gql.Documents()
	require.NoError(t, err)
	_, list := gqlparser.LoadQueryWithRules(theirs, text, rules.NewDefaultRules())
	require.Empty(t, list, "the operations are valid against Railway's schema")
	require.NotEmpty(t, documents.Operations)

	compared := 0
	for name, def := range ours.Types {
		if def.BuiltIn || strings.HasPrefix(name, "__") {
			continue
		}
		real := theirs.Types[name]
		if assert.NotNil(t, real, "type %s", name) && assert.Equal(t, real.Kind, def.Kind, "kind of %s", name) {
			compared += sameFields(t, def, real) + sameValues(t, def, real)
		}
	}
	assert.Greater(t, compared, 500, "fields, arguments and values were compared")
}

func sameFields(t *testing.T, ours, theirs *ast.Definition) (compared int) {
	for _, f := range ours.Fields {
		if strings.HasPrefix(f.Name, "__") {
			continue
		}
		coordinate := ours.Name + "." + f.Name
		real := theirs.Fields.ForName(f.Name)
		if !assert.NotNil(t, real, coordinate) {
			continue
		}
		compared++
		assert.Equal(t, real.Type.String(), f.Type.String(), "type of %s", coordinate)
		assert.Equal(t, real.DefaultValue.String(), f.DefaultValue.String(), "default of %s", coordinate)
		for _, a := range f.Arguments {
			if real := real.Arguments.ForName(a.Name); assert.NotNil(t, real, "%s(%s:)", coordinate, a.Name) {
				compared++
				assert.Equal(t, real.Type.String(), a.Type.String(), "type of %s(%s:)", coordinate, a.Name)
				assert.Equal(t, real.DefaultValue.String(), a.DefaultValue.String(), "default of %s(%s:)", coordinate, a.Name)
			}
		}
		for _, a := range real.Arguments {
			if a.Type.NonNull && a.DefaultValue == nil {
				assert.NotNil(t, f.Arguments.ForName(a.Name), "%s(%s:) is required", coordinate, a.Name)
			}
		}
	}
	if ours.Kind == ast.InputObject {
		for _, f := range theirs.Fields {
			if f.Type.NonNull && f.DefaultValue == nil {
				assert.NotNil(t, ours.Fields.ForName(f.Name), "%s.%s is required", ours.Name, f.Name)
			}
		}
	}
	return compared
}

func sameValues(t *testing.T, ours, theirs *ast.Definition) (compared int) {
	for _, v := range ours.EnumValues {
		assert.NotNil(t, theirs.EnumValues.ForName(v.Name), "%s.%s", ours.Name, v.Name)
		compared++
	}
	return compared
}

// The schema of the documentation's examples is not the real one. These are the ones
// that it gets wrong (docs.railway.com): what is really returned.
//
// Requirement: RW-SCHEMA-VALID
func TestWhatTheDocumentationGetsWrong(t *testing.T) {
	schema, _ := subset(t)
	for field, want := range map[string]string{
		"deploymentRollback": "Boolean!", "volumeInstanceBackupCreate": "WorkflowId!", "volumeInstanceBackupRestore": "WorkflowId!",
		"volumeInstanceBackupDelete": "WorkflowId!", "environmentRename": "Environment!",
	} {
		assert.Equal(t, want, schema.Mutation.Fields.ForName(field).Type.String(), field)
	}
	var filters []string
	for _, f := range schema.Types["DeploymentStatusInput"].Fields {
		filters = append(filters, f.Name)
	}
	assert.ElementsMatch(t, []string{"in", "notIn"}, filters)
}

// Where no environment means all of them, it can never be left out: each mutation
// that takes an environment declares it as never null, and gives it.
//
// Requirement: RW-G8
func TestMutationsHaveAnEnvironment(t *testing.T) {
	schema, documents := subset(t)
	schemas := []*ast.Schema{schema}
	if os.Getenv("RUNBOOK_RAILWAY_SCHEMA") != "" {
		schemas = append(schemas, published(t)) // which may take one where ours does not say so
	}
	given := 0
	for _, o := range documents.Operations {
		if v := o.VariableDefinitions.ForName("environmentId"); v != nil && o.Operation == ast.Mutation {
			assert.Equal(t, "String!", v.Type.String(), "%s($environmentId:)", o.Name)
		}
		if o.Operation != ast.Mutation {
			continue
		}
		for _, s := range o.SelectionSet {
			field := s.(*ast.Field)
			for _, schema := range schemas {
				if takesEnvironment(schema, field.Name) {
					assert.True(t, givesEnvironment(field), "%s gives %s no environment", o.Name, field.Name)
					given++
				}
			}
		}
	}
	assert.Greater(t, given, 15)
}

func takesEnvironment(schema *ast.Schema, field string) bool {
	def := schema.Mutation.Fields.ForName(field)
	if def.Arguments.ForName("environmentId") != nil {
		return true
	}
	input := def.Arguments.ForName("input")
	if input == nil {
		return false
	}
	return schema.Types[input.Type.Name()].Fields.ForName("environmentId") != nil
}

func givesEnvironment(field *ast.Field) bool {
	value := (*ast.Value)(nil)
	if a := field.Arguments.ForName("environmentId"); a != nil {
		value = a.Value
	} else if a := field.Arguments.ForName("input"); a != nil {
		value = a.Value.Children.ForName("environmentId")
	}
	return value != nil && value.Kind == ast.Variable && value.Raw == "environmentId"
}

// What is not given is not sent: null would overwrite a setting, or mean everything.
//
// Requirement: RW-PEER-TF-NULL
func TestWhatIsNotGivenIsNotSent(t *testing.T) {
	_, documents := subset(t)
	inputs := generatedInputs(t)
	nullable := 0
	for _, o := range documents.Operations {
		if o.Operation == ast.Subscription {
			continue // written by hand
		}
		for _, v := range o.VariableDefinitions {
			field, ok := inputs[o.Name][v.Variable]
			if !assert.True(t, ok, "%s has no %s", o.Name, v.Variable) {
				continue
			}
			if v.Type.NonNull {
				// A list that is empty on purpose, or false, has to be sent.
				continue
			}
			nullable++
			assert.True(t, field.omitted, "%s.%s is sent as null", o.Name, v.Variable)
		}
	}
	assert.Greater(t, nullable, 50)
}

type inputField struct{ omitted bool }

// generatedInputs returns the variables of each generated operation.
func generatedInputs(t *testing.T) map[string]map[string]inputField {
	file, err := parser.ParseFile(token.NewFileSet(), "generated.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	inputs := make(map[string]map[string]inputField)
	goast.Inspect(file, func(n goast.Node) bool {
		spec, ok := n.(*goast.TypeSpec)
		if !ok {
			return true
		}
		s, ok := spec.Type.(*goast.StructType)
		name, isInput := strings.CutPrefix(spec.Name.Name, "__")
		if !ok || !isInput {
			return false
		}
		name = strings.TrimSuffix(name, "Input")
		inputs[name] = make(map[string]inputField)
		for _, f := range s.Fields.List {
			tag, err := strconv.Unquote(f.Tag.Value)
			require.NoError(t, err)
			parts := strings.Split(reflect.StructTag(tag).Get("json"), ",")
			inputs[name][parts[0]] = inputField{omitted: len(parts) > 1 && parts[1] == "omitempty"}
		}
		return false
	})
	return inputs
}

// recorder is a client that keeps what is sent.
type recorder struct{ variables string }

func (r *recorder) MakeRequest(_ context.Context, req *graphql.Request, _ *graphql.Response) error {
	body, err := json.Marshal(req.Variables)
	r.variables = string(body)
	return err
}

func TestVariablesAsTheyAreSent(t *testing.T) {
	var r recorder
	_, err := gql.Variables(t.Context(), &r, "p", "e", nil)
	require.NoError(t, err)
	assert.JSONEq(t, `{"projectId":"p","environmentId":"e"}`, r.variables)

	_, err = gql.BackupScheduleUpdate(t.Context(), &r, "v", []gql.VolumeInstanceBackupScheduleKind{})
	require.NoError(t, err)
	assert.JSONEq(t, `{"volumeInstanceId":"v","kinds":[]}`, r.variables, "no schedules at all can be said")

	port := 5432
	_, err = gql.ServiceDomainCreate(t.Context(), &r, "e", "s", &port)
	require.NoError(t, err)
	assert.JSONEq(t, `{"environmentId":"e","serviceId":"s","targetPort":5432}`, r.variables)
}

// Variables are scalars, enums and lists of them: an input object would have fields
// of its own that are sent as null, and that Verify does not look at.
func TestVariablesAreNoInputObjects(t *testing.T) {
	schema, documents := subset(t)
	for _, o := range documents.Operations {
		for _, v := range o.VariableDefinitions {
			assert.NotEqual(t, ast.InputObject, schema.Types[v.Type.Name()].Kind, "%s($%s:)", o.Name, v.Variable)
		}
	}
}

// Each operation has a name of its own, by which Calls and drift name it.
func TestOperationNames(t *testing.T) {
	_, documents := subset(t)
	seen := make(map[string]bool)
	for _, o := range documents.Operations {
		assert.False(t, seen[o.Name], "%q is there twice", o.Name)
		seen[o.Name] = true
		assert.NotEmpty(t, o.Name)
	}
}
