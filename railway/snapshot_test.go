package railway_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// snapIdentity makes a key.
func snapIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return id
}

// configure commits a patch, %s being the service.
func (h *varHost) configure(t testing.TB, env *railway.Environment, environment, patch string) {
	t.Helper()
	h.Stage(environment, strings.ReplaceAll(patch, "%s", h.service))
	staged, err := env.StagedChanges(t.Context())
	require.NoError(t, err)
	require.NoError(t, env.CommitStaged(t.Context(), staged, "", true))
}

// newSnap is a host with a configuration that has something of everything.
func newSnap(t testing.TB) *varHost {
	t.Helper()
	h := newVars(t)
	h.SetVariable(h.environment, "", "REGION", "sydney", false)
	h.SetVariable(h.environment, "", "KEY", "shared-"+varCanary, true)
	h.SetVariable(h.environment, h.service, "LONG", "line 1\nline 2 \"quoted\" ${{shared.REGION}} "+varCanary, false)
	h.configure(t, h.env, h.environment, `{"services":{"%s":{
		"deploy":{"startCommand":"serve","limitOverride":{"containers":{"memoryBytes":12345678901234567890}},"registryCredentials":{"username":"*****","password":"*****"}},
		"futureKey":{"deep":[1,{"x":null}],"empty":{}},"networking":{"serviceDomains":{"x.up.railway.app":{"port":80}}},
		"variables":{"A":{"value":"a","description":"what it is","futureFlag":true}}}}}`)
	return h
}

// take takes a snapshot of an environment, and opens it.
func take(t testing.TB, env *railway.Environment) (*railway.Snapshot, railway.SnapshotReport) {
	t.Helper()
	id := snapIdentity(t)
	var b bytes.Buffer
	report, err := env.Snapshot(t.Context(), &b, id.Recipient())
	require.NoError(t, err)
	snap, err := railway.OpenSnapshot(&b, id)
	require.NoError(t, err)
	return snap, report
}

// another makes an environment that has a service of the same name, and nothing else.
func (h *varHost) another(t testing.TB) (environment, service string, env *railway.Environment) {
	t.Helper()
	project := h.AddProject(h.workspace, "recovery")
	environment = h.AddEnvironment(project, "restored")
	service = h.AddService(environment, railwaytest.Service{Name: "api", Image: "acu/api:1"})
	env, err := h.client.Environment(t.Context(), railway.Target{Project: project, Environment: environment})
	require.NoError(t, err)
	return environment, service, env
}

// A snapshot is encrypted, and its report says what is in it and what is not.
//
// Requirement: RW-SNAPSHOT-ROUNDTRIP, RW-ASK-SEALED
func TestSnapshot(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newSnap(t)
		id := snapIdentity(t)
		before, calls := len(h.Effects()), len(h.Calls())
		var b bytes.Buffer
		report, err := h.env.Snapshot(t.Context(), &b, id.Recipient())
		require.NoError(t, err)
		sum := sha256.Sum256(b.Bytes())
		assert.Empty(t, cmp.Diff(railway.SnapshotReport{
			Environment: railway.Named{ID: h.environment, Name: "production"}, Time: time.Now().UTC(), Version: 1,
			Size: int64(b.Len()), SHA256: hex.EncodeToString(sum[:]), Services: []string{"api"}, Variables: 4,
			Sealed: []railway.SealedValue{{Name: "KEY"}, {Service: "api", Name: "S"}}, Masked: []string{"api.deploy.registryCredentials"},
		}, report))
		assert.NotContains(t, b.String(), varCanary)
		assert.Len(t, h.Effects(), before, "nothing is changed")
		assert.Len(t, h.Calls(), calls+3)

		whole := b.Bytes()
		snap, err := railway.OpenSnapshot(bytes.NewReader(whole), snapIdentity(t), id)
		require.NoError(t, err)
		assert.Equal(t, report.SHA256, snap.SHA256)
		assert.Equal(t, report.Environment, snap.Environment)
		assert.True(t, report.Time.Equal(snap.Time))
		assert.Equal(t, report.Sealed, snap.NeedsValues())
		assert.Equal(t, []string{"api"}, snap.Services())
		silent(t, varCanary, report, snap, *snap)
		silent(t, "line 1", snap, *snap)
	})
}

// Restored into another environment, everything that can be restored is as it was,
// with the keys that nobody here knows and numbers as they were written.
//
// Requirement: RW-SNAPSHOT-ROUNDTRIP, RW-G7
func TestASnapshotIsRestoredBySameNames(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newSnap(t)
		snap, _ := take(t, h.env)
		environment, service, env := h.another(t)
		h.SetVariable(environment, service, "MORE", "stays", false)
		newest := h.Newest(environment, service)
		r := railway.SnapshotRestore{Snapshot: snap, Settings: true, Values: map[railway.SealedValue]runbook.Secret{
			{Name: "KEY"}: runbook.NewSecret("key " + varCanary), {Service: "api", Name: "S"}: runbook.NewSecret("s " + varCanary),
		}}
		plan, err := env.PlanRestoreSnapshot(t.Context(), r)
		require.NoError(t, err)
		silent(t, varCanary, plan, r, r.Values)
		assert.Empty(t, cmp.Diff(railway.SnapshotPlan{
			Environment: railway.Named{ID: environment, Name: "restored"}, Taken: snap.Time,
			Variables: []string{"api.A", "api.B", "api.LONG", "api.S", "shared.KEY", "shared.REGION"},
			Settings:  []string{"api.deploy.limitOverride.containers.memoryBytes", "api.deploy.startCommand", "api.futureKey.deep", "api.futureKey.empty"},
			Skipped:   []string{"api.networking"},
		}, plan))
		before := len(h.did())
		require.NoError(t, env.RestoreSnapshot(t.Context(), r, plan))
		assert.Len(t, h.did(), before+1, "one commit")
		assert.Equal(t, newest, h.Newest(environment, service), "nothing is deployed")
		assert.Equal(t, map[string]string{
			"A": "a", "B": "b", "S": "s " + varCanary, "MORE": "stays", "LONG": h.Variables(h.environment, h.service)["LONG"],
		}, h.Variables(environment, service))
		assert.Equal(t, map[string]string{"REGION": "sydney", "KEY": "key " + varCanary}, h.Variables(environment, ""))

		// What is in the new environment now is what was in the old one.
		again, report := take(t, env)
		assert.Equal(t, snap.NeedsValues(), again.NeedsValues(), "what was sealed is sealed")
		assert.Empty(t, report.Masked, "masks are not restored")
		plan, err = h.env.PlanRestoreSnapshot(t.Context(), railway.SnapshotRestore{Snapshot: again, Settings: true})
		require.NoError(t, err)
		assert.Equal(t, []string{"api.MORE"}, plan.Variables)
		assert.Empty(t, plan.Settings)
	})
}

// A snapshot restored where it comes from writes what was changed since, and nothing
// else.
//
// Requirement: RW-SNAPSHOT-ROUNDTRIP
func TestOnlyWhatChangedIsRestored(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newSnap(t)
		snap, _ := take(t, h.env)
		r := railway.SnapshotRestore{Snapshot: snap, Settings: true}
		plan, err := h.env.PlanRestoreSnapshot(t.Context(), r)
		require.NoError(t, err)
		assert.True(t, plan.IsEmpty(), "%+v", plan)
		assert.Equal(t, snap.NeedsValues(), plan.Kept, "those that are sealed stay as they are")
		require.NoError(t, h.env.RestoreSnapshot(t.Context(), r, plan))

		h.SetVariable(h.environment, h.service, "A", "changed", true) // and sealed since
		h.SetVariable(h.environment, h.service, "B", "changed", false)
		h.configure(t, h.env, h.environment, `{"placementHints":{"tier":"other"},"services":{"%s":{"futureKey":{"deep":[2]}}}}`)
		var staged string
		h.before = func(body string) {
			if strings.Contains(body, "mutation StageChanges") {
				staged = body
			}
		}
		plan, err = h.env.PlanRestoreSnapshot(t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, []string{"api.A", "api.B"}, plan.Variables)
		assert.Equal(t, []string{"api.futureKey.deep", "placementHints.tier"}, plan.Settings)
		require.NoError(t, h.env.RestoreSnapshot(t.Context(), r, plan))
		assert.Equal(t, "a", h.Variables(h.environment, h.service)["A"])
		set, err := h.svc.Variables(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"A", "S"}, set.Sealed)
		assert.Contains(t, staged, `"A":{"description":"what it is","futureFlag":true,"isSealed":true,"value":"a"}`, "what is sealed stays so")
	})
}

// A value that is not there is asked for, and neither null nor empty text is written
// for it.
//
// Requirement: RW-G7, RW-ASK-SEALED
func TestNoValueIsWrittenForWhatWasSealed(t *testing.T) {
	for name, values := range map[string]map[railway.SealedValue]runbook.Secret{
		"none":  nil,
		"empty": {{Name: "KEY"}: {}, {Service: "api", Name: "S"}: runbook.NewSecret("")},
		"other": {{Service: "other", Name: "S"}: runbook.NewSecret("x"), {Service: "api", Name: "KEY"}: runbook.NewSecret("x")},
	} {
		t.Run(name, func(t *testing.T) {
			varBubble(t, func(t *testing.T) {
				h := newSnap(t)
				snap, _ := take(t, h.env)
				environment, service, env := h.another(t)
				r := railway.SnapshotRestore{Snapshot: snap, Values: values}
				plan, err := env.PlanRestoreSnapshot(t.Context(), r)
				require.NoError(t, err)
				assert.Equal(t, snap.NeedsValues(), plan.Missing)
				before := len(h.Effects())
				err = env.RestoreSnapshot(t.Context(), r, plan)
				require.ErrorIs(t, err, incident.ErrSealed)
				assert.ErrorContains(t, err, "shared.KEY, api.S")
				assert.True(t, runbook.SafeToRetry(err))
				assert.Len(t, h.Effects(), before)

				r.Incomplete = true
				require.NoError(t, env.RestoreSnapshot(t.Context(), r, plan))
				assert.NotContains(t, h.Variables(environment, service), "S")
				assert.NotContains(t, h.Variables(environment, ""), "KEY")
				assert.Equal(t, "b", h.Variables(environment, service)["B"])
			})
		})
	}
}

// A variable counts as sealed if either the configuration or the list of variables
// says so, and what stands there for its value is none.
//
// Requirement: RW-G7, RW-ASK-SEALED
func TestWhatIsShownForASealedValueIsNoValue(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newVars(t)
		environment, service, env := h.another(t)
		h.answer = func(body string) string {
			if !strings.Contains(body, "query EnvironmentConfig") || !strings.Contains(body, h.environment) {
				return ""
			}
			return `{"data":{"environment":{"id":"` + h.environment + `","name":"production","configEtag":"x","config":{"services":{"` + h.service + `":{"variables":{
				"A":{"value":"a"},"B":{"value":"*****","isSealed":true},"S":{"value":"*****"},"N":{"value":null},"D":null}}}}}}}`
		}
		snap, report := take(t, h.env)
		assert.Equal(t, 1, report.Variables)
		assert.Equal(t, []railway.SealedValue{{Service: "api", Name: "B"}, {Service: "api", Name: "N"}, {Service: "api", Name: "S"}}, report.Sealed)
		r := railway.SnapshotRestore{Snapshot: snap, Incomplete: true}
		plan, err := env.PlanRestoreSnapshot(t.Context(), r)
		require.NoError(t, err)
		require.NoError(t, env.RestoreSnapshot(t.Context(), r, plan))
		assert.Equal(t, map[string]string{"A": "a"}, h.Variables(environment, service))
	})
}

// Nothing is restored over what other people staged, nor after what was approved
// became something else.
//
// Requirement: RW-G9
func TestARestoreThatIsRefused(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newSnap(t)
		snap, _ := take(t, h.env)
		h.SetVariable(h.environment, h.service, "A", "x", false)
		r := railway.SnapshotRestore{Snapshot: snap}
		approved, err := h.env.PlanRestoreSnapshot(t.Context(), r)
		require.NoError(t, err)
		var journal railway.SnapshotPlan // a plan survives a journal
		text, err := json.Marshal(approved)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &journal))
		assert.True(t, journal.Same(approved))
		effects := len(h.did())

		h.SetVariable(h.environment, h.service, "B", "x", false)
		require.ErrorIs(t, h.env.RestoreSnapshot(t.Context(), r, approved), incident.ErrStale)
		h.SetVariable(h.environment, h.service, "B", "b", false)

		h.Stage(h.environment, `{"sharedVariables":{"THEIRS":{"value":"`+varCanary+`"}}}`)
		err = h.env.RestoreSnapshot(t.Context(), r, approved)
		require.ErrorIs(t, err, incident.ErrBusy)
		assert.ErrorContains(t, err, "sharedVariables.THEIRS")
		silent(t, varCanary, err)
		plan, err := h.env.PlanRestoreSnapshot(t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, []string{"sharedVariables.THEIRS"}, plan.Staged)
		require.ErrorIs(t, h.env.RestoreSnapshot(t.Context(), r, plan), incident.ErrBusy)
		assert.Len(t, h.did(), effects)

		require.Error(t, h.env.RestoreSnapshot(t.Context(), railway.SnapshotRestore{}, plan))
	})
}

// Services that are not there are named, and two of one name are not guessed at.
func TestServicesOfASnapshotAreFoundByName(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newSnap(t)
		h.AddService(h.environment, railwaytest.Service{Name: "Worker", Variables: map[string]string{"W": "w"}})
		snap, _ := take(t, h.env)
		environment, _, env := h.another(t)
		r := railway.SnapshotRestore{Snapshot: snap, Incomplete: true}
		plan, err := env.PlanRestoreSnapshot(t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, []string{"Worker"}, plan.NoService)
		worker := h.AddService(environment, railwaytest.Service{Name: "worker"})
		plan, err = env.PlanRestoreSnapshot(t.Context(), r)
		require.NoError(t, err)
		assert.Empty(t, plan.NoService)
		assert.Contains(t, plan.Variables, "Worker.W")
		require.NoError(t, env.RestoreSnapshot(t.Context(), r, plan))
		assert.Equal(t, "w", h.Variables(environment, worker)["W"])
		h.AddService(environment, railwaytest.Service{Name: "WORKER"})
		_, err = env.PlanRestoreSnapshot(t.Context(), r)
		require.ErrorContains(t, err, worker, "it lists the IDs")
	})
}

// A restore is written once, and what is said of it is true.
//
// Requirement: RW-G4
func TestARestoreIsNeverWrittenTwice(t *testing.T) {
	for _, op := range []string{"environmentStageChanges", "environmentPatchCommitStaged"} {
		for name, f := range varUnclear(op) {
			t.Run(op+"/"+name, func(t *testing.T) {
				varBubble(t, func(t *testing.T) {
					h := newSnap(t)
					snap, _ := take(t, h.env)
					h.SetVariable(h.environment, h.service, "LONG", "x", false)
					r := railway.SnapshotRestore{Snapshot: snap, Settings: true}
					plan, err := h.env.PlanRestoreSnapshot(t.Context(), r)
					require.NoError(t, err)
					before := len(h.did())
					h.Fail(f)
					err = h.env.RestoreSnapshot(t.Context(), r, plan)
					silent(t, varCanary, err)
					if strings.HasSuffix(name, "instead") {
						require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
						assert.Len(t, h.did(), before)
						return
					}
					require.NoError(t, err)
					assert.Len(t, h.did(), before+1)
					assert.Contains(t, h.Variables(h.environment, h.service)["LONG"], varCanary)
				})
			})
		}
	}
}

// What cannot be read or written is no snapshot.
func TestSnapshotsThatFail(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newSnap(t)
		id := snapIdentity(t)
		calls := len(h.Calls())
		_, err := h.env.Snapshot(t.Context(), io.Discard)
		require.ErrorContains(t, err, "no recipient")
		assert.Len(t, h.Calls(), calls)

		_, err = h.env.Snapshot(t.Context(), brokenWriter{}, id.Recipient())
		require.ErrorIs(t, err, errBroken)
		silent(t, varCanary, err)

		for _, op := range []string{"query:environment", "query:project"} {
			h.Fail(railwaytest.Fault{Op: op, Kind: railwaytest.NotAuthorized})
			var b bytes.Buffer
			_, err = h.env.Snapshot(t.Context(), &b, id.Recipient())
			require.ErrorIs(t, err, incident.ErrNotPermitted, op)
			assert.Zero(t, b.Len(), "nothing is written before all is read")
		}
		h.answer = func(body string) string {
			if strings.Contains(body, "query EnvironmentConfig") {
				return `{"data":{"environment":{"id":"e","name":"n","config":["` + varCanary + `"],"configEtag":"x"}}}`
			}
			return ""
		}
		_, err = h.env.Snapshot(t.Context(), io.Discard, id.Recipient())
		require.Error(t, err)
		silent(t, varCanary, err)
		h.answer = nil
	})
}

var errBroken = errors.New("the disk is full")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// sealedText encrypts a text as if it were a snapshot.
func sealedText(t testing.TB, id *age.X25519Identity, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := age.Encrypt(&b, id.Recipient())
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

const snapHead = `"format":"go.acu.edu.au/runbook/railway: configuration of an environment"`

// What is no snapshot is refused, and is not quoted.
func TestWhatIsNoSnapshot(t *testing.T) {
	id := snapIdentity(t)
	for name, test := range map[string]struct {
		text string
		err  error
	}{
		"no JSON":          {text: varCanary},
		"no object":        {text: `["` + varCanary + `"]`},
		"another format":   {text: `{"format":"` + varCanary + `","version":1}`},
		"newer":            {text: `{` + snapHead + `,"version":2,"x":"` + varCanary + `"}`, err: incident.ErrUnsupported},
		"no configuration": {text: `{` + snapHead + `,"version":1,"environment":"` + varCanary + `"}`},
		"another type":     {text: `{` + snapHead + `,"version":1,"environment":"e","config":"` + varCanary + `"}`},
		"cut off":          {text: `{` + snapHead + `,"version":1,"environment":"e","config":{"x":"` + varCanary},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := railway.OpenSnapshot(bytes.NewReader(sealedText(t, id, test.text)), id)
			require.Error(t, err)
			if test.err != nil {
				require.ErrorIs(t, err, test.err)
			}
			silent(t, varCanary, err)
		})
	}
	whole := sealedText(t, id, `{`+snapHead+`,"version":1,"environment":"e","config":{}}`)
	_, err := railway.OpenSnapshot(bytes.NewReader(whole), id)
	require.NoError(t, err)
	_, err = railway.OpenSnapshot(bytes.NewReader(whole), snapIdentity(t))
	require.ErrorIs(t, err, incident.ErrNotPermitted)
	_, err = railway.OpenSnapshot(bytes.NewReader(whole))
	require.Error(t, err)
	for n := range whole {
		_, err = railway.OpenSnapshot(bytes.NewReader(whole[:n]), id)
		require.Error(t, err, "cut off after %d bytes", n)
	}
	whole[len(whole)-1] ^= 1
	_, err = railway.OpenSnapshot(bytes.NewReader(whole), id)
	require.Error(t, err, "a byte is another one")
}

// Whatever is in a snapshot and in an environment, planning a restore does not fail
// badly, and no null is written.
func FuzzSnapshot(f *testing.F) {
	now := `{"services":{"s1":{"variables":{"A":{"value":"b"}}}}}`
	for _, config := range []string{
		`{}`, `{"services":{"s1":{"variables":{"A":{"value":"a"},"B":null,"S":{"isSealed":true}},"deploy":{"x":null}}},"sharedVariables":{"A":{"value":1}}}`,
		`{"services":[],"sharedVariables":"x"}`, `{"services":{"s1":null}}`, `{"services":{"s1":{"a":{"b":[null,1e999]}}}}`,
	} {
		f.Add(config, now)
		f.Add(now, config)
	}
	f.Fuzz(func(t *testing.T, then, now string) {
		names := map[string]string{"s1": "api"}
		text := fmt.Sprintf(`{%s,"version":1,"environment":"e","services":{"s1":"api"},"config":%s}`, snapHead, then)
		plan, patch, err := railway.SnapshotPatch(text, now, names)
		if err != nil {
			return
		}
		var tree any
		decoder := json.NewDecoder(strings.NewReader(patch))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&tree))
		assert.False(t, hasNull(tree), patch)
		assert.Equal(t, plan.IsEmpty(), patch == "{}", patch)
	})
}

// hasNull reports whether a key of an object is null; within lists it is as it was.
func hasNull(tree any) bool {
	object, ok := tree.(map[string]any)
	if !ok {
		return tree == nil
	}
	for _, child := range object {
		if hasNull(child) {
			return true
		}
	}
	return false
}
