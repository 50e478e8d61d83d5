package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// verbs are what people do by hand every day, as playbooks beside those of the runbook: so
// they are planned, recorded, done once, and seen to have helped, as everything else is.
func verbs(e playbooks.Environment) []incident.Playbook {
	return []incident.Playbook{restart(e), rollBack(e), deploy(e), backUp(e), playbooks.RotateCredential(e)}
}

// deployments looks at what is deployed.
func deployments(e playbooks.Environment) incident.Step {
	return incident.Step{ID: "look", Title: "Look at what is deployed", Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
		return e.Deployer.Deployments(ctx, 20)
	}}}
}

// current is what runs, as the first step has seen it.
func current(s *incident.Scope) (incident.Deployment, []incident.Deployment, error) {
	list, _ := incident.Result[[]incident.Deployment](s, "look")
	for _, d := range list {
		if d.Current {
			return d, list, nil
		}
	}
	return incident.Deployment{}, list, incident.Final(errors.New("nothing is deployed"))
}

// well sees that the application is well afterwards.
func well(e playbooks.Environment) incident.Step {
	return incident.Step{ID: "well", Title: "See that the application is well", Do: incident.Verify{
		Within: 10 * time.Minute, Every: 10 * time.Second, Times: 2,
		Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			r := e.Probes.Application.Probe(ctx)
			if !r.Status.OK() {
				return nil, errors.New(r.Message)
			}
			return r.Status, nil
		},
	}}
}

// settled sees that the deployment which a step has begun runs, so that what is well
// afterwards is that one, and not the one before it. Of a step that a person made instead,
// it is the one for which is holds.
func settled(e playbooks.Environment, of string, is func(s *incident.Scope, d incident.Deployment) bool) incident.Step {
	return incident.Step{ID: "settled", Title: "See that it is deployed", Do: incident.Verify{
		Within: 30 * time.Minute, Every: 10 * time.Second, Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			list, err := e.Deployer.Deployments(ctx, 20)
			if err != nil {
				return nil, err
			}
			begun, known := incident.Result[incident.Deployment](s, of)
			for _, d := range list {
				switch {
				case known && d.ID != begun.ID || !known && !is(s, d):
				case d.Current && d.Status.Deployed():
					return d, nil
				case known && d.Status.Settled() && !d.Status.Deployed():
					return nil, incident.Final(fmt.Errorf("deployment %s is %s: %s", d.ID, d.Status, cmp.Or(d.Reason, "the platform does not say why")))
				}
			}
			return nil, errors.New("it does not run yet")
		},
	}}
}

// version is the name of what a deployment runs, short.
func version(d incident.Deployment) string {
	switch {
	case d.Commit != "":
		return "commit " + d.Commit[:min(12, len(d.Commit))]
	case d.Image != "":
		return "image " + d.Image
	}
	return "deployment " + d.ID
}

// verb is a playbook of its name, with what all have.
func verb(e playbooks.Environment, name, title string, steps ...incident.Step) incident.Playbook {
	return incident.Playbook{
		Name: name, Environment: e.Name, Title: title, Severity: alert.Medium, Timeout: 2 * time.Hour, Steps: steps,
		Needs: []incident.Need{incident.Needs("Deployer", e.Deployer), incident.Needs("Probes.Application", e.Probes.Application)},
	}
}

func restart(e playbooks.Environment) incident.Playbook {
	b := verb(e, "restart", "Restart the application", deployments(e), incident.Step{
		ID: "restart", Title: "Restart the application", Do: incident.Action{
			Run: func(ctx context.Context, _ *incident.Scope) (any, error) { return e.Deployer.Restart(ctx) },
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				d, _, err := current(s)
				return incident.Effect{Call: "restart the application of " + e.Name + " with " + version(d), Changes: []string{"requests and tasks that are under way are cut off"}}, err
			},
		},
	}, well(e))
	b.About = "The processes are begun anew. It applies no variable that was changed, and mends no version that is bad."
	return b
}

func rollBack(e playbooks.Environment) incident.Playbook {
	target := func(s *incident.Scope) (incident.Deployment, error) {
		_, list, err := current(s)
		if err != nil {
			return incident.Deployment{}, err
		}
		if want := s.Text("to"); want != "" {
			for _, d := range list {
				if named := d.ID == want || len(want) >= 7 && strings.HasPrefix(d.Commit, want); named && d.CanRollback && !d.Current {
					return d, nil
				}
			}
			return incident.Deployment{}, incident.Final(fmt.Errorf("none of the last %d deployments is %q, does not run now, and can be rolled back to", len(list), want))
		}
		d, ok := incident.RollbackTarget(list)
		if !ok {
			return d, incident.Final(errors.New("there is no earlier deployment that was good and that can be rolled back to"))
		}
		return d, nil
	}
	b := verb(e, "roll-back", "Roll back to an earlier deployment", deployments(e), incident.Step{
		ID: "roll-back", Title: "Roll back", Do: incident.Action{
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				to, err := target(s)
				if err != nil {
					return nil, err
				}
				return e.Deployer.Rollback(ctx, to)
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				to, err := target(s)
				if err != nil {
					return incident.Effect{}, err
				}
				now, _, err := current(s)
				effect := incident.Effect{Call: fmt.Sprintf("roll back %s to %s", e.Name, version(to)), Changes: []string{fmt.Sprintf("%s runs instead of %s", version(to), version(now))}}
				if now.Commit != "" {
					effect.Undo = fmt.Sprintf("opsd deploy -e %s -commit %s", e.Name, now.Commit)
				}
				return effect, err
			},
		},
	}, settled(e, "roll-back", func(s *incident.Scope, d incident.Deployment) bool {
		to, err := target(s)
		return err == nil && (d.ID == to.ID || version(d) == version(to))
	}), well(e))
	b.About = "It goes back to the last good deployment, or to the one that is named, without building anything."
	b.Parameters = []incident.Parameter{{Name: "to", About: "The ID of a deployment, or the beginning of its commit. Empty means the last good one.", Optional: true}}
	return b
}

func deploy(e playbooks.Environment) incident.Playbook {
	source, can := e.Deployer.(incident.SourceDeployer)
	from := func(s *incident.Scope) incident.DeploymentSource {
		return incident.DeploymentSource{Commit: s.Text("commit")}
	}
	steps := []incident.Step{deployments(e)}
	if e.Name == "production" {
		steps = append(steps, incident.Step{ID: "approve", Title: "Deploy to " + e.Name + "?", Do: incident.Approve{
			Bound: true, Question: func(s *incident.Scope) string {
				now, _, err := current(s)
				if err != nil {
					return "Commit " + s.Text("commit") + ". Nothing is deployed now."
				}
				return fmt.Sprintf("Commit %s, in place of %s (%s).", s.Text("commit"), version(now), now.Message)
			},
		}})
	}
	steps = append(steps, incident.Step{ID: "deploy", Title: "Deploy the commit", Timeout: 30 * time.Minute, Do: incident.Action{
		Run: func(ctx context.Context, s *incident.Scope) (any, error) { return source.DeploySource(ctx, from(s)) },
		Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
			return incident.Effect{Call: fmt.Sprintf("deploy commit %s to %s", s.Text("commit"), e.Name), Undo: "opsd rollback -e " + e.Name}, from(s).Validate()
		},
	}}, settled(e, "deploy", func(s *incident.Scope, d incident.Deployment) bool {
		return strings.HasPrefix(d.Commit, s.Text("commit"))
	}), well(e))
	b := verb(e, "deploy", "Deploy a commit", steps...)
	b.About = "A commit is deployed and seen to work. In production somebody else approves it."
	b.Needs = append(b.Needs, incident.Need{Name: "SourceDeployer", Met: can})
	b.Parameters = []incident.Parameter{{Name: "commit", About: "The commit."}}
	return b
}

func backUp(e playbooks.Environment) incident.Playbook {
	name := func(s *incident.Scope) string { return "opsd-" + strings.ToLower(s.Run) }
	return incident.Playbook{
		Name: "back-up", Environment: e.Name, Title: "Back up the database", Severity: alert.Medium, Timeout: 2 * time.Hour,
		About: "The platform makes a backup of the database now. It is lost with the platform: a dump off it is what survives.",
		Needs: []incident.Need{incident.Needs("Backups", e.Backups)},
		Steps: []incident.Step{{ID: "back-up", Title: "Make a backup", Timeout: time.Hour, Do: incident.Action{
			Repeat: incident.Idempotent, // one of that name is there once
			Run:    func(ctx context.Context, s *incident.Scope) (any, error) { return e.Backups.CreateBackup(ctx, name(s)) },
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				return incident.Effect{Call: "make a backup of the database of " + e.Name}, nil
			},
		}}, {ID: "listed", Title: "See that it is there", Do: incident.Verify{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			list, err := e.Backups.Backups(ctx)
			if err != nil {
				return nil, err
			}
			for _, b := range list {
				if b.Name == name(s) {
					return b, nil
				}
			}
			return nil, errors.New("the backup is not listed yet")
		}}}},
	}
}
