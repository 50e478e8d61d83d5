package playbooks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// rehearse are the steps that restore a dump into another database, and look at what came
// of it: into a new one if one can be made, else into the one that the host has made for
// rehearsals.
func (e Environment) rehearse(d Dumps, when incident.Condition, dump func(s *incident.Scope) (Dump, bool)) []incident.Step {
	if e.makesRehearsals(d) {
		return e.rehearseAnew(d, when, dump)
	}
	return e.rehearseInPlace(d, when, dump)
}

// rehearseInPlace are the steps that restore a dump into the database that the host has made
// for rehearsals. What is in it is lost, which a person approves unless it is empty.
func (e Environment) rehearseInPlace(d Dumps, when incident.Condition, dump func(s *incident.Scope) (Dump, bool)) []incident.Step {
	can := func(s *incident.Scope) (bool, string) {
		if needed, why := when(s); !needed {
			return false, why
		}
		if _, err := e.loader(); err != nil || d.Rehearsal == "" || d.Open == nil {
			return false, "this environment has no database for rehearsals"
		}
		_, ok := dump(s)
		return ok, "there is no dump"
	}
	loses := func(s *incident.Scope) (bool, string) {
		if needed, why := can(s); !needed {
			return false, why
		}
		plan, _ := incident.Result[incident.LoadPlan](s, "rehearsal-plan")
		return len(plan.Destroys) > 0, "the database for rehearsals is empty"
	}
	return []incident.Step{
		e.planLoad("rehearsal-plan", "See what a rehearsal would do", d.Rehearsal, can, dump),
		{
			ID: "approve-rehearsal", Title: "Rehearse the restore?", When: loses,
			Do: incident.Approve{Bound: true, Min: e.Defaults.WithDefaults().Approvers, Within: e.Defaults.WithDefaults().Approve, Question: func(s *incident.Scope) string {
				plan, _ := incident.Result[incident.LoadPlan](s, "rehearsal-plan")
				return fmt.Sprintf("The database %s is for rehearsals, and not empty: %s are lost.", d.Rehearsal, strings.Join(plan.Destroys, ", "))
			}},
		},
		e.load("rehearse", "Restore the dump into the database for rehearsals", "rehearsal-plan", d, can, dump),
		{
			ID: "rehearsed", Title: "See what came of it", When: both(can, func(s *incident.Scope) (bool, string) { return s.Did("rehearse"), "it was not rehearsed" }),
			Timeout: 10 * time.Minute,
			Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				if s.Planning {
					return nil, nil
				}
				return nil, e.looksRight(ctx, s, d, "rehearse", d.Rehearsal, dump)
			}},
		},
	}
}

// planLoad is a step that says what loading a dump would do.
func (e Environment) planLoad(id, title, target string, when incident.Condition, dump func(s *incident.Scope) (Dump, bool)) incident.Step {
	return incident.Step{
		ID: id, Title: title, When: when,
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			l, err := e.loader()
			if err != nil {
				return nil, err
			}
			from, ok := dump(s)
			if !ok {
				return nil, incident.Final(errors.New("there is no dump"))
			}
			return l.PlanLoad(ctx, from.Receipt, target)
		}},
	}
}

// load is an action that loads a dump as a plan says. It is never done twice.
func (e Environment) load(id, title, planned string, d Dumps, when incident.Condition, dump func(s *incident.Scope) (Dump, bool)) incident.Step {
	return incident.Step{
		ID: id, Title: title, When: when, Timeout: 4 * time.Hour,
		Do: incident.Action{
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				plan, ok := incident.Result[incident.LoadPlan](s, planned)
				from, found := dump(s)
				if !ok || !found {
					return nil, incident.Final(errors.New("what it would do was not told, so that nobody agreed to it"))
				}
				l, err := e.loader()
				if err != nil {
					return nil, err
				}
				return d.load(ctx, s, l, plan, planned, from)
			},
			// It says what is so now, and not what was so when the plan was made: an approval
			// that is bound to it is void if that has changed.
			Preview: func(ctx context.Context, s *incident.Scope) (incident.Effect, error) {
				plan, ok := incident.Result[incident.LoadPlan](s, planned)
				from, found := dump(s)
				if !ok || !found {
					return incident.Effect{}, errors.New("what it would do is not known")
				}
				l, err := e.loader()
				if err != nil {
					return incident.Effect{}, err
				}
				now, err := l.PlanLoad(ctx, from.Receipt, plan.Target)
				if err != nil {
					return incident.Effect{}, err
				}
				return incident.Effect{
					Call:     fmt.Sprintf("load dump %s of %s into the database %s", from.Name, from.Receipt.Time.UTC().Format(time.RFC3339), now.Target),
					Changes:  []string{fmt.Sprintf("%s has the data of %s", now.Target, from.Receipt.Time.UTC().Format(time.RFC3339))},
					Destroys: now.Destroys,
				}, nil
			},
		},
	}
}

// load loads a dump as a plan says, which the step planned made.
func (d Dumps) load(ctx context.Context, s *incident.Scope, l incident.DumpLoader, plan incident.LoadPlan, planned string, from Dump) (incident.Loaded, error) {
	r, err := d.Open(ctx, from.Name)
	if err != nil {
		return incident.Loaded{}, fmt.Errorf("dump %s cannot be read: %w", from.Name, err)
	}
	loaded, err := l.Load(ctx, plan, r)
	if closed := r.Close(); closed != nil && err == nil {
		s.Progress("dump %s could not be closed: %v", from.Name, closed)
	}
	if errors.Is(err, incident.ErrStale) {
		err = fmt.Errorf("%w; nothing was loaded: go back to the step %s, and agree again", err, planned)
	}
	return loaded, err
}

// looksRight returns nil if what was loaded is what the dump has.
func (e Environment) looksRight(ctx context.Context, s *incident.Scope, d Dumps, step, target string, dump func(s *incident.Scope) (Dump, bool)) error {
	loaded, ok := incident.Result[incident.Loaded](s, step)
	from, _ := dump(s)
	if !ok {
		return errors.New("what was loaded is not known")
	}
	if err := enoughTables(loaded, target, from); err != nil || d.Check == nil {
		return err
	}
	if err := d.Check(ctx, target); err != nil {
		return fmt.Errorf("what was loaded into %s is not right: %w", target, err)
	}
	return nil
}

// enoughTables returns nil if a database has at least as many tables as the dump.
func enoughTables(loaded incident.Loaded, target string, from Dump) error {
	if loaded.Tables < from.Receipt.Tables {
		return incident.Final(fmt.Errorf("%s has %d tables after it was loaded, and the dump has %d", target, loaded.Tables, from.Receipt.Tables))
	}
	return nil
}
