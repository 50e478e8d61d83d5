package world

import (
	"context"
	"fmt"
	"math"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// wholeData stands for data in which nothing is lost.
const wholeData = "whole"

// dependency is a service beside the application.
type dependency struct {
	deployment string
	up         bool
}

// deployed takes what the platform says runs.
func (d *dependency) deployed(now deployed) {
	if now.ID != "" {
		d.deployment = now.ID
	}
	d.up = now.Status == "SUCCESS" && !now.DeploymentStopped
}

// database is the model of the server of the database.
type database struct {
	dependency
	e           *environment
	disk        float64 // in percent
	connections float64
	blocked     float64   // queries
	longest     float64   // for how many seconds one is blocked
	lost        string    // what was lost; empty if the data are whole
	scheduled   time.Time // when the platform made a backup by its schedule last
	noSchedule  bool
	asked       time.Time // when the backups were listed last
	newest      time.Time // of them
}

// mostConnections is how many connections the server takes.
const mostConnections = 100

func newDatabase(e *environment, deployment string, now time.Time) database {
	return database{dependency: dependency{deployment, true}, e: e, disk: 31, connections: 14, scheduled: now.Add(-5 * time.Hour)}
}

// crash ends the server.
func (d *database) crash() {
	d.up = false
	d.e.w.railway.SetStatus(d.deployment, "CRASHED")
	d.e.print(d.deployment, "PANIC: could not write to log file: the server process was terminated", "error")
}

// step is one step of the model.
func (d *database) step() {
	if !d.up {
		d.connections, d.blocked, d.longest = 0, 0, 0
		return
	}
	usual := 8 + d.e.app.pool
	if !d.e.app.up || d.e.misled() {
		usual = 4
	}
	if d.e.fault(ConnectionStorm) != nil && d.e.app.up && !d.e.misled() {
		usual = mostConnections
	}
	d.connections += (usual - d.connections) * math.Min(1, dt/45)
	if usual < d.connections && usual < 40 {
		d.connections = usual
	}
	if d.e.fault(BlockedQueries) != nil && !d.e.misled() {
		d.longest += dt
		d.blocked = math.Min(30, 2+d.longest/20)
	} else {
		d.blocked, d.longest = 0, 0
	}
	if f := d.e.fault(DiskFilling); f != nil {
		d.disk = math.Min(100, d.disk+(0.7+0.6*f.strength)*dt/60)
	}
}

// slowness is how many times longer a query takes than usual.
func (d *database) slowness() float64 {
	slow := 1.0
	if d.blocked > 0 {
		slow += math.Min(80, d.longest/3)
	}
	return slow
}

// part is what of the database does not work, as the application sees it; empty if it
// works.
func (d *database) part() string {
	switch {
	case !d.up || d.e.misled():
		return "connection"
	case d.connections > mostConnections-4:
		return "connection"
	case d.disk >= 99.5:
		return "write"
	case d.longest > 600:
		return "query"
	}
	return ""
}

// databaseServer asks the server, as package health/sqlprobe does.
func (e *environment) databaseServer() health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		if err := e.w.enter(); err != nil {
			return health.Result{Status: health.Unknown, Cause: health.CauseFailed, Message: err.Error()}
		}
		e.w.mu.Lock()
		defer e.w.mu.Unlock()
		return e.database.result()
	})
}

func (d *database) result() health.Result {
	switch {
	case d.e.unreachable():
		return health.Result{Status: health.Unhealthy, Cause: health.CauseTimeout, Message: "connect: no answer within 5 s"}
	case !d.up:
		return health.Result{Status: health.Unhealthy, Cause: health.CauseRefused, Message: "connect: connection refused"}
	case d.connections > mostConnections-2:
		return health.Result{Status: health.Unhealthy, Cause: "too_many_connections", Message: "connect: FATAL: sorry, too many clients already (SQLSTATE 53300)"}
	}
	r := health.Result{Status: health.Healthy, Duration: 4 * time.Millisecond, Measurements: []health.Measurement{
		{Name: "connections", Value: math.Round(d.connections)}, {Name: "connections_max", Value: mostConnections},
		{Name: "connections_used", Value: math.Round(d.connections), Unit: health.Percent},
		{Name: "blocked_queries", Value: math.Round(d.blocked)}, {Name: "longest_blocked", Value: d.longest, Unit: health.Seconds}, {Name: "disk_used", Value: math.Round(d.disk*10) / 10, Unit: health.Percent},
	}}
	if d.blocked > 0 {
		r.Measurements = append(r.Measurements, health.Measurement{Name: "blocked_by", Text: "pid 4711 (app, idle in transaction)"})
	}
	switch {
	case d.disk >= 99.5:
		r = r.Worsen(health.Unhealthy, "disk_full", "disk_used: no space left on device")
	case d.disk >= 90:
		r = r.Worsen(health.Degraded, health.CauseThreshold, fmt.Sprintf("disk_used %.1f %%: more than 90 %%", d.disk))
	}
	if d.connections >= 80 {
		r = r.Worsen(health.Degraded, health.CauseThreshold, fmt.Sprintf("connections_used %.0f %%: more than 80 %%", d.connections))
	}
	if d.longest >= 60 {
		r = r.Worsen(health.Degraded, health.CauseThreshold, fmt.Sprintf("longest_blocked %.0f s: more than 60 s", d.longest))
	}
	return r
}

// redisProbe asks the cache.
func (e *environment) redisProbe() health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		if err := e.w.enter(); err != nil {
			return health.Result{Status: health.Unknown, Cause: health.CauseFailed, Message: err.Error()}
		}
		e.w.mu.Lock()
		defer e.w.mu.Unlock()
		switch {
		case e.unreachable():
			return health.Result{Status: health.Unhealthy, Cause: health.CauseTimeout, Message: "ping: no answer within 5 s"}
		case !e.redis.up:
			return health.Result{Status: health.Unhealthy, Cause: health.CauseRefused, Message: "ping: connection refused"}
		}
		return health.Result{Status: health.Healthy, Duration: time.Millisecond}
	})
}

// newBackups are those that there are at the beginning: one of each night.
func (e *environment) newBackups(now time.Time) {
	for day := 5; day >= 0; day-- {
		e.w.railway.AddBackup(e.volume, railwaytest.Backup{Data: wholeData, Created: now.Add(-time.Duration(day)*24*time.Hour - 5*time.Hour), UsedMB: 3100})
	}
}

const backupsQuery = `query backups($volume: String!) { volumeInstanceBackupList(volumeInstanceId: $volume) { id createdAt } }`

type backupRow struct {
	ID        string
	CreatedAt time.Time
}

func (e *environment) backups() []backupRow {
	var list struct {
		Data struct{ VolumeInstanceBackupList []backupRow }
	}
	if e.w.ask(backupsQuery, map[string]any{"volume": e.volume}, &list) != nil {
		return nil
	}
	return list.Data.VolumeInstanceBackupList
}

// newestBackup is when the newest one was made. It is asked for only if something was set
// going since the last time. The lock is held.
func (e *environment) newestBackup() time.Time {
	d := &e.database
	if d.asked.After(e.flux.Add(10 * time.Second)) {
		return d.newest
	}
	d.asked, d.newest = time.Now(), time.Time{}
	for _, b := range e.backups() {
		if b.CreatedAt.After(d.newest) {
			d.newest = b.CreatedAt
		}
	}
	return d.newest
}

// backup is one that a schedule makes.
func (e *environment) backup(at time.Time, name string) {
	data := wholeData
	if e.database.lost != "" {
		data = e.database.lost
	}
	e.w.railway.AddBackup(e.volume, railwaytest.Backup{Name: name, Data: data, Created: at, UsedMB: 3100})
	e.stir()
}

// beginStaleBackup removes the newest backups, as somebody did by mistake, together with
// their schedule.
func beginStaleBackup(f *fault) {
	f.e.database.noSchedule = true
	for _, b := range f.e.backups() {
		if f.began.Sub(b.CreatedAt) < time.Duration(30+20*f.strength)*time.Hour {
			_ = f.w.ask(`mutation drop($volume: String!, $id: String!) { volumeInstanceBackupDelete(volumeInstanceId: $volume, volumeInstanceBackupId: $id) { workflowId } }`,
				map[string]any{"volume": f.e.volume, "id": b.ID}, new(any))
		}
	}
	f.w.effects = len(f.w.railway.Effects()) // nobody who is rehearsed did that
}

// restored is the end of what was written since a backup.
func (e *environment) restored(backup string) {
	e.database.lost = "what was written since backup " + backup
}
