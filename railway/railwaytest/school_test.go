package railwaytest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/railway/railwaytest"
)

// school is a Railway with one project, two environments and three services.
type school struct {
	t                  testing.TB
	s                  *railwaytest.Server
	workspace, project string
	production, beta   string
	api, web, db       string
	account            string // the token of one
}

// inSchool runs a test with a fresh Railway, in a bubble of its own.
func inSchool(t *testing.T, test func(t *testing.T, c *school)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, newSchool(t))
	})
}

func newSchool(t testing.TB) *school {
	s := &railwaytest.Server{}
	c := &school{t: t, s: s}
	c.workspace = s.AddWorkspace("School")
	c.project = s.AddProject(c.workspace, "lessons")
	c.production = s.AddEnvironment(c.project, "production")
	c.beta = s.AddEnvironment(c.project, "beta")
	c.api = s.AddService(c.production, railwaytest.Service{
		Name: "api", Repo: "school/api", Commit: "c1", HTTPPort: 8000,
		Variables: map[string]string{"A": "a", "URL": "postgres://${{db.HOST}}/x", "FROM": "${{shared.REGION}}"}, Sealed: map[string]string{"S": "hidden"},
	})
	s.AddService(c.beta, railwaytest.Service{Name: "api", Repo: "school/api", Commit: "c1"})
	c.web = s.AddService(c.production, railwaytest.Service{Name: "web", Image: "registry.example/web:1"})
	c.db = s.AddService(c.production, railwaytest.Service{Name: "db", Image: "postgres:17", Variables: map[string]string{"HOST": "db.internal"}})
	s.SetVariable(c.production, "", "REGION", "au", false)
	c.account = s.AddToken(railwaytest.Token{})
	return c
}

// call sends an operation and returns its data and the first error.
func (c *school) call(query string, vars map[string]any) (data map[string]any, message string) {
	c.t.Helper()
	return c.as(http.Header{"Authorization": {"Bearer " + c.account}}, query, vars)
}

func (c *school) as(header http.Header, query string, vars map[string]any) (data map[string]any, message string) {
	c.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	require.NoError(c.t, err)
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, "https://railway.test/graphql/v2?source=test", bytes.NewReader(body))
	require.NoError(c.t, err)
	req.Header = header.Clone()
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.s.Client().Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	var answer struct {
		Data   map[string]any
		Errors []struct{ Message string }
	}
	require.NoError(c.t, json.Unmarshal(text, &answer), string(text))
	if len(answer.Errors) > 0 {
		message = answer.Errors[0].Message
	}
	return answer.Data, message
}

// must is call of what has to succeed.
func (c *school) must(query string, vars map[string]any) map[string]any {
	c.t.Helper()
	data, message := c.call(query, vars)
	require.Empty(c.t, message, query)
	return data
}

// refused is call of what has to fail with a message.
func (c *school) refused(want, query string, vars map[string]any) {
	c.t.Helper()
	_, message := c.call(query, vars)
	require.Contains(c.t, message, want, query)
}

// dig returns a part of an answer; a number in the path is an index.
func dig(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

type vars = map[string]any

// status reads the status of a deployment.
func (c *school) status(deployment string) string {
	c.t.Helper()
	s, _ := dig(c.must(`query($id:String!){deployment(id:$id){status}}`, vars{"id": deployment}), "deployment", "status").(string)
	return s
}

// settle lets everything that was begun come to its end.
func settle() { time.Sleep(time.Minute) }

// upload uploads code to production and returns the status of the answer.
func (c *school) upload(service string, body []byte) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost,
		"https://railway.test/project/"+c.project+"/environment/"+c.production+"/up?serviceId="+service, bytes.NewReader(body))
	require.NoError(c.t, err)
	req.Header = http.Header{"Authorization": {"Bearer " + c.account}, "Content-Type": {"application/gzip"}}
	resp, err := c.s.Client().Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}
