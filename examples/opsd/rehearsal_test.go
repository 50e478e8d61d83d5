package main

import (
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
)

// With the key dumps.rehearsals a database is made for each rehearsal; it is reached by the
// address that the platform gives it, and never by that of the application's.
//
// Requirement: RB-RESTORE-REHEARSED
func TestRehearsals(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	s := full(t, identity)
	env := s.Environments[2]
	require.NotNil(t, env.Dumps.Rehearsals)
	open := new(pools)
	defer func() { assert.NoError(t, open.close()) }()
	r := env.rehearsal(open)
	require.NotNil(t, r)
	assert.Equal(t, "postgres", r.Template)
	const name = "rehearsal-2026-11-28-3f2a"
	at := func(address string) map[string]runbook.Secret {
		return map[string]runbook.Secret{"DATABASE_PUBLIC_URL": runbook.NewSecret(address)}
	}
	for says, variables := range map[string]map[string]runbook.Secret{
		"has no variable DATABASE_PUBLIC_URL yet":                  nil,
		"its address is that of the database of the application":   at("postgres://postgres:canary@db.example.edu/railway"),
		"its address is that of the database of the application: ": at("postgres://postgres:canary@DB.example.edu:5432/app"),
		"the address of the database is none of the form":          at("canary"),
	} {
		_, err := r.Load(t.Context(), name, variables)
		require.ErrorContains(t, err, says)
		assert.ErrorContains(t, err, name)
		assert.NotContains(t, err.Error(), "canary")
	}
	first, err := r.Load(t.Context(), name, at("postgres://postgres:canary@proxy.example.net:40123/railway"))
	require.NoError(t, err)
	again, err := r.Load(t.Context(), name, nil)
	require.NoError(t, err)
	assert.Same(t, first, again, "it is the same for each step")
	other, err := r.Load(t.Context(), "rehearsal-2026-11-29-71bc", at("postgres://postgres:canary@proxy.example.net:40124/railway"))
	require.NoError(t, err)
	assert.NotSame(t, first, other)

	env.Dumps.Rehearsals = nil
	assert.Nil(t, env.rehearsal(open))
}

// What of the settings makes no sense is told.
func TestProblemsOfRehearsals(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	for says, change := range map[string]func(e *environment){
		"dumps.rehearsals: needs railway: where the database is made": func(e *environment) { e.Railway = nil },
		"dumps.rehearsals: needs identity: what is loaded has to be":  func(e *environment) { e.Dumps.Identity = runbook.Secret{} },
		"dumps.rehearsals.environment: needs a token of railway with kind workspace or account": func(e *environment) {
			railway := *e.Railway
			railway.Kind, e.Railway, e.Dumps.Rehearsals.Environment = "project", &railway, "rehearsals"
		},
	} {
		s := full(t, identity)
		s.Environments = s.Environments[2:]
		change(&s.Environments[0])
		s.validateRehearsals("environments[0].dumps.rehearsals", s.Environments[0])
		assert.ErrorContains(t, s.problems(), says)
	}
}
