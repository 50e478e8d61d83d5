package railwaytest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/railway/railwaytest"
)

func (c *school) backups(instance string) (ids []string) {
	c.t.Helper()
	list, _ := c.must(`query($v:String!){volumeInstanceBackupList(volumeInstanceId:$v){id name createdAt expiresAt usedMB}}`, vars{"v": instance})["volumeInstanceBackupList"].([]any)
	for _, b := range list {
		ids = append(ids, dig(b, "id").(string))
	}
	return ids
}

const restoreBackup = `mutation($v:String!,$b:String!){volumeInstanceBackupRestore(volumeInstanceId:$v,volumeInstanceBackupId:$b){workflowId}}`

// Requirement: RW-TEST-RESTORE
func TestRestoreNeedsItsCommitAndDeletesNewerBackups(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		volume := c.s.AddVolume(c.production, c.db, railwaytest.Volume{MountPath: "/data", Data: "now"})
		now := time.Now()
		old := c.s.AddBackup(volume, railwaytest.Backup{Name: "old", Data: "old", Created: now.Add(-3 * time.Hour)})
		wanted := c.s.AddBackup(volume, railwaytest.Backup{Name: "wanted", Data: "then", Created: now.Add(-2 * time.Hour)})
		newer := c.s.AddBackup(volume, railwaytest.Backup{Name: "newer", Data: "later", Created: now.Add(-time.Hour)})
		require.Equal(t, []string{old, wanted, newer}, c.backups(volume))

		got := c.must(restoreBackup, vars{"v": volume, "b": wanted})
		status, _ := c.workflow(dig(got, "volumeInstanceBackupRestore", "workflowId"))
		require.Equal(t, "Complete", status)
		settle()
		assert.Equal(t, volume, c.s.Mounted(c.production, c.db), "nothing is restored yet")
		assert.Equal(t, "now", c.s.Data(volume))
		assert.Contains(t, c.s.Staged(c.production), "volumeMounts", "the change is only staged")

		status, _ = c.commitStaged(false)
		require.Equal(t, "Complete", status)
		mounted := c.s.Mounted(c.production, c.db)
		assert.NotEqual(t, volume, mounted)
		assert.Equal(t, "then", c.s.Data(mounted))
		assert.Equal(t, []string{old, wanted}, c.backups(mounted))
		assert.Empty(t, c.backups(volume))
		assert.Empty(t, c.s.BackupData(newer), "what is newer is gone")
		assert.Equal(t, "now", c.s.Data(volume), "the old volume is kept")
		info := c.must(`query($v:String!){volumeInstance(id:$v){serviceId mountPath deletedAt volume{name}}}`, vars{"v": volume})
		assert.Nil(t, dig(info, "volumeInstance", "serviceId"), "and is not mounted")
	})
}

func TestBackups(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		volume := c.s.AddVolume(c.production, c.db, railwaytest.Volume{Data: "now"})
		passing := c.s.AddBackup(volume, railwaytest.Backup{Expires: time.Now().Add(time.Hour)})
		locked := c.s.AddBackup(volume, railwaytest.Backup{Expires: time.Now().Add(time.Hour)})
		c.must(`mutation($v:String!,$b:String!){volumeInstanceBackupLock(volumeInstanceId:$v,volumeInstanceBackupId:$b)}`, vars{"v": volume, "b": locked})
		got := c.must(`mutation($v:String!){volumeInstanceBackupCreate(volumeInstanceId:$v){workflowId}}`, vars{"v": volume})
		assert.Len(t, c.backups(volume), 2, "it is not there at once")
		status, _ := c.workflow(dig(got, "volumeInstanceBackupCreate", "workflowId"))
		require.Equal(t, "Complete", status)
		list := c.backups(volume)
		require.Len(t, list, 3)
		assert.Equal(t, "now", c.s.BackupData(list[2]))
		time.Sleep(2 * time.Hour)
		list = c.backups(volume)
		assert.NotContains(t, list, passing, "what has expired is gone")
		assert.Contains(t, list, locked)
		got = c.must(`mutation($v:String!,$b:String!){volumeInstanceBackupDelete(volumeInstanceId:$v,volumeInstanceBackupId:$b){workflowId}}`, vars{"v": volume, "b": locked})
		status, _ = c.workflow(dig(got, "volumeInstanceBackupDelete", "workflowId"))
		require.Equal(t, "Complete", status)
		assert.NotContains(t, c.backups(volume), locked)
		c.refused("backup not found", restoreBackup, vars{"v": volume, "b": locked})

		full := c.s.AddVolume(c.production, c.web, railwaytest.Volume{SizeMB: 1000, UsedMB: 501})
		c.refused("50%", `mutation($v:String!){volumeInstanceBackupCreate(volumeInstanceId:$v){workflowId}}`, vars{"v": full})
		cluster := c.s.AddVolume(c.production, c.api, railwaytest.Volume{Cluster: true})
		id := c.s.AddBackup(cluster, railwaytest.Backup{Name: "x"})
		c.refused("not supported", restoreBackup, vars{"v": cluster, "b": id})
	})
}

func TestBackupSchedules(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		volume := c.s.AddVolume(c.production, c.db, railwaytest.Volume{})
		kinds := func() (all []any) {
			list, _ := c.must(`query($v:String!){volumeInstanceBackupScheduleList(volumeInstanceId:$v){kind cron retentionSeconds}}`, vars{"v": volume})["volumeInstanceBackupScheduleList"].([]any)
			for _, s := range list {
				all = append(all, dig(s, "kind"))
			}
			return all
		}
		update := `mutation($v:String!,$k:[VolumeInstanceBackupScheduleKind!]!){volumeInstanceBackupScheduleUpdate(volumeInstanceId:$v,kinds:$k)}`
		c.must(update, vars{"v": volume, "k": []string{"WEEKLY", "DAILY"}})
		assert.Equal(t, []any{"DAILY", "WEEKLY"}, kinds())
		c.must(update, vars{"v": volume, "k": []string{"MONTHLY"}})
		assert.Equal(t, []any{"MONTHLY"}, kinds(), "it is the full set")
	})
}

func TestPointInTime(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		volume := c.s.AddVolume(c.production, c.db, railwaytest.Volume{Data: "now"})
		time.Sleep(time.Hour)
		c.s.AddBackup(volume, railwaytest.Backup{Name: "x", Data: "then", Created: time.Now().Add(-30 * time.Minute)})
		restore := `mutation($v:String!,$t:DateTime!){volumeInstancePITRRestore(volumeInstanceId:$v,targetTimestamp:$t){workflowId}}`
		c.refused("recovery window", restore, vars{"v": volume, "t": time.Now().Add(time.Hour).Format(time.RFC3339)})
		got := c.must(restore, vars{"v": volume, "t": time.Now().Add(-10 * time.Minute).Format(time.RFC3339)})
		status, _ := c.workflow(dig(got, "volumeInstancePITRRestore", "workflowId"))
		require.Equal(t, "Complete", status)
		project := c.must(`query($p:String!){project(id:$p){services(first:100){edges{node{id name}}}}}`, vars{"p": c.project})
		edges := dig(project, "project", "services", "edges").([]any)
		made := dig(edges[len(edges)-1], "node")
		assert.Contains(t, dig(made, "name"), "db-restored-2000")
		assert.Equal(t, "then", c.s.Data(c.s.Mounted(c.production, dig(made, "id").(string))))
		assert.Equal(t, "now", c.s.Data(volume))
	})
}

func TestVolumeWithoutEnvironmentHasNoInstance(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		instances := func() int {
			data := c.must(`query($e:String!){environment(id:$e){volumeInstances(first:100){edges{node{id mountPath serviceId}}}}}`, vars{"e": c.production})
			return len(dig(data, "environment", "volumeInstances", "edges").([]any))
		}
		create := `mutation($in:VolumeCreateInput!){volumeCreate(input:$in){id name}}`
		c.must(create, vars{"in": vars{"projectId": c.project, "mountPath": "/x"}})
		assert.Equal(t, 0, instances())
		c.must(create, vars{"in": vars{"projectId": c.project, "environmentId": c.production, "serviceId": c.db, "mountPath": "/x"}})
		assert.Equal(t, 1, instances())
		assert.NotEmpty(t, c.s.Mounted(c.production, c.db))
	})
}

func TestVolumeIsMountedElsewhere(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.s.AddVolume(c.production, c.db, railwaytest.Volume{Data: "a"})
		c.s.SetData(id, "b")
		volume := dig(c.must(`query($v:String!){volumeInstance(id:$v){volumeId}}`, vars{"v": id}), "volumeInstance", "volumeId")
		c.must(`mutation($e:String,$v:String!,$s:String){volumeInstanceUpdate(environmentId:$e,volumeId:$v,input:{serviceId:$s,mountPath:"/y"})}`,
			vars{"e": c.production, "v": volume, "s": c.web})
		assert.Empty(t, c.s.Mounted(c.production, c.db))
		assert.Equal(t, id, c.s.Mounted(c.production, c.web))
		got := c.must(`query($v:String!){volumeInstance(id:$v){mountPath serviceId}}`, vars{"v": id})
		assert.Equal(t, vars{"mountPath": "/y", "serviceId": c.web}, got["volumeInstance"])
		assert.Equal(t, "b", c.s.Data(id))
		c.must(`mutation($v:String!){volumeInstanceUpdate(volumeId:$v,input:{serviceId:null})}`, vars{"v": volume})
		assert.Empty(t, c.s.Mounted(c.production, c.web))
	})
}
