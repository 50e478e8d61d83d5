package durable_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
)

// A file that an older program of this version left, in the middle of a run: it was
// killed in a group of calls, after checks, actions, a sleep and two signals. The run goes
// on to its end, and what was recorded stays as it was.
//
// With RUNBOOK_WRITE_GOLDEN=1 the recording of the version is made anew, which is right
// for a new version, and wrong for one that was released.
//
// Requirement: INC-CRASH-GOLDEN
func TestGolden(t *testing.T) {
	t.Parallel()
	golden := filepath.Join("testdata", durable.Version+".db.gz")
	p := newFile(t)
	k := p.task(t)
	k.Steps, k.Start = 12, []string{"work-0"}
	if os.Getenv("RUNBOOK_WRITE_GOLDEN") != "" {
		writeGolden(t, golden, k)
	}
	packed, err := os.ReadFile(golden)
	require.NoError(t, err)
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	content, err := io.ReadAll(unpacked)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(p.file, content, 0o600))

	runs := p.open(t)
	before, err := runs.Record(t.Context(), "work-0", -1)
	require.NoError(t, err)
	require.NotEmpty(t, before.Entries)
	require.NotEmpty(t, before.Open, "it was killed in the middle of a call")
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{"work": (&killed{task: k}).work}))
	r := ends(t, runs, "work-0")
	require.Equal(t, incident.RunFinished, r.Status, r.Error)
	assert.JSONEq(t, `["first","second"]`, string(r.Result))
	for _, e := range before.Entries {
		assert.Equal(t, e, entry(r, e.ID))
	}
	for _, e := range effects(k.Effects) {
		assert.Empty(t, entry(before, incident.StepID(e.step)).ID, "%s was recorded, and is not made again", e.step)
		if entry := slices.IndexFunc(before.Open, func(a incident.Attempt) bool { return string(a.Step) == e.step }); entry >= 0 {
			assert.Equal(t, 1, e.interrupted, "%s is told of the attempt before", e.step)
		}
	}
}

func writeGolden(t *testing.T, golden string, k task) {
	t.Helper()
	k.File, k.Effects, k.Slow = filepath.Join(t.TempDir(), "golden.db"), filepath.Join(t.TempDir(), "effects"), 200*time.Millisecond
	c := k.begin(t).wait()
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(effects(k.Effects), func(e effect) bool { return e.step == "009a" })
	}, time.Minute, time.Millisecond)
	c.kill()
	db, err := sqlitefile.Open(t.Context(), k.File)
	require.NoError(t, err)
	for _, statement := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		_, err = db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	content, err := os.ReadFile(k.File)
	require.NoError(t, err)
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	require.NoError(t, err)
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
	require.NoError(t, os.WriteFile(golden, packed.Bytes(), 0o644))
}
