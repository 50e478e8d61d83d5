package railway

import "encoding/json"

// SnapshotPatch returns the plan of a restore over a configuration, and what it would
// write. services are names by ID.
func SnapshotPatch(snapshot, config string, services map[string]string) (SnapshotPlan, string, error) {
	o := op{name: "plan"}
	file, err := parseSnapshot(o, []byte(snapshot))
	if err != nil {
		return SnapshotPlan{}, "", err
	}
	c := &configuration{environment: Named{"e", "name"}}
	if err := c.parse(o, []byte(config), services, nil); err != nil {
		return SnapshotPlan{}, "", err
	}
	r := SnapshotRestore{Snapshot: &Snapshot{file: func() snapshotFile { return file }}, Settings: true}
	p, err := r.over(o, c, StagedChanges{})
	if err != nil {
		return SnapshotPlan{}, "", err
	}
	b, err := json.Marshal(p.patch)
	return p.plan, string(b), err
}
