package railwaytest

import (
	"cmp"
	"time"
)

// Volume is what [Server.AddVolume] adds.
type Volume struct {
	// Name is its name. Empty means one that is made up.
	Name string
	// MountPath is where it is mounted. Empty means /data.
	MountPath string
	// Region is where it is. Empty means us-west2.
	Region string
	// SizeMB is how large it is. Zero means 5000.
	SizeMB int
	// UsedMB is how much is used. Zero means 100.
	UsedMB float64
	// Data stands for what is on it.
	Data string
	// Cluster says that the service is a part of a cluster: its backups cannot be
	// restored.
	Cluster bool
}

type volume struct {
	id, project, name string
	created           time.Time
}

func (v *volume) object() object { return object{"id": v.id, "name": v.name} }

// volumeInstance is a volume in an environment.
type volumeInstance struct {
	id          string
	volume      *volume
	environment string
	service     string // empty: not mounted
	path        string // where it is mounted, or was
	region      string
	sizeMB      int
	usedMB      float64
	data        string
	state       string
	cluster     bool
	created     time.Time
	deleted     time.Time
	backups     []*backup // the oldest first
	schedules   []string
	restored    *restored
}

// restored says of a volume that it was made by a restore, until it is mounted.
type restored struct {
	from   *volumeInstance
	backup *backup
}

// AddVolume adds a volume and mounts it into a service. It returns the ID of the
// volume instance. It panics if there is no such service in the environment.
func (s *Server) AddVolume(environment, service string, v Volume) (instance string) {
	defer s.lock()()
	w := s.live(time.Now())
	i := w.mustInstance(environment, service)
	return w.addMount(i.env, v, service).id
}

// addMount makes a volume with an instance; it is mounted if a service is given.
func (w *world) addMount(e *environment, v Volume, service string) *volumeInstance {
	m := &volumeInstance{
		id: newID(), environment: e.id, path: cmp.Or(v.MountPath, "/data"), region: cmp.Or(v.Region, defaultRegion),
		sizeMB: cmp.Or(v.SizeMB, 5000), usedMB: cmp.Or(v.UsedMB, 100), data: v.Data, state: "READY", cluster: v.Cluster, created: w.now,
	}
	m.volume = w.addVolume(e.project, v.Name)
	w.mounts.add(m.id, m)
	config := at(tree{"sizeMB": float64(m.sizeMB), "region": m.region}, "volumes", m.volume.id)
	if service != "" {
		config = merged(config, at(m.path, "services", service, "volumeMounts", m.volume.id, "mountPath"))
	}
	w.commit(e, config)
	return m
}

func (w *world) addVolume(project, name string) *volume {
	v := &volume{id: newID(), project: project, created: w.now}
	v.name = cmp.Or(name, "volume-"+v.id[:4])
	w.volumes.add(v.id, v)
	return v
}

// mountsIn lists the volumes of an environment, deleted ones too.
func (w *world) mountsIn(environment string) (all []*volumeInstance) {
	for _, m := range w.mounts.all {
		if m.environment == environment {
			all = append(all, m)
		}
	}
	return all
}

// remount lets the mounts of a configuration take effect. A volume that was made by
// a restore and is mounted now takes over the backups up to the one it was made
// from; newer ones are gone.
func (w *world) remount(e *environment) {
	by := make(map[string]string)
	for id := range child(e.config, "services") {
		for volume := range child(e.config, "services", id, "volumeMounts") {
			by[volume] = id
		}
	}
	for _, m := range w.mountsIn(e.id) {
		m.service = by[m.volume.id]
		if m.service != "" {
			m.path = cmp.Or(text(e.config, "services", m.service, "volumeMounts", m.volume.id, "mountPath"), m.path)
		}
		if deleted, _ := child(e.config, "volumes", m.volume.id)["isDeleted"].(bool); deleted && m.deleted.IsZero() {
			m.deleted, m.backups = w.now, nil
		}
		if m.service == "" || m.restored == nil {
			continue
		}
		from, last := m.restored.from, m.restored.backup
		m.restored = nil
		for _, b := range from.backups {
			if !b.created.After(last.created) {
				m.backups = append(m.backups, b)
			}
		}
		from.backups = nil
	}
}

func (w *world) volumeInstanceObject(m *volumeInstance) object {
	o := object{
		"id": m.id, "volumeId": m.volume.id, "volume": m.volume.object(), "environmentId": m.environment, "externalId": m.id,
		"mountPath": m.path, "region": m.region, "state": m.state, "sizeMB": m.sizeMB, "currentSizeMB": m.usedMB,
		"createdAt": m.created, "deletedAt": m.deleted, "isPendingDeletion": !m.deleted.IsZero(),
	}
	if m.service != "" {
		o["serviceId"] = m.service
	}
	return o
}

// mount returns a volume instance that the request may see.
func (r *request) mount(id string) (*world, *volumeInstance, error) {
	w := r.world()
	m := w.mounts.get(id)
	if m == nil {
		return nil, nil, r.missing("Volume instance")
	}
	if _, _, err := r.env(m.environment); err != nil {
		return nil, nil, err
	}
	if !m.deleted.IsZero() {
		return nil, nil, notFound("Volume instance")
	}
	return w, m, nil
}

func volumeInstanceQuery(r *request, a args) (any, error) {
	w, m, err := r.mount(a.text("id"))
	if err != nil {
		return nil, err
	}
	return w.volumeInstanceObject(m), nil
}

// volumeCreate makes a volume, and an instance of it only if there is an
// environment.
func volumeCreate(r *request, a args) (any, error) {
	in := a.object("input")
	w, p, err := r.project(in.text("projectId"))
	if err != nil {
		return nil, err
	}
	if !in.has("environmentId") {
		v := w.addVolume(p.id, "")
		r.s.effect("volumeCreate %s", v.id)
		return v.object(), nil
	}
	_, e, err := r.env(in.text("environmentId"))
	if err != nil {
		return nil, err
	}
	if region := in.text("region"); region != "" && !regionIsOpen(region) {
		return nil, badInput("Region " + region + " is not available")
	}
	if in.has("serviceId") {
		if _, _, err := r.instance(e.id, in.text("serviceId")); err != nil {
			return nil, err
		}
	}
	m := w.addMount(e, Volume{MountPath: in.text("mountPath"), Region: in.text("region"), UsedMB: 0.1}, in.text("serviceId"))
	r.s.effect("volumeCreate %s", m.volume.id)
	return m.volume.object(), nil
}

// volumeInstanceUpdate changes where a volume is mounted: in one environment, and in
// all of them if none is given.
func volumeInstanceUpdate(r *request, a args) (any, error) {
	w := r.world()
	in := a.object("input")
	v := w.volumes.get(a.text("volumeId"))
	if v == nil {
		return nil, r.missing("Volume")
	}
	var all []*volumeInstance
	for _, m := range w.mounts.all {
		if m.volume == v && m.deleted.IsZero() && (!a.has("environmentId") || m.environment == a.text("environmentId")) {
			if err := r.canEnvironment(m.environment); err != nil {
				return nil, err
			}
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return nil, notFound("Volume instance")
	}
	for _, m := range all {
		to, path := m.service, cmp.Or(in.text("mountPath"), m.path)
		if value, given := in["serviceId"]; given {
			to, _ = value.(string)
		}
		p := tree{}
		if m.service != "" {
			p = at(nil, "services", m.service, "volumeMounts", v.id)
		}
		if to != "" {
			p = stacked(p, at(path, "services", to, "volumeMounts", v.id, "mountPath"))
		}
		m.path = path
		w.commit(w.environments.get(m.environment), p)
	}
	r.s.effect("volumeInstanceUpdate %s", v.id)
	return true, nil
}

// Mounted returns the ID of the volume instance that is mounted into a service; ""
// if there is none.
func (s *Server) Mounted(environment, service string) (instance string) {
	defer s.lock()()
	for _, m := range s.live(time.Now()).mountsIn(environment) {
		if m.service == service && m.deleted.IsZero() {
			return m.id
		}
	}
	return ""
}

// Data returns what is on a volume. It panics if there is no such volume instance.
func (s *Server) Data(instance string) string {
	defer s.lock()()
	return must(s.live(time.Now()).mounts.get(instance), "volume instance", instance).data
}

// SetData changes what is on a volume, as its service does. It panics if there is no
// such volume instance.
func (s *Server) SetData(instance, data string) {
	defer s.lock()()
	must(s.live(time.Now()).mounts.get(instance), "volume instance", instance).data = data
}
