package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
)

func (p *program) stateBackup(ctx context.Context, c *cli.Command) error {
	to, err := argument(c, "the folder for the copy")
	if err != nil {
		return err
	}
	from, err := p.stateFolder(c)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return fmt.Errorf("opsd: the copy needs a folder that is not there yet: %w", err)
	}
	for _, name := range stateFiles() {
		if err := copyDatabase(ctx, filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return fmt.Errorf("opsd: %s could not be copied, and %s is not whole: %w", name, to, err)
		}
	}
	p.printf("The state of %s is copied to %s. It names people and says what happened: keep it as you keep the state.\n", from, to)
	return nil
}

// copyDatabase copies a SQLite database as it is at one moment, also while it is written, and
// looks at the copy.
func copyDatabase(ctx context.Context, from, to string) (err error) {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	db, err := openCopy(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return err
	}
	if err := os.Chmod(to, 0o600); err != nil {
		return err
	}
	return whole(ctx, to)
}

// whole returns an error if a database is damaged.
func whole(ctx context.Context, path string) (err error) {
	db, err := openCopy(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var result string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&result); err != nil {
		return err
	}
	if result != "ok" {
		return fmt.Errorf("it is damaged: %s", result)
	}
	return nil
}

func openCopy(path string) (*sql.DB, error) {
	return sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro&_pragma=busy_timeout(10000)")
}

func (p *program) stateRestore(ctx context.Context, c *cli.Command) (err error) {
	from, err := argument(c, "the folder of the copy")
	if err != nil {
		return err
	}
	to, err := p.stateFolder(c)
	if err != nil {
		return err
	}
	for _, name := range stateFiles() {
		if err := whole(ctx, filepath.Join(from, name)); err != nil {
			return fmt.Errorf("opsd: the copy in %s is not whole, and nothing was changed: %s: %w", from, name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(to, fileRuns)); err == nil {
		if err := unused(ctx, to); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("opsd: %w", err)
	}
	aside, err := putAside(to)
	if err != nil {
		return err
	}
	if aside != "" {
		p.printf("What there was is in %s.\n", aside)
	}
	for _, name := range stateFiles() {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return fmt.Errorf("opsd: the state in %s is not whole, so start no opsd with it: remove what was copied, and restore again: %w", to, err)
		}
	}
	p.printf("The state in %s is that of the copy. What happened since is not in it.\n", to)
	return nil
}

// putAside moves the files of the state, and nothing else of their folder, which may be the
// top of a volume and have the kill file in it, to a new folder in it. That is empty if there
// is no file to move.
func putAside(folder string) (aside string, err error) {
	var there []string
	for _, name := range stateFiles() {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if _, err := os.Lstat(filepath.Join(folder, name+suffix)); err == nil {
				there = append(there, name+suffix)
			}
		}
	}
	if len(there) == 0 {
		return "", nil
	}
	aside = filepath.Join(folder, "before-"+time.Now().UTC().Format("20060102T150405Z"))
	if err := os.Mkdir(aside, 0o700); err != nil {
		return "", fmt.Errorf("opsd: what there is could not be put aside, and nothing was changed: %w", err)
	}
	for i, name := range there {
		if err := os.Rename(filepath.Join(folder, name), filepath.Join(aside, name)); err != nil {
			return "", fmt.Errorf("opsd: %s could not be put aside, and nothing is restored; moved to %s: %s; still in %s: %s; move all of them to one place before an opsd is started: %w",
				name, aside, orNothing(there[:i]), folder, strings.Join(there[i:], ", "), err)
		}
	}
	return aside, nil
}

// orNothing lists names.
func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// unused returns an error if an opsd has the state.
func unused(ctx context.Context, folder string) error {
	db, err := sqlitefile.Open(ctx, filepath.Join(folder, fileRuns))
	if errors.Is(err, sqlitefile.ErrInUse) {
		return fmt.Errorf("opsd: an opsd runs with the state in %s: stop it first. Nothing was changed: %w", folder, err)
	}
	if err != nil {
		return fmt.Errorf("opsd: the state in %s cannot be opened, and nothing was changed: %w", folder, err)
	}
	return db.Close()
}

// copyFile copies a file, and sees it on the disk.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}
