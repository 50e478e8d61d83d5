package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// A folder keeps files under names: a disk of another machine, or a bucket that is mounted.
// What is in it under a name is whole: it is written beside it, and takes its place when it
// is on the disk.
type folder string

// writing is how the name of a file begins that is not whole yet.
const writing = ".writing-"

// path is where something of a name is. Names become names of files that lead nowhere else.
func (f folder) path(name string) string { return filepath.Join(string(f), fileName(name)) }

func fileName(name string) string { return strings.ReplaceAll(url.PathEscape(name), ".", "%2E") }

// write keeps what write writes.
func (f folder) write(ctx context.Context, name string, write func(w io.Writer) error) (err error) {
	if runbook.IsReadOnly(ctx) {
		return fmt.Errorf("opsd: keep %s: %w", name, runbook.ErrReadOnly)
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("opsd: the folder cannot be made: %w", err)
	}
	f.sweep()
	to, err := os.CreateTemp(string(f), writing+"*")
	if err != nil {
		return fmt.Errorf("opsd: keep %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, to.Close(), os.Remove(to.Name()))
		}
	}()
	if err := cmp.Or(write(to), ctx.Err(), to.Sync()); err != nil {
		return err
	}
	if err := os.Rename(to.Name(), f.path(name)); err != nil {
		return fmt.Errorf("opsd: keep %s: %w", name, err)
	}
	return errors.Join(to.Close(), f.sync())
}

// sweep removes what a crash has left that was not whole.
func (f folder) sweep() {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return // whoever writes next is told
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), writing) && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.Remove(filepath.Join(string(f), e.Name()))
		}
	}
}

// sync makes what was renamed or removed survive a crash of the machine.
func (f folder) sync() error {
	dir, err := os.Open(string(f))
	if err != nil {
		return fmt.Errorf("opsd: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// names are those of what is kept. There is no folder before the first of it.
func (f folder) names() ([]string, error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opsd: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), writing) {
			continue
		}
		name, err := url.PathUnescape(e.Name())
		if err != nil || fileName(name) != e.Name() {
			name = "./" + e.Name() // somebody else put it there: it has no name of ours
		}
		names = append(names, name)
	}
	return names, nil
}

// remove removes something, of which there may be none.
func (f folder) remove(name string) error {
	err := os.Remove(f.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opsd: %w", err)
	}
	return f.sync()
}

// bundles keeps evidence in a folder.
type bundles struct{ folder }

var _ incident.EvidenceStore = bundles{}

// Keep implements [incident.EvidenceStore].
func (b bundles) Keep(ctx context.Context, name string, write func(w io.Writer) error) error {
	return b.write(ctx, name, write)
}

// Kept implements [incident.EvidenceStore].
func (b bundles) Kept(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		names, err := b.names()
		if err = cmp.Or(ctx.Err(), err); err != nil {
			yield("", err)
			return
		}
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Delete implements [incident.EvidenceStore].
func (b bundles) Delete(ctx context.Context, name string) error {
	if runbook.IsReadOnly(ctx) {
		return fmt.Errorf("opsd: delete evidence: %w", runbook.ErrReadOnly)
	}
	return cmp.Or(ctx.Err(), b.remove(name))
}

// dumps keeps dumps in one folder, and their receipts in another, where whoever can replace a
// dump should not be able to replace its receipt. A dump without a receipt is none.
type dumps struct {
	dumps, receipts folder
	// keep is for how long they are kept.
	keep time.Duration
}

// leastDumps is how many are kept however old they are.
const leastDumps = 3

// kept is where the playbooks find them.
func (d dumps) kept() playbooks.Dumps {
	return playbooks.Dumps{List: d.list, Keep: d.add, Open: d.open}
}

// receiptOf is the name of a receipt.
func receiptOf(name string) string { return name + " receipt" }

func (d dumps) list(ctx context.Context) ([]playbooks.Dump, error) {
	names, err := d.receipts.names()
	if err = cmp.Or(ctx.Err(), err); err != nil {
		return nil, err
	}
	var all []playbooks.Dump
	for _, file := range names {
		name, is := strings.CutSuffix(file, receiptOf(""))
		if !is {
			continue
		}
		if _, err := os.Stat(d.dumps.path(name)); errors.Is(err, os.ErrNotExist) {
			continue // a crash between the two, or somebody removed it
		}
		text, err := os.ReadFile(d.receipts.path(file))
		if err != nil {
			return nil, fmt.Errorf("opsd: the receipt of dump %s: %w", name, err)
		}
		var r incident.DumpReceipt
		if err := json.Unmarshal(text, &r); err != nil || r.Validate() != nil {
			return nil, fmt.Errorf("opsd: the receipt of dump %s is none: without it nothing shows that the dump is the one that was made; move both elsewhere", name)
		}
		all = append(all, playbooks.Dump{Name: name, Receipt: r})
	}
	slices.SortFunc(all, func(a, b playbooks.Dump) int { return b.Receipt.Time.Compare(a.Receipt.Time) })
	return all, nil
}

func (d dumps) add(ctx context.Context, name string, write func(w io.Writer) (incident.DumpReceipt, error)) error {
	var receipt incident.DumpReceipt
	// The receipt of what is replaced goes first: it is not that of the new one.
	if err := d.receipts.remove(receiptOf(name)); err != nil {
		return err
	}
	err := d.dumps.write(ctx, name, func(w io.Writer) (err error) {
		receipt, err = write(w)
		return err
	})
	if err != nil {
		return err
	}
	err = d.receipts.write(ctx, receiptOf(name), func(w io.Writer) error { return json.NewEncoder(w).Encode(receipt) })
	if err != nil {
		return err
	}
	return d.prune(ctx)
}

// prune removes what is older than is kept, and leaves a few in any case.
func (d dumps) prune(ctx context.Context) error {
	all, err := d.list(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for i, old := range all {
		if i >= leastDumps && time.Since(old.Receipt.Time) > d.keep {
			errs = append(errs, d.dumps.remove(old.Name), d.receipts.remove(receiptOf(old.Name))) // a receipt that a crash leaves has nothing in it
		}
	}
	return errors.Join(errs...)
}

func (d dumps) open(ctx context.Context, name string) (io.ReadSeekCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(d.dumps.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("opsd: dump %s: %w", name, incident.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("opsd: dump %s: %w", name, err)
	}
	return f, nil
}

// newest returns the name of the newest of the copies that begin with a prefix, whose names
// end with the day; empty if there is none.
func (f folder) newest(prefix string) (string, error) {
	names, err := f.names()
	if err != nil {
		return "", err
	}
	newest := ""
	for _, name := range names {
		if day, is := strings.CutPrefix(name, prefix); is && name > newest {
			if _, err := time.Parse(time.DateOnly, day); err == nil {
				newest = name
			}
		}
	}
	return newest, nil
}
