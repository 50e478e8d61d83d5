package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
	"go.acu.edu.au/runbook/lti/ltitest"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// full is a configuration with everything: the one that init writes, of which each
// environment has what production has, and the platform is asked nothing.
func full(t *testing.T, identity *age.X25519Identity) *settings {
	t.Helper()
	code, out, errs := execute(t, nil, "init")
	require.Equal(t, exitDone, code, "%s", errs)
	head, environments, found := strings.Cut(out, "\nenvironments:\n")
	require.True(t, found)
	_, production, found := strings.Cut(environments, "  - name: production\n")
	require.True(t, found)
	require.Contains(t, production, "/mnt/dumps/")
	production = strings.ReplaceAll(production, "/mnt/dumps/", t.TempDir()+"/")
	text := head + "\nenvironments:\n"
	for _, name := range []string{"test", "beta", "production"} {
		text += "  - name: " + name + "\n" + production
	}
	s := load(config.Source{
		Name: "full.yaml",
		// The numbers of the sample are those of novels, which package twilio refuses.
		Text: []byte(strings.NewReplacer("/mnt/evidence", t.TempDir(), "+61 2 7010", "+61 2 9010", "+6127010", "+6129010").Replace(text)),
		ReadFile: func(path string) ([]byte, error) {
			if strings.HasSuffix(path, ".agekey") {
				return []byte(identity.String()), nil
			}
			der, err := x509.MarshalPKCS8PrivateKey(ltitest.ToolKey(0))
			return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
		},
		Getenv: func(name string) string {
			switch name {
			case "QA_DATABASE_URL":
				return "postgres://app:hunter2@db.example.edu:5432/app"
			case "QA_REHEARSAL_URL":
				return "postgres://app:hunter2@rehearsal.example.edu/app"
			case "QA_REDIS_URL":
				return "redis://cache.example.edu:6379/0"
			case "TWILIO_ACCOUNT_SID":
				return "AC00000000000000000000000000000000"
			}
			return "a-secret-that-is-long-enough-of-" + name
		},
	})
	require.NoError(t, s.problems())
	return s
}

// With a configuration that has everything, every playbook can be carried out everywhere; and
// without one key exactly those that need it cannot.
func TestNothingLacks(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	for name, test := range map[string]struct {
		without func(e *environment, s *settings)
		lacks   []string
	}{
		"everything": {func(*environment, *settings) {}, nil},
		"evidence":   {func(_ *environment, s *settings) { s.Evidence = nil }, []string{"suspected-breach"}},
		"toolchain":  {func(_ *environment, s *settings) { s.Toolchain = nil }, []string{"dependency-update"}},
		"rebuild":    {func(e *environment, _ *settings) { e.Rebuild = nil }, []string{"complete-recovery"}},
		"dumps":      {func(e *environment, _ *settings) { e.Dumps = nil }, []string{"complete-recovery"}},
		"task":       {func(e *environment, _ *settings) { e.Task = nil }, []string{"slow-qa-tasks", "user-acceptance"}},
		"migrate":    {func(e *environment, _ *settings) { e.Migrate = nil }, []string{"schema-migration"}},
		"compromise": {func(e *environment, _ *settings) { e.Canvas.ClientID, e.Canvas.Rotations = "", nil }, []string{"canvas-account-compromise"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := full(t, identity)
			for i := range s.Environments {
				test.without(&s.Environments[i], s)
			}
			h, e, err := look(t.Context(), s)
			require.NoError(t, err)
			defer func() { assert.NoError(t, errors.Join(h.Stop(context.WithoutCancel(t.Context())), e.close())) }()
			if len(test.lacks) == 0 {
				assert.NoError(t, h.Lacks())
				return
			}
			for _, playbook := range test.lacks {
				assert.ErrorContains(t, h.Lacks(), "playbook "+playbook+" of production")
			}
			for _, l := range lacking(h.Lacks()) {
				assert.True(t, containsAny(l, test.lacks), "%s", l)
			}
		})
	}
}

func containsAny(text string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(text, "playbook "+p+" of ") {
			return true
		}
	}
	return false
}

// A security contact that is missing is told with the other problems, at its place.
func TestSecurityContact(t *testing.T) {
	t.Parallel()
	_, out, _ := execute(t, nil, "init")
	var without []string
	for _, line := range strings.Split(out, "\n") {
		if !strings.HasPrefix(line, "security_contact:") {
			without = append(without, line)
		}
	}
	s := load(config.Source{Name: "opsd.yaml", Text: []byte(strings.Join(without, "\n"))})
	assert.ErrorContains(t, s.problems(), "security_contact: is missing: a suspected breach has to be told to somebody")
}

// What is wrong with copies, evidence and tools is told at once, with its place, and no secret
// is.
func TestProblemsOfRecovery(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "opsd.yaml")
	text, err := os.ReadFile("testdata/wrong-recovery.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	code, _, errs := execute(t, map[string]string{"TOKEN": "hunter2-canary", "URL": "postgres://app:canary@db/app"}, "doctor", "-config", path)
	assert.Equal(t, exitCouldNot, code)
	assert.NotContains(t, errs, "canary")
	golden(t, "problems-recovery", strings.ReplaceAll(errs, path, "opsd.yaml"))
}

func receiptAt(at time.Time) incident.DumpReceipt {
	return incident.DumpReceipt{Time: at, Size: 4, SHA256: strings.Repeat("ab", 32), Server: "PostgreSQL 17.2", Format: "age, pg_dump custom", Encrypted: true, Tables: 1}
}

// Dumps are kept whole or not at all, the newest is first, and old ones go.
func TestDumps(t *testing.T) {
	t.Parallel()
	d := dumps{folder(filepath.Join(t.TempDir(), "dumps")), folder(filepath.Join(t.TempDir(), "receipts")), 48 * time.Hour}
	names := func() (all []string) {
		list, err := d.kept().List(t.Context())
		require.NoError(t, err)
		for _, l := range list {
			all = append(all, l.Name)
		}
		return all
	}
	assert.Empty(t, names(), "there is no folder yet")
	add := func(name string, age time.Duration, text string) error {
		return d.kept().Keep(t.Context(), name, func(w io.Writer) (incident.DumpReceipt, error) {
			_, err := io.WriteString(w, text)
			return receiptAt(time.Now().Add(-age).UTC()), err
		})
	}
	for i, age := range []time.Duration{300, 200, 100, 50} {
		require.NoError(t, add(fmt.Sprintf("production/../%d", i), age*time.Hour, "dump"))
	}
	assert.Equal(t, []string{"production/../3", "production/../2", "production/../1"}, names(), "three stay, however old")
	require.NoError(t, add("new", time.Hour, "first"))
	require.NoError(t, add("new", time.Minute, "second"))
	require.NoError(t, add("newer", 0, "third"))
	assert.Equal(t, []string{"newer", "new", "production/../3"}, names())
	f, err := d.kept().Open(t.Context(), "new")
	require.NoError(t, err)
	content, err := io.ReadAll(f)
	require.NoError(t, errors.Join(err, f.Close()))
	assert.Equal(t, "second", string(content))

	err = d.kept().Keep(t.Context(), "broken", func(w io.Writer) (incident.DumpReceipt, error) {
		_, _ = io.WriteString(w, "half")
		return incident.DumpReceipt{}, errors.New("the connection was lost")
	})
	require.ErrorContains(t, err, "the connection was lost")
	_, err = d.kept().Open(t.Context(), "broken")
	require.ErrorIs(t, err, incident.ErrNotFound)
	files, err := os.ReadDir(string(d.dumps))
	require.NoError(t, err)
	assert.Len(t, files, 3, "nothing half is left, and nothing outside: %v", files)
	assert.ErrorIs(t, add2(runbook.ReadOnly(t.Context()), d), runbook.ErrReadOnly)

	require.NoError(t, os.WriteFile(d.receipts.path(receiptOf("new")), []byte("damaged"), 0o600))
	_, err = d.kept().List(t.Context())
	assert.ErrorContains(t, err, "the receipt of dump new is none")
}

func add2(ctx context.Context, d dumps) error {
	return d.kept().Keep(ctx, "x", func(io.Writer) (incident.DumpReceipt, error) { return incident.DumpReceipt{}, nil })
}

// Evidence in the folder is sealed, and the rule of retention removes it.
func TestEvidenceFolder(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	s := full(t, identity)
	s.Evidence.Recipients = []string{identity.Recipient().String()}
	e, err := reach(s)
	require.NoError(t, err)
	defer func() { assert.NoError(t, e.close()) }()
	cfg := s.hostConfig(e)
	at := time.Now().UTC()
	evidence := incident.Evidence{
		Incident: "INC-2026-0001", By: "Dev Patel", From: at.Add(-time.Hour), To: at, Seal: cfg.Seal, Pseudonyms: cfg.Pseudonyms,
		Sources: []incident.EvidenceSource{{Name: "log", Collect: func(_ context.Context, w *incident.EvidenceWriter) error { return w.Line("somebody") }}},
	}
	name := incident.EvidenceName{Incident: evidence.Incident, Taken: at.Add(-91 * 24 * time.Hour)}
	require.NoError(t, cfg.Evidence.Keep(t.Context(), name.Copy().String(), func(copied io.Writer) error {
		return cfg.Evidence.Keep(t.Context(), name.String(), func(w io.Writer) error {
			_, _, err := evidence.CollectRedacted(t.Context(), w, copied)
			return err
		})
	}))
	sealed, err := os.ReadFile(folder(s.Evidence.Folder).path(name.String()))
	require.NoError(t, err)
	assert.NotContains(t, string(sealed), "somebody")
	plain, err := age.Decrypt(bytes.NewReader(sealed), identity)
	require.NoError(t, err)
	_, err = incident.VerifyEvidence(plain)
	require.NoError(t, err)
	rule := cfg.Retention
	rule.Store, rule.Evidence = new(incident.MemoryStore), cfg.Evidence
	done, err := rule.Apply(t.Context())
	require.NoError(t, err)
	assert.Equal(t, incident.Retained{Redacted: 1}, done)
	for kept, err := range cfg.Evidence.Kept(t.Context()) {
		require.NoError(t, err)
		assert.Equal(t, name.Copy().String(), kept)
	}
}

// The copy of the configuration is opened, with what is others there, and what was sealed is
// named.
func TestRebuildWithoutACopy(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	s := full(t, identity)
	e, err := reach(s)
	require.NoError(t, err)
	defer func() { assert.NoError(t, e.close()) }()
	r := e.connections[2].Rebuild
	_, _, err = r.Configuration(t.Context(), playbooks.Rebuilt{})
	require.ErrorIs(t, err, incident.ErrNotFound)
	_, err = r.Connect(t.Context(), playbooks.Rebuilt{})
	require.ErrorContains(t, err, "it was not made yet")
	require.NoError(t, os.MkdirAll(s.Environments[2].Rebuild.Copies, 0o700))
	require.NoError(t, os.WriteFile(folder(s.Environments[2].Rebuild.Copies).path("production-2026-11-28"), []byte("damaged"), 0o600))
	_, _, err = r.Configuration(t.Context(), playbooks.Rebuilt{})
	require.Error(t, err)
	assert.NotErrorIs(t, err, incident.ErrNotFound)
	newest, err := folder(s.Environments[2].Rebuild.Copies).newest("production-")
	require.NoError(t, err)
	assert.Equal(t, "production-2026-11-28", newest)
	assert.Equal(t, "a sydney b", withShared(runbook.NewSecret("a ${{shared.REGION}} b"), map[string]runbook.Secret{"REGION": runbook.NewSecret("sydney")}).Reveal())
}

// Each night a copy of the configuration is kept; from it, and from what was made anew, the
// environment is reached again: its variables, what was sealed, and its new database.
func TestRebuildFromACopy(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	s := full(t, identity)
	env := s.Environments[2]
	env.Rebuild.Recipients = []string{identity.Recipient().String()}
	fake := &railwaytest.Server{}
	workspace := fake.AddWorkspace("School")
	lost := fake.AddEnvironment(fake.AddProject(workspace, "lost"), "production")
	fake.AddService(lost, railwaytest.Service{Name: "app", Image: "acu/app:1", Variables: map[string]string{"MODE": "${{shared.REGION}}", "DATABASE_URL": "the lost one"}})
	fake.SetVariable(lost, "", "REGION", "sydney", false)
	project := fake.AddProject(workspace, "made")
	made := fake.AddEnvironment(project, "production")
	app := fake.AddService(made, railwaytest.Service{Name: "app", Image: "acu/app:1"})
	database := fake.AddService(made, railwaytest.Service{Name: "postgres", Image: "postgres:17"})
	rail := railway.Config{Kind: railway.WorkspaceToken, Token: runbook.NewSecret(fake.AddToken(railwaytest.Token{Kind: "workspace", Workspace: workspace})), HTTP: fake.Client()}
	open := &pools{}
	defer func() { assert.NoError(t, open.close()) }()
	c := host.Connection{Name: "production", Application: "https://qa.example.edu", Railway: rail}
	env.rebuild(&c, open)

	client, err := railway.New(rail)
	require.NoError(t, err)
	from, err := client.Environment(t.Context(), railway.Target{Project: "lost", Environment: "production"})
	require.NoError(t, err)
	require.NoError(t, c.KeepConfiguration(t.Context(), "production-2026-11-27", from))
	fake.SetVariable(lost, "", "REGION", "melbourne", false)
	require.NoError(t, c.KeepConfiguration(t.Context(), "production-2026-11-28", from))
	values, sealed, err := c.Rebuild.Configuration(t.Context(), playbooks.Rebuilt{})
	require.NoError(t, err)
	assert.Empty(t, sealed)
	assert.Equal(t, "melbourne", values["MODE"].Reveal(), "the newest copy, without what is shared")
	assert.Equal(t, "${{postgres.DATABASE_URL}}", values["DATABASE_URL"].Reveal(), "what is others there")

	ids := playbooks.Rebuilt{Project: project, Environment: made, Application: app, Database: database}
	_, err = c.Rebuild.Connect(t.Context(), ids)
	require.ErrorContains(t, err, "no variable DATABASE_PUBLIC_URL yet")
	fake.SetVariable(made, database, "DATABASE_PUBLIC_URL", "postgres://app:hunter2@new.example.edu:6000/app", false)
	reached, err := c.Rebuild.Connect(t.Context(), ids)
	require.NoError(t, err)
	_, loads := reached.Dumper.(incident.DumpLoader)
	assert.True(t, loads)
	_, err = reached.Variables.SetVariables(t.Context(), incident.VariableBatch{Set: values})
	require.NoError(t, err)
	again, err := c.Rebuild.Connect(t.Context(), ids)
	require.NoError(t, err)
	assert.Same(t, reached.Dumper, again.Dumper, "one pool of connections, however often it is reached")
}

// A task is a program that says by its exit code what it found, and gets no secret but its own.
func TestTask(t *testing.T) {
	t.Setenv("OPSD_CANARY", "canary")
	for name, test := range map[string]struct {
		script string
		want   health.Status
		says   string
	}{
		"works":       {`test "$APPLICATION" = https://qa.example.edu && test "$TOKEN" = hunter2`, health.Healthy, ""},
		"fails":       {`echo before; echo "the task hung, with hunter2" >&2; exit 3`, health.Unhealthy, "task: the task hung, with [redacted]"},
		"maintenance": {`echo "none are begun"; exit 75`, health.Maintenance, "task: none are begun"},
		"environment": {`env | grep -c canary; exit 1`, health.Unhealthy, "task: 0"},
	} {
		t.Run(name, func(t *testing.T) {
			e := environment{Application: "https://qa.example.edu/", Token: runbook.NewSecret("hunter2"), Task: []string{"/bin/sh", "-c", test.script}}
			r := e.task().Probe(t.Context())
			assert.Equal(t, test.want, r.Status)
			assert.Equal(t, test.says, r.Message)
		})
	}
	e := environment{Task: []string{"/there/is/none"}}
	assert.Equal(t, health.Unknown, e.task().Probe(t.Context()).Status)
	assert.Nil(t, environment{}.task())
}

// Tests of security run in a copy of the commit, which is gone afterwards.
func TestToolchain(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git on this machine")
	}
	source := t.TempDir()
	git := func(args ...string) string {
		lines, code, err := invocation(append([]string{"git", "-c", "user.name=a", "-c", "user.email=a@example.edu"}, args...)).run(t.Context(), source)
		require.NoError(t, err)
		require.Zero(t, code, "%v", lines)
		return strings.Join(lines, "\n")
	}
	git("init", "--quiet")
	commit := func(text string) string {
		require.NoError(t, os.WriteFile(filepath.Join(source, "found"), []byte(text), 0o600))
		git("add", ".")
		git("commit", "--quiet", "-m", "x")
		return git("rev-parse", "HEAD")
	}
	bad, good := commit("test_login fails\n"), commit("")
	tools := (&toolchainSettings{Source: source, Audit: []string{"cat", "found"}, SecurityTests: []string{"/bin/sh", "-c", "cat found; test ! -s found"}}).toolchain()
	found, err := tools.SecurityTests(t.Context(), bad)
	require.NoError(t, err)
	assert.Equal(t, []string{"test_login fails"}, found)
	found, err = tools.SecurityTests(t.Context(), good)
	require.NoError(t, err)
	assert.Empty(t, found)
	found, err = tools.Audit(t.Context())
	require.NoError(t, err)
	assert.Empty(t, found)
	_, err = tools.SecurityTests(t.Context(), "--upload-pack=x")
	require.ErrorContains(t, err, "the commit is none")
	_, err = tools.SecurityTests(t.Context(), strings.Repeat("0", 40))
	require.ErrorContains(t, err, "git worktree ended with")
	assert.Len(t, strings.Split(git("worktree", "list"), "\n"), 1, "no copy is left")
}
