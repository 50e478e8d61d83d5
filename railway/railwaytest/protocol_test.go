package railwaytest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/railway/railwaytest"
)

// reply is an answer as it came over the wire.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of the exchange or of the body
}

// problem is the only error of an answer.
type problem struct {
	Message    string
	Path       []any
	Locations  []struct{ Line, Column int }
	Extensions struct{ Code string }
	TraceID    string `json:"traceId"`
}

// problems returns the errors of an answer.
func (r reply) problems(t testing.TB) []problem {
	t.Helper()
	var a struct{ Errors []problem }
	require.NoError(t, json.Unmarshal([]byte(r.body), &a), r.body)
	return a.Errors
}

// problem returns the only error.
func (r reply) problem(t testing.TB) problem {
	t.Helper()
	list := r.problems(t)
	require.Len(t, list, 1, r.body)
	return list[0]
}

const address = "https://backboard.railway.com/graphql/v2?source=test"

// post sends a body as it is.
func (c *school) post(url, body string, header http.Header) reply {
	c.t.Helper()
	return post(c.t, c.s.Client(), url, body, header)
}

func post(t testing.TB, client *http.Client, url, body string, header http.Header) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text), err}
}

func document(query string, v vars) string {
	body, _ := json.Marshal(vars{"query": query, "variables": v}) // of which nothing cannot be encoded
	return string(body)
}

// raw sends an operation with the account's token.
func (c *school) raw(query string, v vars) reply {
	c.t.Helper()
	return c.post(address, document(query, v), bearer(c.account))
}

// TestUnknownIsRefused shows what Railway says to an operation that it does not
// know, and that nothing happens then.
//
// Requirement: RW-TEST-UNKNOWN-FIELD
func TestUnknownIsRefused(t *testing.T) {
	cases := map[string]struct{ query, message, code string }{
		"query": {`{ databaseBackups { id } }`, `Cannot query field "databaseBackups" on type "Query".`, "GRAPHQL_VALIDATION_FAILED"},
		"mutation": {`mutation { deploymentRestart(id: "x") webhookCreate(input: {}) { id } }`,
			`Cannot query field "webhookCreate" on type "Mutation".`, "GRAPHQL_VALIDATION_FAILED"},
		"field": {`{ deployment(id: "x") { id colour } }`, `Cannot query field "colour" on type "Deployment".`, "GRAPHQL_VALIDATION_FAILED"},
		"selection of a Boolean": {`mutation { deploymentRollback(id: "x") { id status } }`,
			`on type "Boolean"`, "GRAPHQL_VALIDATION_FAILED"},
		"no selection": {`mutation { volumeInstanceBackupCreate(volumeInstanceId: "x") }`,
			`Field "volumeInstanceBackupCreate" of type "WorkflowId!" must have a selection of subfields.`, "GRAPHQL_VALIDATION_FAILED"},
		"argument":         {`{ deployment(id: "x", name: "y") { id } }`, `Unknown argument "name" on field "Query.deployment".`, "GRAPHQL_VALIDATION_FAILED"},
		"missing argument": {`{ deployment { id } }`, `Field "deployment" argument "id" of type "String!" is required, but it was not provided.`, "GRAPHQL_VALIDATION_FAILED"},
		"enum": {`{ deployments(input: {status: {in: [BROKEN]}}) { edges { node { id } } } }`,
			`Value "BROKEN" does not exist in "DeploymentStatus`, "GRAPHQL_VALIDATION_FAILED"},
		"fragment":   {`{ deployment(id: "x") { ...Nothing } }`, `Unknown fragment "Nothing".`, "GRAPHQL_VALIDATION_FAILED"},
		"type":       {`query ($x: Widget!) { deployment(id: $x) { id } }`, `Unknown type "Widget".`, "GRAPHQL_VALIDATION_FAILED"},
		"directive":  {`{ deployment(id: "x") { id @defer } }`, `Unknown directive "@defer".`, "GRAPHQL_VALIDATION_FAILED"},
		"no GraphQL": {`{ deployment(`, `Syntax Error`, "GRAPHQL_PARSE_FAILED"},
		"nothing":    {`# only a comment`, `Syntax Error`, "GRAPHQL_PARSE_FAILED"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			inSchool(t, func(t *testing.T, c *school) {
				got := c.raw(test.query, nil)
				assert.Equal(t, http.StatusBadRequest, got.status)
				assert.NotContains(t, got.body, `"data"`)
				p := got.problems(t)[0]
				assert.Contains(t, p.Message, test.message)
				assert.Equal(t, test.code, p.Extensions.Code)
				assert.NotEmpty(t, p.TraceID)
				assert.Empty(t, c.s.Effects())
			})
		})
	}
}

// TestDrop shows a schema that drifts.
//
// Requirement: RW-TEST-UNKNOWN-FIELD
func TestDrop(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.s.Newest(c.production, c.api)
		const query = `query ($id: String!) { deployment(id: $id) { id canRollback } }`
		const about = `{ __type(name: "Deployment") { fields { name } } }`
		c.must(query, vars{"id": id})
		require.Contains(t, c.raw(about, nil).body, "canRollback")

		c.s.Drop("Deployment.canRollback", "DeploymentStatus.SLEEPING", "Query.deployments(first:)", "VariableUpsertInput.skipDeploys")
		got := c.raw(query, vars{"id": id})
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Contains(t, got.problem(t).Message, `Cannot query field "canRollback" on type "Deployment".`)
		require.NotContains(t, c.raw(about, nil).body, "canRollback")
		require.NotContains(t, c.raw(`{ __type(name: "DeploymentStatus") { enumValues { name } } }`, nil).body, "SLEEPING")
		c.refused(`Unknown argument "first"`, `{ deployments(input: {}, first: 5) { edges { node { id } } } }`, nil)
		c.refused(`Field "skipDeploys" is not defined by type "VariableUpsertInput".`,
			`mutation ($i: VariableUpsertInput!) { variableUpsert(input: $i) }`,
			vars{"i": vars{"environmentId": c.production, "projectId": c.project, "name": "A", "value": "b", "skipDeploys": true}})
		require.Empty(t, c.s.Effects())
		require.Panics(t, func() { c.s.Drop("Deployment.canRollback") }, "it is gone already")
		require.Panics(t, func() { c.s.Drop("Nothing") })
	})
}

// TestSelections covers aliases, fragments, directives and variables.
func TestSelections(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		got := c.raw(`
			query Both($a: String!, $b: String!, $with: Boolean = false, $without: Boolean!) {
				first: environment(id: $a) { ...E __typename }
				second: environment(id: $b) { name ...E ... on Environment { isEphemeral } ... @include(if: $with) { createdAt } }
				... @skip(if: $without) { third: environment(id: $a) { id } }
			}
			fragment E on Environment { name id @skip(if: $without) canAccess @include(if: true) }
		`, vars{"a": c.production, "b": c.beta, "without": true})
		require.JSONEq(t, `{"data":{
			"first":{"name":"production","canAccess":true,"__typename":"Environment"},
			"second":{"name":"beta","canAccess":true,"isEphemeral":false}}}`, got.body)
		require.Less(t, strings.Index(got.body, `"first"`), strings.Index(got.body, `"second"`), "the order is that of the question")
	})
}

// TestOperationNames covers documents with several operations.
func TestOperationNames(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		const query = `query A { platformStatus { isStable } } query B { __typename } subscription S($id: String!) { deployment(id: $id) { id } }`
		send := func(name string) reply {
			body, err := json.Marshal(vars{"query": query, "operationName": name})
			require.NoError(t, err)
			return c.post(address, string(body), bearer(c.account))
		}
		assert.JSONEq(t, `{"data":{"__typename":"Query"}}`, send("B").body)
		assert.Equal(t, "Must provide operation name if query contains multiple operations.", send("").problem(t).Message)
		assert.Equal(t, `Unknown operation named "C".`, send("C").problem(t).Message)
		assert.Equal(t, http.StatusBadRequest, send("S").status, "subscriptions need a WebSocket")
		assert.Equal(t, []string{"B", "S"}, c.s.Calls())
	})
}

// TestVariablesAreChecked shows that values are taken as GraphQL has them, and not
// as Go would like to.
func TestVariablesAreChecked(t *testing.T) {
	cases := map[string]struct {
		kind  string
		value any
		want  string // of the error; empty if it is taken
	}{
		"text":              {"String!", "x", ""},
		"number for text":   {"String!", 5, "String cannot represent a non string value: 5"},
		"null":              {"String!", nil, `Variable "$v" of non-null type "String!" must not be null.`},
		"text for a number": {"Int", "5", "Int cannot represent non-integer value: \"5\""},
		"whole number":      {"Int", 5.0, ""},
		"fraction":          {"Int", 5.5, "Int cannot represent non-integer value: 5.5"},
		"large":             {"Int", 1 << 40, "Int cannot represent non 32-bit signed integer value"},
		"truth":             {"Boolean", true, ""},
		"text for truth":    {"Boolean", "true", "Boolean cannot represent a non boolean value"},
		"enum":              {"DeploymentStatus!", "SUCCESS", ""},
		"enum in lowercase": {"DeploymentStatus!", "success", `Value "success" does not exist in "DeploymentStatus" enum.`},
		"unknown enum":      {"DeploymentStatus!", "CANCELLED", `Value "CANCELLED" does not exist in "DeploymentStatus" enum.`},
		"one for a list":    {"[DeploymentStatus!]", "SUCCESS", ""},
		"null in a list":    {"[DeploymentStatus!]", []any{nil}, "not to be null"},
		"date":              {"DateTime", "2026-01-02T03:04:05.000Z", ""},
		"no date":           {"DateTime", "yesterday", "DateTime cannot represent an invalid date-time-string"},
		"JSON":              {"EnvironmentConfig", vars{"a": []any{1, "b", nil}}, ""},
		"input":             {"VariableDeleteInput!", vars{"environmentId": "e", "projectId": "p", "name": "n"}, ""},
		"unknown in input":  {"VariableDeleteInput!", vars{"environmentId": "e", "projectId": "p", "name": "n", "skipDeploys": true}, `Field "skipDeploys" is not defined by type "VariableDeleteInput".`},
		"missing in input":  {"VariableDeleteInput!", vars{"environmentId": "e", "projectId": "p"}, `Field "name" of required type "String!" was not provided.`},
		"deep":              {"DeploymentListInput!", vars{"status": vars{"in": []any{"SUCCESS", "NO"}}}, `Variable "$v" got invalid value "NO" at "v.status.in[1]"`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			inSchool(t, func(t *testing.T, c *school) {
				got := c.raw(using(test.kind), vars{"v": test.value})
				if test.want == "" {
					require.NotEqual(t, http.StatusBadRequest, got.status, got.body)
					return
				}
				require.Equal(t, http.StatusBadRequest, got.status, got.body)
				p := got.problem(t)
				assert.Contains(t, p.Message, test.want)
				assert.Equal(t, "BAD_USER_INPUT", p.Extensions.Code)
			})
		})
	}
	inSchool(t, func(t *testing.T, c *school) {
		got := c.raw(`query ($id: String!) { deployment(id: $id) { id } }`, nil)
		assert.Equal(t, `Variable "$id" of required type "String!" was not provided.`, got.problem(t).Message)
	})
}

// using is an operation that takes $v of a type.
func using(kind string) string {
	uses := map[string]string{
		"String!":              `{ deployment(id: $v) { id } }`,
		"Int":                  `{ deployments(input: {}, first: $v) { edges { cursor } } }`,
		"Boolean":              `{ variables(environmentId: "e", projectId: "p", unrendered: $v) }`,
		"DeploymentStatus!":    `{ deployments(input: {status: {in: [$v]}}) { edges { cursor } } }`,
		"[DeploymentStatus!]":  `{ deployments(input: {status: {in: $v}}) { edges { cursor } } }`,
		"DateTime":             `{ deploymentLogs(deploymentId: "d", startDate: $v) { message } }`,
		"DeploymentListInput!": `{ deployments(input: $v) { edges { cursor } } }`,
		"EnvironmentConfig":    `{ environmentPatchCommit(environmentId: "e", patch: $v) }`,
		"VariableDeleteInput!": `{ variableDelete(input: $v) }`,
	}
	operation := "query"
	if kind == "EnvironmentConfig" || kind == "VariableDeleteInput!" {
		operation = "mutation"
	}
	return operation + ` ($v: ` + kind + `) ` + uses[kind]
}

// TestNullPropagation shows errors inside of an answer: what cannot be null takes
// with it what it is in, and what can be null does not.
func TestNullPropagation(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		got := c.raw(`{ platformStatus { isStable } gone: deployment(id: "x") { id } }`, nil)
		require.Equal(t, http.StatusOK, got.status)
		require.True(t, strings.HasPrefix(got.body, `{"data":null,"errors":[`), got.body)
		p := got.problem(t)
		require.Equal(t, []any{"gone"}, p.Path)
		require.Equal(t, "INTERNAL_SERVER_ERROR", p.Extensions.Code, "whatever it is")
		require.Equal(t, []struct{ Line, Column int }{{1, 31}}, p.Locations)
	})
}

// TestTokens shows which token needs which header, and what Railway says otherwise.
func TestTokens(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		project := c.s.AddToken(railwaytest.Token{Kind: "project", Project: c.project, Environment: c.production})
		workspace := c.s.AddToken(railwaytest.Token{Kind: "workspace", Workspace: c.workspace})
		const none, missing = "Not Authorized", "Project Token not found"
		const me, tokens, own = `{ me { id } }`, `{ apiToken { workspaces { id } } }`, `{ projectToken { environment { id } } }`
		header := func(name, value string) http.Header { return http.Header{name: {value}} }
		cases := []struct {
			header      http.Header
			query, want string
		}{
			{bearer(c.account), me, ""},
			{bearer(c.account), tokens, ""},
			{bearer(c.account), own, missing},
			{bearer(workspace), me, none},
			{bearer(workspace), tokens, ""},
			{header("Project-Access-Token", project), own, ""},
			{header("Project-Access-Token", project), me, none},
			{header("Project-Access-Token", project), tokens, none},
			{bearer(project), own, missing},
			{bearer(project), tokens, none},
			{header("Project-Access-Token", c.account), own, missing},
			{header("Project-Access-Token", "Bearer "+project), own, missing},
			{header("Authorization", c.account), me, none},
			{bearer("dead"), me, none},
			{nil, me, none},
			{nil, `{ __schema { queryType { name } } }`, none},
		}
		for _, test := range cases {
			checkToken(t, c.post(address, document(test.query, nil), test.header), test.query, test.want)
		}
		c.s.RemoveToken(c.account)
		checkToken(t, c.raw(me, nil), me, none)
		c.s.Forbid(true)
		checkToken(t, c.post(address, document(tokens, nil), bearer(workspace)), tokens, none)
		c.s.Forbid(false)
		checkToken(t, c.post(address, document(tokens, nil), bearer(workspace)), tokens, "")
	})
}

func checkToken(t *testing.T, got reply, query, want string) {
	t.Helper()
	require.Equal(t, http.StatusOK, got.status)
	if want == "" {
		require.Empty(t, got.problems(t), query)
		return
	}
	require.Equal(t, want, got.problem(t).Message, query)
}

// TestBodies covers what is no operation at all.
func TestBodies(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		for _, body := range []string{"", "{}", "[]", `[{"query":"{ me { id } }"}]`, `{"query":5}`, `{"query":"{ me { id } }"} more`, "query=me"} {
			got := c.post(address, body, bearer(c.account))
			assert.Equal(t, http.StatusBadRequest, got.status, body)
			assert.NotEmpty(t, got.problem(t).Message, body)
		}
		h := bearer(c.account)
		h.Set("Content-Type", "text/plain")
		assert.Equal(t, http.StatusBadRequest, c.post(address, document(`{ __typename }`, nil), h).status)
		assert.Equal(t, http.StatusRequestEntityTooLarge, c.post(address, strings.Repeat(" ", 5<<20), bearer(c.account)).status)
		resp, err := c.s.Client().Get(address)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
		assert.Empty(t, c.s.Calls())
	})
}

// TestOnPort shows that programs that know nothing of Go or of this package can use
// the server: documents of the kind that the Terraform provider and the command line
// send, over a real connection.
func TestOnPort(t *testing.T) {
	c := newSchool(t)
	server := httptest.NewServer(c.s)
	defer server.Close()
	send := func(query string, v vars) reply {
		return post(t, server.Client(), server.URL+"/graphql/v2?source=terraform_provider_railway", document(query, v), bearer(c.account))
	}
	got := send(`mutation upsertVariable ($input: VariableUpsertInput!) {
		variableUpsert(input: $input)
	}`, vars{"input": vars{"environmentId": c.production, "projectId": c.project, "serviceId": c.web, "name": "LEVEL", "value": "debug", "skipDeploys": false}})
	require.NoError(t, got.err)
	require.JSONEq(t, `{"data":{"variableUpsert":true}}`, got.body)
	require.Equal(t, "debug", c.s.Variables(c.production, c.web)["LEVEL"])

	got = send(`query Project($id: String!) {
		project(id: $id) { id name environments { edges { node { id name } } } services { edges { node { id name } } } }
	}`, vars{"id": c.project})
	var project struct {
		Data struct {
			Project struct {
				Name     string
				Services struct {
					Edges []struct{ Node struct{ Name string } }
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &project))
	require.Equal(t, "lessons", project.Data.Project.Name)
	require.Len(t, project.Data.Project.Services.Edges, 3)

	// A connection breaks as it does in memory.
	c.s.Fail(railwaytest.Fault{Op: "deploymentRestart", Kind: railwaytest.LoseAnswer})
	got = send(`mutation DeploymentRestart($id: String!) { deploymentRestart(id: $id) }`, vars{"id": c.s.Newest(c.production, c.api)})
	require.Error(t, got.err)
	c.s.Fail(railwaytest.Fault{Op: "me", Kind: railwaytest.Cut, Bytes: 4})
	got = send(`query UserMeta { me { id email name } }`, nil)
	require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
	require.Len(t, got.body, 4)
}

// FuzzRequest sends arbitrary bodies: the answer is always JSON, and nothing
// panics.
func FuzzRequest(f *testing.F) {
	c := newSchool(f)
	c.s.PerHour, c.s.PerSecond = 1<<40, 1<<40
	for _, seed := range []string{
		`{"query":"{ me { id } }"}`, `{"query":"query A($a:String!){deployment(id:$a){id}}","variables":{"a":"b"},"operationName":"A"}`,
		`{"query":"mutation($i:VariableCollectionUpsertInput!){variableCollectionUpsert(input:$i)}","variables":{"i":{"variables":{"a":1e999}}}}`,
		`{"query":"{__schema{types{name fields{name type{ofType{ofType{name}}}}}}}"}`, `{"query":"{...A} fragment A on Query {...A}"}`,
		`{"query":"{deployments(input:{status:{in:[SUCCESS]}}){edges{node{id}}}}"}`, `{"query":"{a:__typename @skip(if:true)}"}`, `[]`, "\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		req := httptest.NewRequest(http.MethodPost, "/graphql/v2?source=fuzz", bytes.NewReader(body))
		req.Header = bearer(c.account)
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		c.s.ServeHTTP(w, req)
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("status %d, no JSON: %q", w.Code, w.Body)
		}
	})
}

// BenchmarkQuery is one query with a fragment and variables, over the in-memory
// transport. The target is less than 200 µs, so that the counterpart is no reason
// for a slow test.
func BenchmarkQuery(b *testing.B) {
	c := newSchool(b)
	c.s.PerHour, c.s.PerSecond = 1<<40, 1<<40
	body := document(`query Deployment($id: String!) { deployment(id: $id) { ...D } }
		fragment D on Deployment { id status createdAt canRollback meta instances { id status } }`, vars{"id": c.s.Newest(c.production, c.api)})
	client := c.s.Client()
	b.ReportAllocs()
	for b.Loop() {
		if got := post(b, client, address, body, bearer(c.account)); got.status != http.StatusOK {
			b.Fatal(got.body)
		}
	}
}
