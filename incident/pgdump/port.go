package pgdump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"go.acu.edu.au/runbook/incident"
)

// Port is [incident.Dumper] and [incident.DumpLoader] for playbooks, made of a
// Dumper for the database that is dumped and others for those that dumps may be
// loaded into, by name. Use [NewPort].
//
// It loads as [Dumper.Restore] does: all or nothing, what is in the dump in place
// of what is there, while what the dump does not have stays. What a plan says is
// destroyed is everything in the target, since a plan is made before the dump is
// at hand. The plan that [Port.Load] gets is the confirmation.
type Port struct {
	source  *Dumper
	targets map[string]*Dumper

	mu   sync.Mutex
	busy map[string]bool
}

var (
	_ incident.Dumper     = (*Port)(nil)
	_ incident.DumpLoader = (*Port)(nil)
)

// NewPort returns a Port. Source may be nil if nothing is dumped, and targets
// empty if nothing is loaded.
func NewPort(source *Dumper, targets map[string]*Dumper) (*Port, error) {
	p := &Port{source: source, targets: make(map[string]*Dumper), busy: make(map[string]bool)}
	var problems []error
	if source == nil && len(targets) == 0 {
		problems = append(problems, errors.New("pgdump: port: neither a source nor a target is given"))
	}
	if source != nil {
		if err := source.can(true, false, true, false); err != nil {
			problems = append(problems, fmt.Errorf("pgdump: port: source: %w", err))
		}
	}
	for name, target := range targets {
		if name == "" || target == nil {
			problems = append(problems, fmt.Errorf("pgdump: port: target %s has no name or is nil", quote(name)))
			continue
		}
		if err := target.can(true, true, false, true); err != nil {
			problems = append(problems, fmt.Errorf("pgdump: port: target %s: %w", quote(name), err))
		}
		p.targets[name] = target
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return p, nil
}

// Dump implements [incident.Dumper] by [Dumper.Dump].
func (p *Port) Dump(ctx context.Context, w io.Writer) (incident.DumpReceipt, error) {
	if p.source == nil {
		return incident.DumpReceipt{}, finish("dump", true, problem(incident.ErrUnsupported, "there is no source"))
	}
	r, err := p.source.Dump(ctx, w)
	if err != nil {
		return incident.DumpReceipt{}, err
	}
	return r.Incident(), nil
}

// portFormat is what the bytes of a dump are.
const portFormat = "age, pg_dump custom"

// Incident returns the receipt in the words of package incident.
func (r Receipt) Incident() incident.DumpReceipt {
	return incident.DumpReceipt{Time: r.Started, Size: r.CipherBytes, SHA256: r.CipherSHA256,
		Server: "PostgreSQL " + r.ServerVersion, Format: portFormat, Encrypted: true, Tables: len(r.Tables)}
}

// PlanLoad implements [incident.DumpLoader]: it looks at the target.
func (p *Port) PlanLoad(ctx context.Context, r incident.DumpReceipt, target string) (incident.LoadPlan, error) {
	plan, err := p.plan(ctx, r, target)
	return plan, finish("plan restore", true, err)
}

func (p *Port) plan(ctx context.Context, r incident.DumpReceipt, target string) (incident.LoadPlan, error) {
	if err := r.Validate(); err != nil {
		return incident.LoadPlan{}, err
	}
	d, err := p.target(target)
	if err != nil {
		return incident.LoadPlan{}, err
	}
	if r.Format != portFormat {
		return incident.LoadPlan{}, problem(incident.ErrUnsupported, "the dump is %s, not %s", quote(r.Format), portFormat)
	}
	found, err := d.look(ctx, d.cfg.DB, d.proveSame(ctx))
	if err != nil {
		return incident.LoadPlan{}, err
	}
	return incident.LoadPlan{Receipt: r, Target: target, Server: "PostgreSQL " + found.ServerVersion, Destroys: found.losses()}, nil
}

func (p *Port) target(name string) (*Dumper, error) {
	if d := p.targets[name]; d != nil {
		return d, nil
	}
	return nil, problem(incident.ErrNotFound, "there is no target %s", quote(name))
}

// losses says in a line each what the target can lose. The last line changes with
// everything that is written to it, so that a plan is not confirmed for a state
// that nobody has seen.
func (t *Target) losses() []string {
	if t.Empty() {
		return nil
	}
	var lines []string
	for _, table := range t.Tables {
		lines = append(lines, table.Kind+" "+table.String())
	}
	lines = append(lines, t.Others...)
	return append(lines, "everything written until now, state "+t.activity[:16])
}

// Load implements [incident.DumpLoader] by [Dumper.Restore]. The reader must be an
// [io.ReadSeeker], such as a file, since all of a dump is checked before any of it
// is sent; else the error is [incident.ErrUnsupported].
func (p *Port) Load(ctx context.Context, plan incident.LoadPlan, r io.Reader) (incident.Loaded, error) {
	if err := mayChange(ctx); err != nil {
		return incident.Loaded{}, finish("restore", true, err)
	}
	release, err := p.take(plan.Target)
	if err != nil {
		return incident.Loaded{}, finish("restore", true, err)
	}
	defer release()
	dump, inner, err := p.mayLoad(ctx, plan, r)
	if err != nil {
		return incident.Loaded{}, finish("restore", true, err)
	}
	done, err := p.targets[plan.Target].Restore(ctx, dump, inner)
	if err != nil {
		return incident.Loaded{}, err
	}
	loaded := incident.Loaded{Target: plan.Target}
	for _, table := range done.Target.Tables {
		if table.Kind == "table" {
			loaded.Tables++
		}
	}
	return loaded, nil
}

// mayLoad plans again, checks the dump, and returns it where it began.
func (p *Port) mayLoad(ctx context.Context, plan incident.LoadPlan, r io.Reader) (io.ReadSeeker, Plan, error) {
	if err := ctx.Err(); err != nil {
		return nil, Plan{}, err
	}
	now, err := p.plan(ctx, plan.Receipt, plan.Target)
	if err != nil {
		return nil, Plan{}, err
	}
	if !plan.Same(now) {
		return nil, Plan{}, problem(incident.ErrStale, "the target %s is not what it was when the plan was made: plan again", quote(plan.Target))
	}
	dump, ok := r.(io.ReadSeeker)
	if !ok {
		return nil, Plan{}, problem(incident.ErrUnsupported, "the dump can be read only once: put it into a file first")
	}
	start, err := dump.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, Plan{}, because(err, "find where the dump begins")
	}
	inner, err := p.targets[plan.Target].planRestore(ctx, dump, nil)
	if err != nil {
		return nil, Plan{}, err
	}
	if inner.Dump.CipherBytes != plan.Receipt.Size || inner.Dump.CipherSHA256 != plan.Receipt.SHA256 {
		return nil, Plan{}, problem(ErrDamaged, "it is not the dump of the receipt: its hash is %s, and the receipt says %s", inner.Dump.CipherSHA256, quote(plan.Receipt.SHA256))
	}
	if !slices.Equal(inner.Target.losses(), plan.Destroys) {
		return nil, Plan{}, problem(incident.ErrStale, "the target %s has just changed: plan again", quote(plan.Target))
	}
	if _, err := dump.Seek(start, io.SeekStart); err != nil {
		return nil, Plan{}, because(err, "go back to where the dump begins")
	}
	inner.ConfirmedBy = "the plan of the playbook"
	return dump, inner, nil
}

// take makes sure that a target is loaded by one call at a time.
func (p *Port) take(target string) (release func(), err error) {
	if _, err := p.target(target); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy[target] {
		return nil, problem(incident.ErrBusy, "another dump is being loaded into %s", quote(target))
	}
	p.busy[target] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.busy, target)
	}, nil
}
