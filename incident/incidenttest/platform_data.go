package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// backup is a backup with what is in it.
type backup struct {
	incident.Backup
	data string
}

// server is what the database of a Platform says that it is.
const server = "incidenttest 1"

// Write replaces what is in the database. A table is a line that is not empty.
func (p *Platform) Write(data string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.data = data
}

// Data returns what is in the database.
func (p *Platform) Data() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.data
}

// SetTarget makes a database into which dumps can be loaded, or replaces what is in
// it. The database of the service itself is no target.
func (p *Platform) SetTarget(name, data string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.targets == nil {
		p.targets = make(map[string]string)
	}
	p.targets[name] = data
}

// Target returns what is in a target.
func (p *Platform) Target(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.targets[name]
}

// BreakMigrations makes migrations fail with that line of output, until it is
// empty.
func (p *Platform) BreakMigrations(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = why
}

// SetSessions sets how many sessions there are.
func (p *Platform) SetSessions(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions = n
}

// LiveSessions returns how many sessions there are.
func (p *Platform) LiveSessions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions
}

// Backups implements [incident.Backups].
func (p *Platform) Backups(ctx context.Context) ([]incident.Backup, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, "Backups"); before != nil || after != nil {
		return nil, errors.Join(before, after)
	}
	return p.newerThan(-1), nil
}

// newerThan returns the backups after the one with that index, the newest first.
func (p *Platform) newerThan(index int) []incident.Backup {
	var out []incident.Backup
	for i := len(p.backups) - 1; i > index; i-- {
		out = append(out, p.backups[i].Backup)
	}
	return out
}

// CreateBackup implements [incident.Backups].
func (p *Platform) CreateBackup(ctx context.Context, name string) (incident.Backup, error) {
	if name == "" {
		return incident.Backup{}, errors.New("incidenttest: backup: the name is missing")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "CreateBackup")
	if before != nil {
		return incident.Backup{}, before
	}
	var last time.Time
	for _, b := range p.backups {
		if last = b.Created; b.Name == name {
			return b.Backup, after
		}
	}
	b := backup{incident.Backup{ID: p.id("b"), Name: name, Created: now(last), Size: int64(len(p.data))}, p.data}
	p.backups = append(p.backups, b)
	p.effect("CreateBackup", b.ID)
	if after != nil {
		return incident.Backup{}, after
	}
	return b.Backup, nil
}

// PlanRestore implements [incident.BackupRestorer].
func (p *Platform) PlanRestore(ctx context.Context, id string) (incident.RestorePlan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, "PlanRestore"); before != nil || after != nil {
		return incident.RestorePlan{}, errors.Join(before, after)
	}
	plan, _, err := p.planRestore(id)
	return plan, err
}

func (p *Platform) planRestore(id string) (incident.RestorePlan, int, error) {
	for i, b := range p.backups {
		if b.ID == id {
			return incident.RestorePlan{
				Backup: b.Backup, Target: "the database of the service", Deletes: p.newerThan(i),
				Destroys: []string{"what was written since " + b.Created.UTC().Format(time.RFC3339)},
			}, i, nil
		}
	}
	return incident.RestorePlan{}, 0, noSuch("backup", id)
}

// RestoreBackup implements [incident.BackupRestorer]. It deletes the newer backups,
// and keeps the data from before as a target that is named in the answer.
func (p *Platform) RestoreBackup(ctx context.Context, plan incident.RestorePlan) (incident.Restored, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "RestoreBackup")
	if before != nil {
		return incident.Restored{}, before
	}
	newest, i, err := p.planRestore(plan.Backup.ID)
	if err != nil {
		return incident.Restored{}, err
	}
	if !newest.Same(plan) {
		return incident.Restored{}, fmt.Errorf("incidenttest: restore of backup %q: the plan would be another one now: %w", plan.Backup.ID, incident.ErrStale)
	}
	kept := p.id("data")
	if p.targets == nil {
		p.targets = make(map[string]string)
	}
	p.targets[kept] = p.data
	p.data, p.backups = p.backups[i].data, p.backups[:i+1]
	p.effect("RestoreBackup", plan.Backup.ID)
	if after != nil {
		return incident.Restored{}, after
	}
	return incident.Restored{Backup: newest.Backup, Deleted: newest.Deletes, Kept: kept}, nil
}

// Migrate implements [incident.Migrator].
func (p *Platform) Migrate(ctx context.Context) (incident.Migration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "Migrate")
	if before != nil {
		return incident.Migration{}, before
	}
	m := incident.Migration{From: fmt.Sprint(p.schema), Succeeded: p.broken == ""}
	if m.Succeeded {
		p.schema++
		m.Output = []string{"migrated"}
	} else {
		m.Output = []string{p.broken}
	}
	m.To = fmt.Sprint(p.schema)
	p.effect("Migrate", m.To)
	if after != nil {
		return incident.Migration{}, after
	}
	return m, nil
}

// EndSessions implements [incident.Sessions].
func (p *Platform) EndSessions(ctx context.Context) (ended int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "EndSessions")
	if before != nil {
		return 0, before
	}
	ended, p.sessions = p.sessions, 0
	p.effect("EndSessions", fmt.Sprint(ended))
	if after != nil {
		return 0, after
	}
	return ended, nil
}

// Schema returns the version of the schema.
func (p *Platform) Schema() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprint(p.schema)
}
