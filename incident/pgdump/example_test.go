//go:build unix

package pgdump_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"filippo.io/age"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident/pgdump"
)

// standIns makes programs that do as PostgreSQL's do, for an example that runs
// where there is no PostgreSQL.
func standIns() (folder string, err error) {
	if folder, err = os.MkdirTemp("", "pgdump-example-"); err != nil {
		return "", err
	}
	for name, script := range map[string]string{
		"pg_dump": "echo 'PGDMP: an archive of two tables'",
		"pg_restore": `cat >/dev/null
case "$*" in *--data-only*) cat <<'END'
COPY public.course (id, name) FROM stdin;
1	Nursing
2	Law
\.
COPY public.task (id) FROM stdin;
\.
-- PostgreSQL database dump complete
END
;; *) cat <<'END'
-- Dumped from database version 16.4
-- Dumped by pg_dump version 16.4
DROP TABLE IF EXISTS public.task;
DROP TABLE IF EXISTS public.course;
-- PostgreSQL database dump complete
END
;; esac`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// A dump is made for a key that the server does not hold, and verified where the
// key is. The programs of the example are stand-ins.
func Example() {
	bin, err := standIns() // "/usr/lib/postgresql/16/bin"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(bin) }()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		fmt.Println(err)
		return
	}

	dumper, err := pgdump.New(pgdump.Config{
		PgDump:     filepath.Join(bin, "pg_dump"),
		PgRestore:  filepath.Join(bin, "pg_restore"),
		Recipients: []age.Recipient{key.Recipient()},
		Connection: pgdump.Connection{
			Host: "db.example.com", User: "app", Database: "app",
			Password: runbook.NewSecret("correct horse"), RootCertFile: "/etc/app/db.pem",
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var object bytes.Buffer // off the platform
	receipt, err := dumper.Dump(context.Background(), &object)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("dumped", receipt.Database, "of PostgreSQL", receipt.ServerVersion, receipt.Tables)

	verifier, err := pgdump.New(pgdump.Config{
		PgDump:     filepath.Join(bin, "pg_dump"),
		PgRestore:  filepath.Join(bin, "pg_restore"),
		Identities: []age.Identity{key},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	contents, err := verifier.Verify(context.Background(), bytes.NewReader(object.Bytes()), &receipt)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, table := range contents.Tables {
		fmt.Println("verified", table, table.Rows, "rows")
	}

	_, err = verifier.Verify(context.Background(), bytes.NewReader(object.Bytes()[:object.Len()-1]), &receipt)
	fmt.Println(err)
	// Output:
	// dumped app of PostgreSQL 16.4 [public.course public.task]
	// verified public.course 2 rows
	// verified public.task 0 rows
	// pgdump: verify: the dump is damaged: after 231 bytes: "failed to decrypt and authenticate payload chunk, file may be corrupted or tampered with"
}
