package playbooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// everything is a step that makes every probe of the environment, until all of them are
// well. It ends as failed with those that are not.
func (e Environment) everything(id string) incident.Step {
	d := e.Defaults.WithDefaults()
	return incident.Step{
		ID: id, Title: "Make every check of the environment", Timeout: 5 * time.Minute, Replaces: []string{"./scripts/comprehensive-health-check.sh " + e.name()},
		Do: incident.Verify{Within: d.Recover, Every: 30 * time.Second, Times: d.Times, Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			found, wrong := make(map[string]string), []string(nil)
			for _, p := range e.Probes.all() {
				f := probe(ctx, p.prober)
				if f.Missing {
					continue
				}
				found[p.name] = cut(f.String(), 200)
				if f.Status != health.Healthy && f.Status != health.Degraded {
					wrong = append(wrong, p.name+": "+found[p.name])
				}
			}
			if len(wrong) > 0 {
				return nil, errors.New(strings.Join(wrong, "; "))
			}
			return found, nil
		}},
	}
}

// named is a probe with its name.
type named struct {
	name   string
	prober health.Prober
}

// all returns the probes of what is ours, and of Canvas, with their names. What others say
// of themselves is not among them: it is no reason to call our work bad.
func (p Probes) all() []named {
	return []named{
		{"application", p.Application}, {"performance", p.Performance}, {"activity", p.Activity}, {"database", p.Database}, {"database server", p.DatabaseServer},
		{"redis", p.Redis}, {"canvas", p.Canvas}, {"lti", p.LTI}, {"login", p.Login}, {"task", p.Task}, {"websocket", p.WebSocket}, {"security", p.Security},
	}
}

// deploy is an action that deploys a version of the source: the commit that commit gives,
// or the newest if that is empty. It is not sent again while it may have been done.
func (e Environment) deploy(id, title string, commit func(s *incident.Scope) string, replaces ...string) incident.Step {
	source := func() (incident.SourceDeployer, error) {
		d, can := e.Deployer.(incident.SourceDeployer)
		if !can {
			return nil, incident.Final(fmt.Errorf("the platform of %s deploys no version that is named: %w", e.name(), incident.ErrUnsupported))
		}
		return d, nil
	}
	return incident.Step{
		ID: id, Title: title, Needs: []incident.Need{incident.Needs("Deployer", e.Deployer)}, Timeout: 30 * time.Minute, Replaces: replaces,
		Do: incident.Action{
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				d, err := source()
				if err != nil {
					return nil, err
				}
				wanted := commit(s)
				got, err := e.settled(ctx, s, func() (incident.Deployment, error) {
					return d.DeploySource(ctx, incident.DeploymentSource{Commit: wanted})
				})
				if err == nil && wanted != "" && got.Commit != "" && !strings.HasPrefix(got.Commit, wanted) {
					err = incident.Final(fmt.Errorf("deployment %s is of commit %s, and not of %s", got.ID, got.Commit, wanted))
				}
				return got, err
			},
			Done: func(ctx context.Context, s *incident.Scope) (any, bool, error) {
				wanted := commit(s)
				if wanted == "" {
					// Not every playbook that deploys has the lock of the environment: the newest one may
					// be another run's.
					return nil, false, errors.New("the newest version was asked for, and which one that was is not known; look at the deployments")
				}
				list, err := e.Deployer.Deployments(ctx, 5)
				if err != nil || len(list) == 0 {
					return nil, false, err
				}
				came := list[0].Created.After(s.Now) && strings.HasPrefix(list[0].Commit, wanted) && list[0].Status.Deployed()
				return list[0], came, nil
			},
			Undo: func(ctx context.Context, s *incident.Scope) (any, error) {
				deployed, known := incident.Result[incident.Deployment](s, id)
				if !known {
					return nil, errors.New("what was deployed is not known: look at the deployments, and roll back by hand")
				}
				return e.undeploy(ctx, deployed)
			},
			Undoes: "Roll back to what ran before",
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				what := "commit " + commit(s)
				if commit(s) == "" {
					what = "the newest version"
				}
				return incident.Effect{Call: fmt.Sprintf("deploy %s to %s", what, e.name()), Changes: []string{e.name() + " runs " + what}, Undo: "roll back to what runs now"}, nil
			},
		},
	}
}

// undeploy rolls back to what ran before a deployment, if that is still the one that runs.
func (e Environment) undeploy(ctx context.Context, deployed incident.Deployment) (any, error) {
	list, err := e.Deployer.Deployments(ctx, 50)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(d incident.Deployment) bool { return d.ID == deployed.ID })
	if i < 0 || !list[i].Current {
		return nil, nil // something else runs
	}
	for _, before := range list[i+1:] {
		switch {
		case !before.Status.Deployed() && before.Status != incident.DeploymentRemoved && before.Status != incident.DeploymentRemoving:
			continue // never ran
		case same(before, list[i]):
			return nil, nil // it ran before, too
		case !before.CanRollback:
			return nil, fmt.Errorf("the platform no longer keeps what ran before, deployment %s", described(before))
		}
		return e.Deployer.Rollback(ctx, before)
	}
	return nil, errors.New("nothing ran before it")
}
