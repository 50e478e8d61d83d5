package railway_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// planned returns a plan to restore the oldest backup.
func (v *vault) planned(t testing.TB) incident.RestorePlan {
	t.Helper()
	p, err := v.db(t).PlanRestore(t.Context(), v.three[2])
	require.NoError(t, err)
	return p
}

// begun waits until Railway restores.
func (v *vault) begun() {
	for v.count("volumeInstanceBackupRestore") == 0 {
		time.Sleep(10 * time.Millisecond)
	}
}

// Requirement: RW-BACKUP-NEWER
func TestPlanRestoreNamesWhatItDestroys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		p := v.planned(t)
		require.Len(t, p.Deletes, 2)
		assert.Equal(t, []string{v.three[0], v.three[1]}, []string{p.Deletes[0].ID, p.Deletes[1].ID})
		destroys := strings.Join(p.Destroys, "\n")
		for _, part := range []string{"written since " + p.Backup.Created.UTC().Format(time.RFC3339), `volume "db-data"`, "no longer mounted", "connections"} {
			assert.Contains(t, destroys, part)
		}
		assert.Contains(t, p.Target, v.environment)
		time.Sleep(time.Hour)
		assert.True(t, p.Same(v.planned(t)), "a plan goes stale by itself")
	})
}

// The platform only stages the swap: without the commit the data would be as before.
//
// Requirement: RW-BACKUP-RESTORE-STAGED
// Requirement: RB-CMD-RAILWAY-DATABASE-RESTORE
func TestRestoreIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		got, err := v.db(t).RestoreBackup(t.Context(), v.planned(t))
		require.NoError(t, err)
		assert.Equal(t, "oldest", v.mounted())
		assert.Equal(t, "{}", v.Staged(v.environment))
		assert.Equal(t, "now", v.Data(v.volume)) // the way back
		assert.Contains(t, got.Kept, v.volume)
		assert.Len(t, got.Deleted, 2)
		assert.Equal(t, 1, v.count("volumeInstanceBackupRestore"))
		assert.Equal(t, 1, v.count("environmentPatchCommitStaged"))

		// It can be done again, with the volume that is there now.
		list, err := v.db(t).Backups(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		_, err = v.db(t).RestoreBackup(t.Context(), v.planned(t))
		require.NoError(t, err)
		assert.Equal(t, "oldest", v.mounted())
	})
}

// With the answer to the restore lost, in whatever way, it is not sent again,
// nothing is committed, and the error says what to do.
//
// Requirement: RW-G4
func TestRestoreIsNeverSentTwice(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t)
				p := v.planned(t)
				fault.Op = "volumeInstanceBackupRestore"
				v.Fail(fault)
				_, err := v.db(t).RestoreBackup(t.Context(), p)
				require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
				assert.False(t, runbook.SafeToRetry(err))
				assert.ErrorContains(t, err, "staged changes")
				assert.Equal(t, 1, v.count("volumeInstanceBackupRestore"))
				assert.Equal(t, "now", v.mounted())

				// Whoever tries again meets what is staged.
				time.Sleep(time.Minute)
				_, err = v.db(t).RestoreBackup(t.Context(), p)
				require.ErrorIs(t, err, incident.ErrBusy)
				assert.Equal(t, 1, v.count("volumeInstanceBackupRestore"))
			})
		})
	}
}

// The connection is cut after every byte of the answer of a restore.
func TestRestoreCutAtEveryByte(t *testing.T) {
	const answer = `{"data":{"volumeInstanceBackupRestore":{"workflowId":"restoreBackup/00000000-0000-4000-8000-000000000000"}}}`
	for n := range len(answer) {
		synctest.Test(t, func(t *testing.T) {
			v := newVault(t)
			p := v.planned(t)
			v.Fail(railwaytest.Fault{Op: "volumeInstanceBackupRestore", Kind: railwaytest.Cut, Bytes: n})
			_, err := v.db(t).RestoreBackup(t.Context(), p)
			assert.ErrorIs(t, err, incident.ErrOutcomeUnknown, "%d bytes", n)
			assert.Equal(t, 1, v.count("volumeInstanceBackupRestore"), "%d bytes", n)
			assert.Zero(t, v.count("environmentPatchCommitStaged"), "%d bytes", n)
		})
	}
}

// With the answer to the commit lost the state tells that it was made.
func TestRestoreWithTheCommitsAnswerLost(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t)
				p := v.planned(t)
				fault.Op = "environmentPatchCommitStaged"
				v.Fail(fault)
				_, err := v.db(t).RestoreBackup(t.Context(), p)
				require.NoError(t, err)
				assert.Equal(t, "oldest", v.mounted())
				assert.Equal(t, 1, v.count("environmentPatchCommitStaged"))
			})
		})
	}
}

// A commit that is refused leaves the copy staged: nobody may believe that nothing
// happened.
func TestRestoreWhoseCommitIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		p := v.planned(t)
		v.Fail(railwaytest.Fault{Op: "environmentPatchCommitStaged", Kind: railwaytest.NotAuthorized})
		_, err := v.db(t).RestoreBackup(t.Context(), p)
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.NotErrorIs(t, err, incident.ErrNotPermitted)
		assert.ErrorContains(t, err, "the backup is copied")
		assert.Equal(t, "now", v.mounted())
		assert.NotEqual(t, "{}", v.Staged(v.environment))
	})
}

// Changes that somebody else staged are not committed along: not those from before,
// and not those that come while the backup is copied.
//
// Requirement: RW-G9
func TestRestoreLeavesOtherChangesStaged(t *testing.T) {
	change := func(v *vault) string {
		return fmt.Sprintf(`{"services":{%q:{"deploy":{"startCommand":"rm"}}}}`, v.service)
	}
	t.Run("before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := newVault(t)
			p := v.planned(t)
			v.Stage(v.environment, change(v))
			_, err := v.db(t).RestoreBackup(t.Context(), p)
			require.ErrorIs(t, err, incident.ErrBusy)
			assert.ErrorContains(t, err, "startCommand")
			assert.Empty(t, v.Effects())
		})
	})
	for name, patch := range map[string]func(v *vault) string{
		"meanwhile, a setting":  change,
		"meanwhile, a deletion": func(v *vault) string { return fmt.Sprintf(`{"services":{%q:{"isDeleted":true}}}`, v.service) },
		"meanwhile, a mount elsewhere": func(v *vault) string {
			return fmt.Sprintf(`{"services":{%q:{"volumeMounts":{"v":{"mountPath":"/data"}}}}}`, v.AddService(v.environment, railwaytest.Service{Name: "other", Image: "x"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t)
				p := v.planned(t)
				stage := patch(v)
				go func() {
					v.begun()
					v.Stage(v.environment, stage)
				}()
				_, err := v.db(t).RestoreBackup(t.Context(), p)
				require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
				assert.ErrorContains(t, err, "nothing was committed")
				assert.Zero(t, v.count("environmentPatchCommitStaged"))
				assert.Equal(t, "now", v.mounted())
			})
		})
	}
}

// Somebody commits the swap in the dashboard before we do.
func TestRestoreThatSomebodyElseCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		p := v.planned(t)
		env := v.on(t, v.connect(t, railwaytest.Token{Kind: "account"})).Environment()
		done := make(chan error, 1)
		go func() {
			for v.begun(); v.Staged(v.environment) == "{}"; {
				time.Sleep(time.Millisecond)
			}
			staged, err := env.StagedChanges(t.Context())
			if err == nil {
				err = env.CommitStaged(t.Context(), staged, "by hand", false)
			}
			done <- err
		}()
		_, err := v.db(t).RestoreBackup(t.Context(), p)
		other := <-done
		if err != nil { // the two commits met, and one of them found nothing
			require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
			require.NoError(t, other)
		}
		assert.Equal(t, "oldest", v.mounted())
		assert.Equal(t, 1, v.count("volumeInstanceBackupRestore"))
		assert.Equal(t, 1, v.count("environmentPatchCommitStaged"))
	})
}

// Requirement: RW-BACKUP-SCOPE
func TestRestoreElsewhereIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		p := v.planned(t)
		staging := v.AddEnvironment(v.project, "staging")
		service := v.AddService(staging, railwaytest.Service{Name: "db", Image: "postgres:17"})
		v.AddVolume(staging, service, railwaytest.Volume{Name: "db-data", MountPath: "/var/lib/postgresql/data", SizeMB: 5000})
		db, err := v.client.Service(t.Context(), railway.Target{Project: v.project, Environment: staging, Service: service})
		require.NoError(t, err)
		_, err = db.RestoreBackup(t.Context(), p)
		require.ErrorIs(t, err, incident.ErrUnsupported)
		_, err = db.PlanRestore(t.Context(), v.three[2])
		require.ErrorIs(t, err, incident.ErrNotFound)
		assert.Empty(t, v.Effects())
	})
}

// A cluster is refused when it is planned: its replicas would keep the data of now.
func TestRestoreOfAClusterIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		p := v.planned(t)
		v.SetVariable(v.environment, v.service, "PATRONI_ENABLED", "true", false)
		_, err := v.db(t).PlanRestore(t.Context(), v.three[0])
		require.ErrorIs(t, err, incident.ErrUnsupported)
		_, err = v.db(t).RestoreBackup(t.Context(), p)
		require.ErrorIs(t, err, incident.ErrUnsupported)
		assert.Empty(t, v.Effects())
	})
}

// One restore at a time: another one meanwhile is an incident.ErrBusy, by the same
// client and by others.
func TestRestoreOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		p := v.planned(t)
		first := make(chan error, 1)
		go func() {
			_, err := v.db(t).RestoreBackup(t.Context(), p)
			first <- err
		}()
		v.begun()
		_, err := v.db(t).RestoreBackup(t.Context(), p)
		require.ErrorIs(t, err, incident.ErrBusy)
		_, err = v.on(t, v.connect(t, railwaytest.Token{Kind: "account"})).RestoreBackup(t.Context(), p)
		require.ErrorIs(t, err, incident.ErrBusy)
		require.NoError(t, <-first)
		assert.Equal(t, 1, v.count("volumeInstanceBackupRestore"))
	})
}

// The end of the context after the beginning is an outcome that is not known.
func TestRestoreThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		p := v.planned(t)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			v.begun()
			cancel()
		}()
		_, err := v.db(t).RestoreBackup(ctx, p)
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, "now", v.mounted())
		assert.Zero(t, v.count("environmentPatchCommitStaged"))
	})
}

// What is foreign to a swap of volumes.
func TestForeignPaths(t *testing.T) {
	swap := []string{"services.s.volumeMounts.old", "services.s.volumeMounts.new.mountPath", "volumes.new.isCreated", "volumes.new.sizeMB"}
	assert.Empty(t, railway.ForeignPaths(swap, "s", "old", []string{"other"}))
	for _, path := range []string{
		"services.s.variables.A", "services.s", "services.t.volumeMounts.new.mountPath", "volumes.other.sizeMB", "volumes.old.isDeleted", "volumes.old", "sharedVariables.A", "(not understood)",
	} {
		assert.Equal(t, []string{path}, railway.ForeignPaths(append(swap, path), "s", "old", []string{"other"}))
	}
}

func ExampleService_RestoreBackup() {
	// A Railway in memory; with the real one only the configuration differs.
	server := &railwaytest.Server{Lag: -1, Working: time.Millisecond}
	project := server.AddProject(server.AddWorkspace("acu"), "shop")
	environment := server.AddEnvironment(project, "production")
	service := server.AddService(environment, railwaytest.Service{Name: "db", Image: "postgres:17"})
	volume := server.AddVolume(environment, service, railwaytest.Volume{Name: "db-data", MountPath: "/data", SizeMB: 5000})
	backup := server.AddBackup(volume, railwaytest.Backup{Name: "nightly", Created: time.Date(2025, 11, 23, 2, 0, 0, 0, time.UTC)})

	ctx := context.Background()
	client, err := railway.New(railway.Config{
		Kind: railway.AccountToken, Token: runbook.NewSecret(server.AddToken(railwaytest.Token{Kind: "account"})), HTTP: server.Client(),
		Budget: &railway.Budget{PerSecond: 50}, // what the plan allows
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	db, err := client.Service(ctx, railway.Target{Project: "shop", Environment: "production", Service: "db"})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := db.PlanRestore(ctx, backup)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, line := range plan.Destroys { // a person approves this
		fmt.Println(line)
	}
	done, err := db.RestoreBackup(ctx, plan)
	fmt.Println(done.Backup.Name, err)
	// Output:
	// what was written since 2025-11-23T02:00:00Z: it is not in the backup, and stays only on volume "db-data", which is kept and no longer mounted
	// the connections of the service: it is deployed anew with the other volume, and is down meanwhile
	// nightly <nil>
}
