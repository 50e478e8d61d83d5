package railway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

const (
	migrateCommit = "0123456789abcdef0123456789abcdef01234567"
	newerCommit   = "fedcba9876543210fedcba9876543210fedcba98"
	deployV2      = "serviceInstanceDeployV2"
)

// database is a Railway with a service whose deployments migrate a database, if they
// have the command.
type database struct {
	*opsHost
	spoiled bool
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	return &database{opsHost: newOps(t, railwaytest.Service{Repo: "acu/web", Commit: migrateCommit})}
}

// version is that of the schema: each deployment is one, unless they are spoiled.
func (d *database) version() string {
	n := len(d.did(deployV2))
	if d.spoiled {
		n = 0
	}
	return fmt.Sprintf("v%d", n)
}

func (d *database) migrator(command ...string) *railway.Migrator {
	return d.svc.Migrator(railway.MigratorConfig{Command: command, Version: func(context.Context) (string, error) { return d.version(), nil }})
}

// command is the pre-deploy command that is configured.
func (d *database) command(t testing.TB) []string {
	t.Helper()
	s, err := d.svc.Settings(t.Context())
	require.NoError(t, err)
	return s.PreDeployCommand
}

func TestMigrator(t *testing.T) {
	for name, configured := range map[string]bool{"a command of its own": false, "the command that is configured": true} {
		t.Run(name, func(t *testing.T) {
			incidenttest.TestMigrator(t, incidenttest.MigratorHarness{Run: opsBubble, New: func(t testing.TB) incidenttest.MigratorCase {
				d := newDatabase(t)
				m := d.migrator("bin/migrate")
				if configured {
					_, err := d.svc.UpdateSettings(t.Context(), railway.Settings{PreDeployCommand: []string{"bin/migrate"}})
					require.NoError(t, err)
					m = d.migrator()
				}
				return incidenttest.MigratorCase{
					Faults: incidenttest.Faults{
						Effects:    func() int { return len(d.did(deployV2)) },
						LoseAnswer: func() { d.Fail(railwaytest.Fault{Kind: railwaytest.LoseAnswer}) },
						Forbid:     func() { d.Forbid(true) },
						Break:      func() { d.Break(true) },
					},
					Migrator: m,
					Schema:   d.version,
					Spoil: func() {
						d.spoiled = true
						d.NextDeployments("FAILED:PRE_DEPLOY_COMMAND")
					},
				}
			}})
		})
	}
}

// The command is configured for one deployment, of what is deployed, and what was
// there before is put back.
func TestMigratePutsBack(t *testing.T) {
	for name, before := range map[string][]string{"none": nil, "another one": {"bin/check"}, "the same": {"bin/migrate"}} {
		t.Run(name, func(t *testing.T) {
			opsBubble(t, func(t *testing.T) {
				d := newDatabase(t)
				if before != nil {
					_, err := d.svc.UpdateSettings(t.Context(), railway.Settings{PreDeployCommand: before})
					require.NoError(t, err)
				}
				d.Push(d.environment, d.service, newerCommit, "newer")
				time.Sleep(time.Minute)
				updates := len(d.did("serviceInstanceUpdate"))
				m, err := d.migrator("bin/migrate").Migrate(t.Context())
				require.NoError(t, err)
				assert.True(t, m.Succeeded)
				assert.Equal(t, "v0", m.From)
				assert.Equal(t, "v1", m.To)
				assert.Equal(t, d.Newest(d.environment, d.service), m.Deployment)
				assert.ElementsMatch(t, before, d.command(t))
				if name == "the same" {
					assert.Len(t, d.did("serviceInstanceUpdate"), updates)
				} else {
					assert.Len(t, d.did("serviceInstanceUpdate"), updates+2)
				}
				list, err := d.svc.Deployments(t.Context(), 1)
				require.NoError(t, err)
				assert.Equal(t, newerCommit, list[0].Commit, "what was deployed is deployed again")
			})
		})
	}
}

func TestMigrateOfAnImage(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := newOps(t, railwaytest.Service{Image: "acu/web:1"})
		m, err := h.svc.Migrator(railway.MigratorConfig{Command: []string{"bin/migrate"}}).Migrate(t.Context())
		require.NoError(t, err)
		assert.True(t, m.Succeeded)
		assert.Empty(t, m.From)
		assert.Empty(t, m.To)
		list, err := h.svc.Deployments(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, m.Deployment, list[0].ID)
		assert.Equal(t, "acu/web:1", list[0].Image)
	})
}

func TestMigrateOutcomes(t *testing.T) {
	for outcome, c := range map[string]struct {
		succeeded, unknown bool
		says               string
	}{
		"SUCCESS":                   {succeeded: true},
		"CRASHED":                   {succeeded: true}, // afterwards
		"SLEEPING":                  {succeeded: true},
		"FAILED:PRE_DEPLOY_COMMAND": {},
		"FAILED:BUILD_IMAGE":        {says: "before the command was run: build image failed"},
		"SKIPPED":                   {says: "before the command was run"},
		"NEEDS_APPROVAL":            {unknown: true, says: "does not say how the command ended"},
	} {
		t.Run(outcome, func(t *testing.T) {
			opsBubble(t, func(t *testing.T) {
				d := newDatabase(t)
				d.NextDeployments(outcome)
				m, err := d.migrator("bin/migrate").Migrate(t.Context())
				assert.Equal(t, c.succeeded, m.Succeeded, "%v", err)
				assert.NotEmpty(t, m.Deployment)
				assert.Equal(t, c.unknown, errors.Is(err, incident.ErrOutcomeUnknown), "%v", err)
				if c.says == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, c.says)
					assert.False(t, runbook.SafeToRetry(err))
				}
				assert.Empty(t, d.command(t), "it is put back in any case")
			})
		})
	}
}

// Each change whose answer is lost is looked at, and made once.
func TestMigrateUnclear(t *testing.T) {
	for _, op := range []string{deployV2, "serviceInstanceUpdate"} {
		for name, fault := range opsUnclear(op) {
			t.Run(op+": "+name, func(t *testing.T) {
				opsBubble(t, func(t *testing.T) {
					d := newDatabase(t)
					d.Fail(fault)
					m, err := d.migrator("bin/migrate").Migrate(t.Context())
					if strings.HasSuffix(name, "instead") {
						assert.Empty(t, d.did(deployV2), "nothing is deployed that might not migrate")
						require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
					} else {
						require.NoError(t, err)
						assert.True(t, m.Succeeded)
						assert.Len(t, d.did(deployV2), 1)
					}
					assert.Empty(t, d.command(t))
				})
			})
		}
	}
}

// If the setting cannot be put back, a person is told, and what was seen of the
// migration as well.
func TestMigrateCannotPutBack(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		d := newDatabase(t)
		d.after = map[string]func(){deployV2: func() {
			d.Fail(railwaytest.Fault{Op: "serviceInstanceUpdate", Kind: railwaytest.NotAuthorized})
		}}
		m, err := d.migrator("bin/migrate").Migrate(t.Context())
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		require.ErrorContains(t, err, "may still be configured")
		assert.False(t, runbook.SafeToRetry(err))
		assert.True(t, m.Succeeded)
		assert.Equal(t, "v1", m.To)
		assert.Equal(t, []string{"bin/migrate"}, d.command(t))
	})
}

// What somebody else configured meanwhile is left alone.
func TestMigrateLeavesOthersSetting(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		d := newDatabase(t)
		d.after = map[string]func(){deployV2: func() {
			_, err := d.svc.UpdateSettings(t.Context(), railway.Settings{PreDeployCommand: []string{"theirs"}})
			assert.NoError(t, err)
		}}
		m, err := d.migrator("bin/migrate").Migrate(t.Context())
		require.NoError(t, err)
		assert.True(t, m.Succeeded)
		assert.Equal(t, []string{"theirs"}, d.command(t))
	})
}

func TestMigrateIsCancelled(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		d := newDatabase(t)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		m, err := d.migrator("bin/migrate").Migrate(ctx)
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.False(t, runbook.SafeToRetry(err))
		assert.Equal(t, d.Newest(d.environment, d.service), m.Deployment)
		require.ErrorContains(t, err, m.Deployment)
		assert.Empty(t, d.command(t), "it is put back also after the end of the context")
	})
}

func TestMigrateOneAtATime(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		d := newDatabase(t)
		m := d.migrator("bin/migrate")
		first := make(chan error)
		go func() {
			_, err := m.Migrate(t.Context())
			first <- err
		}()
		time.Sleep(5 * time.Second)
		_, err := m.Migrate(t.Context())
		require.ErrorIs(t, err, incident.ErrBusy)
		_, err = d.migrator("bin/migrate").Migrate(t.Context()) // of another program
		require.ErrorIs(t, err, incident.ErrBusy)
		assert.True(t, runbook.SafeToRetry(err))
		require.NoError(t, <-first)
		assert.Len(t, d.did(deployV2), 1)
	})
}

func TestMigrateRefusals(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		d := newDatabase(t)
		_, err := d.migrator().Migrate(t.Context())
		require.ErrorIs(t, err, incident.ErrNotFound)
		require.ErrorContains(t, err, "no pre-deploy command")

		_, err = d.svc.Migrator(railway.MigratorConfig{Command: []string{"x"}, Version: func(context.Context) (string, error) {
			return "", errors.New("the database is away")
		}}).Migrate(t.Context())
		require.ErrorContains(t, err, "the database is away")
		assert.True(t, runbook.SafeToRetry(err))

		none := newOps(t, railwaytest.Service{Repo: "acu/web", Undeployed: true})
		_, err = none.svc.Migrator(railway.MigratorConfig{Command: []string{"x"}}).Migrate(t.Context())
		require.ErrorIs(t, err, incident.ErrNotFound)

		uploaded := newOps(t, railwaytest.Service{})
		_, err = uploaded.svc.Migrator(railway.MigratorConfig{Command: []string{"x"}}).Migrate(t.Context())
		require.ErrorIs(t, err, incident.ErrUnsupported)
		assert.Empty(t, d.Effects())
		assert.Empty(t, none.Effects())
		assert.Empty(t, uploaded.Effects())
	})
}

// The output is what was printed while the command ran: the last 100 lines, which
// cannot change a terminal.
func TestMigrateOutput(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		d := newDatabase(t)
		_, err := d.svc.UpdateSettings(t.Context(), railway.Settings{PreDeployCommand: []string{"bin/migrate"}})
		require.NoError(t, err)
		printed := make(chan struct{})
		go func() {
			defer close(printed)
			time.Sleep(10 * time.Second)
			id := d.Newest(d.environment, d.service)
			d.PrintBuild(id, "of the build")
			time.Sleep(12 * time.Second) // the command runs from 20 s to 25 s
			for i := range 150 {
				d.Print(id, fmt.Sprintf("migration %d \x1b[31mred", i))
			}
			time.Sleep(5 * time.Second)
			d.Print(id, "of the application")
		}()
		m, err := d.migrator().Migrate(t.Context())
		require.NoError(t, err)
		require.Len(t, m.Output, 100)
		assert.True(t, strings.HasPrefix(m.Output[0], "migration 50 "), m.Output[0])
		assert.True(t, strings.HasPrefix(m.Output[99], "migration 149 "), m.Output[99])
		assert.NotContains(t, strings.Join(m.Output, ""), "\x1b")
		<-printed
	})
}

func ExampleService_Migrator() {
	fake := &railwaytest.Server{Lag: -1, Building: -1, Deploying: -1}
	project := fake.AddProject(fake.AddWorkspace("acu"), "runbook")
	environment := fake.AddEnvironment(project, "production")
	fake.AddService(environment, railwaytest.Service{Name: "web", Repo: "acu/web"})
	token := fake.AddToken(railwaytest.Token{Kind: "project", Project: project, Environment: environment})

	client, err := railway.New(railway.Config{
		Kind: railway.ProjectToken, Token: runbook.NewSecret(token),
		HTTP: fake.Client(), // leave this out for the real Railway
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	web, err := client.Service(ctx, railway.Target{Service: "web"})
	if err != nil {
		fmt.Println(err)
		return
	}
	done, err := web.Migrator(railway.MigratorConfig{Command: []string{"python manage.py migrate"}}).Migrate(ctx)
	fmt.Println(done.Succeeded, err)
	// Output: true <nil>
}
