package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/railway"
)

// ids are of Railway; there is nothing behind them.
const idOfProject, idOfEnvironment, idOfService = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003"

// smallConfig is a configuration without a problem. A test puts other lines in it.
const smallConfig = `
people: [{name: Ana, mail: ana@example.edu, on_call: true, token: {env: TOKEN}}]
security_contact: security@example.edu
numbers: {operations: "+61270101210", development: "+61270101220", canvas_emergency: "+61270101230", operations_manager: "+61270101241", it_director: "+61270101242", canvas_administrator: "+61270101243", helpdesk: "+61270101250"}
channels:
  slack: {token: {env: TOKEN}}
  mail: {host: smtp.example.edu, from: ops@example.edu}
  phone: {account: {env: TOKEN}, token: {env: TOKEN}, from: "+61270101299"}
server: {listen: "127.0.0.1:8787", url: "https://ops.example.edu"}
sign_in: {issuer: "https://login.example.edu", client_id: opsd, session_key: {env: KEY}}
state: {folder: /var/lib/opsd}
automation: {kill_file: /var/lib/opsd/stop}
receivers: {railway: {production: {env: HOOK}}}
environments:
  - name: production
    application: https://qa.example.edu
    railway: {token: {env: TOKEN}, project: ` + idOfProject + `, environment: ` + idOfEnvironment + `, service: ` + idOfService + `}
`

// smallSettings reads smallConfig, with a text in place of another.
func smallSettings(t *testing.T, from, to string, variables map[string]string) *settings {
	t.Helper()
	require.Contains(t, smallConfig, from)
	all := map[string]string{"TOKEN": "token-of-the-tests", "KEY": strings.Repeat("k", 32), "HOOK": "hook-of-the_tests"}
	for name, value := range variables {
		all[name] = value
	}
	return load(config.Source{Name: "opsd.yaml", Text: []byte(strings.ReplaceAll(smallConfig, from, to)), Getenv: func(name string) string { return all[name] }})
}

// What would only be noticed when opsd starts, takes charge or is attacked is noticed in the
// configuration, and no secret is told.
func TestSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to  string
		variables map[string]string
		want      string // "" if nothing is wrong
	}{
		"nothing":                {from: "people:", to: "people:"},
		"no database":            {from: "service: " + idOfService, to: "service: " + idOfService + `, database: ""`},
		"project by name":        {from: idOfProject, to: "qa-automation", want: "environments[0].railway.project: must be an id of Railway: opsd has to start while Railway cannot be asked for names"},
		"environment by name":    {from: idOfEnvironment, to: "production", want: "environments[0].railway.environment: must be an id"},
		"service by name":        {from: idOfService, to: "app", want: "environments[0].railway.service: must be an id"},
		"database by name":       {from: "service: " + idOfService, to: "service: " + idOfService + ", database: postgres", want: "environments[0].railway.database: must be an id"},
		"no project":             {from: "project: " + idOfProject + ", ", to: "", want: "environments[0].railway.project: must be an id"},
		"short hook":             {from: "people:", to: "people:", variables: map[string]string{"HOOK": "canary-too-shor"}, want: "receivers.railway.production: must have at least 16 letters, digits, - and _: it is part of an address"},
		"hook of a path":         {from: "people:", to: "people:", variables: map[string]string{"HOOK": "canary/hook/of/tests"}, want: "receivers.railway.production: must have at least 16"},
		"prod":                   {from: "production", to: "prod", want: "environments[0].name: must be production: that is its name in opsd"},
		"short session key":      {from: "people:", to: "people:", variables: map[string]string{"KEY": "canary-" + strings.Repeat("k", 24)}, want: "sign_in.session_key: must have at least 32 bytes: else sessions could be forged"},
		"short token":            {from: "people:", to: "people:", variables: map[string]string{"TOKEN": "canary-too-shor"}, want: "people[0].token: must have at least 16 bytes: else it could be guessed"},
		"relative kill file":     {from: "kill_file: /var/lib/opsd/stop", to: "kill_file: stop", want: "automation.kill_file: must be a path that begins with /"},
		"relative state":         {from: "folder: /var/lib/opsd", to: "folder: opsd-state", want: "state.folder: must be a path that begins with /"},
		"an environment unknown": {from: "{railway: {production:", to: "{railway: {other:", want: "receivers.railway.other: is no environment with railway"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := smallSettings(t, c.from, c.to, c.variables)
			if c.want == "" {
				require.NoError(t, s.problems())
				return
			}
			require.ErrorContains(t, s.problems(), c.want)
			assert.Equal(t, 1, strings.Count(s.problems().Error(), "opsd.yaml:"), "and that is all: %v", s.problems())
			assert.NotContains(t, s.problems().Error(), "canary")
		})
	}
}

// The hook's form is that of package railway: what passes here does not stop a replica that
// takes charge.
func TestSecretsOfHooks(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"hook-of-the_tests", "0123456789abcdef", "0123456789abcde", "0123456789abcde/", "0123456789abcdéf", "0123456789abcdef\n"} {
		s := smallSettings(t, "people:", "people:", map[string]string{"HOOK": secret})
		_, err := railway.NewWebhook(railway.WebhookConfig{Secret: s.Receivers.Railway["production"]})
		assert.Equal(t, strings.Contains(err.Error(), "Secret must"), s.problems() != nil, "%q", secret)
	}
}

// away is a network on which nobody answers.
type away struct{}

func (away) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("Railway is away")
}

// opsd starts while Railway is away, with every configuration that has no problem: nothing is
// looked up by name.
func TestStartWithoutRailway(t *testing.T) {
	t.Parallel()
	s := smallSettings(t, "service: "+idOfService, "service: "+idOfService+", database: "+idOfService, nil)
	require.NoError(t, s.problems())
	e, err := connect(s)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.close()) })
	for _, c := range e.connections {
		c.Railway.HTTP = &http.Client{Transport: away{}}
		_, err := c.Environment(t.Context())
		require.NoError(t, err)
		client, err := railway.New(c.Railway)
		require.NoError(t, err)
		_, err = client.Environment(t.Context(), railway.Target{Project: c.Project, Environment: c.RailwayEnvironment})
		require.NoError(t, err, "what a receiver asks when it takes charge")
	}
	// What the sample says is what is allowed: that of init is without names, too.
	_, production, found := strings.Cut(string(sample), "  - name: production\n")
	require.True(t, found)
	for _, key := range []string{"project", "environment", "service", "database"} {
		assert.Regexp(t, "\n      "+key+": [0-9a-f-]{36}\n", production)
	}
}

// Without a folder the state has one that does not depend on where opsd is started; that of
// the embedded estate goes with its process, and is not mixed with it.
func TestDefaultOfTheState(t *testing.T) {
	t.Parallel()
	s := smallSettings(t, "state: {folder: /var/lib/opsd}\n", "", nil)
	require.NoError(t, s.problems())
	assert.Equal(t, "/var/lib/opsd", s.State.Folder)
	s = load(config.Source{Name: "opsd.yaml", Text: []byte("people: [{name: Ana, mail: a@example.edu, on_call: true}]\nembedded_estate: {seed: 1}\n")})
	require.NoError(t, s.problems())
	assert.Empty(t, s.State.Folder)
	path := filepath.Join(t.TempDir(), "opsd.yaml")
	require.NoError(t, os.WriteFile(path, []byte("people: [{name: Ana, mail: a@example.edu, on_call: true}]\nembedded_estate: {seed: 1}\n"), 0o600))
	code, _, errs := execute(t, nil, "state", "backup", "somewhere", "-config", path)
	assert.Equal(t, exitCouldNot, code)
	assert.Contains(t, errs, "the state of the embedded estate goes with its process")
}
