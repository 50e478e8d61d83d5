package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// frozen is a step that looks whether the platform deploys by itself, for [Environment.freeze]
// with the id of what it comes before. It is one of its own, since a freeze that is made
// again after a crash would see what it did itself.
func (e Environment) frozen(id string) incident.Step {
	return incident.Step{
		ID: id + "-before", Title: "Look whether the platform deploys by itself", OnFailure: incident.GoOn,
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) { return e.Freezer.DeployFreeze(ctx) }},
	}
}

// freeze is an action that keeps the platform from deploying by itself, so that what is
// done is not undone by a push. Its undo lets it again. Where a look before it, see
// [Environment.frozen], found it frozen it is left out, so that nobody lets what somebody
// else froze.
func (e Environment) freeze(id string) incident.Step {
	set := func(frozen bool) incident.Func {
		return func(ctx context.Context, _ *incident.Scope) (any, error) {
			state, err := e.Freezer.SetDeployFreeze(ctx, frozen)
			if err == nil && state.Frozen != frozen && state.Reason == "" {
				err = errors.New("the platform says that it was not done")
			}
			return state, err
		}
	}
	return incident.Step{
		ID: id, Title: "Keep the platform from deploying by itself", Needs: []incident.Need{incident.Needs("DeployFreezer", e.Freezer)},
		Attempts: 3, Backoff: 5 * time.Second, OnFailure: incident.GoOn,
		When: func(s *incident.Scope) (bool, string) {
			before, looked := incident.Result[incident.FreezeState](s, id+"-before")
			return !looked || !before.Frozen, "it is frozen already, and stays so"
		},
		Do: incident.Action{
			Repeat: incident.Idempotent, Run: set(true), Undo: set(false), Undoes: "Let the platform deploy by itself again",
			Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
				return incident.Effect{Call: "freeze automatic deployments of " + e.name(), Changes: []string{"a push to the branch is not deployed"}, Undo: "unfreeze"}, nil
			},
		},
	}
}

// unfreeze is an action that lets the platform deploy by itself again.
func (e Environment) unfreeze(id string) incident.Step {
	s := e.freeze(id)
	do, _ := s.Do.(incident.Action)
	s.Title, s.When = "Let the platform deploy by itself again", nil
	s.Do = incident.Action{
		Repeat: incident.Idempotent, Run: do.Undo,
		Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
			return incident.Effect{Call: "unfreeze automatic deployments of " + e.name(), Changes: []string{"a push to the branch is deployed again"}, Undo: "freeze"}, nil
		},
	}
	return s
}

// Deployments is what a look at the deployments found.
type Deployments struct {
	// Newest are the newest ones, the newest first.
	Newest []incident.Deployment `json:"newest"`
	// Current is the one that runs; nil if none does.
	Current *incident.Deployment `json:"current,omitempty"`
	// Target is the one to roll back to; nil if there is none.
	Target *incident.Deployment `json:"target,omitempty"`
	// Recent means that the current one began so lately that it may be the cause.
	Recent bool `json:"recent"`
	// RolledBack means that the version of the current one ran before, and another one since:
	// somebody has gone back to it already, and what does not work now is older than that.
	RolledBack bool `json:"rolled_back,omitempty"`
	// New means that Recent is true of the version and not only of its deployment: it is known
	// which one it is, and it did not run before that. What was only deployed again, with other
	// variables, is not new.
	New bool `json:"new,omitempty"`
}

// again reports whether the version that runs is known, and ran before too: it was deployed
// again, as it is to change a variable.
func (f *Deployments) again() bool {
	return f.Current != nil && f.Current.Commit+f.Current.Image != "" && !f.New && !f.RolledBack
}

// compare says of the current deployment, which is list[i] of a list with the newest first,
// whether somebody went back to it, and whether its version came within a time.
func (f *Deployments) compare(list []incident.Deployment, i int, within time.Duration) {
	oldest, another := list[i], false
	for _, d := range list[i+1:] {
		if same(d, list[i]) {
			oldest, f.RolledBack = d, f.RolledBack || another
			continue
		}
		another = another || d.Status != incident.DeploymentFailed && d.Status != incident.DeploymentSkipped
	}
	f.New = oldest.Commit+oldest.Image != "" && !f.RolledBack && time.Since(oldest.Created) < within
}

// deployments is a step that looks at the last deployments.
func (e Environment) deployments(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Look at the last deployments", Needs: []incident.Need{incident.Needs("Deployer", e.Deployer)}, OnFailure: incident.GoOn,
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			list, err := e.Deployer.Deployments(ctx, 50)
			if err != nil {
				return nil, err
			}
			found := Deployments{Newest: list[:min(len(list), 5)]}
			if i := slices.IndexFunc(list, func(d incident.Deployment) bool { return d.Current }); i >= 0 {
				found.Current = &list[i]
				recent := e.Defaults.WithDefaults().RecentDeployment
				found.Recent = time.Since(list[i].Created) < recent
				found.compare(list, i, recent)
			}
			if to, ok := incident.RollbackTarget(list); ok {
				found.Target = &to
			}
			return found, nil
		}},
	}
}

// rollback is an action that rolls back to the target that a look found. It is never
// sent twice: whether it was done is read from the deployments that came since.
func (e Environment) rollback(id, looked string) incident.Step {
	target := func(s *incident.Scope) (incident.Deployment, Deployments, error) {
		d, _ := incident.Result[Deployments](s, looked)
		if d.Target == nil {
			return incident.Deployment{}, d, incident.Final(errors.New("there is no deployment to roll back to"))
		}
		return *d.Target, d, nil
	}
	return incident.Step{
		ID: id, Title: "Roll back to the last good deployment", Needs: []incident.Need{incident.Needs("Deployer", e.Deployer)},
		Replaces: []string{"./scripts/emergency-rollback.sh " + e.name()},
		Do: incident.Action{
			Repeat: incident.CheckFirst,
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				to, _, err := target(s)
				if err != nil {
					return nil, err
				}
				return e.settled(ctx, s, func() (incident.Deployment, error) { return e.Deployer.Rollback(ctx, to) })
			},
			Done: func(ctx context.Context, s *incident.Scope) (any, bool, error) {
				to, seen, err := target(s)
				if err != nil {
					return nil, false, err
				}
				other := ""
				back, did, err := e.came(ctx, s, seen.Newest[0].ID, func(d incident.Deployment) (bool, error) {
					if d.Commit+d.Image == "" || to.Commit+to.Image == "" {
						return false, fmt.Errorf("deployment %s came since, and whether it is the rollback cannot be told: the platform does not say what it runs", d.ID)
					}
					if !same(d, to) && !failed(d) && (seen.Current == nil || !same(d, *seen.Current)) {
						other = cmp.Or(other, d.ID)
					}
					return same(d, to), nil
				})
				if err == nil && !did && other != "" { // perhaps what mends it, while this waited for a person
					err = fmt.Errorf("somebody has deployed another version since, with deployment %s: go back, and look again, before anything is rolled back", other)
				}
				return back, did, err
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				to, seen, err := target(s)
				if err != nil {
					return incident.Effect{}, err
				}
				effect := incident.Effect{
					Call:    fmt.Sprintf("roll back %s to deployment %s", e.name(), described(to)),
					Changes: []string{"the application runs " + version(to)},
					Undo:    "deploy the newer version again",
				}
				if seen.Current != nil {
					effect.Changes[0] += " instead of " + version(*seen.Current)
				}
				return effect, nil
			},
		},
	}
}

// restart is an action that restarts the processes of a service. Whether one of which
// the answer was lost was done is not known: a person looks.
func restart(id, title string, d incident.Deployer, replaces ...string) incident.Step {
	return incident.Step{
		ID: id, Title: title, Needs: []incident.Need{incident.Needs("Deployer", d)}, Replaces: replaces,
		Do: incident.Action{
			Run: func(ctx context.Context, _ *incident.Scope) (any, error) { return d.Restart(ctx) },
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				return incident.Effect{
					Call: "restart the processes of " + s.Environment + ": " + title, Changes: []string{"the processes start again, with the variables that they had"},
					Destroys: []string{"what they do just now, and what is in their memory"},
				}, nil
			},
		},
	}
}

// settled makes a deployment and follows it until it is settled. One that failed is an
// error.
func (e Environment) settled(ctx context.Context, s *incident.Scope, deploy func() (incident.Deployment, error)) (incident.Deployment, error) {
	d, err := deploy()
	if err != nil {
		return d, err
	}
	if waiter, can := e.Deployer.(incident.DeploymentWaiter); can && !d.Status.Settled() {
		seen, err := waiter.WaitDeployment(ctx, d.ID, func(d incident.Deployment) { s.Progress("deployment %s: %s", d.ID, d.Status) })
		if err != nil {
			return d, fmt.Errorf("deployment %s was begun, and whether it was deployed is not known: %w, %w", d.ID, err, incident.ErrOutcomeUnknown)
		}
		d = seen
	}
	if d.Status.Settled() && !d.Status.Deployed() {
		return d, incident.Final(fmt.Errorf("deployment %s is %s: %s", d.ID, d.Status, d.Reason))
	}
	return d, nil
}

// othersTime is how long a deployment waits for one that is under way.
const othersTime = 7 * time.Minute

// deployAgain deploys what is deployed, once nothing else is under way: it would take the
// place of what somebody pushed just before, and of which nobody would know that it never
// ran.
func (e Environment) deployAgain(ctx context.Context, s *incident.Scope) (incident.Deployment, error) {
	if err := e.afterOthers(ctx, s); err != nil {
		return incident.Deployment{}, err
	}
	return e.settled(ctx, s, func() (incident.Deployment, error) { return e.Deployer.Redeploy(ctx) })
}

// afterOthers waits until no deployment is under way. One that waits for the approval of a
// person is none, and neither is one whose place another takes.
func (e Environment) afterOthers(ctx context.Context, s *incident.Scope) error {
	list, err := e.Deployer.Deployments(ctx, 10)
	if err != nil {
		return fmt.Errorf("nothing was deployed, since it could not be seen whether something is being deployed: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, othersTime)
	defer cancel()
	for _, d := range slices.Backward(list) {
		if d.Status.Settled() || d.Status == incident.DeploymentRemoving {
			continue
		}
		s.Progress("waits for deployment %s, which is %s", described(d), d.Status)
		if waiter, can := e.Deployer.(incident.DeploymentWaiter); can {
			seen, err := waiter.WaitDeployment(ctx, d.ID, func(d incident.Deployment) { s.Progress("waits for deployment %s, which is %s", d.ID, d.Status) })
			if err == nil || errors.Is(err, incident.ErrNotFound) {
				continue
			}
			d.Status = cmp.Or(seen.Status, d.Status)
		}
		return fmt.Errorf("nothing was deployed: deployment %s is %s, and this would take its place; try again when it is settled, or cancel it", described(d), d.Status)
	}
	return nil
}

// came looks for a deployment that came after the newest one of a look before. One that
// has failed is none: what it was to do may be tried again, but only by a person if it came
// of this very attempt.
func (e Environment) came(ctx context.Context, s *incident.Scope, newest string, is func(incident.Deployment) (bool, error)) (any, bool, error) {
	const most = 20
	list, err := e.Deployer.Deployments(ctx, most)
	if err != nil {
		return nil, false, err
	}
	for _, d := range list {
		if d.ID == newest {
			return nil, false, nil
		}
		switch it, err := is(d); {
		case err != nil:
			return nil, false, err
		case it && !failed(d):
			return d, true, nil
		case it && !d.Created.Before(s.Now):
			return nil, false, fmt.Errorf("deployment %s came of it, and is %s: %s", d.ID, d.Status, d.Reason)
		}
	}
	if newest != "" {
		return nil, false, fmt.Errorf("deployment %s, which was the newest, is not among the last %d", newest, most)
	}
	return nil, false, nil
}

// failed reports whether a deployment was made, and nothing runs because of it.
func failed(d incident.Deployment) bool {
	return d.Status == incident.DeploymentFailed || d.Status == incident.DeploymentCrashed || d.Status == incident.DeploymentSkipped
}

// same reports whether two deployments are known to be of the same version.
func same(a, b incident.Deployment) bool {
	if a.Commit != "" || b.Commit != "" {
		return a.Commit == b.Commit
	}
	return a.Image != "" && a.Image == b.Image
}

func version(d incident.Deployment) string {
	switch {
	case d.Commit != "":
		return "commit " + d.Commit[:min(len(d.Commit), 7)]
	case d.Image != "":
		return "image " + d.Image
	}
	return "deployment " + d.ID
}

func described(d incident.Deployment) string {
	text := fmt.Sprintf("%s (%s", d.ID, version(d))
	if d.Message != "" {
		text += ", " + d.Message
	}
	return text + ")"
}

// Changed is what a change of variables wrote, for taking it back. It has the values of
// what is no secret: numbers and switches of the application.
type Changed struct {
	// Before and After are the values; a name that is not in Before was not set.
	Before map[string]string `json:"before"`
	After  map[string]string `json:"after"`
	// Newest is the id of the deployment that was the newest when it was written: what came
	// after it has what was written. Empty means that there was none.
	Newest string `json:"newest,omitempty"`
}

// secret are parts of the names of variables whose values are kept in no record.
var secret = [...]string{"SECRET", "KEY", "TOKEN", "PASS", "CREDENTIAL", "PRIVATE", "SALT", "DSN", "URL"}

// recordable returns nil if the value of a variable may be kept in the record of a run: it
// is a number or a switch, and not by its name a secret.
func recordable(name string) error {
	if slices.ContainsFunc(secret[:], func(part string) bool { return strings.Contains(strings.ToUpper(name), part) }) {
		return incident.Final(fmt.Errorf("by its name, variable %s may be a secret, and values of secrets are kept in no record: renew it by a rotation", name))
	}
	return nil
}

// change are the steps that set variables of the application and prove that it runs with
// them: a look at what is set, a batch without a deployment, a deployment, and a look at
// what that got. A restart would apply nothing. The values are numbers and switches and no
// secrets: they are kept in the record of the run. Taking it back sets what was there
// before, which its undo does.
func (e Environment) change(id, title string, values func(s *incident.Scope) map[string]string, replaces ...string) []incident.Step {
	needs := []incident.Need{incident.Needs("Variables", e.Variables), incident.Needs("Deployer", e.Deployer)}
	wasSet := func(s *incident.Scope) (bool, string) { return s.Did(id), "nothing was set" }
	return []incident.Step{
		e.lookBefore(id, values),
		{ID: id, Title: title, Needs: needs, Replaces: replaces, Attempts: 3, Do: e.set(id, values)},
		withWhen(e.redeployAfter(id, "Deploy with the new variables"), wasSet),
		{
			ID: id + "-prove", Title: "See that the application got them", Needs: needs, When: wasSet,
			Do: incident.Verify{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				changed, _ := incident.Result[Changed](s, id)
				return nil, e.proven(ctx, slices.Sorted(maps.Keys(changed.After)))
			}},
		},
	}
}

// lookBefore is a step that looks at what is set before it is changed. It is one of its
// own, since an action that is made again after a crash would see what it set itself.
func (e Environment) lookBefore(id string, values func(s *incident.Scope) map[string]string) incident.Step {
	return incident.Step{
		ID: id + "-before", Title: "Look at what is set now", Needs: []incident.Need{incident.Needs("Variables", e.Variables)},
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			changed := Changed{Before: make(map[string]string), After: values(s)}
			for _, name := range slices.Sorted(maps.Keys(changed.After)) {
				if err := recordable(name); err != nil {
					return nil, err
				}
			}
			if earlier, ok := incident.Result[Changed](s, id+"-before"); ok && made(s, id) {
				// The run came here before: what is set now may be what it set itself.
				changed.Before = earlier.Before
				return changed, nil
			}
			now, err := e.Variables.Variables(ctx)
			if err != nil {
				return nil, err
			}
			for name := range changed.After {
				if slices.Contains(now.Sealed, name) {
					return nil, fmt.Errorf("variable %s cannot be read, and so not be put back: %w", name, incident.ErrSealed)
				}
				if old, ok := now.Values[name]; ok {
					changed.Before[name] = old.Reveal()
				}
			}
			return changed, nil
		}},
	}
}

// made reports whether a step was made, however that ended.
func made(s *incident.Scope, step string) bool {
	o, ok := s.Outcome(step)
	return ok && o.Status != incident.Skipped
}

// wrote sets variables, and returns what was changed with the deployment that was the
// newest before.
func (e Environment) wrote(ctx context.Context, changed Changed, b incident.VariableBatch) (Changed, error) {
	list, err := e.Deployer.Deployments(ctx, 1)
	if err != nil {
		return changed, fmt.Errorf("nothing was set, since the deployments could not be read: %w", err)
	}
	if changed.Newest = ""; len(list) > 0 {
		changed.Newest = list[0].ID
	}
	_, err = e.Variables.SetVariables(ctx, b)
	return changed, err
}

// set is the action that writes a batch.
func (e Environment) set(id string, values func(s *incident.Scope) map[string]string) incident.Action {
	return incident.Action{
		Repeat: incident.Idempotent,
		Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			changed, ok := incident.Result[Changed](s, id+"-before")
			if !ok {
				return nil, incident.Final(errors.New("what is set now is not known, and could not be put back"))
			}
			return e.wrote(ctx, changed, batch(changed.After))
		},
		Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
			changed, ok := incident.Result[Changed](s, id+"-before")
			if !ok {
				return incident.Effect{}, errors.New("what is set now is not known")
			}
			wanted := values(s)
			effect := incident.Effect{Call: fmt.Sprintf("set %s of %s, without deploying", assignments(wanted), e.name()), Undo: "set what was there before, and deploy"}
			for _, name := range slices.Sorted(maps.Keys(wanted)) {
				effect.Changes = append(effect.Changes, fmt.Sprintf("%s: %s becomes %s", name, cmp.Or(changed.Before[name], "not set"), wanted[name]))
			}
			return effect, nil
		},
		Undo: func(ctx context.Context, s *incident.Scope) (any, error) {
			changed, ok := incident.Result[Changed](s, id+"-before")
			if !ok {
				return nil, errors.New("what was there before is not known")
			}
			return nil, e.putBack(ctx, s, changed)
		},
		Undoes: "Set what was there before, and deploy",
	}
}

// proven returns nil if the application runs with the variables as they are configured.
func (e Environment) proven(ctx context.Context, names []string) error {
	proof, err := e.Variables.ProveVariables(ctx, incident.PendingVariables{Names: names})
	if err != nil {
		return err
	}
	if !proof.Proven() {
		return fmt.Errorf("deployment %s did not get %s", proof.Deployment, strings.Join(append(proof.Pending, proof.Hidden...), ", "))
	}
	return nil
}

// redeploy is an action that deploys the current version again. Whether one of which the
// answer was lost was done is read from the deployments.
func (e Environment) redeploy(id, title string) incident.Step {
	return incident.Step{
		ID: id, Title: title, Needs: []incident.Need{incident.Needs("Deployer", e.Deployer)}, Timeout: 15 * time.Minute,
		Do: incident.Action{
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				return e.deployAgain(ctx, s)
			},
			// Whoever made it: what was deployed since got the variables as they are configured.
			Done: func(ctx context.Context, s *incident.Scope) (any, bool, error) {
				list, err := e.Deployer.Deployments(ctx, 5)
				if err != nil {
					return nil, false, err
				}
				if len(list) > 0 && list[0].Created.After(s.Now) && !failed(list[0]) {
					return list[0], true, nil
				}
				return nil, false, nil
			},
			Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
				return incident.Effect{Call: "deploy the current version of " + e.name() + " again", Changes: []string{"the application runs with the variables as they are configured"}}, nil
			},
		},
	}
}

// redeployAfter is a redeploy after a step that wrote variables, whose output is a
// [Changed]. It is made only if nothing was deployed after that, also if a person tries it
// again.
func (e Environment) redeployAfter(set, title string) incident.Step {
	step := e.redeploy(set+"-deploy", title)
	do, _ := step.Do.(incident.Action)
	do.Repeat = incident.CheckFirst
	do.Done = func(ctx context.Context, s *incident.Scope) (any, bool, error) {
		changed, ok := incident.Result[Changed](s, set)
		if !ok {
			return nil, false, errors.New("what was deployed before is not known")
		}
		return e.came(ctx, s, changed.Newest, func(incident.Deployment) (bool, error) { return true, nil })
	}
	step.Do = do
	return step
}

// putBack sets variables to what they were, deploys, and proves it.
func (e Environment) putBack(ctx context.Context, s *incident.Scope, changed Changed) error {
	b := changed.back()
	if _, err := e.Variables.SetVariables(ctx, b); err != nil {
		return err
	}
	if _, err := e.deployAgain(ctx, s); err != nil {
		return err
	}
	return e.proven(ctx, b.Names())
}

func batch(values map[string]string) incident.VariableBatch {
	b := incident.VariableBatch{Set: make(map[string]runbook.Secret, len(values))}
	for name, value := range values {
		b.Set[name] = runbook.NewSecret(value)
	}
	return b
}

// assignments writes values as "A=1, B=2".
func assignments(values map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, name+"="+values[name])
	}
	return strings.Join(all, ", ")
}
