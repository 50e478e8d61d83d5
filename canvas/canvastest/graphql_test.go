package canvastest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

func query(t testing.TB, fake *canvastest.Server, text string, variables map[string]any, headers ...string) map[string]any {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": text, "variables": variables})
	require.NoError(t, err)
	r := sendJSON(t, fake, http.MethodPost, "/api/graphql", string(body), headers...)
	assert.Equal(t, http.StatusOK, r.StatusCode)
	return r.json(t)
}

func TestGraphQL(t *testing.T) {
	var fake canvastest.Server
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "Biology", "sis_course_id": "BIO"})
	for i := range 5 {
		fake.Add(canvastest.Assignments, course, canvastest.Object{"name": fmt.Sprintf("A%d", i)})
	}
	const text = `query Course($id: ID!, $after: String) {
	  # a comment
	  one: course(id: $id) {
	    _id name account { name }
	    assignmentsConnection(first: 3, after: $after) { nodes { ...A } edges { cursor node { _id } } pageInfo { hasNextPage endCursor } }
	  }
	}
	fragment A on Assignment { name pointsPossible }`
	r := query(t, &fake, text, map[string]any{"id": fmt.Sprint(course)})
	one := r["data"].(map[string]any)["one"].(map[string]any)
	assert.Equal(t, []any{fmt.Sprint(course), "Biology", "Example University"}, []any{one["_id"], one["name"], one["account"].(map[string]any)["name"]})
	connection := one["assignmentsConnection"].(map[string]any)
	assert.Len(t, connection["nodes"], 3)
	info := connection["pageInfo"].(map[string]any)
	assert.Equal(t, true, info["hasNextPage"])
	r = query(t, &fake, text, map[string]any{"id": fmt.Sprint(course), "after": info["endCursor"]})
	connection = r["data"].(map[string]any)["one"].(map[string]any)["assignmentsConnection"].(map[string]any)
	assert.Equal(t, "A3", connection["nodes"].([]any)[0].(map[string]any)["name"])
	assert.Equal(t, false, connection["pageInfo"].(map[string]any)["hasNextPage"])

	assert.Equal(t, map[string]any{"data": map[string]any{"course": map[string]any{"name": "Biology"}}}, query(t, &fake, `{ course(sisId: "BIO") { name } }`, nil))
	node := query(t, &fake, fmt.Sprintf(`{ legacyNode(_id: "%d", type: Course) { ... on Course { id name } } }`, course), nil)["data"].(map[string]any)["legacyNode"].(map[string]any)
	again := query(t, &fake, fmt.Sprintf(`{ node(id: %q) { ... on Course { name } } }`, node["id"]), nil)
	assert.Equal(t, map[string]any{"data": map[string]any{"node": map[string]any{"name": "Biology"}}}, again)
	assert.Equal(t, map[string]any{"data": map[string]any{"course": nil}}, query(t, &fake, `{ course(id: "99") { name } }`, nil), "null, and no error")
	assert.Equal(t, http.StatusOK, send(t, &fake, "POST", "/api/graphql", url.Values{"query": {"{ account(id: 1) { name } }"}}).StatusCode, "a form will do")
	assert.Empty(t, fake.Problems())
}

func TestGraphQLErrorsComeWith200(t *testing.T) {
	var fake canvastest.Server
	for text, message := range map[string]string{
		"":                                  "No query string was present",
		"{ course(id: 1) { colour } }":      "Field 'colour' doesn't exist on type 'Course'",
		"{ weather { wind } }":              "Field 'weather' doesn't exist on type 'Query'",
		"{ course(id: 1) {":                 "Unexpected end of document",
		"mutation { createCourse { _id } }": "Field 'createCourse' doesn't exist on type 'Mutation'",
		"query A { account(id: 1) { _id } } query B { account(id: 1) { _id } }": "An operation name is required",
	} {
		r := query(t, &fake, text, nil)
		require.NotEmpty(t, r["errors"], text)
		assert.Equal(t, message, r["errors"].([]any)[0].(map[string]any)["message"], text)
	}
	scope := "url:GET|/api/v1/courses"
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"require_scopes": true, "scopes": []string{scope}})
	scoped := bearer(fake.AddToken(canvastest.Token{Key: key, Scopes: []string{scope}}))
	assert.Contains(t, query(t, &fake, "{ account(id: 1) { name } }", nil, scoped...), "data", "keys with scopes may ask")
	r := sendJSON(t, &fake, "POST", "/api/graphql", `{"query":"mutation { createCourse { _id } }"}`, scoped...)
	assert.Equal(t, http.StatusUnauthorized, r.StatusCode, "and not change")
}

func FuzzGraphQL(f *testing.F) {
	for _, text := range []string{"{ course(id: 1) { name } }", `query A($a: [ID!] = ["x"]) { node(id: $a) { ... on Course { id } ...F } } fragment F on Course { ...F }`, "{a(b:{c:[1,-2.5e3,null,true,$d]})}", `"\`, "...", "mutation{", "{{{{"} {
		f.Add(text)
	}
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}, KeepRequests: -1}
	f.Fuzz(func(t *testing.T, text string) {
		r := send(t, fake, http.MethodPost, "/api/graphql", url.Values{"query": {text}})
		if r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", r.Status, r.body)
		}
	})
}

func FuzzAssertion(f *testing.F) {
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}, KeepRequests: -1}
	o := &tool{key: toolKey()}
	o.register(fake, 170000000000013)
	f.Add(o.assertion(f, nil))
	f.Add("a.b.c")
	f.Add("e30.e30.")
	valid := o.assertion(f, nil)
	f.Fuzz(func(t *testing.T, text string) {
		r := grant(t, fake, assertionForm(text, progressScope))
		if text != valid && r.StatusCode == http.StatusOK && len(text) < 300 {
			t.Fatalf("believed %q", text)
		}
	})
}

func FuzzPage(f *testing.F) {
	for _, text := range []string{"1", "first", "bookmark:WzFd", "bookmark:", "-1", "99999999999999999999", "999999999999999909", "bookmark:W10"} {
		f.Add(text, "10")
	}
	var fake canvastest.Server
	user := fake.Add(canvastest.Users, canvastest.RootAccount, nil)
	for range 3 {
		fake.Add(canvastest.PageViews, user, nil)
	}
	fake.SetThrottle(canvastest.Throttle{Disabled: true})
	f.Fuzz(func(t *testing.T, page, per string) {
		for _, path := range []string{fmt.Sprintf("/api/v1/users/%d/page_views", user), "/api/v1/accounts/1/users"} {
			r := get(t, &fake, path+"?"+url.Values{"page": {page}, "per_page": {per}}.Encode())
			if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusNotFound {
				t.Fatalf("%s: %s", r.Status, r.body)
			}
		}
	})
}
