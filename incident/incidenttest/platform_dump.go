package incidenttest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// tables returns how many tables are in a database.
func tables(data string) int {
	n := 0
	for line := range strings.Lines(data) {
		if strings.TrimSpace(line) != "" {
			n++
		}
	}
	return n
}

// Dump implements [incident.Dumper].
func (p *Platform) Dump(ctx context.Context, w io.Writer) (incident.DumpReceipt, error) {
	p.mu.Lock()
	before, after := p.begin(ctx, "Dump")
	data := "dump\n" + p.data
	p.mu.Unlock()
	if before != nil || after != nil {
		return incident.DumpReceipt{}, errors.Join(before, after)
	}
	if _, err := io.WriteString(w, data); err != nil {
		return incident.DumpReceipt{}, fmt.Errorf("incidenttest: dump: %w", err)
	}
	return incident.DumpReceipt{
		Time: time.Now(), Size: int64(len(data)), SHA256: hash(data), Server: server, Format: "incidenttest", Tables: tables(data) - 1,
	}, nil
}

func hash(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

// PlanLoad implements [incident.DumpLoader].
func (p *Platform) PlanLoad(ctx context.Context, r incident.DumpReceipt, target string) (incident.LoadPlan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, "PlanLoad"); before != nil || after != nil {
		return incident.LoadPlan{}, errors.Join(before, after)
	}
	return p.planLoad(r, target)
}

func (p *Platform) planLoad(r incident.DumpReceipt, target string) (incident.LoadPlan, error) {
	data, ok := p.targets[target]
	if !ok {
		return incident.LoadPlan{}, noSuch("target", target)
	}
	if r.Server != server {
		return incident.LoadPlan{}, fmt.Errorf("incidenttest: the dump is of %q, the target is %q: %w", r.Server, server, incident.ErrUnsupported)
	}
	plan := incident.LoadPlan{Receipt: r, Target: target, Server: server}
	if n := tables(data); n > 0 {
		plan.Destroys = []string{fmt.Sprintf("%d tables, %d bytes", n, len(data))}
	}
	return plan, nil
}

// Load implements [incident.DumpLoader].
func (p *Platform) Load(ctx context.Context, plan incident.LoadPlan, r io.Reader) (incident.Loaded, error) {
	if err := p.mayLoad(ctx, plan); err != nil {
		return incident.Loaded{}, err
	}
	defer p.loaded(plan.Target)
	read, err := io.ReadAll(r)
	if err != nil {
		return incident.Loaded{}, fmt.Errorf("incidenttest: load: %w", err)
	}
	dump := string(read)
	if int64(len(dump)) != plan.Receipt.Size || hash(dump) != plan.Receipt.SHA256 {
		return incident.Loaded{}, errors.New("incidenttest: load: what was read is not what the receipt says; the target is as it was")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.begin(ctx, "Load")
	if before != nil {
		return incident.Loaded{}, before
	}
	data := strings.TrimPrefix(dump, "dump\n")
	p.targets[plan.Target] = data
	p.effect("Load", plan.Target)
	if after != nil {
		return incident.Loaded{}, after
	}
	return incident.Loaded{Target: plan.Target, Tables: tables(data)}, nil
}

// mayLoad returns what is against a plan before the dump is read. If nothing is,
// the target is taken until loaded.
func (p *Platform) mayLoad(ctx context.Context, plan incident.LoadPlan) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("incidenttest: Load: %w", err)
	}
	if runbook.IsReadOnly(ctx) {
		before, _ := p.change(ctx, "Load")
		return before
	}
	newest, err := p.planLoad(plan.Receipt, plan.Target)
	if err != nil {
		return err
	}
	if !newest.Same(plan) {
		return fmt.Errorf("incidenttest: load into %q: the plan would be another one now: %w", plan.Target, incident.ErrStale)
	}
	if p.loading[plan.Target] {
		return fmt.Errorf("incidenttest: load into %q: another one is under way: %w", plan.Target, incident.ErrBusy)
	}
	if p.loading == nil {
		p.loading = make(map[string]bool)
	}
	p.loading[plan.Target] = true
	return nil
}

func (p *Platform) loaded(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.loading, target)
}
