package railway_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// A vault is a stage with a database, and three backups of it, the newest first.
type vault struct {
	*stage
	volume string // the ID of its instance
	three  [3]string
}

func newVault(t testing.TB) *vault {
	t.Helper()
	v := &vault{stage: newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})}
	v.volume = v.AddVolume(v.environment, v.service, railwaytest.Volume{Name: "db-data", MountPath: "/var/lib/postgresql/data", SizeMB: 5000, UsedMB: 100, Data: "now"})
	for i, data := range []string{"newest", "middle", "oldest"} {
		v.three[i] = v.AddBackup(v.volume, railwaytest.Backup{Name: data, Data: data, Created: time.Now().Add(-time.Duration(i+1) * time.Hour), UsedMB: 90})
	}
	return v
}

// mounted returns what is on the volume that is mounted.
func (v *vault) mounted() string { return v.Data(v.Mounted(v.environment, v.service)) }

// db returns the service.
func (v *vault) db(t testing.TB) *railway.Service { return v.on(t, v.client) }

// Requirement: RW-ASK-BACKUP, RW-BACKUP-ID
// Requirement: RB-CMD-RAILWAY-DATABASE-BACKUPS
func TestBackups(t *testing.T) {
	incidenttest.TestBackups(t, incidenttest.BackupsHarness{
		Run: func(t *testing.T, test func(*testing.T)) { synctest.Test(t, test) },
		New: func(t testing.TB) incidenttest.BackupsCase {
			v := newVault(t)
			return incidenttest.BackupsCase{
				Faults: incidenttest.Faults{
					Effects:    func() int { return v.count("volumeInstanceBackupCreate", "volumeInstanceBackupRestore") },
					LoseAnswer: func() { v.Fail(railwaytest.Fault{Kind: railwaytest.LoseAnswer}) },
					Forbid:     func() { v.Forbid(true) },
					Break:      func() { v.Break(true) },
				},
				Backups: v.db(t), Three: v.three, Missing: nobody,
				Data: v.mounted, Holds: v.BackupData, DeletesNewer: true,
			}
		},
	})
}

// A backup is never made twice, whatever becomes of the answer.
//
// Requirement: RW-DOCS-BACKUP, RW-ASK-BACKUP
// Requirement: RB-CMD-RAILWAY-DATABASE-BACKUP
func TestBackupIsMadeOnce(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t)
				fault.Op = "volumeInstanceBackupCreate"
				v.Fail(fault)
				b, err := v.db(t).CreateBackup(t.Context(), "before the work")
				require.NoError(t, err) // the list tells
				assert.Equal(t, "before the work", b.Name)
				assert.Equal(t, 1, v.count("volumeInstanceBackupCreate"))
				again, err := v.db(t).CreateBackup(t.Context(), "before the work")
				require.NoError(t, err)
				assert.Equal(t, b.ID, again.ID)
				assert.Equal(t, 1, v.count("volumeInstanceBackupCreate"))
			})
		})
	}
}

// What was not run is not claimed to be there, and the caller is not told that
// nothing happened.
func TestBackupThatWasNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		v.Fail(railwaytest.Fault{Op: "volumeInstanceBackupCreate", Kind: railwaytest.BadGateway})
		_, err := v.db(t).CreateBackup(t.Context(), "before the work")
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.False(t, runbook.SafeToRetry(err))
		assert.Zero(t, v.count("volumeInstanceBackupCreate"))
	})
}

// Requirement: RW-BACKUP-LIMITS
func TestBackupOfTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})
		s.AddVolume(s.environment, s.service, railwaytest.Volume{Name: "db-data", MountPath: "/data", SizeMB: 5000, UsedMB: 2501})
		_, err := s.on(t, s.client).CreateBackup(t.Context(), "too much")
		require.ErrorIs(t, err, incident.ErrUnsupported)
		assert.ErrorContains(t, err, "2501 of 5000 MB")
		assert.True(t, runbook.SafeToRetry(err))
		assert.NotContains(t, s.Calls(), "BackupCreate") // it is not even tried
	})
}

// Several volumes are an error that lists them, and each can be chosen.
func TestVolumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		second := v.AddVolume(v.environment, v.service, railwaytest.Volume{Name: "uploads", MountPath: "/uploads", SizeMB: 1000})
		other := v.AddService(v.environment, railwaytest.Service{Name: "other", Image: "x"})
		v.AddVolume(v.environment, other, railwaytest.Volume{Name: "uploads", MountPath: "/uploads", SizeMB: 1000})
		db := v.db(t)

		_, err := db.Backups(t.Context())
		require.Error(t, err)
		assert.ErrorContains(t, err, "2 volumes")
		assert.ErrorContains(t, err, v.volume)
		assert.ErrorContains(t, err, second)

		for _, name := range []string{"db-data", "DB-DATA", v.volume, "/var/lib/postgresql/data"} {
			list, err := db.Volume(name).Backups(t.Context())
			require.NoError(t, err, name)
			assert.Len(t, list, 3, name)
		}
		list, err := db.Volume("/uploads").Backups(t.Context())
		require.NoError(t, err)
		assert.Empty(t, list)
		_, err = db.Volume("pictures").Backups(t.Context())
		assert.ErrorIs(t, err, incident.ErrNotFound)
	})
}

// A volume is made once, in the environment of the service, and can be backed up.
//
// Requirement: RW-VOLUME-ENVIRONMENT
func TestEnsureVolume(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})
				staging := s.AddEnvironment(s.project, "staging")
				s.AddService(staging, railwaytest.Service{Name: "db", Image: "postgres:17"})
				s.Fail(fault)
				volume, err := s.on(t, s.client).EnsureVolume(t.Context(), "/data")
				require.NoError(t, err)
				_, err = volume.CreateBackup(t.Context(), "first")
				require.NoError(t, err)
				assert.NotEmpty(t, s.Mounted(s.environment, s.service))
				assert.Empty(t, s.Mounted(staging, s.service))
				_, err = s.on(t, s.client).EnsureVolume(t.Context(), "/data")
				require.NoError(t, err)
				_, err = s.on(t, s.client).EnsureVolume(t.Context(), "data")
				require.Error(t, err)
				assert.Equal(t, 1, s.count("volumeCreate"))
			})
		})
	}
}

func TestServiceWithoutVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, railwaytest.Service{Name: "app", Image: "x"})
		_, err := s.on(t, s.client).Backups(t.Context())
		assert.ErrorIs(t, err, incident.ErrNotFound)
		_, err = s.on(t, s.client).CreateBackup(t.Context(), "x")
		assert.ErrorIs(t, err, incident.ErrNotFound)
		assert.Empty(t, s.Effects())
	})
}

func TestDeleteAndLockBackup(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t)
				ends := v.AddBackup(v.volume, railwaytest.Backup{Name: "daily", Data: "d", Created: time.Now().Add(-time.Minute), Expires: time.Now().Add(6 * 24 * time.Hour)})
				volume := v.db(t).Volume("")

				fault.Op = "volumeInstanceBackupLock"
				v.Fail(fault)
				b, err := volume.LockBackup(t.Context(), ends)
				require.NoError(t, err)
				assert.True(t, b.Expires.IsZero())
				_, err = volume.LockBackup(t.Context(), ends) // it is locked
				require.NoError(t, err)
				assert.Equal(t, 1, v.count("volumeInstanceBackupLock"))

				fault.Op = "volumeInstanceBackupDelete"
				v.Fail(fault)
				require.NoError(t, volume.DeleteBackup(t.Context(), ends))
				assert.Equal(t, 1, v.count("volumeInstanceBackupDelete"))
				assert.ErrorIs(t, volume.DeleteBackup(t.Context(), ends), incident.ErrNotFound)
				_, err = volume.LockBackup(t.Context(), ends)
				assert.ErrorIs(t, err, incident.ErrNotFound)
			})
		})
	}
}

// Schedules are set as a full set, and the set can be empty.
func TestSchedules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		volume := v.db(t).Volume("")
		set := func(kinds ...railway.BackupSchedule) {
			t.Helper()
			require.NoError(t, volume.SetSchedules(t.Context(), kinds...))
			now, err := volume.Schedules(t.Context())
			require.NoError(t, err)
			assert.ElementsMatch(t, kinds, now)
		}
		set(railway.BackupWeekly, railway.BackupDaily)
		set(railway.BackupMonthly)
		v.Fail(railwaytest.Fault{Kind: railwaytest.LoseAnswer})
		set(railway.BackupDaily, railway.BackupWeekly, railway.BackupMonthly)
		set()
		assert.Error(t, volume.SetSchedules(t.Context(), "HOURLY"))
		assert.Equal(t, 4, v.count("volumeInstanceBackupScheduleUpdate"))
	})
}

// A recovery to a point in time makes a new service and leaves the old one alone.
func TestRecoverTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t)
		volume := v.db(t).Volume("")
		time.Sleep(time.Hour)
		made, err := volume.RecoverTo(t.Context(), time.Now().Add(-30*time.Minute), "db-recovered")
		require.NoError(t, err)
		assert.NotEqual(t, v.service, made.ID())
		assert.Equal(t, "now", v.mounted())
		assert.Equal(t, v.environment, made.Environment().ID())
		assert.Equal(t, 1, v.count("volumeInstancePITRRestore"))

		_, err = volume.RecoverTo(t.Context(), time.Now().Add(-time.Minute), "DB")
		assert.ErrorContains(t, err, v.service) // the name is taken
		_, err = volume.RecoverTo(t.Context(), time.Now().Add(time.Minute), "later")
		require.Error(t, err)
		_, err = volume.RecoverTo(t.Context(), time.Now(), "")
		require.Error(t, err)
		_, err = volume.RecoverTo(t.Context(), time.Now().Add(-24*time.Hour), "before it was there")
		require.Error(t, err)
		assert.True(t, runbook.SafeToRetry(err)) // Railway refused
		assert.Equal(t, 1, v.count("volumeInstancePITRRestore"))
	})
}

// With the answer lost a recovery cannot be followed. It is not begun twice, and the
// error names what is there.
func TestRecoverToWithoutAnswer(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t)
				time.Sleep(time.Hour)
				fault.Op = "volumeInstancePITRRestore"
				v.Fail(fault)
				_, err := v.db(t).Volume("").RecoverTo(t.Context(), time.Now().Add(-30*time.Minute), "db-recovered")
				require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
				assert.ErrorContains(t, err, "it was begun, service ")
				assert.Equal(t, 1, v.count("volumeInstancePITRRestore"))
			})
		})
	}
	t.Run("not run", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := newVault(t)
			v.Fail(railwaytest.Fault{Kind: railwaytest.Gateway})
			_, err := v.db(t).Volume("").RecoverTo(t.Context(), time.Now(), "db-recovered")
			require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
			assert.ErrorContains(t, err, "no service of that name")
			assert.Empty(t, v.Effects())
		})
	})
}
