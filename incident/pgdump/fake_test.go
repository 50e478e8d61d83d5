//go:build unix

package pgdump_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/pgdump"
)

// canary is a password that must be nowhere but in the environment of a program.
const canary = "c4n4ry-pa$$word'\"\\ 漢"

// The tests with programs made of shell scripts do not run in parallel: a program
// that is just being written cannot be started, and a fork elsewhere keeps it open.

// program writes a shell script and returns its path.
func program(t testing.TB, name, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	return path
}

// archive is what the fake pg_dump writes, more than one chunk of age.
var archive = bytes.Repeat([]byte("PGDMP of 64 characters, which is as good as any other archive...\n"), 3000)

const schemaText = `--
-- PostgreSQL database dump
--

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 16.1

DROP TABLE IF EXISTS public.task;
DROP TABLE IF EXISTS app."my Table";
--
-- Name: app; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA app;
--
-- PostgreSQL database dump complete
--
`

const dataText = `--
-- Data for Name: task; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.task (id, name) FROM stdin;
1	one
2	two
\.

COPY app."my Table" (id) FROM stdin;
\.

--
-- PostgreSQL database dump complete
--
`

// fakeRestore reads all of an archive and writes what pg_restore would.
func fakeRestore(t testing.TB) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "schema"), []byte(schemaText), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), []byte(dataText), 0o600))
	return program(t, "pg_restore", `cat >/dev/null; case "$*" in *--data-only*) cat '`+dir+`/data';; *) cat '`+dir+`/schema';; esac`)
}

func archiveFile(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "archive")
	require.NoError(t, os.WriteFile(path, archive, 0o600))
	return path
}

func fakeConnection() pgdump.Connection {
	return pgdump.Connection{Host: "db.example.com", User: "app", Database: "app", Password: runbook.NewSecret(canary), SSLMode: "require"}
}

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return id
}

// fake returns a Dumper that runs a script as pg_dump.
func fake(t testing.TB, dumpScript string, change func(*pgdump.Config)) *pgdump.Dumper {
	t.Helper()
	id := identity(t)
	cfg := pgdump.Config{
		PgDump: program(t, "pg_dump", dumpScript), PgRestore: fakeRestore(t), Connection: fakeConnection(),
		Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}, GracePeriod: 200 * time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	d, err := pgdump.New(cfg)
	require.NoError(t, err)
	return d
}

// noCanary checks that nothing printable of a value has the password.
func noCanary(t testing.TB, values ...any) {
	t.Helper()
	for _, v := range values {
		text := fmt.Sprintf("%v %+v %#v", v, v, v)
		if encoded, err := json.Marshal(v); err == nil {
			text += string(encoded)
		}
		assert.NotContains(t, text, "c4n4ry")
	}
}

func digest(b []byte) string { sum := sha256.Sum256(b); return hex.EncodeToString(sum[:]) }

// Requirement: INC-DUMP-ELSEWHERE
func TestDumpIsEncryptedAndHasAReceipt(t *testing.T) {
	var seen []pgdump.Progress
	d := fake(t, "cat "+archiveFile(t), func(c *pgdump.Config) { c.Progress = func(p pgdump.Progress) { seen = append(seen, p) } })
	var w bytes.Buffer
	before := time.Now()
	r, err := d.Dump(t.Context(), &w)
	require.NoError(t, err)
	assert.False(t, r.Started.Before(before.Add(-time.Second).UTC()))
	assert.Positive(t, r.Duration)
	want := pgdump.Receipt{
		Format: "runbook-pgdump/1", Started: r.Started, Duration: r.Duration, Database: "app", ServerVersion: "15.18", DumpVersion: "16.1",
		PlainBytes: int64(len(archive)), PlainSHA256: digest(archive), CipherBytes: int64(w.Len()), CipherSHA256: digest(w.Bytes()),
		Tables: []pgdump.TableName{{Schema: "app", Name: "my Table"}, {Schema: "public", Name: "task"}},
	}
	assert.Empty(t, cmp.Diff(want, r))
	assert.NotContains(t, w.String(), "PGDMP")
	assert.Equal(t, pgdump.Progress{Op: "dump", Plain: r.PlainBytes, Cipher: r.CipherBytes}, seen[len(seen)-1])

	text, err := json.Marshal(r)
	require.NoError(t, err)
	back, err := pgdump.ParseReceipt(text)
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(r, back))
	contents, err := d.Verify(t.Context(), bytes.NewReader(w.Bytes()), &back)
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(pgdump.Contents{
		ServerVersion: "15.18", DumpVersion: "16.1", PlainBytes: r.PlainBytes, PlainSHA256: r.PlainSHA256, CipherBytes: r.CipherBytes, CipherSHA256: r.CipherSHA256,
		Tables: []pgdump.TableRows{{TableName: pgdump.TableName{Schema: "app", Name: "my Table"}}, {TableName: pgdump.TableName{Schema: "public", Name: "task"}, Rows: 2}},
	}, contents))
	noCanary(t, r, contents, d)
	require.NoError(t, r.Incident().Validate())
}

// The program gets the environment that is documented, and the password only there.
func TestProgramSeesOnlyWhatItMay(t *testing.T) {
	t.Setenv("PGHOST", "elsewhere.example.com")
	t.Setenv("PGSSLMODE", "disable")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not for the child")
	dir := t.TempDir()
	script := fmt.Sprintf("tr '\\0' '\\n' </proc/self/environ >'%[1]s/env'; tr '\\0' '\\n' </proc/$$/cmdline >'%[1]s/args'; pwd >'%[1]s/pwd'; cat '%[2]s'", dir, archiveFile(t))
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("this system has no /proc")
	}
	d := fake(t, script, func(c *pgdump.Config) {
		c.Connection.Database = `it's a \ db host=evil.example.com`
		c.Connection.RootCertFile = "/etc/app/root.pem"
		c.Schemas, c.ExcludeData, c.Compress = []string{"app"}, []string{"app.log"}, "9"
	})
	_, err := d.Dump(t.Context(), io.Discard)
	require.NoError(t, err)
	read := func(name string) []string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	// PWD, OLDPWD and _ are made by the shell.
	var env []string
	for _, v := range read("env") {
		if !strings.HasPrefix(v, "PWD=") && !strings.HasPrefix(v, "OLDPWD=") && !strings.HasPrefix(v, "_=") {
			env = append(env, v)
		}
	}
	assert.ElementsMatch(t, []string{
		"LC_ALL=C", "TZ=UTC", "HOME=/nonexistent", "PGPASSFILE=/nonexistent/pgpass", "PGSSLCERT=/nonexistent/cert", "PGSSLKEY=/nonexistent/key",
		"PGGSSENCMODE=disable", "PGCONNECT_TIMEOUT=15", "PGHOST=db.example.com", "PGPORT=5432", "PGUSER=app", `PGDATABASE=it's a \ db host=evil.example.com`,
		"PGSSLMODE=require", "PGAPPNAME=runbook-dump", "PGSSLROOTCERT=/etc/app/root.pem", "PGPASSWORD=" + canary,
	}, env)
	assert.Equal(t, []string{
		"--format=custom", "--no-password", "--lock-wait-timeout=30000", "--compress=9", "--strict-names", "--schema=app", "--exclude-table-data=app.log",
		`--dbname=dbname='it\'s a \\ db host=evil.example.com' keepalives_idle=30 keepalives_interval=10 keepalives_count=3`,
	}, read("args")[2:])
	assert.Equal(t, []string{"/"}, read("pwd"))
}

// A dump that fails has no receipt, says why without a secret, and leaves nothing
// that anybody takes for a dump.
func TestDumpFails(t *testing.T) {
	full := "cat " + archiveFile(t)
	for _, test := range []struct {
		name, script string
		change       func(*pgdump.Config)
		want         []string
		is           error
		untouched    bool
	}{
		{name: "at once", script: `echo 'pg_dump: error: connection to server at "db" failed: timeout expired' >&2; exit 1`,
			want: []string{"pgdump: dump: pg_dump: exit status 1: ", "timeout expired"}, untouched: true},
		{name: "midway", script: full + "; echo 'pg_dump: error: Dumping the contents of table \"task\" failed: PQgetCopyData() failed.' >&2; exit 1",
			want: []string{"PQgetCopyData() failed"}},
		{name: "killed", script: full + "; kill -9 $$", want: []string{"it was ended: signal: killed", "pg_dump"}},
		{name: "silent", script: full + "; exit 3", want: []string{"exit status 3: it did not say why"}},
		{name: "older than the server", script: "echo 'pg_dump: error: aborting because of server version mismatch\npg_dump: detail: server version: 17.2 (Debian 17.2-1); pg_dump version: 15.18 (Debian)' >&2; exit 1",
			want: []string{"pg_dump is version 15.18, and the server 17.2: use a pg_dump that is at least as new"}, is: pgdump.ErrVersion, untouched: true},
		{name: "not permitted", script: "echo 'pg_dump: error: query failed: ERROR:  permission denied for table task\npg_dump: detail: Query was: LOCK TABLE public.task' >&2; exit 1",
			want: []string{"permission denied for table task"}, is: incident.ErrNotPermitted, untouched: true},
		{name: "says the password", script: `echo "pg_dump: error: bad things with $PGPASSWORD and $PGPASSWORD" >&2; exit 1`,
			want: []string{"bad things with [redacted] and [redacted]"}, untouched: true},
		{name: "says the password at the cut", script: `head -c 32750 /dev/zero | tr '\0' x >&2; echo "$PGPASSWORD" >&2; head -c 100000 /dev/zero >&2; exit 1`,
			want: []string{"it did not say why"}, untouched: true},
		{name: "says very much", script: `echo 'pg_dump: error: first' >&2; head -c 20000000 /dev/zero | tr '\0' 'x' >&2; exit 1`, want: []string{`"first"`}, untouched: true},
		{name: "escapes", script: `printf 'pg_dump: error: \033[2Jgone\377\n' >&2; exit 1`, want: []string{`\x1b[2Jgone`}, untouched: true},
		{name: "nothing", script: "exit 0", want: []string{"nothing to encrypt"}, untouched: true},
		{name: "not an archive", script: "echo hello", change: func(c *pgdump.Config) {
			c.PgRestore = program(t, "pg_restore", "cat >/dev/null; echo 'pg_restore: error: input file does not appear to be a valid archive' >&2; exit 1")
		}, want: []string{"pg_restore: exit status 1: ", "valid archive"}, is: pgdump.ErrDamaged},
		{name: "pg_restore is cut off", script: full, change: func(c *pgdump.Config) {
			c.PgRestore = program(t, "pg_restore", "cat >/dev/null; echo '-- PostgreSQL'")
		}, want: []string{"without having written all"}, is: pgdump.ErrDamaged},
		{name: "pg_restore is missing", script: full, change: func(c *pgdump.Config) { c.PgRestore = "/nonexistent/pg_restore" },
			want: []string{"pg_restore: could not be started", "no such file"}, is: os.ErrNotExist, untouched: true},
		{name: "stalls", script: "echo begin; exec sleep 60", change: func(c *pgdump.Config) { c.StallTimeout = 100 * time.Millisecond },
			want: []string{"it wrote nothing for 100ms"}, is: os.ErrDeadlineExceeded},
		{name: "pg_restore stalls", script: "exec cat /dev/zero", change: func(c *pgdump.Config) {
			c.StallTimeout, c.PgRestore = 300*time.Millisecond, program(t, "pg_restore", "exec sleep 60")
		}, want: []string{"pg_restore: write to it"}, is: os.ErrDeadlineExceeded},
		{name: "says a part of the password", script: `echo 'pg_dump: error: why' >&2; head -c 32730 /dev/zero | tr '\0' x >&2; echo >&2; echo "$PGPASSWORD" >&2; head -c 100000 /dev/zero >&2; exit 1`,
			want: []string{`"why"`}, untouched: true},
		{name: "nothing to connect to", script: full, change: func(c *pgdump.Config) { c.Connection = pgdump.Connection{} },
			want: []string{"lacks what this needs: Connection"}, untouched: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := fake(t, test.script, test.change)
			var w bytes.Buffer
			r, err := d.Dump(t.Context(), &w)
			require.Error(t, err)
			assert.Zero(t, r)
			for _, want := range test.want {
				assert.ErrorContains(t, err, want)
			}
			if test.is != nil {
				assert.ErrorIs(t, err, test.is)
			}
			assert.Less(t, len(err.Error()), 600)
			own, ok := errors.AsType[*pgdump.Error](err)
			require.True(t, ok)
			assert.Equal(t, "dump", own.Op)
			noCanary(t, err, own)
			assert.Equal(t, test.untouched, runbook.SafeToRetry(err))
			assert.Equal(t, test.untouched, w.Len() == 0)
			if w.Len() > 0 && test.is != pgdump.ErrDamaged {
				_, err = d.Verify(t.Context(), bytes.NewReader(w.Bytes()), nil)
				assert.ErrorIs(t, err, pgdump.ErrDamaged)
			}
		})
	}
}

// brokenWriter takes so many bytes.
type brokenWriter struct{ left int }

var errFull = errors.New("disk full")

func (w *brokenWriter) Write(p []byte) (int, error) {
	n := min(w.left, len(p))
	if w.left -= n; n < len(p) {
		return n, errFull
	}
	return n, nil
}

// shortWriter breaks the rule of io.Writer.
type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) - 1, nil }

// A writer that fails, at its first byte or its last, ends pg_dump.
func TestWriterFails(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	d := fake(t, "echo $$ >>"+pids+"; cat "+archiveFile(t)+"; exec cat /dev/zero", nil)
	for _, left := range []int{0, 1, 1000, 100_000} {
		r, err := d.Dump(t.Context(), &brokenWriter{left})
		require.ErrorIs(t, err, errFull)
		assert.Zero(t, r)
		assert.ErrorContains(t, err, "write the dump: disk full")
		assert.False(t, runbook.SafeToRetry(err))
	}
	_, err := d.Dump(t.Context(), shortWriter{})
	require.ErrorIs(t, err, io.ErrShortWrite)
	allEnded(t, pids, 5)

	whole := fake(t, "cat "+archiveFile(t), nil)
	var w bytes.Buffer
	_, err = whole.Dump(t.Context(), &w)
	require.NoError(t, err)
	for _, left := range []int{w.Len() - 1, w.Len() - 100} { // the end that makes it a dump
		_, err := whole.Dump(t.Context(), &brokenWriter{left})
		require.ErrorIs(t, err, errFull)
	}
}

// allEnded checks that none of the processes in a file of numbers runs.
func allEnded(t testing.TB, file string, least int) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	pids := strings.Fields(string(text))
	require.GreaterOrEqual(t, len(pids), least)
	for _, p := range pids {
		pid, err := strconv.Atoi(p)
		require.NoError(t, err)
		assert.Eventually(t, func() bool { return gone(pid) }, 5*time.Second, 10*time.Millisecond, "process %d runs", pid)
	}
}

// gone reports whether a process does not run; one that nobody has waited for yet,
// since its parent died before it, does not.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// When the context ends, nothing is left running, however unwilling.
func TestCancelLeavesNothingBehind(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	note := "echo $$ >>" + pids + "; "
	for name, script := range map[string]string{
		"willing":           note + "cat " + archiveFile(t) + "; exec sleep 60",
		"silent":            note + "exec sleep 60",
		"ignores":           note + "trap '' TERM; cat /dev/zero",
		"ignores and waits": note + "trap '' TERM; while :; do sleep 1; done",
		"grandchild":        note + "(trap '' TERM; exec sleep 60) & echo $! >>" + pids + "; wait",
		"writes forever":    note + "exec cat /dev/zero",
	} {
		t.Run(name, func(t *testing.T) {
			d := fake(t, script, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			began := time.Now()
			var w bytes.Buffer
			r, err := d.Dump(ctx, &w)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Zero(t, r)
			assert.Less(t, time.Since(began), 10*time.Second)
			_, err = d.Verify(t.Context(), &w, nil)
			assert.ErrorIs(t, err, pgdump.ErrDamaged)
		})
	}
	allEnded(t, pids, 7)

	t.Run("ended before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := fake(t, note, nil).Dump(ctx, io.Discard)
		require.ErrorIs(t, err, context.Canceled)
		assert.True(t, runbook.SafeToRetry(err))
	})
	t.Run("verify", func(t *testing.T) {
		d := fake(t, "cat "+archiveFile(t), nil)
		var w bytes.Buffer
		_, err := d.Dump(t.Context(), &w)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		_, err = d.Verify(ctx, io.MultiReader(io.LimitReader(bytes.NewReader(w.Bytes()), 100_000), readerFunc(func([]byte) (int, error) {
			cancel()
			return 0, ctx.Err()
		})), nil)
		require.ErrorIs(t, err, context.Canceled)
		assert.NotErrorIs(t, err, pgdump.ErrDamaged)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A dump that was cut off or changed anywhere is refused, with a receipt and
// without.
func TestDamageIsFound(t *testing.T) {
	d := fake(t, "cat "+archiveFile(t), nil)
	var w bytes.Buffer
	r, err := d.Dump(t.Context(), &w)
	require.NoError(t, err)
	dump := w.Bytes()
	refused := func(t *testing.T, b []byte) {
		t.Helper()
		for _, receipt := range []*pgdump.Receipt{nil, &r} {
			contents, err := d.Verify(t.Context(), bytes.NewReader(b), receipt)
			require.Error(t, err)
			assert.Zero(t, contents)
			assert.True(t, errors.Is(err, pgdump.ErrDamaged) || errors.Is(err, pgdump.ErrKey), err)
		}
	}
	t.Run("cut at every KiB", func(t *testing.T) {
		for n := 0; n < len(dump); n += 1024 {
			refused(t, dump[:n])
		}
		refused(t, dump[:len(dump)-1])
	})
	t.Run("a bit flipped", func(t *testing.T) {
		for n := 0; n < len(dump); n += 997 {
			changed := bytes.Clone(dump)
			changed[n] ^= 1 << (n % 8)
			refused(t, changed)
		}
	})
	t.Run("something behind it", func(t *testing.T) { refused(t, append(bytes.Clone(dump), 0)) })
	t.Run("another dump", func(t *testing.T) {
		var other bytes.Buffer
		_, err := d.Dump(t.Context(), &other)
		require.NoError(t, err)
		_, err = d.Verify(t.Context(), bytes.NewReader(other.Bytes()), nil)
		require.NoError(t, err, "it is a dump")
		_, err = d.Verify(t.Context(), bytes.NewReader(other.Bytes()), &r)
		require.ErrorIs(t, err, pgdump.ErrDamaged)
		assert.ErrorContains(t, err, "it is not the dump of the receipt")
	})
	t.Run("wrong key", func(t *testing.T) {
		stranger := fake(t, "exit 1", nil)
		_, err := stranger.Verify(t.Context(), bytes.NewReader(dump), &r)
		require.ErrorIs(t, err, pgdump.ErrKey)
		assert.NotErrorIs(t, err, pgdump.ErrDamaged)
	})
	t.Run("cannot be read", func(t *testing.T) {
		broken := io.MultiReader(bytes.NewReader(dump[:5000]), readerFunc(func([]byte) (int, error) { return 0, errFull }))
		_, err := d.Verify(t.Context(), broken, &r)
		require.ErrorIs(t, err, errFull)
		assert.NotErrorIs(t, err, pgdump.ErrDamaged)
	})
	t.Run("half a receipt", func(t *testing.T) {
		_, err := d.Verify(t.Context(), bytes.NewReader(dump), &pgdump.Receipt{})
		require.ErrorContains(t, err, "receipt: format")
	})
}

// pg_restore reading an archive that is authentic but no archive.
func TestVerifyBelievesPgRestore(t *testing.T) {
	id := identity(t)
	for _, script := range []string{
		"cat >/dev/null; echo 'pg_restore: error: could not read from input file: end of file' >&2; exit 1",
		"exit 1", // without reading
	} {
		d, err := pgdump.New(pgdump.Config{PgDump: "/bin/false", PgRestore: program(t, "pg_restore", script), Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}})
		require.NoError(t, err)
		var b bytes.Buffer
		w, err := age.Encrypt(&b, id.Recipient())
		require.NoError(t, err)
		_, err = w.Write(archive)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		_, err = d.Verify(t.Context(), &b, nil)
		require.ErrorIs(t, err, pgdump.ErrDamaged)
	}
}

func TestNewReportsEverything(t *testing.T) {
	_, err := pgdump.New(pgdump.Config{
		PgDump: "pg_dump", Connection: pgdump.Connection{Host: "a,b", Port: 70000, Password: runbook.NewSecret(canary + "\x00"), RootCertFile: "rel"},
		Recipients: []age.Recipient{nil}, Identities: []age.Identity{nil}, Schemas: []string{""}, Compress: "9 --file=/etc/passwd",
		LockTimeout: -1, StallTimeout: 1, GracePeriod: -1,
	})
	for _, want := range []string{
		`PgDump "pg_dump" is not an absolute path`, "PgRestore is missing", "Connection.User is missing", "Connection.Database is missing", "several hosts",
		"Port 70000", "a NUL", `RootCertFile "rel"`, "Recipients[0] is nil", "Identities[0] is nil", "Schemas[0] is empty", "Compress", "LockTimeout", "StallTimeout", "GracePeriod",
	} {
		assert.ErrorContains(t, err, want)
	}
	noCanary(t, err)
	for mode, want := range map[string]string{"": "verify-full needs RootCertFile", "prefer": `SSLMode "prefer"`, "allow": `SSLMode "allow"`} {
		_, err = pgdump.New(pgdump.Config{PgDump: "/a", PgRestore: "/b", Connection: pgdump.Connection{Host: "a", User: "a", Database: "a", SSLMode: mode}})
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, "Recipients and Identities are missing")
	}
}

// Without a pool, or without a plan, nothing is restored.
func TestRestoreNeedsWhatItNeeds(t *testing.T) {
	d := fake(t, "exit 1", nil)
	_, err := d.Restore(t.Context(), bytes.NewReader(nil), pgdump.Plan{})
	require.ErrorContains(t, err, "lacks what this needs: DB")
	assert.True(t, runbook.SafeToRetry(err))
	_, err = d.PlanRestore(t.Context(), bytes.NewReader(nil), nil)
	require.ErrorContains(t, err, "pgdump: plan restore: the configuration lacks what this needs: DB")
	_, err = pgdump.NewPort(d, map[string]*pgdump.Dumper{"rehearsal": d, "": nil})
	require.ErrorContains(t, err, `target "rehearsal"`)
	require.ErrorContains(t, err, `target "" has no name`)
	_, err = pgdump.NewPort(nil, nil)
	require.Error(t, err)
	port, err := pgdump.NewPort(d, nil)
	require.NoError(t, err)
	_, err = port.Load(t.Context(), incident.LoadPlan{Target: "production"}, bytes.NewReader(nil))
	require.ErrorIs(t, err, incident.ErrNotFound)
}
