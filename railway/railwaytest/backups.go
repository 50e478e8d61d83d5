package railwaytest

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Backup is what [Server.AddBackup] adds.
type Backup struct {
	// Name is its name. Empty means one that was made by a schedule and has none.
	Name string
	// Data stands for what is in it.
	Data string
	// Created is when it was made. Zero means now. Expires is when it goes; zero
	// means never.
	Created, Expires time.Time
	// UsedMB is how large it is. Zero means 100.
	UsedMB int
	// Locked keeps it whatever Expires says.
	Locked bool
}

type backup struct {
	id, name, data, schedule string
	created, expires         time.Time
	usedMB                   int
}

// AddBackup adds a backup of a volume, and returns its ID. It panics if there is no
// such volume instance.
func (s *Server) AddBackup(instance string, b Backup) (id string) {
	defer s.lock()()
	w := s.live(time.Now())
	m := must(w.mounts.get(instance), "volume instance", instance)
	if b.Created.IsZero() {
		b.Created = w.now
	}
	if b.Locked {
		b.Expires = time.Time{}
	}
	made := &backup{id: newID(), name: b.Name, data: b.Data, created: b.Created, expires: b.Expires, usedMB: cmp.Or(b.UsedMB, 100)}
	if b.Name == "" {
		made.schedule = newID()
	}
	m.backups = append(m.backups, made)
	slices.SortStableFunc(m.backups, func(a, b *backup) int { return a.created.Compare(b.created) })
	return made.id
}

// BackupData returns what is in a backup; "" if there is none of that ID.
func (s *Server) BackupData(id string) string {
	defer s.lock()()
	for _, m := range s.live(time.Now()).mounts.all {
		for _, b := range m.backups {
			if b.id == id {
				return b.data
			}
		}
	}
	return ""
}

// kept are the backups of a volume that have not expired, the oldest first.
func (w *world) kept(m *volumeInstance) []*backup {
	m.backups = slices.DeleteFunc(m.backups, func(b *backup) bool { return !b.expires.IsZero() && !b.expires.After(w.now) })
	return m.backups
}

func (w *world) backup(m *volumeInstance, id string) *backup {
	for _, b := range w.kept(m) {
		if b.id == id {
			return b
		}
	}
	return nil
}

func backupList(r *request, a args) (any, error) {
	w, m, err := r.mount(a.text("volumeInstanceId"))
	if err != nil {
		return nil, err
	}
	list := []object{}
	for _, b := range w.kept(m) {
		o := object{"id": b.id, "createdAt": b.created, "expiresAt": b.expires, "usedMB": b.usedMB, "referencedMB": b.usedMB}
		if b.name != "" {
			o["name"] = b.name
		}
		if b.schedule != "" {
			o["scheduleId"] = b.schedule
		}
		list = append(list, o)
	}
	return list, nil
}

// backupCreate begins a backup. Its ID is not told.
func backupCreate(r *request, a args) (any, error) {
	w, m, err := r.mount(a.text("volumeInstanceId"))
	if err != nil {
		return nil, err
	}
	// https://docs.railway.com/volumes/backups
	if m.usedMB > float64(m.sizeMB)/2 {
		return nil, &apiError{message: "Manual backups are limited to 50% of the volume's size"}
	}
	made := &backup{id: newID(), name: cmp.Or(a.text("name"), "Manual"), usedMB: int(m.usedMB)}
	f := w.start("backupVolume/"+newID(), func() string {
		made.created, made.data = w.now, m.data
		m.backups = append(m.backups, made)
		return ""
	})
	r.s.effect("volumeInstanceBackupCreate %s %s", m.id, made.name)
	return object{"workflowId": f.id}, nil
}

// backupOf returns the backup that a mutation is about.
func (r *request) backupOf(a args) (*world, *volumeInstance, *backup, error) {
	w, m, err := r.mount(a.text("volumeInstanceId"))
	if err != nil {
		return nil, nil, nil, err
	}
	b := w.backup(m, a.text("volumeInstanceBackupId"))
	if b == nil {
		return nil, nil, nil, notFound("Volume instance backup")
	}
	return w, m, b, nil
}

func backupDelete(r *request, a args) (any, error) {
	w, m, b, err := r.backupOf(a)
	if err != nil {
		return nil, err
	}
	f := w.start("deleteBackup/"+newID(), func() string {
		m.backups = slices.DeleteFunc(m.backups, func(other *backup) bool { return other == b })
		return ""
	})
	r.s.effect("volumeInstanceBackupDelete %s", b.id)
	return object{"workflowId": f.id}, nil
}

func backupLock(r *request, a args) (any, error) {
	_, _, b, err := r.backupOf(a)
	if err != nil {
		return nil, err
	}
	b.expires = time.Time{}
	r.s.effect("volumeInstanceBackupLock %s", b.id)
	return true, nil
}

// backupRestore copies a backup into a fresh volume, and stages that it takes the
// place of the other one.
func backupRestore(r *request, a args) (any, error) {
	w, m, b, err := r.backupOf(a)
	if err != nil {
		return nil, err
	}
	if m.cluster {
		return nil, &apiError{message: "Restoring a backup of a clustered database is not supported"}
	}
	e := w.environments.get(m.environment)
	m.state = "RESTORING"
	f := w.start("restoreBackup/"+newID(), func() string {
		m.state = "READY"
		if w.backup(m, b.id) == nil {
			return "The backup is gone"
		}
		fresh := &volumeInstance{
			id: newID(), environment: e.id, path: m.path, region: m.region, sizeMB: m.sizeMB, usedMB: float64(b.usedMB),
			data: b.data, state: "READY", created: w.now, restored: &restored{m, b},
		}
		fresh.volume = w.addVolume(e.project, b.created.UTC().Format("2006-01-02 15:04:05"))
		w.mounts.add(fresh.id, fresh)
		swap := at(tree{"sizeMB": float64(fresh.sizeMB), "region": fresh.region, "isCreated": true}, "volumes", fresh.volume.id)
		if m.service != "" {
			swap = stacked(swap, at(tree{m.volume.id: nil, fresh.volume.id: tree{"mountPath": m.path}}, "services", m.service, "volumeMounts"))
		}
		w.stage(e, swap, true)
		return ""
	})
	r.s.effect("volumeInstanceBackupRestore %s", b.id)
	return object{"workflowId": f.id}, nil
}

// schedules are what a schedule of each kind is.
func schedule(kind string) (cron string, keep time.Duration) {
	switch kind {
	case "DAILY":
		return "0 3 * * *", 6 * 24 * time.Hour
	case "WEEKLY":
		return "0 3 * * 0", 30 * 24 * time.Hour
	}
	return "0 3 1 * *", 90 * 24 * time.Hour
}

func backupScheduleList(r *request, a args) (any, error) {
	_, m, err := r.mount(a.text("volumeInstanceId"))
	if err != nil {
		return nil, err
	}
	list := []object{}
	for _, kind := range m.schedules {
		cron, keep := schedule(kind)
		list = append(list, object{"id": m.id + "-" + kind, "kind": kind, "name": kind, "cron": cron, "retentionSeconds": int(keep.Seconds())})
	}
	return list, nil
}

// backupScheduleUpdate sets all schedules: one that is not named is gone.
func backupScheduleUpdate(r *request, a args) (any, error) {
	_, m, err := r.mount(a.text("volumeInstanceId"))
	if err != nil {
		return nil, err
	}
	m.schedules = slices.Compact(slices.Sorted(slices.Values(a.texts("kinds"))))
	r.s.effect("volumeInstanceBackupScheduleUpdate %s %v", m.id, m.schedules)
	return true, nil
}

// pointInTimeRestore makes a new service with the data of a moment.
func pointInTimeRestore(r *request, a args) (any, error) {
	w, m, err := r.mount(a.text("volumeInstanceId"))
	if err != nil {
		return nil, err
	}
	target, err := time.Parse(time.RFC3339Nano, a.text("targetTimestamp"))
	e := w.environments.get(m.environment)
	of := w.services.get(m.service)
	switch {
	case err != nil:
		return nil, badInput("targetTimestamp must be a time")
	case of == nil:
		return nil, &apiError{message: "The volume is not mounted"}
	case target.After(w.now) || target.Before(m.created):
		return nil, badInput("targetTimestamp is outside of the recovery window")
	}
	name := cmp.Or(a.text("newServiceName"), fmt.Sprintf("%s-restored-%s", of.name, w.now.UTC().Format("20060102-1504")))
	if w.serviceNamed(e.project, name) != nil {
		return nil, badInput("A service named \"" + name + "\" already exists in this project")
	}
	data := m.data // the newest backup before the moment stands for the data of then
	for _, b := range w.kept(m) {
		if !b.created.After(target) {
			data = b.data
		}
	}
	f := w.start("restorePointInTime/"+newID(), func() string {
		v := w.addService(e.project, name)
		i := w.addInstance(e, v)
		settings := merged(e.instances.get(of.id).settings(), tree{"volumeMounts": nil, "networking": nil})
		w.commit(e, at(settings, "services", v.id))
		w.addMount(e, Volume{MountPath: m.path, Region: m.region, SizeMB: m.sizeMB, UsedMB: m.usedMB, Data: data}, v.id)
		w.deploy(i, w.latest(i))
		return ""
	})
	r.s.effect("volumeInstancePITRRestore %s %s", m.id, name)
	return object{"workflowId": f.id}, nil
}
