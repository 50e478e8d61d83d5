//go:build unix

package pgdump_test

import (
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident/pgdump"
)

// benchmarkDatabase has about 100 MB of rows that compress as text does.
func benchmarkDatabase(b *testing.B) (*estate, string) {
	e := newEstate(b)
	name := e.database()
	e.write(name, `CREATE TABLE t (id integer PRIMARY KEY, a text, b text, c double precision)`,
		`INSERT INTO t SELECT i, md5(i::text), repeat(md5((i / 7)::text), 4), i / 3.0 FROM generate_series(1, 450000) i`)
	return e, name
}

// BenchmarkDump measures what hashing twice and encrypting add to pg_dump. The
// target is a pipeline no more than 15% slower than pg_dump to /dev/null, with
// pg_dump's compression, and half as fast without, on two cores that hash 170 MB/s
// each.
func BenchmarkDump(b *testing.B) {
	e, name := benchmarkDatabase(b)
	for _, compress := range []string{"6", "0"} {
		b.Run("bare/compress="+compress, func(b *testing.B) {
			var size countingWriter
			cmd := bare(e, name, compress)
			cmd.Stdout = &size
			require.NoError(b, cmd.Run())
			b.SetBytes(int64(size))
			for b.Loop() {
				require.NoError(b, bare(e, name, compress).Run())
			}
		})
		b.Run("encrypted/compress="+compress, func(b *testing.B) {
			d := e.dumper(name, func(c *pgdump.Config) { c.Compress = compress })
			b.ReportAllocs()
			for b.Loop() {
				receipt, err := d.Dump(b.Context(), io.Discard)
				require.NoError(b, err)
				b.SetBytes(receipt.PlainBytes)
			}
		})
	}
}

// bare is pg_dump to /dev/null, which is what a command has that writes nowhere.
func bare(e *estate, database, compress string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(e.bin, "pg_dump"), "--format=custom", "--no-password", "--compress="+compress, database)
	cmd.Env = []string{"PGHOST=" + e.url.Hostname(), "PGPORT=" + e.url.Port(), "PGUSER=" + e.url.User.Username(), "PGSSLMODE=disable"}
	return cmd
}

type countingWriter int64

func (c *countingWriter) Write(p []byte) (int, error) {
	*c += countingWriter(len(p))
	return len(p), nil
}

// BenchmarkVerify measures proving a dump of about 100 MB of rows without a
// database. The target is no longer than a dump takes.
func BenchmarkVerify(b *testing.B) {
	e, name := benchmarkDatabase(b)
	dump, receipt := e.dumped(name)
	d := e.dumper(name, nil)
	b.SetBytes(receipt.PlainBytes)
	b.ReportAllocs()
	for b.Loop() {
		rewind(b, dump)
		_, err := d.Verify(b.Context(), dump, receipt)
		require.NoError(b, err)
	}
}

// BenchmarkReadScript measures counting rows. The target is 500 MB/s, several
// times what pg_restore writes.
func BenchmarkReadScript(b *testing.B) {
	script := []byte("COPY public.t (id, a) FROM stdin;\n" + strings.Repeat("123456\tsome text of a row, about as long as this\n", 400_000) + "\\.\n")
	b.SetBytes(int64(len(script)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := pgdump.ReadScript(bytes.NewReader(script))
		require.NoError(b, err)
		require.EqualValues(b, 400_000, s.Tables[0].Rows)
	}
}
