package incidenttest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

type impatient struct{ *incidenttest.Platform }

func (i impatient) WaitDeployment(ctx context.Context, id string, progress func(incident.Deployment)) (incident.Deployment, error) {
	list, err := i.Deployments(ctx, 100)
	for _, d := range list {
		if d.ID == id {
			if progress != nil {
				progress(d)
			}
			return d, nil
		}
	}
	return incident.Deployment{}, cmp.Or(err, incident.ErrNotFound)
}

type sluggish struct{ *incidenttest.Platform }

func (s sluggish) Stop(ctx context.Context) (incident.StopState, error) {
	state, err := s.Stopped(ctx)
	state.Stopped = true
	return state, err
}

type hopeful struct{ *incidenttest.Platform }

func (h hopeful) SetDeployFreeze(ctx context.Context, frozen bool) (incident.FreezeState, error) {
	return incident.FreezeState{Frozen: frozen}, ctx.Err()
}

type forgetful struct{ *incidenttest.Platform }

func (f forgetful) SetScale(ctx context.Context, s incident.Scale) (incident.Scale, error) {
	if len(s.Regions) > 0 {
		s.Regions = append(slices.Clone(s.Regions), incident.RegionScale{Region: "east"})
	}
	return f.Platform.SetScale(ctx, s)
}

type wrongVariables struct {
	*incidenttest.Platform
	proves, single, blank, tells, blind bool
}

func variablesMistake(notices string, change func(v *wrongVariables)) mistake {
	return mistake{notices, func(t *testing.T) {
		testVariables(t, func(p *incidenttest.Platform) incident.Variables {
			v := &wrongVariables{Platform: p}
			change(v)
			return v
		}, func(p *incidenttest.Platform) incident.Deployer { return p })
	}}
}

func (v *wrongVariables) Variables(ctx context.Context) (incident.VariableSet, error) {
	s, err := v.Platform.Variables(ctx)
	if v.blank && err == nil {
		for _, name := range s.Sealed {
			s.Values[name] = runbook.Secret{}
		}
	}
	return s, err
}

func (v *wrongVariables) SetVariables(ctx context.Context, b incident.VariableBatch) (incident.PendingVariables, error) {
	if v.blind {
		b.Base = ""
	}
	if v.single {
		for name, value := range b.Set {
			if _, err := v.Platform.SetVariables(ctx, incident.VariableBatch{Set: map[string]runbook.Secret{name: value}}); err != nil {
				return incident.PendingVariables{}, err
			}
		}
		return incident.PendingVariables{Names: b.Names()}, nil
	}
	pending, err := v.Platform.SetVariables(ctx, b)
	if v.tells && err != nil {
		for _, value := range b.Set {
			err = fmt.Errorf("%s: %w", value.Reveal(), err)
		}
	}
	return pending, err
}

func (v *wrongVariables) ProveVariables(ctx context.Context, p incident.PendingVariables) (incident.VariableProof, error) {
	proof, err := v.Platform.ProveVariables(ctx, p)
	if v.proves {
		proof.Applied, proof.Pending = p.Names, nil
	}
	return proof, err
}

type wrongBackups struct {
	*incidenttest.Platform
	hides, stale, twice bool
}

func backupsMistake(notices string, change func(b *wrongBackups)) mistake {
	return mistake{notices, func(t *testing.T) {
		testBackups(t, func(p *incidenttest.Platform) incident.Backups {
			b := &wrongBackups{Platform: p}
			change(b)
			return b
		})
	}}
}

func (b *wrongBackups) PlanRestore(ctx context.Context, id string) (incident.RestorePlan, error) {
	plan, err := b.Platform.PlanRestore(ctx, id)
	if b.hides {
		plan.Deletes = nil
	}
	return plan, err
}

func (b *wrongBackups) RestoreBackup(ctx context.Context, p incident.RestorePlan) (incident.Restored, error) {
	if b.stale {
		if now, err := b.Platform.PlanRestore(ctx, p.Backup.ID); err == nil {
			p = now
		}
	}
	return b.Platform.RestoreBackup(ctx, p)
}

func (b *wrongBackups) CreateBackup(ctx context.Context, name string) (incident.Backup, error) {
	if b.twice && name != "" {
		name = fmt.Sprintf("%s %d", name, len(b.Effects()))
	}
	return b.Platform.CreateBackup(ctx, name)
}

type wrongDumper struct {
	*incidenttest.Platform
	hash, load bool
}

func (d *wrongDumper) Dump(ctx context.Context, w io.Writer) (incident.DumpReceipt, error) {
	r, err := d.Platform.Dump(ctx, w)
	if err == nil && d.hash {
		_, err = io.WriteString(w, "\n")
	}
	return r, err
}

func (d *wrongDumper) Load(ctx context.Context, p incident.LoadPlan, r io.Reader) (incident.Loaded, error) {
	if !d.load {
		return d.Platform.Load(ctx, p, r)
	}
	dump, err := io.ReadAll(r)
	d.SetTarget(p.Target, strings.TrimPrefix(string(dump), "dump\n"))
	return incident.Loaded{Target: p.Target, Tables: 2}, err
}

func failing(p *incidenttest.Platform) func(ctx context.Context) (incident.Migration, error) {
	return func(ctx context.Context) (incident.Migration, error) {
		m, err := p.Migrate(ctx)
		if err == nil && !m.Succeeded {
			return m, errors.New("it failed")
		}
		return m, err
	}
}

type wrongLogs struct {
	p      *incidenttest.Platform
	change func(q *incident.LogQuery)
}

func logsMistake(notices string, change func(q *incident.LogQuery)) mistake {
	return mistake{notices, func(t *testing.T) {
		testLogs(t, func(p *incidenttest.Platform) incident.Logs { return wrongLogs{p, change} })
	}}
}

func (l wrongLogs) Logs(ctx context.Context, q incident.LogQuery) iter.Seq2[incident.LogLine, error] {
	q.Any = slices.Clone(q.Any)
	l.change(&q)
	return l.p.Logs(ctx, q)
}

// repeating reads all of the log again whenever there is something new.
type repeating struct{ *incidenttest.Platform }

func (r repeating) FollowLogs(ctx context.Context, q incident.LogQuery) iter.Seq2[incident.LogLine, error] {
	return func(yield func(incident.LogLine, error) bool) {
		for ctx.Err() == nil {
			for l, err := range r.Logs(ctx, q) {
				if !yield(l, err) || err != nil {
					return
				}
			}
			q.Tail = 2
		}
		yield(incident.LogLine{}, ctx.Err())
	}
}

type zeroes struct {
	*incidenttest.Platform
	gigabytes bool
}

func (z zeroes) Metrics(ctx context.Context, q incident.MetricQuery) ([]incident.Series, error) {
	series, err := z.Platform.Metrics(ctx, q)
	for i := range series {
		if len(series[i].Points) == 0 {
			series[i].Points = []incident.Point{{Time: time.Now()}}
		}
		if z.gigabytes && series[i].Unit == incident.UnitBytes {
			series[i].Unit = "GB"
		}
	}
	return series, err
}

// wasteful makes a new project whenever it is asked for one.
type wasteful struct {
	*incidenttest.Platform
	made int
}

func (w *wasteful) EnsureProject(ctx context.Context, s incident.ProjectSpec) (incident.Provisioned, error) {
	w.made++
	name := s.Name
	if name != "" {
		s.Name = fmt.Sprint(name, w.made)
	}
	p, err := w.Platform.EnsureProject(ctx, s)
	p.Name = name
	return p, err
}

// trusting removes whatever it is told to.
type trusting struct{ *incidenttest.Platform }

func (p trusting) Dispose(_ context.Context, d incident.Disposable) error {
	p.Lose(d.ID)
	return nil
}

// eager asks once more when it does not know what came of it.
type eager struct{ *incidenttest.Platform }

func (p eager) Dispose(ctx context.Context, d incident.Disposable) error {
	err := p.Platform.Dispose(ctx, d)
	if errors.Is(err, incident.ErrOutcomeUnknown) {
		err = p.Platform.Dispose(ctx, d)
	}
	return err
}

// wrongStore would be right without its mistakes.
type wrongStore struct {
	runbook.MemoryCredentials
	blind, racy, counts, tells, upper, strict bool

	mu       sync.Mutex
	versions map[string]int
	values   map[string]runbook.Secret
}

func storeMistake(notices string, change func(s *wrongStore)) mistake {
	return mistake{notices, func(t *testing.T) {
		testCredentials(t, func() runbook.CredentialStore {
			s := &wrongStore{versions: make(map[string]int), values: make(map[string]runbook.Secret)}
			change(s)
			return s
		})
	}}
}

func (s *wrongStore) Get(ctx context.Context, name string) (runbook.Credential, error) {
	if s.upper {
		name = strings.ToUpper(name)
	}
	if !s.counts {
		return s.MemoryCredentials.Get(ctx, name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.versions[name] == 0 {
		return runbook.Credential{}, cmp.Or(ctx.Err(), runbook.ErrNoCredential)
	}
	return runbook.Credential{Secret: s.values[name], Version: runbook.Version(fmt.Sprint(s.versions[name]))}, ctx.Err()
}

func (s *wrongStore) Put(ctx context.Context, name string, secret runbook.Secret, last runbook.Version) (runbook.Version, error) {
	switch {
	case s.upper:
		name = strings.ToUpper(name)
	case s.counts:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.versions[name]++
		s.values[name] = secret
		return runbook.Version(fmt.Sprint(s.versions[name])), ctx.Err()
	case s.blind, s.racy:
		now, err := s.MemoryCredentials.Get(ctx, name)
		if err != nil && !errors.Is(err, runbook.ErrNoCredential) {
			return "", err
		}
		if s.racy {
			if now.Version != last {
				return "", runbook.ErrConflict
			}
			time.Sleep(time.Millisecond)
			if now, err = s.MemoryCredentials.Get(ctx, name); err != nil && !errors.Is(err, runbook.ErrNoCredential) {
				return "", err
			}
		}
		last = now.Version
	}
	v, err := s.MemoryCredentials.Put(ctx, name, secret, last)
	if err != nil && s.tells {
		return v, fmt.Errorf("%s: %w", secret.Reveal(), err)
	}
	return v, err
}

func (s *wrongStore) Delete(ctx context.Context, name string) error {
	if s.strict {
		if _, err := s.MemoryCredentials.Get(ctx, name); err != nil {
			return err
		}
	}
	s.mu.Lock()
	delete(s.versions, name)
	s.mu.Unlock()
	return s.MemoryCredentials.Delete(ctx, name)
}
