package durable

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// standing is how a run that has not ended stands with the processes that could carry it
// out. All processes see the same, whatever their version.
type standing string

const (
	inOrder standing = ""         // one has it, or will take it
	orphan  standing = "orphan"   // the process that has it is dead
	frozen  standing = "frozen"   // the process that has it hangs, or all that could take it
	nowhere standing = "stranded" // no process of its version is there
)

// standingOf says how a run stands. A process that hangs is there: when it goes on, so do
// its runs, and nobody may take them for abandoned.
func standingOf(f row, all []process) standing {
	var there, lives bool
	state := dead // of the one that has it
	for _, p := range all {
		if p.Version == f.version {
			there = there || p.State != dead
			lives = lives || p.State == alive
		}
		if p.Process == f.process {
			state = p.State
		}
	}
	switch {
	case !there:
		return nowhere
	case f.owner != "" && state == dead:
		return orphan
	case f.owner != "" && state == hung, f.owner == "" && !lives:
		return frozen
	}
	return inOrder
}

// notice makes it a change of the run that a process has died with it, hangs, or is there
// again, which nothing else records: who follows the run waits for its revision to grow. It
// reports whether it did. It is tried again if it fails. With a read-only context nothing is
// written, and the next change tells.
func (r *Runs) notice(ctx context.Context, f row, processes func() ([]process, error)) (changed bool) {
	switch {
	case f.ended != 0, f.stranded != "", runbook.IsReadOnly(ctx):
		return false
	case f.owner != "" && f.process == r.process && f.shown == inOrder:
		return false // it is this one
	}
	all, err := processes()
	if err != nil {
		return false
	}
	now := standingOf(f, all)
	if now == f.shown {
		return false
	}
	err = r.write(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(plain{ctx}, "UPDATE runbook_runs SET shown = $2, revision = revision + 1 WHERE id = $1 AND shown = $3 AND revision = $4 AND ended = 0",
			f.id, string(now), string(f.shown), f.revision)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err // somebody else has changed it
		}
		changed = true
		return r.tell(ctx, tx, f.id)
	})
	if changed = changed && err == nil; changed {
		r.changed(f.id)
	}
	return changed
}

// condition says how far a run is, and what somebody should look at.
func (r *Runs) condition(f row, processes func() ([]process, error), record *incident.RunRecord) error {
	switch {
	case f.ended != 0:
		record.Status = incident.RunStatus(f.status)
		return nil
	case f.stranded != "":
		record.Status, record.Attention = incident.RunStranded, f.stranded
		return nil
	case f.owner == "":
		record.Status = incident.RunQueued
	default:
		record.Status = incident.RunRunning
	}
	if f.taken.Valid {
		record.Attention = f.taken.String
	}
	if f.owner == "" || f.process == r.process {
		r.mu.Lock()
		if why := r.still[f.id]; why != "" {
			record.Attention = strings.TrimPrefix(record.Attention+"; "+why, "; ")
		}
		r.mu.Unlock()
	}
	if f.owner != "" && f.process == r.process {
		return nil
	}
	all, err := processes()
	if err != nil {
		return err
	}
	switch standing := standingOf(f, all); {
	case standing == nowhere && f.version != r.cfg.version:
		record.Status = incident.RunStranded
		record.Attention = fmt.Sprintf("it was begun by version %s, and no process of that version lives; this one is %s, and cannot go on with it: start a process of that version, or cancel the run and fork it", f.version, r.cfg.version)
	case f.owner == "" && standing == frozen:
		record.Attention = fmt.Sprintf("it waits for a process of version %s, and all that are there hang: look at them, or start another one", f.version)
	case f.owner == "":
	case standing == frozen:
		seen := all[slices.IndexFunc(all, func(p process) bool { return p.Process == f.process })].Seen
		record.Attention = fmt.Sprintf("process %s, which has it, hangs: it has not said since %s that it lives; look at it, end it, or let somebody take its runs over", f.process, seen.UTC().Format(time.RFC3339))
	case standing != inOrder:
		record.Attention = fmt.Sprintf("process %s, which has it, is dead; another process takes it, if there is one", f.process)
	}
	return nil
}
