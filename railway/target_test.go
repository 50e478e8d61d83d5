package railway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
)

// lookupItem is one project, environment or service.
type lookupItem struct {
	id, name           string
	deleted, forbidden bool
	workspace          string
}

// lookupServer has projects, environments and services, and gives two of each a
// page.
type lookupServer struct {
	coreTransport
	projects, environments, services []lookupItem
}

func newLookup() *lookupServer {
	id := func(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }
	s := &lookupServer{
		projects: []lookupItem{
			{id: id(1), name: "old", workspace: "w1", deleted: true}, {id: id(2), name: "canvas-tools", workspace: "w1"}, {id: id(3), name: "Twin", workspace: "w1"},
			{id: id(4), name: "twin", workspace: "w2"}, {id: id(5), name: "TWIN", workspace: "w2"}, {id: id(6), name: "deep", workspace: "w2"},
			{id: id(7), name: "same", workspace: "w1"}, {id: id(8), name: "same", workspace: "w2"},
		},
		environments: []lookupItem{
			{id: id(11), name: "production", deleted: true}, {id: id(12), name: "production"}, {id: id(13), name: "Staging"}, {id: id(14), name: "secret", forbidden: true},
		},
		services: []lookupItem{
			{id: id(21), name: "api"}, {id: id(22), name: "API"}, {id: id(23), name: "worker"}, {id: id(24), name: "gone", deleted: true}, {id: id(25), name: "last"},
		},
	}
	s.answer = s.serve
	return s
}

func (s *lookupServer) serve(n int, _ *http.Request) (*http.Response, error) {
	var q struct {
		OperationName string
		Variables     struct{ WorkspaceID, ProjectID, After string }
	}
	if err := json.Unmarshal([]byte(s.body(n)), &q); err != nil {
		return nil, err
	}
	switch q.OperationName {
	case "TokenWorkspaces":
		return coreAnswer(200, workspacesBody), nil
	case "Projects":
		var of []lookupItem
		for _, p := range s.projects {
			if p.workspace == q.Variables.WorkspaceID {
				of = append(of, p)
			}
		}
		return coreAnswer(200, `{"data":{"projects":`+lookupPage(of, q.Variables.After)+`}}`), nil
	case "ProjectEnvironments":
		return coreAnswer(200, `{"data":{"environments":`+lookupPage(s.environments, q.Variables.After)+`}}`), nil
	case "ProjectServices":
		return coreAnswer(200, `{"data":{"project":{"services":`+lookupPage(s.services, q.Variables.After)+`}}}`), nil
	case "TokenProject":
		return coreAnswer(200, projectAnswer), nil
	}
	return coreAnswer(200, notAuthorized), nil
}

// lookupPage is a page of two, whose cursor is the number of the next item.
func lookupPage(items []lookupItem, after string) string {
	from := 0
	_, _ = fmt.Sscan(after, &from)
	to := min(from+2, len(items))
	var edges []string
	for _, i := range items[from:to] {
		deleted := "null"
		if i.deleted {
			deleted = `"2026-01-01T00:00:00Z"`
		}
		edges = append(edges, fmt.Sprintf(`{"node":{"id":%q,"name":%q,"deletedAt":%s,"canAccess":%t}}`, i.id, i.name, deleted, !i.forbidden))
	}
	return fmt.Sprintf(`{"edges":[%s],"pageInfo":{"hasNextPage":%t,"endCursor":"%d"}}`, strings.Join(edges, ","), to < len(items), to)
}

func (s *lookupServer) client(t testing.TB, kind railway.TokenKind) *railway.Client {
	return coreClient(t, &s.coreTransport, withKind(kind))
}

// A name is resolved once, and IDs cost nothing.
//
// Requirement: RW-G13
func TestLookup(t *testing.T) {
	s := newLookup()
	c := s.client(t, railway.WorkspaceToken)
	service, err := c.Service(t.Context(), railway.Target{Project: s.projects[1].id, Environment: s.environments[1].id, Service: s.services[2].id})
	require.NoError(t, err)
	assert.Zero(t, s.requests(), "three IDs")
	want := [3]string{s.services[2].id, s.environments[1].id, s.projects[1].id}
	assert.Equal(t, want, [3]string{service.ID(), service.Environment().ID(), service.Environment().ProjectID()})
	assert.Equal(t, s.services[2].id, service.String())

	service, err = c.Service(t.Context(), railway.Target{Project: "canvas-tools", Environment: "production", Service: "worker"})
	require.NoError(t, err)
	assert.Equal(t, want, [3]string{service.ID(), service.Environment().ID(), service.Environment().ProjectID()})
	assert.Equal(t, "worker", service.String())
	assert.Equal(t, "production", service.Environment().String())
}

// Case matters only where it tells two apart, alike for projects, environments and
// services.
//
// Requirement: RW-LOOKUP-CASE, RW-G13
func TestLookupCase(t *testing.T) {
	s := newLookup()
	c := s.client(t, railway.WorkspaceToken)
	find := func(project, environment, service string) (string, error) {
		found, err := c.Service(t.Context(), railway.Target{Project: project, Environment: environment, Service: service})
		if err != nil {
			return "", err
		}
		return found.ID(), nil
	}
	for target, want := range map[[3]string]string{
		{"Canvas-Tools", "PRODUCTION", "Worker"}: s.services[2].id,
		{"canvas-tools", "staging", "api"}:       s.services[0].id,
		{"canvas-tools", "Staging", "API"}:       s.services[1].id,
		{"twin", "Staging", "last"}:              s.services[4].id,
	} {
		got, err := find(target[0], target[1], target[2])
		require.NoError(t, err, target)
		assert.Equal(t, want, got, target)
	}
	_, err := find("canvas-tools", "production", "Api")
	assert.EqualError(t, err, `railway: find service "Api": there are 2 services of the name "Api"; use the ID of one: `+s.services[0].id+` ("api"), `+s.services[1].id+` ("API")`)
	assert.True(t, runbook.SafeToRetry(err))
	assert.NotErrorIs(t, err, incident.ErrNotFound)
	_, err = find("tWin", "production", "api")
	assert.ErrorContains(t, err, `there are 3 projects of the name "tWin"`)
	_, err = find("same", "production", "api")
	assert.ErrorContains(t, err, `use the ID of one: `+s.projects[6].id+` ("same"), `+s.projects[7].id+` ("same")`, "of two workspaces")
}

// What is deleted, or not accessible, is not chosen, even if it is the first of its
// name.
//
// Requirement: RW-LOOKUP-DELETED, RW-G12
func TestLookupDeleted(t *testing.T) {
	s := newLookup()
	c := s.client(t, railway.WorkspaceToken)
	env, err := c.Environment(t.Context(), railway.Target{Project: "canvas-tools", Environment: "production"})
	require.NoError(t, err)
	assert.Equal(t, s.environments[1].id, env.ID())
	for _, target := range []railway.Target{
		{Project: "old", Environment: "production", Service: "api"},
		{Project: "canvas-tools", Environment: "secret", Service: "api"},
		{Project: "canvas-tools", Environment: "production", Service: "gone"},
		{Project: "nowhere", Environment: "production", Service: "api"},
	} {
		_, err := c.Service(t.Context(), target)
		require.ErrorIs(t, err, incident.ErrNotFound, target)
		assert.ErrorContains(t, err, "that the token can see")
	}
}

// All pages of all workspaces are read.
//
// Requirement: RW-G12
func TestLookupPages(t *testing.T) {
	s := newLookup()
	c := s.client(t, railway.AccountToken)
	_, err := c.Service(t.Context(), railway.Target{Project: "deep", Environment: s.environments[0].id, Service: "last"})
	require.NoError(t, err)
	var pages []string
	for _, body := range s.bodies {
		var q struct {
			OperationName string
			Variables     struct{ After string }
		}
		require.NoError(t, json.Unmarshal([]byte(body), &q))
		pages = append(pages, q.OperationName+q.Variables.After)
	}
	assert.Equal(t, []string{
		"TokenWorkspaces", "Projects", "Projects2", "Projects", "Projects2", "ProjectServices", "ProjectServices2", "ProjectServices4",
	}, pages)
	assert.NotContains(t, s.bodies[1], "null", "what is not given is not sent")
}

// A server that gives the same page for ever is not asked for ever.
func TestLookupOfEndlessPages(t *testing.T) {
	transport := coreAlways(200, `{"data":{"project":{"services":{"edges":[],"pageInfo":{"hasNextPage":true,"endCursor":"x"}}}}}`)
	_, err := coreClient(t, transport, nil).Service(t.Context(), railway.Target{Project: projectID, Environment: environmentID, Service: "api"})
	require.ErrorContains(t, err, "no end")
	assert.Equal(t, 2, transport.requests())
}

// A project token has a project and an environment, and no other: that is said before
// anything is tried.
//
// Requirement: RW-ASK-TOKENS
func TestLookupWithAProjectToken(t *testing.T) {
	s := newLookup()
	c := s.client(t, railway.ProjectToken)
	for _, target := range []railway.Target{
		{}, {Project: "canvas-tools"}, {Environment: "production"}, {Project: projectID, Environment: "Production"}, {Project: "CANVAS-TOOLS", Environment: environmentID},
	} {
		env, err := c.Environment(t.Context(), target)
		require.NoError(t, err, target)
		assert.Equal(t, [2]string{projectID, environmentID}, [2]string{env.ProjectID(), env.ID()})
	}
	before := s.requests()
	for _, target := range []railway.Target{{Environment: "staging"}, {Project: "other"}, {Project: s.projects[1].id}, {Project: projectID, Environment: "test"}} {
		target.Service = "api"
		_, err := c.Service(t.Context(), target)
		require.ErrorIs(t, err, incident.ErrNotPermitted, target)
		assert.ErrorContains(t, err, `the project token is for environment "production" of project "canvas-tools" only`)
	}
	assert.Equal(t, before+4, s.requests(), "nothing but who the token is")

	service, err := c.Service(t.Context(), railway.Target{Service: "worker"})
	require.NoError(t, err)
	assert.Equal(t, s.services[2].id, service.ID())
}

func TestTargetsThatNameNothing(t *testing.T) {
	s := newLookup()
	c := s.client(t, railway.AccountToken)
	for _, target := range []railway.Target{{}, {Project: "p", Environment: "e"}, {Service: "s"}, {Project: "p", Service: "s"}, {Environment: "e", Service: "s"}} {
		_, err := c.Service(t.Context(), target)
		require.ErrorContains(t, err, "no name and no ID", target)
		assert.True(t, runbook.SafeToRetry(err))
	}
	assert.Zero(t, s.requests())
}
