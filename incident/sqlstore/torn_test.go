package sqlstore_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

// A copy of the file whose write-ahead log ends anywhere, as after the machine lost its
// power, opens in the state after one of the commits: whole, and with chains that are right.
//
// Requirement: INC-CRASH-TORN
func TestTornLog(t *testing.T) {
	t.Parallel()
	const commits = 12
	file := filepath.Join(t.TempDir(), "incidents.db")
	s := newStore(t, sqltest.SQLite(t, file))
	main, err := os.ReadFile(file)
	require.NoError(t, err)
	d := document("a", "k")
	for i := range commits {
		d.Data = fmt.Append(nil, i+1)
		d = commit(t, s, incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{entry("incident/a", fmt.Sprint(i+1)), entry("audit", "x")}}).Documents[0]
	}
	log, err := os.ReadFile(file + "-wal")
	require.NoError(t, err)
	now, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, bytes.Equal(main, now), "everything is still in the log")

	random := rand.New(rand.NewPCG(1, 2))
	seen, before := make(map[int64]bool), int64(0)
	const header, frame = 32, 24 + 4096
	var cuts []int
	for at := header; at <= len(log); at += frame { // the end of each page, and anywhere within
		cuts = append(cuts, at, at+1+random.IntN(frame-1))
	}
	for _, cut := range cuts {
		n := tornState(t, main, log[:min(cut, len(log))])
		assert.GreaterOrEqual(t, n, before, "a longer log has no older state")
		before, seen[n] = n, true
	}
	assert.Len(t, seen, commits+1, "each commit is a state, and so is the beginning")

	for range 20 { // the end of the log is what the disk had there before
		torn := bytes.Clone(log)
		for at := header + random.IntN(len(log)-header); at < len(torn); at++ {
			torn[at] = byte(random.Uint32())
		}
		tornState(t, main, torn)
	}
}

// tornState opens a file with a log, checks it, and returns after how many commits it is.
func tornState(t *testing.T, main, log []byte) int64 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "torn.db")
	require.NoError(t, os.WriteFile(file, main, 0o600))
	require.NoError(t, os.WriteFile(file+"-wal", log, 0o600))
	db, err := sql.Open("sqlite", "file:"+file)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	s := newStore(t, db)
	own, err := incident.VerifyChain(s.Entries(t.Context(), "incident/a", 0))
	require.NoError(t, err)
	audit, err := incident.VerifyChain(s.Entries(t.Context(), "audit", 0))
	require.NoError(t, err)
	require.Equal(t, own.Seq, audit.Seq)
	if own.Seq > 0 {
		d, err := s.Document(t.Context(), "incident", "a")
		require.NoError(t, err)
		require.Equal(t, own.Seq, d.Version)
		require.Equal(t, fmt.Sprint(own.Seq), string(d.Data))
	}
	return own.Seq
}
