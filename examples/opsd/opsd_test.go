package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/incident"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	// These tests wait for each other's processes more than they work.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err) // package testing has that flag
	}
	flag.Parse()
	code := m.Run()
	if shippedIn != "" {
		_ = os.RemoveAll(shippedIn) // it is in the folder for temporary files
	}
	os.Exit(code)
}

// lockedBuffer is written by several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// execute runs a command, and returns its exit code and what it wrote.
func execute(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs lockedBuffer
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, width: 100, getenv: func(name string) string { return env[name] }}
	code = p.run(t.Context(), args)
	return code, out.String(), errs.String()
}

// served starts opsd on the embedded estate, and returns its address. It is stopped with the
// test, without an error.
func served(t *testing.T, args ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var log lockedBuffer
	address, ended := make(chan string, 1), make(chan int, 1)
	p := &program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &log, width: 100, getenv: func(string) string { return "" }, ready: func(a string) { address <- a }}
	go func() { ended <- p.run(ctx, append([]string{"serve", "-listen", "127.0.0.1:0"}, args...)) }()
	t.Cleanup(func() {
		stop()
		assert.Equal(t, exitDone, <-ended, "%s", log.String())
	})
	select {
	case a := <-address:
		require.Eventually(t, func() bool {
			_, out, _ := execute(t, nil, "status", "-json", "-server", a)
			return strings.Contains(out, `"in_charge":true`)
		}, 30*time.Second, 20*time.Millisecond)
		return a
	case code := <-ended:
		ended <- code
		require.Fail(t, "it does not start", "%s", log.String())
	}
	return ""
}

// scrubbed are what is different each time.
var scrubbed = []struct {
	find *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC|[+-]\d\d:\d\d)?`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(`\b\d\d [A-Z][a-z][a-z] \d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(`run-\d+-\d+-[a-z0-9]+`), "RUN"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "HASH"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f-]{27}\b`), "ID"},
	{regexp.MustCompile(`INC-\d{4}-`), "INC-YEAR-"},
	{regexp.MustCompile(`\b[A-Z2-7]{26}\b`), "ID"},
	{regexp.MustCompile(`\bm-\d{10,}\b`), "ID"},
	{regexp.MustCompile(`\b(\d+m\d\ds|\d+h\d\dm|\d+(\.\d+)?m?s)( ago\b)?`), "SPAN"},
	{regexp.MustCompile(`opsd     \S+,`), "opsd     PROCESS,"},
	{regexp.MustCompile(`folder \S+`), "folder FOLDER"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "http://OPSD"},
	{regexp.MustCompile(` +\n`), "\n"},
	{regexp.MustCompile(`  +(SPAN|TIME)`), "  $1"},
	{regexp.MustCompile(`(SPAN|TIME)  +`), "$1  "},
	// How often it is looked until it is well depends on how fast the machine is.
	{regexp.MustCompile(`(TIME  running  See that the application is well[^\n]*\n)+`), "TIME  running  See that the application is well\n"},
	// And what lasts a moment is seen to run, or not.
	{regexp.MustCompile(`TIME  running  (Look at what is deployed|Restart the application)\n`), ""},
}

// golden compares an output with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	for _, s := range scrubbed {
		got = s.find.ReplaceAllString(got, s.with)
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(string(want), got), "go test ./examples/opsd -update writes it anew")
}

// What commands that only look say, on the embedded estate.
func TestLooking(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		code int
	}{
		"help":            {[]string{"-h"}, exitDone},
		"run-help":        {[]string{"run", "-h"}, exitDone},
		"check":           {[]string{"check", "application", "database", "canvas"}, exitDone},
		"check-down":      {[]string{"check", "-fault", "database-down", "-environment", "production", "application", "database", "database-server"}, exitDown},
		"doctor":          {[]string{"doctor"}, exitDone},
		"playbooks":       {[]string{"playbooks"}, exitDone},
		"playbook":        {[]string{"playbooks", "restart"}, exitDone},
		"plan":            {[]string{"plan", "roll-back"}, exitDone},
		"plan-deploy":     {[]string{"plan", "deploy", "-p", "commit=5d0e4b1c77a2", "-e", "test"}, exitDone},
		"faults":          {[]string{"faults"}, exitDone},
		"completion":      {[]string{"completion", "bash"}, exitDone},
		"unknown-command": {[]string{"chek"}, exitCouldNot},
		"unknown-flag":    {[]string{"check", "-quickly"}, exitCouldNot},
		"unknown-check":   {[]string{"check", "nothing"}, exitCouldNot},
		"unknown-fault":   {[]string{"check", "-fault", "nothing"}, exitCouldNot},
		"unknown-plan":    {[]string{"plan", "nothing"}, exitCouldNot},
		"not-running":     {[]string{"incidents", "-server", "http://127.0.0.1:1"}, exitCouldNot},
		"run-not-running": {[]string{"run", "restart", "-server", "http://127.0.0.1:1"}, exitCouldNot},
		"drill":           {[]string{"drill", "-list"}, exitDone},
		"drill-help":      {[]string{"drill", "-h"}, exitDone},
		"drill-unknown":   {[]string{"drill", "-scenario", "bad-day"}, exitCouldNot},
		"no-state":        {[]string{"state", "backup", "somewhere"}, exitCouldNot},
		"public":          {[]string{"serve", "-listen", "0.0.0.0:0"}, exitCouldNot},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := execute(t, nil, tt.args...)
			assert.Equal(t, tt.code, code, "%s", errs)
			golden(t, name, out+errs)
		})
	}
}

// What commands say that ask a running opsd, one after the other: what one does the next one
// shows.
func TestAsking(t *testing.T) {
	t.Parallel()
	address := served(t)
	step := func(name string, code int, args ...string) string {
		t.Helper()
		got, out, errs := execute(t, nil, append(args, "-server", address)...)
		assert.Equal(t, code, got, "%s: %s%s", name, out, errs)
		golden(t, name, out+errs)
		return out
	}
	step("incidents-none", exitDone, "incidents")
	step("approvals-none", exitDone, "approvals")
	step("open", exitDone, "open", "Users say that pages are empty", "-severity", "medium", "-playbook", "comprehensive-check")
	id := "INC-" + time.Now().UTC().Format("2006") + "-0001"
	step("ack", exitDone, "ack", id, "-m", "looking")
	step("incidents", exitDone, "incidents")
	step("update", exitDone, "update", id, "We look into pages that are empty.", "-status", "investigating")
	step("resolve", exitDone, "resolve", id, "-cause", "a browser that was old")
	step("holds-none", exitDone, "hold")
	step("hold", exitDone, "hold", id, "-m", "the police ask for it")
	step("hold-gone", exitNot, "hold", "INC-2000-0009", "-m", "x")
	step("holds", exitDone, "hold")
	step("hold-lift", exitDone, "hold", "lift", id, "-m", "it is over")
	step("hold-lift-again", exitNot, "hold", "lift", id, "-m", "it is over")
	step("incident-gone", exitNot, "ack", "INC-2000-0009")
	step("restart", exitDone, "restart", "-e", "test", "-id", "first-restart")
	step("restart-again", exitDone, "restart", "-e", "test", "-id", "first-restart")
	step("silence", exitDone, "silence", "-e", "test", "-rule", "memory", "-m", "we know", "-for", "2h")
	step("silences", exitDone, "silence")
	step("silence-why", exitCouldNot, "silence", "-e", "test")
	step("maintenance", exitDone, "maintenance", "-e", "beta", "-m", "an update", "-for", "1h")
	step("maintenances", exitDone, "maintenance")
	step("maintenance-none", exitNot, "maintenance", "-e", "nowhere", "-m", "an update")
	step("notify", exitDone, "notify", "test")
	step("notify-nobody", exitNot, "notify", "test", "nobody")
	step("drafts", exitDone, "notify", "drafts")
	step("automation", exitDone, "automation")
	step("automation-stop", exitDone, "automation", "stop", "-m", "we look first")
	step("automation-stopped", exitDone, "automation")
	step("automation-resume", exitNot, "automation", "resume", "-m", "again") // she is no administrator
	step("automation-resumed", exitDone, "automation", "resume", "-m", "again", "-as", "Dev Patel")
	step("nobody", exitCouldNot, "incidents", "-as", "Nobody")
	var report struct{ Incident incident.Incident }
	code, out, errs := execute(t, nil, "report", id, "-json", "-server", address)
	require.Equal(t, exitDone, code, "%s", errs)
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.Equal(t, "a browser that was old", report.Incident.Cause)
}

// A deployment to production waits for somebody else than who started it.
func TestApproving(t *testing.T) {
	t.Parallel()
	address := served(t)
	code, _, errs := execute(t, nil, "deploy", "-commit", "5d0e4b1c77a2", "-id", "d1", "-detach", "-server", address)
	require.Equal(t, exitDone, code, "%s", errs)
	require.Eventually(t, func() bool {
		_, out, _ := execute(t, nil, "approvals", "-server", address)
		return strings.Contains(out, "d1")
	}, 30*time.Second, 50*time.Millisecond)
	_, out, _ := execute(t, nil, "approvals", "-server", address)
	golden(t, "approvals", out)
	code, out, errs = execute(t, nil, "approve", "d1", "-server", address)
	assert.Equal(t, exitNot, code)
	golden(t, "approve-own", out+errs)
	code, _, errs = execute(t, nil, "approve", "d1", "-plan", strings.Repeat("0", 32), "-as", "Ben Okafor", "-server", address)
	assert.Equal(t, exitNot, code, "another plan than the one that waits: %s", errs)
	code, out, errs = execute(t, nil, "approve", "d1", "-as", "Ben Okafor", "-server", address)
	assert.Equal(t, exitDone, code, "%s", errs)
	assert.Contains(t, out, "Approved.")
	code, out, _ = execute(t, nil, "runs", "d1", "-json", "-server", address)
	assert.Equal(t, exitDone, code, "%s", out)
	assert.Contains(t, out, `"event":"end"`)
}

// The configuration that init writes is one: with its secrets there is nothing wrong with it.
func TestInit(t *testing.T) {
	t.Parallel()
	code, out, _ := execute(t, nil, "init")
	require.Equal(t, exitDone, code)
	seen := make(map[string]bool)
	s := load(config.Source{
		Name: "opsd.yaml", Text: []byte(out), ReadFile: func(path string) ([]byte, error) {
			if strings.HasSuffix(path, ".agekey") {
				return []byte(anIdentity), nil
			}
			return []byte("key"), nil
		},
		Getenv: func(name string) string { seen[name] = true; return "a-secret-that-is-long-enough-of-" + name },
	})
	require.NoError(t, s.problems())
	assert.Len(t, s.Environments, 3)
	assert.Equal(t, "suggest", s.Automation.Policies[0].Mode)
	assert.True(t, seen["OPSD_TOKEN_ANA"])
}

// anIdentity is an identity of age that nobody uses.
const anIdentity = "AGE-SECRET-KEY-1GXN97VU4KYWMV8DGQT7NH48TYV2V2JXAU5PMG8VXWMSJ98G7KD6Q227YS4"

// Everything that is wrong with a configuration is told at once, with its place, and no
// secret is.
func TestProblems(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "opsd.yaml")
	text, err := os.ReadFile("testdata/wrong.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	code, out, errs := execute(t, map[string]string{"TOKEN": "hunter2-canary"}, "doctor", "-config", path)
	assert.Equal(t, exitCouldNot, code)
	assert.Empty(t, out)
	assert.NotContains(t, errs, "canary")
	golden(t, "problems", strings.ReplaceAll(errs, path, "opsd.yaml"))
}

// The state is copied while opsd runs, and put back when it does not.
func TestStateBackup(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "state")
	backup := filepath.Join(t.TempDir(), "copy")
	t.Run("running", func(t *testing.T) {
		address := served(t, "-state", folder)
		code, _, errs := execute(t, nil, "open", "Before the copy", "-server", address)
		require.Equal(t, exitDone, code, "%s", errs)
		code, _, errs = execute(t, nil, "state", "backup", backup, "-state", folder)
		require.Equal(t, exitDone, code, "%s", errs)
		code, _, errs = execute(t, nil, "open", "After the copy", "-server", address)
		require.Equal(t, exitDone, code, "%s", errs)
		code, _, errs = execute(t, nil, "state", "restore", backup, "-state", folder)
		assert.Equal(t, exitCouldNot, code, "an opsd has it: %s", errs)
		assert.Contains(t, errs, "Nothing was changed")
	})
	others := []string{"stop", filepath.Join("receipts", "one.json")}
	for _, name := range others {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), nil, 0o600))
	}
	code, out, errs := execute(t, nil, "state", "restore", backup, "-state", folder)
	require.Equal(t, exitDone, code, "%s", errs)
	assert.Contains(t, out, "What there was is in")
	for _, name := range others {
		assert.FileExists(t, filepath.Join(folder, name), "what is no state stays: all automation is still stopped")
	}
	for _, name := range stateFiles() {
		aside, err := filepath.Glob(filepath.Join(folder, "before-*", name))
		require.NoError(t, err)
		assert.Len(t, aside, 1, name)
	}
	address := served(t, "-state", folder)
	_, out, _ = execute(t, nil, "incidents", "-server", address)
	assert.Contains(t, out, "Before the copy")
	assert.NotContains(t, out, "After the copy")
	require.NoError(t, os.WriteFile(filepath.Join(backup, fileRecord), []byte("damaged"), 0o600))
	code, _, errs = execute(t, nil, "state", "restore", backup, "-state", filepath.Join(t.TempDir(), "other"))
	assert.Equal(t, exitCouldNot, code)
	assert.Contains(t, errs, "nothing was changed")
}
