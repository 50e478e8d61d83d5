package railway_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"go.acu.edu.au/runbook/railway/internal/gql"
)

// Where the environment may be left out, it means all of them: no operation leaves
// it out, and none can send null.
//
// Requirement: RW-G8
// Requirement: RB-CMD-RAILWAY-ENVIRONMENT
func TestEnvironmentIsAlwaysSent(t *testing.T) {
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: gql.Schema})
	require.NoError(t, err)
	text, err := gql.Documents()
	require.NoError(t, err)
	doc, problems := gqlparser.LoadQueryWithRules(schema, text, rules.NewDefaultRules())
	require.Empty(t, problems)

	seen := make(map[string]bool)
	sent := func(op *ast.OperationDefinition, field string, value *ast.Value) {
		seen[field] = true
		if !assert.NotNil(t, value, "%s: %s has no environmentId", op.Name, field) || !assert.Equal(t, ast.Variable, value.Kind, "%s: %s", op.Name, field) {
			return
		}
		declared := op.VariableDefinitions.ForName(value.Raw)
		assert.Equal(t, "String!", declared.Type.String(), "%s: environmentId of %s", op.Name, field)
		assert.Nil(t, declared.DefaultValue, "%s: environmentId of %s", op.Name, field)
	}
	for _, op := range doc.Operations {
		for _, selection := range op.SelectionSet {
			f, ok := selection.(*ast.Field)
			require.True(t, ok, op.Name)
			for _, arg := range f.Definition.Arguments {
				given := f.Arguments.ForName(arg.Name)
				input := schema.Types[arg.Type.Name()]
				switch {
				case arg.Name == "environmentId":
					var value *ast.Value
					if given != nil {
						value = given.Value
					}
					sent(op, f.Name, value)
				case input.Kind == ast.InputObject && input.Fields.ForName("environmentId") != nil:
					require.NotNil(t, given, op.Name)
					if assert.Equal(t, ast.ObjectValue, given.Value.Kind, "%s: %s of %s must be written out", op.Name, arg.Name, f.Name) {
						sent(op, f.Name, given.Value.Children.ForName("environmentId"))
					}
				}
			}
		}
	}
	for _, field := range strings.Fields("serviceCreate serviceInstanceUpdate volumeCreate deployments metrics serviceInstanceLimitsUpdate templateDeployV2") {
		assert.True(t, seen[field], "the test did not see %s", field)
	}
}
