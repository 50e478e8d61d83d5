package railway

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// MigratorConfig says how the schema of a database is migrated.
type MigratorConfig struct {
	// Command is the pre-deploy command that migrates. Empty means the one that the
	// service has. Another one than that is configured for one deployment and put
	// back afterwards.
	Command []string
	// Version returns the version of the schema, as the database knows it. It is
	// called before and after. Nil means that versions are not known.
	Version func(ctx context.Context) (string, error)
}

// A Migrator migrates the schema of a database by Railway's pre-deploy command, which
// runs once in the image of a deployment, with its variables and the private network
// but without volumes, after it was built and before it takes over
// (https://docs.railway.com/deployments/pre-deploy-command). It implements
// [incident.Migrator], and is safe for concurrent use.
type Migrator struct {
	s    *Service
	cfg  MigratorConfig
	turn sync.Mutex
}

var _ incident.Migrator = (*Migrator)(nil)

// Migrator returns a Migrator that deploys the service with a command.
func (s *Service) Migrator(cfg MigratorConfig) *Migrator {
	cfg.Command = slices.Clone(cfg.Command)
	return &Migrator{s: s, cfg: cfg}
}

// Migrate implements [incident.Migrator]. It deploys the commit, or the image, that
// is deployed now once more, with the variables as they are configured now, and waits
// for the end; if the command fails, what was deployed before stays. What is deployed
// of uploaded code cannot be deployed again with another command: the error is an
// incident.ErrUnsupported. While another deployment is under way, the error is an
// incident.ErrBusy.
//
// A command that Migrate configured is put back in any case, also after the end of
// ctx. Should that fail, the error is an incident.ErrOutcomeUnknown that says so,
// with the migration as it was observed. A program that dies meanwhile leaves it
// configured. What somebody else deploys in this time runs the command too.
func (m *Migrator) Migrate(ctx context.Context) (incident.Migration, error) {
	o := m.s.c.op("migrate the database of %s", m.s)
	if !m.turn.TryLock() {
		return incident.Migration{}, o.refuse(incident.ErrBusy, "a migration is under way")
	}
	defer m.turn.Unlock()
	source, err := m.source(ctx, o)
	if err != nil {
		return incident.Migration{}, err
	}
	from, err := m.version(ctx)
	if err != nil {
		return incident.Migration{}, &Error{Op: o.name, unrun: true, cause: fmt.Errorf("the version of the schema cannot be read: %w", err)}
	}
	had, err := m.configure(ctx, o)
	var done incident.Migration
	if err == nil {
		done, err = m.deploy(ctx, o, source)
	}
	backErr := m.putBack(ctx, o, had) // before the host is asked, which may take its time
	if maybeRun(err) || err == nil {
		done.From = from
		done.To, _ = m.version(ctx) // unknown is empty
	}
	if backErr != nil {
		if err == nil {
			err = backErr
		}
		return done, o.unknown(err, "the pre-deploy command of the migration may still be configured; look at the settings of the service")
	}
	return done, err
}

func (m *Migrator) version(ctx context.Context) (string, error) {
	if m.cfg.Version == nil {
		return "", nil
	}
	return m.cfg.Version(ctx)
}

// source is what is deployed now.
func (m *Migrator) source(ctx context.Context, o op) (incident.DeploymentSource, error) {
	list, err := m.s.Deployments(ctx, newest)
	if err != nil {
		return incident.DeploymentSource{}, err
	}
	for _, d := range list {
		switch d.Status {
		case incident.DeploymentQueued, incident.DeploymentWaiting, incident.DeploymentInitializing, incident.DeploymentBuilding, incident.DeploymentDeploying:
			return incident.DeploymentSource{}, o.refuse(incident.ErrBusy, "deployment %s is under way", d.ID)
		}
	}
	i := slices.IndexFunc(list, func(d incident.Deployment) bool { return d.Current })
	switch {
	case i < 0:
		return incident.DeploymentSource{}, o.refuse(incident.ErrNotFound, "nothing is deployed that the command could run in")
	case list[i].Commit != "":
		return incident.DeploymentSource{Commit: list[i].Commit}, nil
	case list[i].Image != "":
		return incident.DeploymentSource{Image: list[i].Image}, nil
	}
	return incident.DeploymentSource{}, o.refuse(incident.ErrUnsupported, "what is deployed is of no commit and no image; upload it again instead")
}

// configured is what was configured before. Nil means that nothing was changed.
type configured struct{ command []string }

// configure makes sure that the command is the one of the next deployment.
func (m *Migrator) configure(ctx context.Context, o op) (*configured, error) {
	now, err := m.s.settings(ctx, o)
	switch {
	case err != nil:
		return nil, err
	case len(m.cfg.Command) == 0 && len(now.PreDeployCommand) == 0:
		return nil, o.refuse(incident.ErrNotFound, "the service has no pre-deploy command, and none was given")
	case len(m.cfg.Command) == 0 || slices.Equal(m.cfg.Command, now.PreDeployCommand):
		return nil, nil
	}
	_, err = m.s.UpdateSettings(ctx, Settings{PreDeployCommand: m.cfg.Command})
	if err != nil && !maybeRun(err) {
		return nil, err
	}
	return &configured{append([]string{}, now.PreDeployCommand...)}, err
}

// putBack configures what was configured before, unless somebody else configured
// something since.
func (m *Migrator) putBack(ctx context.Context, o op, had *configured) error {
	if had == nil {
		return nil
	}
	within, cancel := watching(ctx, showLimit)
	defer cancel()
	now, err := m.s.settings(within, o)
	if err != nil || !slices.Equal(now.PreDeployCommand, m.cfg.Command) {
		return err
	}
	_, err = m.s.UpdateSettings(within, Settings{PreDeployCommand: had.command})
	return err
}

// deploy deploys, waits, and reads what became of the command.
func (m *Migrator) deploy(ctx context.Context, o op, source incident.DeploymentSource) (incident.Migration, error) {
	d, err := m.s.DeploySource(ctx, source)
	if err != nil {
		return incident.Migration{Deployment: d.ID}, err
	}
	done := incident.Migration{Deployment: d.ID}
	if d, err = m.s.WaitDeployment(ctx, d.ID, nil); err != nil {
		return done, o.unknown(err, fmt.Sprintf("deployment %s goes on by itself; look at the schema and at it", done.Deployment))
	}
	step, err := m.step(ctx, o, d.ID)
	if err != nil {
		return done, o.unknown(err, "the steps of deployment "+d.ID+" could not be read; look at the schema")
	}
	if step != nil {
		done.Output = m.output(ctx, d.ID, step)
	}
	return m.verdict(o, done, d, step)
}

// verdict says what became of the command. A deployment whose processes were started
// proves that it did not fail, if it was run at all.
func (m *Migrator) verdict(o op, done incident.Migration, d incident.Deployment, step *gql.EventFields) (incident.Migration, error) {
	started := d.Status.Deployed() || d.Status == incident.DeploymentCrashed
	ran := step != nil && (step.Payload == nil || step.Payload.Skipped == nil || !*step.Payload.Skipped)
	switch {
	case ran && step.Payload != nil && gql.Text(step.Payload.Error) != "":
		return done, nil
	case ran && (started || step.CompletedAt != nil):
		done.Succeeded = true
		return done, nil
	case ran, started, d.Status == incident.DeploymentNeedsApproval:
		return done, o.unknown(nil, fmt.Sprintf("deployment %s is %q, and Railway does not say how the command ended; look at the schema", d.ID, string(d.Status)))
	}
	return done, &Error{Op: o.name, Code: "not run", Message: fmt.Sprintf("deployment %s is %q before the command was run: %s", d.ID, string(d.Status), d.Reason)}
}

// step returns the event of the command, nil if it was not run.
func (m *Migrator) step(ctx context.Context, o op, id string) (step *gql.EventFields, err error) {
	watch(ctx, unlisted, func(ctx context.Context) (bool, error) {
		var got *gql.DeploymentEventsResponse
		if got, err = gql.DeploymentEvents(ctx, o, id, 100, nil); err != nil {
			return false, err
		}
		for _, e := range got.DeploymentEvents.Edges {
			if e.Node.Step == gql.DeploymentEventStepPreDeployCommand && (step == nil || !e.Node.CreatedAt.Before(step.CreatedAt)) {
				step = e.Node
			}
		}
		return step != nil, nil
	})
	return step, err
}

// maxOutput is how many lines of output are kept.
const maxOutput = 100

// output returns the last lines that the command printed, as far as they can be read:
// Railway does not say in which of its logs they are.
func (m *Migrator) output(ctx context.Context, id string, step *gql.EventFields) (output []string) {
	within, cancel := watching(ctx, showLimit)
	defer cancel()
	var lines []incident.LogLine
	for _, kind := range []incident.LogKind{incident.LogBuild, incident.LogRuntime} {
		q := incident.LogQuery{Kind: kind, Deployment: id, Tail: maxOutput, From: step.CreatedAt}
		if step.CompletedAt != nil {
			q.To = step.CompletedAt.Add(time.Second) // its last line may have a later time
		}
		for line, err := range m.s.Logs(within, q) {
			if err != nil {
				break
			}
			lines = append(lines, line)
		}
	}
	slices.SortStableFunc(lines, func(a, b incident.LogLine) int { return a.Time.Compare(b.Time) })
	for _, line := range lines[max(0, len(lines)-maxOutput):] {
		output = append(output, line.Message)
	}
	return output
}
