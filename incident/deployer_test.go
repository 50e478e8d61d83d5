package incident_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// old returns a deployment that another one replaced, and that can be rolled back
// to.
func old(id, commit string) incident.Deployment {
	return incident.Deployment{ID: id, Commit: commit, Status: incident.DeploymentRemoved, CanRollback: true}
}

func current(id, commit string) incident.Deployment {
	return incident.Deployment{ID: id, Commit: commit, Status: incident.DeploymentSucceeded, CanRollback: true, Current: true}
}

func TestRollbackTarget(t *testing.T) {
	failed := incident.Deployment{ID: "9", Commit: "x", Status: incident.DeploymentFailed, CanRollback: true}
	gone := old("8", "w")
	gone.CanRollback = false
	image := func(id, image string) incident.Deployment {
		d := old(id, "")
		d.Image = image
		return d
	}
	for name, test := range map[string]struct {
		list []incident.Deployment // the newest first
		want string                // empty: none
	}{
		"nothing":                  {nil, ""},
		"only one":                 {[]incident.Deployment{current("1", "a")}, ""},
		"the one before":           {[]incident.Deployment{current("3", "c"), old("2", "b"), old("1", "a")}, "2"},
		"removed is no obstacle":   {[]incident.Deployment{current("2", "b"), old("1", "a")}, "1"},
		"image no longer kept":     {[]incident.Deployment{current("2", "b"), gone, old("1", "a")}, "1"},
		"not to what failed":       {[]incident.Deployment{current("2", "b"), failed, old("1", "a")}, "1"},
		"not to the same version":  {[]incident.Deployment{current("3", "b"), old("2", "b"), old("1", "a")}, "1"},
		"not to what was left":     {[]incident.Deployment{current("4", "b"), old("3", "c"), old("2", "b"), old("1", "a")}, "1"},
		"newest failed, not live":  {[]incident.Deployment{failed, current("2", "b"), old("1", "a")}, "1"},
		"none is current":          {[]incident.Deployment{failed, old("2", "b"), old("1", "a")}, "2"},
		"by image":                 {[]incident.Deployment{image("3", "app:2"), image("2", "app:2"), image("1", "app:1")}, "1"},
		"versions are not known":   {[]incident.Deployment{image("2", ""), image("1", "")}, "1"},
		"current is older than it": {[]incident.Deployment{old("3", "c"), current("2", "b"), old("1", "a")}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := incident.RollbackTarget(test.list)
			assert.Equal(t, test.want != "", ok)
			assert.Equal(t, test.want, got.ID)
		})
	}
}

func TestDeploymentStatus(t *testing.T) {
	for status, want := range map[incident.DeploymentStatus][2]bool{ // settled, deployed
		incident.DeploymentQueued: {}, incident.DeploymentWaiting: {}, incident.DeploymentInitializing: {},
		incident.DeploymentBuilding: {}, incident.DeploymentDeploying: {}, incident.DeploymentRemoving: {},
		incident.DeploymentNeedsApproval: {true, false}, incident.DeploymentFailed: {true, false}, incident.DeploymentCrashed: {true, false},
		incident.DeploymentSkipped: {true, false}, incident.DeploymentRemoved: {true, false},
		incident.DeploymentSucceeded: {true, true}, incident.DeploymentSleeping: {true, true},
		"": {}, "CANCELLED": {},
	} {
		assert.Equal(t, want, [2]bool{status.Settled(), status.Deployed()}, "%q", status)
	}
}

// What a port takes and gives is checked before anything is sent.
func TestPortsValidate(t *testing.T) {
	now := time.Now()
	x := runbook.NewSecret("x")
	receipt := incident.DumpReceipt{Time: now, Size: 1, SHA256: fmt.Sprintf("%064x", 1), Server: "PostgreSQL 15", Format: "age"}
	type validator interface{ Validate() error }
	for name, test := range map[string]struct {
		value validator
		want  []string // none: valid
	}{
		"newest source":      {incident.DeploymentSource{}, nil},
		"commit and image":   {incident.DeploymentSource{Commit: "a", Image: "b"}, []string{"name one of them"}},
		"scale":              {incident.Scale{Regions: []incident.RegionScale{{Region: "a", Replicas: 2}, {Region: "b"}}}, nil},
		"limits only":        {incident.Scale{Memory: 1 << 30}, nil},
		"empty scale":        {incident.Scale{}, []string{"nothing is to be changed"}},
		"wrong scale":        {incident.Scale{Regions: []incident.RegionScale{{Region: "a", Replicas: -1}, {Region: "a"}}, CPU: -1}, []string{"-1 replicas", "named twice", "negative"}},
		"batch":              {incident.VariableBatch{Set: map[string]runbook.Secret{"A": {}}, Delete: []string{"B"}, Seal: []string{"A"}}, nil},
		"empty batch":        {incident.VariableBatch{Base: "v1"}, []string{"the batch is empty"}},
		"wrong batch":        {incident.VariableBatch{Set: map[string]runbook.Secret{"A": x, "": x}, Delete: []string{"A", "B C"}, Seal: []string{"D"}}, []string{`name ""`, `name "B C"`, `"A" is to be set and to be deleted`, `"D" is to be sealed`}},
		"receipt":            {receipt, nil},
		"empty receipt":      {incident.DumpReceipt{}, []string{"Time is missing", "the dump is empty", "SHA256", "Server or Format"}},
		"hash in capitals":   {incident.DumpReceipt{Time: now, Size: 1, SHA256: fmt.Sprintf("%064X", 10), Server: "a", Format: "b"}, []string{"SHA256"}},
		"tail":               {incident.LogQuery{Tail: 100}, nil},
		"all logs":           {incident.LogQuery{To: now}, []string{"Tail or From is required"}},
		"wrong logs":         {incident.LogQuery{Kind: "x", Tail: -1, From: now, To: now, Any: []string{""}}, []string{`kind "x"`, "Tail is negative", "From must be before To", "empty"}},
		"metrics":            {incident.MetricQuery{Metrics: []incident.Metric{"other", incident.MetricCPU}, From: now}, nil},
		"wrong metrics":      {incident.MetricQuery{To: now.Add(-time.Hour), Step: -1}, []string{"no metric", "From is missing", "Step is negative"}},
		"metric twice":       {incident.MetricQuery{Metrics: []incident.Metric{"a", "a"}, From: now}, []string{`metric "a"`}},
		"project":            {incident.ProjectSpec{Name: "a"}, nil},
		"no project":         {incident.ProjectSpec{}, []string{"name is missing"}},
		"environment":        {incident.EnvironmentSpec{Project: "a", Name: "b"}, nil},
		"no environment":     {incident.EnvironmentSpec{Name: "b"}, []string{"is missing"}},
		"service":            {incident.ServiceSpec{Project: "a", Environment: "b", Name: "c", Repository: "d", Branch: "e", Variables: map[string]runbook.Secret{"A": x}, Seal: []string{"A"}}, nil},
		"bare service":       {incident.ServiceSpec{Project: "a", Environment: "b", Name: "c"}, nil},
		"wrong service":      {incident.ServiceSpec{Image: "d", Template: "t", Branch: "e", Seal: []string{"A"}}, []string{"is missing", "not several", "without a repository", "to be sealed"}},
		"nothing but sealed": {incident.VariableBatch{Seal: []string{"A"}}, []string{"the batch is empty", "is not set"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.value.Validate()
			if len(test.want) == 0 {
				require.NoError(t, err)
			}
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	require.NoError(t, incident.LogQuery{}.ValidateFollow())
	require.ErrorContains(t, incident.LogQuery{From: now, To: now.Add(time.Hour)}.ValidateFollow(), "has no To")
}

// What is chosen here is what a platform that can choose is asked for.
func TestLogQueryWants(t *testing.T) {
	now := time.Now()
	q := incident.LogQuery{From: now, To: now.Add(time.Minute), Any: []string{"Failed", "memory"}}
	line := func(after time.Duration, message string) incident.LogLine {
		return incident.LogLine{Time: now.Add(after), Message: message}
	}
	assert.True(t, q.Wants(line(0, "login FAILED")))
	assert.True(t, q.Wants(line(time.Second, "out of memory")))
	assert.False(t, q.Wants(line(time.Second, "all is well")))
	assert.False(t, q.Wants(line(-time.Nanosecond, "failed")))
	assert.False(t, q.Wants(line(time.Minute, "failed")))
	assert.True(t, incident.LogQuery{}.Wants(line(0, "")))
}

// A plan is kept and approved, and is the same when it comes back. Another one is not.
func TestPlansSame(t *testing.T) {
	now := time.Now()
	backup := func(id string) incident.Backup { return incident.Backup{ID: id, Name: "daily", Created: now, Size: 7} }
	restore := incident.RestorePlan{Backup: backup("1"), Target: "volume", Deletes: []incident.Backup{backup("2")}, Destroys: []string{"what was written since"}}
	load := incident.LoadPlan{Receipt: incident.DumpReceipt{Time: now, Size: 1, Server: "a"}, Target: "rehearsal", Server: "a", Destroys: []string{"2 tables"}}
	var restored incident.RestorePlan
	var loaded incident.LoadPlan
	for from, to := range map[any]any{&restore: &restored, &load: &loaded} {
		text, err := json.Marshal(from)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, to))
	}
	assert.True(t, restore.Same(restored))
	assert.True(t, load.Same(loaded))
	for name, change := range map[string]func(*incident.RestorePlan){
		"backup":     func(p *incident.RestorePlan) { p.Backup.ID = "3" },
		"its time":   func(p *incident.RestorePlan) { p.Backup.Created = now.Add(1) },
		"target":     func(p *incident.RestorePlan) { p.Target = "other" },
		"one more":   func(p *incident.RestorePlan) { p.Deletes = append(p.Deletes, backup("3")) },
		"other loss": func(p *incident.RestorePlan) { p.Destroys = nil },
	} {
		p := restored
		change(&p)
		assert.False(t, restore.Same(p), name)
	}
	for name, change := range map[string]func(*incident.LoadPlan){
		"hash":       func(p *incident.LoadPlan) { p.Receipt.SHA256 = "b" },
		"time":       func(p *incident.LoadPlan) { p.Receipt.Time = now.Add(1) },
		"target":     func(p *incident.LoadPlan) { p.Target = "other" },
		"server":     func(p *incident.LoadPlan) { p.Server = "b" },
		"other loss": func(p *incident.LoadPlan) { p.Destroys = nil },
	} {
		p := loaded
		change(&p)
		assert.False(t, load.Same(p), name)
	}
}

func TestVariableNames(t *testing.T) {
	x := runbook.NewSecret("x")
	assert.Equal(t, []string{"A", "B", "C"}, incident.VariableSet{Values: map[string]runbook.Secret{"C": x, "A": x}, Sealed: []string{"B"}}.Names())
	assert.Equal(t, []string{"A", "B"}, incident.VariableBatch{Set: map[string]runbook.Secret{"B": x}, Delete: []string{"A", "A"}}.Names())
	assert.False(t, incident.VariableProof{}.Proven(), "nothing was looked at")
	assert.False(t, incident.VariableProof{Deployment: "d", Applied: []string{"A"}, Hidden: []string{"B"}}.Proven())
	assert.True(t, incident.VariableProof{Deployment: "d", Applied: []string{"A"}}.Proven())
	assert.Equal(t, 5, incident.Scale{Regions: []incident.RegionScale{{Region: "a", Replicas: 2}, {Region: "b", Replicas: 3}}}.Replicas())
	assert.Equal(t, incident.UnitBytes, incident.MetricDisk.Unit())
	assert.Equal(t, incident.UnitCores, incident.MetricCPULimit.Unit())
	assert.Equal(t, incident.UnitCount, incident.MetricRequests.Unit())
	assert.Equal(t, incident.UnitSeconds, incident.MetricLatencyP95.Unit())
	assert.Empty(t, incident.Metric("other").Unit())
}

// A rollback failed to help; the second one goes further back and not to what the
// first one left.
func ExampleRollbackTarget() {
	list := []incident.Deployment{ // the newest first
		{ID: "d4", Commit: "1111111", Status: incident.DeploymentSucceeded, CanRollback: true, Current: true}, // the rollback
		{ID: "d3", Commit: "2222222", Status: incident.DeploymentRemoved, CanRollback: true},                  // what it left
		{ID: "d2", Commit: "1111111", Status: incident.DeploymentRemoved, CanRollback: true},
		{ID: "d1", Commit: "0000000", Status: incident.DeploymentRemoved, CanRollback: true},
	}
	to, ok := incident.RollbackTarget(list)
	fmt.Println(to.ID, ok)
	// Output: d1 true
}
