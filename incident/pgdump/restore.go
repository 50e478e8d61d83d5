package pgdump

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// Restored is what was observed after a restore.
type Restored struct {
	// Duration is how long it took, with the reading before.
	Duration time.Duration `json:"duration_ns"`
	// Target is the database as it is now; zero if it could not be looked at.
	Target Target `json:"target"`
}

// Restore puts a dump into the target, in one transaction: after an error that is
// safe to retry, the target is as it was. The dump is read twice from where dump
// stands; one that comes over a network is put into a file first, for which any
// disk will do, since it is encrypted.
//
// Passing a plan confirms it for an empty target; for one that is not, a person's
// name must be in Plan.ConfirmedBy. The plan must be the one that would be made
// now, as far as the server's statistics show: they can be late by some 10 s,
// which is another reason to stop the application before planning.
//
// The errors: [runbook.ErrReadOnly] if nothing may be changed in ctx, as in a plan;
// [ErrNotConfirmed]; [incident.ErrStale] if the target has changed;
// [incident.ErrBusy] if another restore of this package into it is going on, in any
// process, or if other sessions are in the middle of something in a target that
// is not empty; those of [Dumper.PlanRestore]; [incident.ErrOutcomeUnknown].
// When ctx ends before the dump was sent whole, nothing was changed.
func (d *Dumper) Restore(ctx context.Context, dump io.ReadSeeker, plan Plan) (Restored, error) {
	began := time.Now()
	target, notDone, err := d.restore(ctx, dump, plan)
	if err != nil {
		return Restored{}, finish("restore", notDone, err)
	}
	return Restored{Duration: time.Since(began), Target: target}, nil
}

// mayChange refuses a restore where nothing may be changed, such as in a plan. A dump
// reads.
func mayChange(ctx context.Context) error {
	if runbook.IsReadOnly(ctx) {
		return because(runbook.ErrReadOnly, "nothing was restored")
	}
	return nil
}

func (d *Dumper) restore(ctx context.Context, dump io.ReadSeeker, plan Plan) (after Target, notDone bool, err error) {
	if err := mayChange(ctx); err != nil {
		return Target{}, true, err
	}
	if err := d.can(true, true, false, true); err != nil {
		return Target{}, true, err
	}
	if plan.Digest == "" {
		return Target{}, true, problem(ErrNotConfirmed, "there is no plan: make one with PlanRestore")
	}
	turn, err := d.take(ctx)
	if err != nil {
		return Target{}, true, err
	}
	defer turn.release(ctx)
	before, err := d.mayRestore(ctx, turn.conn, dump, plan)
	if err != nil {
		return Target{}, true, err
	}
	application := "runbook-restore-" + rand.Text()[:16]
	released, err := d.runRestore(ctx, dump, plan, application, !before.Empty())
	if err == nil {
		after, _ = d.settle(ctx, turn, application)
		return after, false, nil
	}
	after, gone := d.settle(ctx, turn, application)
	switch {
	case gone && after.structure == before.structure:
		return Target{}, true, err
	case !gone && !released:
		// Without the end of the dump there was nothing to commit.
		return Target{}, true, err
	}
	own := &Error{kind: incident.ErrOutcomeUnknown, cause: err, detail: strings.TrimPrefix(err.Error(), "pgdump: : ")}
	if gone {
		own.detail += "; the target has changed meanwhile: look whether it has the tables of the dump"
	} else {
		own.detail += "; the target could not be looked at afterwards: look whether it has the tables of the dump"
	}
	return Target{}, false, own
}

// mayRestore checks everything that can be checked before anything is done, and
// leaves the dump where it stood.
func (d *Dumper) mayRestore(ctx context.Context, db beginner, dump io.ReadSeeker, plan Plan) (Target, error) {
	before, err := d.look(ctx, db, d.proveSame(ctx))
	if err != nil {
		return Target{}, err
	}
	if plan.SkipOwners != d.cfg.SkipOwners || !plan.same(before) {
		return Target{}, problem(incident.ErrStale, "the target is not what it was when the plan was made, or the plan was edited: plan again")
	}
	if !before.Empty() {
		if strings.TrimSpace(plan.ConfirmedBy) == "" {
			return Target{}, problem(ErrNotConfirmed, "the target %s is not empty: a person has to read what is destroyed and put a name into ConfirmedBy", quote(before.Database))
		}
		if n := before.busy(); n > 0 {
			return Target{}, problem(incident.ErrBusy, "%d other sessions are in the middle of something in %s: stop the application first", n, quote(before.Database))
		}
	}
	start, err := dump.Seek(0, io.SeekCurrent)
	if err != nil {
		return Target{}, because(err, "find where the dump begins")
	}
	sum, err := d.read(ctx, "restore", dump, nil, io.Discard)
	if err != nil {
		return Target{}, err
	}
	if err := plan.isOf(sum); err != nil {
		return Target{}, err
	}
	if _, err := dump.Seek(start, io.SeekStart); err != nil {
		return Target{}, because(err, "go back to where the dump begins")
	}
	return before, nil
}

// isOf checks that a dump is the one that was planned for.
func (p *Plan) isOf(s summary) error {
	if s.plainSHA256 != p.Dump.PlainSHA256 || s.cipherSHA256 != p.Dump.CipherSHA256 {
		return problem(ErrDamaged, "it is not the dump that the plan was made for: its hash is %s, and the plan says %s", s.cipherSHA256, p.Dump.CipherSHA256)
	}
	return nil
}

// runRestore runs pg_restore. Released is true once it had all of the dump, from
// when on it can commit.
func (d *Dumper) runRestore(ctx context.Context, dump io.Reader, plan Plan, application string, clean bool) (released bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	args := []string{"--format=custom", "--single-transaction", "--exit-on-error", "--no-password"}
	if clean {
		args = append(args, "--clean", "--if-exists")
	}
	if d.cfg.SkipOwners {
		args = append(args, "--no-owner", "--no-privileges")
	}
	args = append(args, d.cfg.Connection.database())
	c, err := d.start(ctx, d.cfg.PgRestore, args, d.cfg.Connection.environment(application), true, false)
	if err != nil {
		return false, err
	}
	defer c.end()
	fed := &feed{c: c, needed: true}
	held := &holdback{w: fed}
	sum, err := d.read(ctx, "restore", dump, nil, held)
	if errors.Is(err, errEnough) {
		// It has ended before it had all. As a rule it failed; if not, the dump has
		// something behind its end, and was checked as a whole before.
		return true, c.wait(ctx)
	}
	if err == nil {
		err = plan.isOf(sum)
	}
	if err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if err := held.release(); err != nil && !errors.Is(err, errEnough) {
		return true, err
	}
	fed.close()
	return true, c.wait(ctx)
}

// holdback keeps the last byte of what is written through it. pg_restore needs
// every byte of an archive, and so cannot commit before the last one is released.
type holdback struct {
	w    io.Writer
	last []byte
}

// Write implements io.Writer.
func (h *holdback) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if _, err := h.w.Write(h.last); err != nil {
		return 0, err
	}
	if _, err := h.w.Write(p[:len(p)-1]); err != nil {
		return 0, err
	}
	h.last = append(h.last[:0], p[len(p)-1])
	return len(p), nil
}

func (h *holdback) release() error {
	_, err := h.w.Write(h.last)
	return err
}
