package railwaytest

import (
	"fmt"
	"net/http"
	"strings"
)

// A Token says who somebody is. What a token of each kind can do is that of
// https://docs.railway.com/integrations/api.
type Token struct {
	// Kind is "account", "workspace" or "project", or "session": that of a person who
	// logged in by a browser, who can do what an account can, but for what needs a
	// second factor. Empty means "account".
	Kind string
	// Workspace is the one of a workspace's token.
	Workspace string
	// Project and Environment are those of a project's token.
	Project, Environment string
}

// token is a token that exists.
type token struct {
	Token
	id, name, text string
}

// AddToken makes a token and returns its text. It panics if the kind is none, or if
// what the kind needs is missing.
func (s *Server) AddToken(t Token) string {
	defer s.lock()()
	return s.addToken(t)
}

// addToken is AddToken with the lock held.
func (s *Server) addToken(t Token) string {
	switch {
	case t.Kind == "":
		t.Kind = "account"
	case t.Kind == "account", t.Kind == "session",
		t.Kind == "workspace" && t.Workspace != "",
		t.Kind == "project" && t.Project != "" && t.Environment != "":
	default:
		panic(fmt.Sprintf("railwaytest: a token of the kind %q needs more than that, or is none", t.Kind))
	}
	made := &token{Token: t, id: newID(), name: t.Kind, text: newID()}
	s.tokens[made.text] = made
	return made.text
}

// RemoveToken makes a token dead.
func (s *Server) RemoveToken(text string) {
	defer s.lock()()
	s.removeToken(text)
}

// removeToken is RemoveToken with the lock held.
func (s *Server) removeToken(text string) { delete(s.tokens, text) }

// authenticate returns the token of a request, nil if it has none, a dead one, or
// one in the wrong header. The lock is held.
func (s *Server) authenticate(h http.Header) *token {
	if text := h.Get("Project-Access-Token"); text != "" {
		return s.tokenOf(text, true)
	}
	scheme, text, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	return s.tokenOf(strings.TrimSpace(text), false)
}

// tokenOf returns a token by its text, if it is the kind that its header is for.
func (s *Server) tokenOf(text string, project bool) *token {
	t := s.tokens[text]
	if t == nil || s.forbid || (t.Kind == "project") != project {
		return nil
	}
	return t
}

// asPerson tells what only the token of an account can do.
func (r *request) asPerson() error {
	if r.token == nil || r.token.Kind != "account" && r.token.Kind != "session" {
		return errNotAuthorized
	}
	return nil
}

// asMember tells what tokens of accounts and workspaces can do.
func (r *request) asMember() error {
	if r.token == nil || r.token.Kind == "project" {
		return errNotAuthorized
	}
	return nil
}

// canWorkspace tells who can see a workspace.
func (r *request) canWorkspace(id string) error {
	if r.token == nil || r.token.Kind == "project" || r.token.Kind == "workspace" && r.token.Workspace != id {
		return errNotAuthorized
	}
	return nil
}

// canProject tells who can see a project.
func (r *request) canProject(id string) error {
	switch {
	case r.token == nil,
		r.token.Kind == "project" && r.token.Project != id,
		r.token.Kind == "workspace" && r.token.Workspace != r.s.world.workspaceOf(id):
		return errNotAuthorized
	}
	return nil
}

// canEnvironment tells who can see an environment, and change what is in it.
func (r *request) canEnvironment(id string) error {
	if r.token != nil && r.token.Kind == "project" {
		if r.token.Environment != id {
			return errNotAuthorized
		}
		return nil
	}
	return r.canProject(r.s.world.projectOf(id))
}
