package railway_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/internal/gql"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// A shownSchema is what a server says of a schema when it is asked for it, as
// graphql-js does: deprecated arguments and input fields only if the query asks for
// them.
type shownSchema struct {
	*ast.Schema
	allInputs bool
}

func (s shownSchema) ref(typ *ast.Type) map[string]any {
	switch {
	case typ.NonNull:
		inner := *typ
		inner.NonNull = false
		return map[string]any{"kind": "NON_NULL", "name": nil, "ofType": s.ref(&inner)}
	case typ.Elem != nil:
		return map[string]any{"kind": "LIST", "name": nil, "ofType": s.ref(typ.Elem)}
	}
	return map[string]any{"kind": string(s.Types[typ.NamedType].Kind), "name": typ.NamedType, "ofType": nil}
}

func (s shownSchema) named(name string, directives ast.DirectiveList) map[string]any {
	m := map[string]any{"name": name, "isDeprecated": false, "deprecationReason": nil}
	if d := directives.ForName("deprecated"); d != nil {
		m["isDeprecated"], m["deprecationReason"] = true, "No longer supported"
		if reason := d.Arguments.ForName("reason"); reason != nil {
			m["deprecationReason"] = reason.Value.Raw
		}
	}
	return m
}

func (s shownSchema) input(list []any, name string, typ *ast.Type, value *ast.Value, directives ast.DirectiveList) []any {
	if directives.ForName("deprecated") != nil && !s.allInputs {
		return list
	}
	m := s.named(name, directives)
	m["type"], m["defaultValue"] = s.ref(typ), nil
	if value != nil {
		m["defaultValue"] = value.String()
	}
	return append(list, m)
}

func (s shownSchema) definition(def *ast.Definition) map[string]any {
	var fields, inputs, values []any
	for _, f := range def.Fields {
		if def.Kind == ast.InputObject {
			inputs = s.input(inputs, f.Name, f.Type, f.DefaultValue, f.Directives)
			continue
		}
		field := s.named(f.Name, f.Directives)
		args := []any{}
		for _, a := range f.Arguments {
			args = s.input(args, a.Name, a.Type, a.DefaultValue, a.Directives)
		}
		field["args"], field["type"] = args, s.ref(f.Type)
		fields = append(fields, field)
	}
	for _, v := range def.EnumValues {
		values = append(values, s.named(v.Name, v.Directives))
	}
	return map[string]any{"kind": string(def.Kind), "name": def.Name, "fields": fields, "inputFields": inputs, "enumValues": values}
}

func (s shownSchema) answer(t testing.TB) string {
	types := []any{}
	for _, def := range s.Types {
		types = append(types, s.definition(def))
	}
	root := func(def *ast.Definition) any {
		if def == nil {
			return nil
		}
		return map[string]any{"name": def.Name}
	}
	body, err := json.Marshal(map[string]any{"data": map[string]any{"__schema": map[string]any{
		"queryType": root(s.Query), "mutationType": root(s.Mutation), "subscriptionType": root(s.Subscription), "types": types,
	}}})
	require.NoError(t, err)
	return string(body)
}

// schemaServer serves a schema by introspection.
func schemaServer(t testing.TB, sdl string) *coreTransport {
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: sdl})
	require.NoError(t, err)
	s := &coreTransport{}
	s.answer = func(n int, _ *http.Request) (*http.Response, error) {
		var req struct{ Query string }
		if err := json.Unmarshal([]byte(s.body(n)), &req); err != nil {
			return nil, err
		}
		_, list := gqlparser.LoadQueryWithRules(schema, req.Query, rules.NewDefaultRules())
		assert.Empty(t, list, "the query is valid")
		return coreAnswer(http.StatusOK, shownSchema{schema, strings.Contains(req.Query, "inputFields(includeDeprecated: true)")}.answer(t)), nil
	}
	return s
}

// edited is our part of the schema with changes: pairs of what is replaced and by
// what.
func edited(t testing.TB, pairs ...string) string {
	sdl := gql.Schema
	for i := 0; i+1 < len(pairs); i += 2 {
		require.Contains(t, sdl, pairs[i])
		sdl = strings.Replace(sdl, pairs[i], pairs[i+1], 1)
	}
	return sdl
}

// Requirement: RW-G1
func TestVerifyFindsNothing(t *testing.T) {
	server := schemaServer(t, gql.Schema)
	drifts, err := coreClient(t, server, nil).Verify(t.Context())
	require.NoError(t, err)
	assert.Empty(t, drifts)
	assert.Equal(t, 1, server.requests(), "one call is enough")
}

// Requirement: RW-G1, RW-SCHEMA-VALID
func TestVerifyOfThePublishedSchema(t *testing.T) {
	path := os.Getenv("RUNBOOK_RAILWAY_SCHEMA")
	if path == "" {
		t.Skip("RUNBOOK_RAILWAY_SCHEMA does not name a file with Railway's schema")
	}
	sdl, err := os.ReadFile(path)
	require.NoError(t, err)
	drifts, err := coreClient(t, schemaServer(t, string(sdl)), nil).Verify(t.Context())
	require.NoError(t, err)
	assert.Empty(t, drifts)
}

// With what is not the real thing, a host can rehearse drift.
func TestVerifyOfTheCounterpart(t *testing.T) {
	server := &railwaytest.Server{}
	token := server.AddToken(railwaytest.Token{})
	verify := func() []railway.Drift {
		c := coreClient(t, server.Client().Transport, func(cfg *railway.Config) { cfg.Token = runbook.NewSecret(token) })
		drifts, err := c.Verify(t.Context())
		require.NoError(t, err)
		return drifts
	}
	assert.Empty(t, verify())
	server.Drop("Deployment.canRollback")
	drifts := verify()
	require.Len(t, drifts, 1)
	assert.Equal(t, "Deployment.canRollback", drifts[0].Coordinate)
	assert.True(t, drifts[0].Breaks)
}

// Each kind of change is found where it is, with the operations that it breaks, and
// whether it does.
//
// Requirement: RW-G1
func TestVerifyNamesEachDrift(t *testing.T) {
	one := func(coordinate, change string, breaks bool, operations ...string) []railway.Drift {
		return []railway.Drift{{Coordinate: coordinate, Change: change, Breaks: breaks, Operations: operations}}
	}
	for name, test := range map[string]struct {
		edit []string
		want []railway.Drift
	}{
		"a field is gone": {
			[]string{"  isEphemeral: Boolean!\n", ""}, one("Environment.isEphemeral", "is gone", true, "ProjectEnvironments"),
		},
		"a field is deprecated": {
			[]string{"  isEphemeral: Boolean!\n", "  isEphemeral: Boolean! @deprecated(reason: \"ask the dashboard\")\n"},
			one("Environment.isEphemeral", "is deprecated: ask the dashboard", false, "ProjectEnvironments"),
		},
		"a field may be null": {
			[]string{"  isEphemeral: Boolean!\n", "  isEphemeral: Boolean\n"},
			one("Environment.isEphemeral", "was Boolean!, is Boolean", false, "ProjectEnvironments"),
		},
		"a field is never null": {
			[]string{"  createdAt: DateTime\n  id: String!\n  message: String!\n", "  createdAt: DateTime!\n  id: String!\n  message: String!\n"},
			one("Incident.createdAt", "was DateTime, is DateTime!", false, "PlatformStatus"),
		},
		"a scalar is another one": {
			[]string{"  isEphemeral: Boolean!\n", "  isEphemeral: String!\n"},
			one("Environment.isEphemeral", "was Boolean!, is String!", true, "ProjectEnvironments"),
		},
		"an answer has fields now": {
			[]string{"deploymentRollback(id: String!): Boolean!", "deploymentRollback(id: String!): Deployment!"},
			one("Mutation.deploymentRollback", "was Boolean!, is Deployment!", true, "DeploymentRollback"),
		},
		"an answer has no fields any more": {
			[]string{"deploymentRedeploy(id: String!, usePreviousImageTag: Boolean): Deployment!", "deploymentRedeploy(id: String!): String!"},
			one("Mutation.deploymentRedeploy", "was Deployment!, is String!", true, "DeploymentRedeploy"),
		},
		"one is many": {
			[]string{"  payload: DeploymentEventPayload\n", "  payload: [DeploymentEventPayload!]\n"},
			one("DeploymentEvent.payload", "was DeploymentEventPayload, is [DeploymentEventPayload!]", true, "DeploymentEvents"),
		},
		"an id is a text": {
			[]string{"type TCPProxy {\n  applicationPort: Int!\n  domain: String!\n  id: ID!", "type TCPProxy {\n  applicationPort: Int!\n  domain: String!\n  id: String!"},
			one("TCPProxy.id", "was ID!, is String!", false, "Domains"),
		},
		"an operation is gone": {
			[]string{"  deploymentRollback(id: String!): Boolean!\n", ""}, one("Mutation.deploymentRollback", "is gone", true, "DeploymentRollback"),
		},
		"an argument is gone": {
			[]string{"environmentStageChanges(environmentId: String!, input: EnvironmentConfig!, merge: Boolean)", "environmentStageChanges(environmentId: String!, input: EnvironmentConfig!)"},
			one("Mutation.environmentStageChanges(merge:)", "is gone", true, "StageChanges", "StagedReplace"),
		},
		"an argument is new and required": {
			[]string{"deploymentStop(id: String!)", "deploymentStop(id: String!, reason: String!)"},
			one("Mutation.deploymentStop(reason:)", "is new and required", true, "DeploymentStop"),
		},
		"an argument is new":                {[]string{"deploymentStop(id: String!)", "deploymentStop(id: String!, reason: String)"}, nil},
		"an argument is new with a default": {[]string{"deploymentStop(id: String!)", "deploymentStop(id: String!, reason: String! = \"\")"}, nil},
		"an argument has another type": {
			[]string{"deploymentStop(id: String!)", "deploymentStop(id: ID!)"}, one("Mutation.deploymentStop(id:)", "was String!, is ID!", true, "DeploymentStop"),
		},
		"an argument may be null": {
			[]string{"deploymentStop(id: String!)", "deploymentStop(id: String)"}, one("Mutation.deploymentStop(id:)", "was String!, is String", false, "DeploymentStop"),
		},
		"an optional argument is required": {
			[]string{"commitSha: String, environmentId: String!, serviceId: String!): String!", "commitSha: String!, environmentId: String!, serviceId: String!): String!"},
			one("Mutation.serviceInstanceDeployV2(commitSha:)", "was String, is String!", true, "ServiceDeploy"),
		},
		"an argument is deprecated": {
			[]string{"deploymentStop(id: String!)", "deploymentStop(id: String! @deprecated(reason: \"use it\"))"},
			one("Mutation.deploymentStop(id:)", "is deprecated: use it", false, "DeploymentStop"),
		},
		"an input field is gone": {
			[]string{"input EnvironmentRenameInput {\n  name: String!\n", "input EnvironmentRenameInput {\n  title: String\n"},
			one("EnvironmentRenameInput.name", "is gone", true, "EnvironmentRename"),
		},
		"an input field is new and required": {
			[]string{"input EnvironmentRenameInput {\n", "input EnvironmentRenameInput {\n  projectId: String!\n"},
			one("EnvironmentRenameInput.projectId", "is new and required", true, "EnvironmentRename"),
		},
		"an input field is deprecated": {
			[]string{"input ProjectCreateInput {\n  defaultEnvironmentName: String\n", "input ProjectCreateInput {\n  defaultEnvironmentName: String @deprecated\n"},
			one("ProjectCreateInput.defaultEnvironmentName", "is deprecated: No longer supported", false, "ProjectCreate"),
		},
		"an input field has another type": {
			[]string{"input EnvironmentRenameInput {\n  name: String!", "input EnvironmentRenameInput {\n  name: [String!]!"},
			one("EnvironmentRenameInput.name", "was String!, is [String!]!", true, "EnvironmentRename"),
		},
		"a value that is sent is gone": {
			[]string{"enum VolumeInstanceBackupScheduleKind {\n  DAILY\n", "enum VolumeInstanceBackupScheduleKind {\n"},
			one("VolumeInstanceBackupScheduleKind.DAILY", "is gone", true, "BackupScheduleUpdate"),
		},
		"a value that is received is new": {
			[]string{"enum IncidentStatus {\n", "enum IncidentStatus {\n  SCHEDULED\n"}, one("IncidentStatus.SCHEDULED", "is new", false, "PlatformStatus"),
		},
		"a value that is received is gone": {
			[]string{"enum IncidentStatus {\n  IDENTIFIED\n", "enum IncidentStatus {\n"}, one("IncidentStatus.IDENTIFIED", "is gone", false, "PlatformStatus"),
		},
		"a type has another name": {
			[]string{"type DeploymentSnapshot {", "type DeploymentState {", "(deploymentId: String!): DeploymentSnapshot", "(deploymentId: String!): DeploymentState"},
			one("Query.deploymentSnapshot", "was DeploymentSnapshot, is DeploymentState", false, "DeploymentSnapshot"),
		},
		"subscriptions are gone": {
			[]string{"type Subscription {", "type Unused {"},
			one("Subscription", "is gone", true, "FollowBuildLogs", "FollowDeployment", "FollowDeploymentLogs", "FollowHTTPLogs"),
		},
		"what is not used is gone": {[]string{"  updatedAt: DateTime!\n  url: String\n", "  url: String\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			drifts, err := coreClient(t, schemaServer(t, edited(t, test.edit...)), nil).Verify(t.Context())
			require.NoError(t, err)
			assert.Empty(t, cmp.Diff(test.want, drifts))
		})
	}
}

// A type under a fragment that has another name breaks what uses the fragment.
//
// Requirement: RW-G1
func TestVerifyOfFragments(t *testing.T) {
	sdl := strings.ReplaceAll(strings.ReplaceAll(gql.Schema, "VolumeInstance!", "Disk!"), "type VolumeInstance {", "type Disk {")
	drifts, err := coreClient(t, schemaServer(t, sdl), nil).Verify(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, drifts)
	assert.Equal(t, railway.Drift{
		Coordinate: "VolumeInstance", Change: "was the type of what is now Disk", Breaks: true, Operations: drifts[0].Operations,
	}, drifts[0])
	assert.Contains(t, drifts[0].Operations, "VolumeInstances")
	for _, d := range drifts[1:] {
		assert.False(t, d.Breaks, d)
	}
}

// What breaks comes first, and one line says all of it.
func TestDriftsInOrder(t *testing.T) {
	server := schemaServer(t, edited(t, "  canAccess: Boolean!\n", "  canAccess: Boolean\n", "  url: String!\n}\n\ntype Log", "}\n\ntype Log"))
	drifts, err := coreClient(t, server, nil).Verify(t.Context())
	require.NoError(t, err)
	require.Len(t, drifts, 2)
	assert.Equal(t, "Incident.url is gone; breaks PlatformStatus", drifts[0].String())
	assert.Regexp(t, `^Environment\.canAccess was Boolean!, is Boolean; used by EnvironmentStatus, .*ProjectEnvironments`, drifts[1].String())
}

// A server that does not know of deprecated arguments is asked again without them.
func TestVerifyOfOldServers(t *testing.T) {
	server := schemaServer(t, gql.Schema)
	answer := server.answer
	server.answer = func(n int, req *http.Request) (*http.Response, error) {
		if strings.Contains(server.body(n), "inputFields(includeDeprecated: true)") {
			return coreAnswer(http.StatusBadRequest, `{"errors":[{"message":"Unknown argument \"includeDeprecated\" on field \"__Type.inputFields\".","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`), nil
		}
		return answer(n, req)
	}
	drifts, err := coreClient(t, server, nil).Verify(t.Context())
	require.NoError(t, err)
	assert.Empty(t, drifts)
	assert.Equal(t, 2, server.requests())
}

// An answer that shows nothing is no proof that all is well, nor that all is gone.
func TestVerifyWithoutAnAnswer(t *testing.T) {
	for _, body := range []string{`{"data":{"__schema":{"types":[]}}}`, `{"data":{"__schema":null}}`, `{"data":{}}`, `{"data":null}`} {
		drifts, err := coreClient(t, coreAlways(http.StatusOK, body), nil).Verify(t.Context())
		assert.Error(t, err, body)
		assert.Nil(t, drifts)
	}
}

// Whatever a server says of its schema, there is no panic.
func FuzzVerify(f *testing.F) {
	f.Add(`{"types":[{"kind":"OBJECT","name":"Query","fields":[{"name":"me","type":{"kind":"NON_NULL"},"args":[{"name":"x","type":{"kind":"NON_NULL"}}]}]}],"queryType":{"name":"Query"}}`)
	f.Add(`{"types":[{"name":"Query","fields":[{"name":"metrics","args":[{"name":"measurements","type":{"kind":"LIST"}}],"type":{"kind":"LIST","ofType":{"kind":"LIST"}}}]}],"queryType":{"name":"Query"}}`)
	f.Add(`{"types":[{}]}`)
	f.Fuzz(func(t *testing.T, schema string) {
		if !json.Valid([]byte(schema)) {
			return
		}
		drifts, err := coreClient(t, coreAlways(http.StatusOK, `{"data":{"__schema":`+schema+`}}`), nil).Verify(t.Context())
		if err == nil {
			for _, d := range drifts {
				assert.NotEmpty(t, d.Operations, d.Coordinate)
			}
		}
	})
}
