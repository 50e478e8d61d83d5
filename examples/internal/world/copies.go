package world

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// The databases that dumps can be loaded into.
const (
	liveDatabase      = "live"
	rehearsalDatabase = "rehearsal"
)

// dumps are the dumps of a database that are kept off the platform, and what makes them.
type dumps struct {
	e *environment

	mu   sync.Mutex // guards the rest
	all  []kept
	made map[string]bool // databases that were made for a rehearsal, and whether a dump was loaded
}

// kept is a dump that is kept.
type kept struct {
	playbooks.Dump
	data []byte
}

// newDumps has one of last night.
func newDumps(e *environment, now time.Time) *dumps {
	d := &dumps{e: e}
	at := now.Add(-5 * time.Hour)
	data, receipt := dumpOf(at)
	d.all = append(d.all, kept{playbooks.Dump{Name: e.name + "-" + at.Format(time.DateOnly), Receipt: receipt}, data})
	return d
}

// dumpOf returns a dump of all that there is at a time.
func dumpOf(at time.Time) ([]byte, incident.DumpReceipt) {
	data := []byte("PGDMP " + wholeData + " " + at.UTC().Format(time.RFC3339Nano) + strings.Repeat(".", 4000))
	sum := sha256.Sum256(data)
	return data, incident.DumpReceipt{Time: at, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), Server: "PostgreSQL 16.4", Format: "pg_dump custom", Tables: 12}
}

// store is where dumps are kept.
func (d *dumps) store() playbooks.Dumps {
	return playbooks.Dumps{List: d.list, Keep: d.keep, Open: d.open, Live: liveDatabase, Rehearsal: rehearsalDatabase}
}

func (d *dumps) list(context.Context) ([]playbooks.Dump, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []playbooks.Dump
	for _, k := range slices.Backward(d.all) {
		all = append(all, k.Dump)
	}
	return all, nil
}

func (d *dumps) keep(_ context.Context, name string, write func(w io.Writer) (incident.DumpReceipt, error)) error {
	var data bytes.Buffer
	receipt, err := write(&data)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = slices.DeleteFunc(d.all, func(k kept) bool { return k.Name == name })
	d.all = append(d.all, kept{playbooks.Dump{Name: name, Receipt: receipt}, data.Bytes()})
	return nil
}

func (d *dumps) open(_ context.Context, name string) (io.ReadSeekCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.all {
		if k.Name == name {
			return readCloser{bytes.NewReader(k.data)}, nil
		}
	}
	return nil, fmt.Errorf("dump %q: %w", name, incident.ErrNotFound)
}

// readCloser is a reader with nothing to close.
type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// reachable is why the database cannot be worked with; nil if it can.
func (d *dumps) reachable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.e.w.enter(); err != nil {
		return err
	}
	d.e.w.mu.Lock()
	defer d.e.w.mu.Unlock()
	if r := d.e.database.result(); r.Cause != "" && !d.e.database.up || d.e.unreachable() {
		return fmt.Errorf("pg_dump: %s", r.Message)
	}
	return nil
}

// Dump implements [incident.Dumper].
func (d *dumps) Dump(ctx context.Context, to io.Writer) (incident.DumpReceipt, error) {
	if err := d.reachable(ctx); err != nil {
		return incident.DumpReceipt{}, err
	}
	if !d.e.w.sleep(ctx, 20*time.Second) {
		return incident.DumpReceipt{}, context.Cause(ctx)
	}
	data, receipt := dumpOf(time.Now())
	if _, err := to.Write(data); err != nil {
		return incident.DumpReceipt{}, err
	}
	d.e.w.note(d.e.name, "dump", "")
	return receipt, nil
}

// PlanLoad implements [incident.DumpLoader].
func (d *dumps) PlanLoad(ctx context.Context, r incident.DumpReceipt, target string) (incident.LoadPlan, error) {
	plan := incident.LoadPlan{Receipt: r, Target: target, Server: r.Server}
	switch target {
	case liveDatabase:
		plan.Destroys = []string{"12 tables, 3 GB"}
	case rehearsalDatabase:
	default:
		loaded, reached := d.isMade(target)
		if !reached {
			return plan, fmt.Errorf("database %q: %w", target, incident.ErrNotFound)
		}
		if loaded {
			plan.Destroys = []string{"12 tables, 3 GB"}
		}
	}
	return plan, ctx.Err()
}

// Load implements [incident.DumpLoader]. What was written since the dump is lost.
func (d *dumps) Load(ctx context.Context, p incident.LoadPlan, from io.Reader) (incident.Loaded, error) {
	now, err := d.PlanLoad(ctx, p.Receipt, p.Target)
	if err != nil {
		return incident.Loaded{}, err
	}
	if !now.Same(p) {
		return incident.Loaded{}, incident.ErrStale
	}
	data, err := io.ReadAll(from)
	if err != nil {
		return incident.Loaded{}, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != p.Receipt.SHA256 {
		return incident.Loaded{}, fmt.Errorf("the dump is not what its receipt says")
	}
	if !d.e.w.sleep(context.WithoutCancel(ctx), 40*time.Second) {
		return incident.Loaded{}, incident.ErrOutcomeUnknown
	}
	d.e.w.mu.Lock()
	defer d.e.w.mu.Unlock()
	if d.fill(p.Target) {
		d.e.w.act(d.e.name, "dump-rehearsed", p.Target)
		return incident.Loaded{Target: p.Target, Tables: p.Receipt.Tables}, nil
	}
	d.e.w.act(d.e.name, "dump-restored", p.Target)
	if p.Target == liveDatabase {
		d.e.database.lost = "what was written since " + p.Receipt.Time.UTC().Format(time.DateTime)
	}
	return incident.Loaded{Target: p.Target, Tables: p.Receipt.Tables}, nil
}

// Migrate implements [incident.Migrator]: the schema is at its head already.
func (e *environment) Migrate(ctx context.Context) (incident.Migration, error) {
	if err := e.w.enter(); err != nil {
		return incident.Migration{}, err
	}
	if !e.w.sleep(ctx, 10*time.Second) {
		return incident.Migration{}, incident.ErrOutcomeUnknown
	}
	e.w.note(e.name, "migrate", "")
	return incident.Migration{Succeeded: true, From: "1975ea83b712", To: "1975ea83b712"}, nil
}

// rotation renews the private key of the tool: Canvas takes both until the old one is ended.
func (e *environment) rotation() playbooks.Rotation {
	name := e.keyVariable()
	made := time.Now().Add(-30 * 24 * time.Hour)
	wanted := "" // guarded by the lock of the world
	return playbooks.Rotation{
		Name: name, About: "The key with which the tool signs.", Owner: "operations@acu.edu.au", Redeploys: true,
		Begin: func(context.Context) error {
			e.w.mu.Lock()
			defer e.w.mu.Unlock()
			if wanted == "" || wanted == e.app.privateKey() { // else one was begun that is not deployed yet
				wanted = keyText(0)
				if e.app.privateKey() == wanted {
					wanted = keyText(1)
				}
			}
			e.w.railway.SetVariable(e.id, e.service("app"), name, wanted, false)
			e.w.act(e.name, "begin", name)
			e.stir()
			return nil
		},
		Prove: func(context.Context) error {
			if err := e.w.enter(); err != nil {
				return err
			}
			e.w.mu.Lock()
			defer e.w.mu.Unlock()
			if e.app.privateKey() != wanted {
				return fmt.Errorf("the application does not sign with the new key yet")
			}
			e.w.act(e.name, "prove", name)
			made = time.Now()
			return nil
		},
		End: func(context.Context) error { e.w.note(e.name, "end", name); return nil },
		Age: func(context.Context) (time.Duration, error) {
			e.w.mu.Lock()
			defer e.w.mu.Unlock()
			return time.Since(made), nil
		},
	}
}
