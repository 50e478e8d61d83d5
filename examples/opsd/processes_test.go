package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// A process is an opsd serve of its own: the program that is in the image.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	api *client
	log *lockedBuffer
}

var servesAt = regexp.MustCompile(`(http://127\.0\.0\.1:\d+)/ops/`)

// launch starts a process, and waits until it can be asked.
func launch(t *testing.T, env []string, token string, args ...string) *process {
	t.Helper()
	program, err := shipped()
	require.NoError(t, err)
	p := &process{t: t, log: new(lockedBuffer), cmd: exec.CommandContext(context.WithoutCancel(t.Context()), program, append([]string{"serve", "-listen", "127.0.0.1:0"}, args...)...)}
	p.cmd.Env = append(os.Environ(), env...)
	out, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			fmt.Fprintln(p.log, lines.Text())
			if m := servesAt.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case found <- m[1]:
				default:
				}
			}
		}
	}()
	select {
	case address := <-found:
		p.api = &client{base: address, token: runbook.NewSecret(token), http: &http.Client{}}
	case <-time.After(time.Minute):
		require.Fail(t, "it does not start", "%s", p.log)
	}
	return p
}

// kill kills it, as kill -9 does.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // it may have ended
		_ = p.cmd.Wait()         // it was killed
	}
}

func (p *process) status() (s hostStatus) {
	if err := p.api.get(p.t.Context(), "/api/host/status", &s); err != nil {
		return hostStatus{}
	}
	return s
}

func (p *process) inCharge() bool { return p.status().InCharge }

// postgres returns the address of a database of the test's own; without a server the test is
// skipped.
func postgres(t *testing.T) string {
	t.Helper()
	server := os.Getenv("RUNBOOK_POSTGRES_URL")
	if server == "" {
		t.Skip("RUNBOOK_POSTGRES_URL is not set: it is the address of a PostgreSQL server on which databases may be made")
	}
	db, err := sql.Open("pgx", server)
	require.NoError(t, err)
	name := "opsd_" + strings.ToLower(rand.Text())
	_, err = db.ExecContext(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := db.ExecContext(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		assert.NoError(t, err)
		assert.NoError(t, db.Close())
	})
	u, err := url.Parse(server)
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}

const sharedConfig = `
people:
  - {name: Ana Silva, mail: ana@example.edu, on_call: true, access: [operator, approver], token: {env: TOKEN_ANA}}
  - {name: Ben Okafor, access: [operator, approver], token: {env: TOKEN_BEN}}
security_contact: security@example.edu
embedded_estate: {seed: 3}
state: {postgres: {env: STATE}}
intervals: {application: 4s, canvas: 10s, database: 10s, performance: 10s}
`

// Three processes share a database: each check is made once in its interval by one of them,
// and one is in charge. When one is killed, another makes the checks that it had; when the one
// in charge is killed, another takes charge, and a run that waited goes on there.
func TestThreeProcesses(t *testing.T) {
	t.Parallel()
	state := postgres(t)
	path := filepath.Join(t.TempDir(), "opsd.yaml")
	require.NoError(t, os.WriteFile(path, []byte(sharedConfig), 0o600))
	env := []string{"TOKEN_ANA=token-of-ana-silva", "TOKEN_BEN=token-of-ben-okafor", "STATE=" + state}
	var all []*process
	for range 3 {
		all = append(all, launch(t, env, "token-of-ana-silva", "-config", path))
	}
	leaders := func() (found []*process) {
		for _, p := range all {
			if p.inCharge() {
				found = append(found, p)
			}
		}
		return found
	}
	require.Eventually(t, func() bool { return len(leaders()) == 1 }, time.Minute, 100*time.Millisecond)
	leader := leaders()[0]
	id := "INC-" + time.Now().UTC().Format("2006") + "-0001"
	require.NoError(t, all[2].api.post(t.Context(), "/api/v1/incidents", map[string]any{"title": "Shared", "severity": "low"}, nil))

	const check, interval, window = "production/application", 4 * time.Second, 15 * time.Second
	// owner is the process that makes the check itself, and when it did last.
	owners := func() (owners []*process, looked time.Time) {
		for _, p := range all {
			var r reportView
			if p.api.get(t.Context(), "/api/host/checks", &r) != nil {
				continue
			}
			for _, c := range r.Checks {
				if c.Name == check && !c.Looked.IsZero() {
					if looked = latest(looked, c.Looked); !c.Borrowed {
						owners = append(owners, p)
					}
				}
			}
		}
		return owners, looked
	}
	probes := func() (n uint64) {
		for i, p := range all {
			made := p.status().Probes
			t.Logf("process %d has begun %d probes", i, made)
			n += made
		}
		return n
	}
	require.Eventually(t, func() bool { o, _ := owners(); return len(o) == 1 }, time.Minute, 200*time.Millisecond, "each check is one process's")
	// Of the checks there are as many in a time as one process would make.
	single := func() (n float64) {
		for _, s := range everyCheck(t, all[0]) {
			n += float64(window) / float64(s)
		}
		return n
	}()
	before, since := probes(), time.Now()
	time.Sleep(window)
	made, took := float64(probes()-before), time.Since(since)
	single *= float64(took) / float64(window)
	t.Logf("in %s they have begun %.0f probes; one process alone would begin %.0f", took, made, single)
	assert.Less(t, made, 1.5*single, "three processes that do not share would make %.0f", 3*single)
	_, looked := owners()
	assert.True(t, looked.After(since.Add(window-interval-10*time.Second)), "the check is made in each interval")

	require.NoError(t, leader.api.post(t.Context(), "/api/v1/runs", map[string]any{"id": "waits", "environment": "production", "playbook": "deploy", "parameters": map[string]string{"commit": "5d0e4b1c77a2"}}, nil))
	var approval incident.Approval
	waiting := func(p *process) bool {
		list, err := open(t.Context(), p.api)
		if err != nil || len(list) != 1 {
			return false
		}
		approval = list[0]
		return approval.Question.Run == "waits"
	}
	require.Eventually(t, func() bool { return waiting(leader) }, time.Minute, 200*time.Millisecond, "the run asks")

	// It is the owner of the check that is killed, whether it is in charge or not: of any other
	// there would be nothing to take over.
	kill := func(victim *process) {
		_, last := owners()
		victim.kill()
		all = without(all, victim)
		require.Eventually(t, func() bool { o, looked := owners(); return len(o) == 1 && looked.After(last) }, time.Minute, 50*time.Millisecond, "another makes the check")
		_, next := owners()
		t.Logf("the check was made %s after the last time, in intervals of %s", next.Sub(last).Round(time.Millisecond), interval)
	}
	o, _ := owners()
	require.Len(t, o, 1)
	kill(o[0])
	require.Eventually(t, func() bool { return len(leaders()) == 1 }, 30*time.Second, 100*time.Millisecond, "one is in charge")
	if o[0] != leader {
		require.Same(t, leader, leaders()[0], "who is in charge stays it when another one is killed")
		leader.kill()
		all = without(all, leader)
		require.Eventually(t, func() bool { return len(leaders()) == 1 }, 30*time.Second, 100*time.Millisecond, "another takes charge")
	}
	require.True(t, waiting(leaders()[0]), "the run still asks")
	ben := &client{base: leaders()[0].api.base, token: runbook.NewSecret("token-of-ben-okafor"), http: &http.Client{}}
	require.Eventually(t, func() bool {
		return ben.post(t.Context(), "/api/v1/approvals/"+url.PathEscape(approval.ID)+"/approve", map[string]any{"plan": approval.Question.Plan}, nil) == nil
	}, time.Minute, 200*time.Millisecond, "its question is answered elsewhere")
	require.Eventually(t, func() bool {
		var run incident.Run
		return ben.get(t.Context(), "/api/v1/runs/waits", &run) == nil && run.State != incident.StateWaiting
	}, time.Minute, 200*time.Millisecond, "the run goes on")
	var i incident.Incident
	require.NoError(t, leaders()[0].api.get(t.Context(), "/api/v1/incidents/"+id, &i))
	assert.Equal(t, "Shared", i.Title)
	require.NoError(t, leaders()[0].api.post(t.Context(), "/api/v1/incidents/"+id+"/acknowledge", nil, nil))
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func without(all []*process, gone *process) (rest []*process) {
	for _, p := range all {
		if p != gone {
			rest = append(rest, p)
		}
	}
	return rest
}

// everyCheck are the intervals of the checks.
func everyCheck(t *testing.T, p *process) (all []time.Duration) {
	t.Helper()
	var r struct {
		Checks []struct {
			Environment string `json:"environment"`
			IntervalMS  int64  `json:"interval_ms"`
		}
	}
	require.NoError(t, p.api.get(t.Context(), "/api/host/checks", &r))
	for _, c := range r.Checks {
		all = append(all, time.Duration(c.IntervalMS)*time.Millisecond)
	}
	return all
}

// The state may not be on a server that is watched, unless a person of the configuration has
// taken that risk.
func TestTheStateIsNotOnAServerThatIsWatched(t *testing.T) {
	t.Parallel()
	state := postgres(t)
	u, err := url.Parse(state)
	require.NoError(t, err)
	cfg := stateConfig{settings: stateSettings{Postgres: runbook.NewSecret(state)}, holder: "test", watched: []string{u.Host}, zone: time.UTC}
	_, err = openState(t.Context(), cfg)
	require.ErrorContains(t, err, "watched")
	require.ErrorContains(t, err, "state.confirmed_by")
	cfg.settings.ConfirmedBy = "Ana Silva"
	s, err := openState(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, s.runs.Close(t.Context()))
	require.NoError(t, s.closePools())

	// The server that the configuration names for an environment is one that is watched.
	e, err := connect(&settings{zone: time.UTC, Environments: []environment{{Name: "production", Application: "https://qa.example.edu", Database: &databaseSettings{URL: runbook.NewSecret(state)}}}})
	require.NoError(t, err)
	assert.Equal(t, []string{u.Host}, e.watched)
	require.NoError(t, e.close())
}
