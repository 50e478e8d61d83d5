package playbooks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// Rehearsals says where a database is made for each rehearsal of a restore, and how it is
// reached. It is removed when it was looked at, whatever came of it. For that the
// Provisioner of the environment must be an incident.Disposer. The zero value makes none:
// then restores are rehearsed in the database [Dumps.Rehearsal], if there is one, which the
// host has made by hand.
//
// What is removed is only what bears the mark of a rehearsal of this environment, which the
// platform keeps with the service from the moment in which it is made: see
// [incident.Disposer]. What a run could not remove, because its process died and nobody went
// on with it, a later one finds by its mark, and removes when it is older than 12 hours.
type Rehearsals struct {
	// Project and Environment are the IDs of where it is made. Without Environment it is made
	// in the environment of the name Named: one for rehearsals, which is made too if there is
	// none, and stays.
	Project, Environment, Named string
	// Service is what is made there, without project, environment, name and mark. Without
	// image and template it is the template "postgres".
	Service incident.ServiceSpec
	// Keep are the IDs of services that are never removed, whatever they are said to be: that
	// of the database of the application, and all others that are known.
	Keep []string
	// Connect returns what loads dumps into the new database, whose name as a target is that
	// of the service. It fails while the database cannot be reached yet. It changes nothing,
	// and is called for each step. Required.
	Connect func(ctx context.Context, made incident.Disposable) (incident.DumpLoader, error)
	// Check looks at what was loaded: that the rows are there. Nil looks at the number of
	// tables only.
	Check func(ctx context.Context, made incident.Disposable) error
}

// The limits of rehearsals in a new database.
const (
	// rehearsalPrefix is what its name begins with.
	rehearsalPrefix = "rehearsal-"
	// rehearsalOver is how old a rehearsal is that nobody goes on with: longer than all its
	// steps may take.
	rehearsalOver = 12 * time.Hour
)

// A RehearsalPlan says which database is made for a rehearsal, before it is made: what is
// found of it after a crash is known by this.
type RehearsalPlan struct {
	// Project and Environment are the IDs of where it is made.
	Project     string `json:"project,omitempty"`
	Environment string `json:"environment,omitempty"`
	// Name is that of the service, Mark what it is known by.
	Name string `json:"name"`
	Mark string `json:"mark,omitempty"`
	// Left are databases of earlier rehearsals that nobody removed, Others those that may
	// belong to one that is under way.
	Left   []incident.Disposable `json:"left,omitempty"`
	Others []incident.Disposable `json:"others,omitempty"`
}

// Disposed says what was removed, by name, and what could not be, with the reason.
type Disposed struct {
	Removed []string `json:"removed,omitempty"`
	Still   []string `json:"still,omitempty"`
}

// makesRehearsals reports whether a new database can be made for a rehearsal.
func (e Environment) makesRehearsals(d Dumps) bool {
	_, removes := e.Provisioner.(incident.Disposer)
	return removes && d.Rehearsals.Connect != nil && d.Open != nil
}

// rehearsal is a rehearsal in a new database.
type rehearsal struct {
	e    Environment
	d    Dumps
	when incident.Condition
	dump func(s *incident.Scope) (Dump, bool)
}

// rehearseAnew are the steps that make a database for a rehearsal, restore a dump into it,
// look at what came of it, and remove it again. Only the last one fails, if the dump could
// not be restored: what was made is removed in any case.
func (e Environment) rehearseAnew(d Dumps, when incident.Condition, dump func(s *incident.Scope) (Dump, bool)) []incident.Step {
	r := rehearsal{e: e, d: d, dump: dump}
	r.when = func(s *incident.Scope) (bool, string) {
		if needed, why := when(s); !needed {
			return false, why
		}
		_, ok := dump(s)
		return ok, "there is no dump"
	}
	did := func(step, why string) incident.Condition {
		return both(r.when, func(s *incident.Scope) (bool, string) { return s.Planning || s.Did(step), why })
	}
	var steps []incident.Step
	named := r.when
	if d.Rehearsals.Environment == "" {
		place := e.provision("rehearsal-place", "Make sure that there is an environment for the rehearsal", func(ctx context.Context, _ *incident.Scope) (incident.Provisioned, error) {
			return e.Provisioner.EnsureEnvironment(ctx, incident.EnvironmentSpec{Project: d.Rehearsals.Project, Name: d.Rehearsals.Named})
		})
		place.When, named = r.when, did("rehearsal-place", "there is no environment for it")
		steps = append(steps, place)
	}
	steps = append(steps,
		incident.Step{ID: "rehearsal-plan", Title: "Name the database for the rehearsal, and look for those that earlier ones left", When: named, Do: incident.Check{Run: r.plan}},
		r.removeLeft(did("rehearsal-plan", "what there is was not looked at")),
		r.make(did("rehearsal-plan", "it has no name")),
		incident.Step{ID: "rehearsal-answers", Title: "Wait until the database for the rehearsal answers, and see that it is empty", When: did("rehearsal-database", "it was not made"), Timeout: time.Minute, Do: incident.Verify{Within: 15 * time.Minute, Run: r.answers}},
		r.load(did("rehearsal-answers", "it does not answer, or is another one")),
		incident.Step{ID: "rehearsed", Title: "See what came of it", When: did("rehearse", "nothing was loaded"), Timeout: 10 * time.Minute, Do: incident.Check{Run: r.looksRight}},
		r.remove(),
		incident.Step{ID: "rehearsal-outcome", Title: "Say whether the dump can be restored", When: r.when, Do: checkOf(func(s *incident.Scope) (any, error) { return r.outcome(s) })},
	)
	for i := range steps[:len(steps)-1] {
		steps[i].OnFailure = incident.GoOn
	}
	return steps
}

// mark is what the databases of rehearsals of the environment are known by, with that by
// which those of one rehearsal are.
func (e Environment) mark(key string) string { return "rehearsal/" + e.name() + "/" + key }

// plan names the database, and finds those that were left.
func (r rehearsal) plan(ctx context.Context, s *incident.Scope) (any, error) {
	if s.Planning { // where it is made may not be known yet, and its name is that of a day
		return RehearsalPlan{Name: rehearsalPrefix + "<date>"}, nil
	}
	in := r.d.Rehearsals.Environment
	if made, ok := incident.Result[incident.Provisioned](s, "rehearsal-place"); ok {
		in = made.ID
	}
	if in == "" {
		return nil, incident.Final(errors.New("where it is made is not known"))
	}
	zone := r.e.Zone
	if zone == nil {
		zone = time.UTC
	}
	sum := sha256.Sum256([]byte(s.Key))
	p := RehearsalPlan{
		Project: r.d.Rehearsals.Project, Environment: in, Mark: r.e.mark(s.Key),
		Name: rehearsalPrefix + s.Now.In(zone).Format(time.DateOnly) + "-" + hex.EncodeToString(sum[:2]),
	}
	list, err := r.ours(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		switch {
		case d.Mark == p.Mark: // of this run, made before it came here again
			p.Name = d.Name
		case time.Since(d.Made) > rehearsalOver, strings.HasPrefix(d.Mark, r.e.mark(s.Run+"/")): // or of this run, before it went back
			p.Left = append(p.Left, d)
		default:
			p.Others = append(p.Others, d)
		}
	}
	return p, nil
}

// ours returns what rehearsals of the environment have made and not removed: by mark and by
// name, and nothing that is to be kept.
func (r rehearsal) ours(ctx context.Context, p RehearsalPlan) ([]incident.Disposable, error) {
	d, ok := r.e.Provisioner.(incident.Disposer)
	if !ok {
		return nil, incident.Final(errors.New("this environment has nothing that removes a database"))
	}
	list, err := d.Disposables(ctx, p.Project, p.Environment)
	return slices.DeleteFunc(list, func(d incident.Disposable) bool {
		return !strings.HasPrefix(d.Mark, r.e.mark("")) || !strings.HasPrefix(d.Name, rehearsalPrefix) || slices.Contains(r.d.Rehearsals.Keep, d.ID)
	}), err
}

// removeLeft is an action that removes what earlier rehearsals left. What cannot be removed
// is told in the end, and is no failure.
func (r rehearsal) removeLeft(when incident.Condition) incident.Step {
	left := func(s *incident.Scope) []incident.Disposable {
		p, _ := incident.Result[RehearsalPlan](s, "rehearsal-plan")
		return p.Left
	}
	return incident.Step{
		ID: "rehearsal-left", Title: "Remove databases that earlier rehearsals left", Attempts: 3, Backoff: 10 * time.Second,
		When: both(when, func(s *incident.Scope) (bool, string) { return len(left(s)) > 0, "none was left" }),
		Do: incident.Action{
			Repeat: incident.Idempotent, // it looks before it removes
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				var all Disposed
				err := r.disposeAll(ctx, &all, left(s))
				return all, err
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) { return removal(left(s)...), nil },
		},
	}
}

// removal says what removing databases of rehearsals does.
func removal(list ...incident.Disposable) (effect incident.Effect) {
	var names []string
	for _, d := range list {
		names = append(names, fmt.Sprintf("%s (%s)", d.Name, d.ID))
		effect.Destroys = append(effect.Destroys, fmt.Sprintf("the database %s, which a rehearsal made at %s", d.Name, d.Made.UTC().Format(time.RFC3339)))
	}
	effect.Call = "remove the service " + strings.Join(names, ", ")
	return effect
}

// disposeAll removes services, and says what came of each. Of one that may have been removed
// it looks. What was refused, or still may have been done, is told, and not tried again. The
// error is of those that could not be asked for, which is worth another attempt: that looks
// first.
func (r rehearsal) disposeAll(ctx context.Context, all *Disposed, list []incident.Disposable) error {
	d, ok := r.e.Provisioner.(incident.Disposer)
	if !ok {
		return incident.Final(errors.New("this environment has nothing that removes a database"))
	}
	told := []error{incident.ErrBusy, incident.ErrStale, incident.ErrNotPermitted, incident.ErrUnsupported, incident.ErrOutcomeUnknown}
	var errs []error
	for _, one := range list {
		err := d.Dispose(ctx, one)
		if errors.Is(err, incident.ErrOutcomeUnknown) && isGone(ctx, d, one) {
			err = nil
		}
		switch {
		case err == nil, errors.Is(err, incident.ErrNotFound):
			all.Removed = append(all.Removed, one.Name)
		case slices.ContainsFunc(told, func(kind error) bool { return errors.Is(err, kind) }):
			all.Still = append(all.Still, fmt.Sprintf("the database %s (%s) of a rehearsal may still be there: %v", one.Name, one.ID, err))
		default:
			errs = append(errs, fmt.Errorf("the database %s (%s) of a rehearsal was not removed: %w", one.Name, one.ID, err))
		}
	}
	return errors.Join(errs...)
}

// isGone reports whether a service is seen not to be there any more.
func isGone(ctx context.Context, d incident.Disposer, one incident.Disposable) bool {
	list, err := d.Disposables(ctx, one.Project, one.Environment)
	return err == nil && !slices.ContainsFunc(list, func(is incident.Disposable) bool { return is.ID == one.ID })
}

// make is an action that makes the database. There is only one of its name, and it is ours
// only if the platform knows it by the mark of this very run.
func (r rehearsal) make(when incident.Condition) incident.Step {
	return incident.Step{
		ID: "rehearsal-database", Title: "Make a new database for the rehearsal", When: when,
		Attempts: 3, Backoff: 10 * time.Second, Timeout: 15 * time.Minute,
		Do: incident.Action{
			Repeat: incident.Idempotent,
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				p, ok := incident.Result[RehearsalPlan](s, "rehearsal-plan")
				if !ok {
					return nil, incident.Final(errors.New("its name is not known"))
				}
				return r.made(ctx, p)
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				p, _ := incident.Result[RehearsalPlan](s, "rehearsal-plan")
				return incident.Effect{Call: "make a new database service " + p.Name, Changes: []string{"it is there until the rehearsal is over, and costs what such a service costs"}, Undo: "remove it"}, nil
			},
			Undoes: "the new database is removed",
			Undo: func(ctx context.Context, s *incident.Scope) (any, error) {
				all, err := r.removed(ctx, s)
				if err == nil && len(all.Still) > 0 {
					err = errors.New(strings.Join(all.Still, "; "))
				}
				return all, err
			},
		},
	}
}

// made makes the database, and returns it as it can be removed.
func (r rehearsal) made(ctx context.Context, p RehearsalPlan) (incident.Disposable, error) {
	spec := r.d.Rehearsals.Service
	if spec.Image == "" && spec.Template == "" {
		spec.Template = "postgres"
	}
	spec.Project, spec.Environment, spec.Name, spec.Mark = p.Project, p.Environment, p.Name, p.Mark
	service, err := r.e.Provisioner.EnsureService(ctx, spec)
	if err != nil {
		return incident.Disposable{}, err
	}
	list, err := r.ours(ctx, p)
	if err != nil {
		return incident.Disposable{}, err
	}
	for _, d := range list {
		if d.ID == service.ID && d.Name == p.Name && d.Mark == p.Mark {
			return d, nil
		}
	}
	if service.Created {
		return incident.Disposable{}, fmt.Errorf("service %s (%s) was made, and is not known by its mark, so that it is not removed: %w", p.Name, service.ID, incident.ErrOutcomeUnknown)
	}
	return incident.Disposable{}, incident.Final(fmt.Errorf("there is a service %s (%s) already, which this run did not make: it is left alone", p.Name, service.ID))
}

// answers returns what loading the dump into the new database would do, once that answers.
// One that has something in it is not the one that was made: its address leads elsewhere.
func (r rehearsal) answers(ctx context.Context, s *incident.Scope) (any, error) {
	made, l, err := r.connect(ctx, s)
	if err != nil {
		return nil, err
	}
	from, _ := r.dump(s)
	plan, err := l.PlanLoad(ctx, from.Receipt, made.Name)
	if err == nil && len(plan.Destroys) > 0 {
		err = incident.Final(fmt.Errorf("the database that answers as %s is not empty, and so not the one that was made: %s; nothing is loaded into it", made.Name, strings.Join(plan.Destroys, ", ")))
	}
	return plan, err
}

// connect reaches the database that was made.
func (r rehearsal) connect(ctx context.Context, s *incident.Scope) (incident.Disposable, incident.DumpLoader, error) {
	made, ok := incident.Result[incident.Disposable](s, "rehearsal-database")
	if !ok {
		return made, nil, incident.Final(errors.New("which database was made is not known"))
	}
	l, err := r.d.Rehearsals.Connect(ctx, made)
	return made, l, err
}

// load is an action that loads the dump into the new database. It is never done twice.
func (r rehearsal) load(when incident.Condition) incident.Step {
	return incident.Step{
		ID: "rehearse", Title: "Restore the dump into the new database", When: when, Timeout: 4 * time.Hour,
		Do: incident.Action{
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				plan, ok := incident.Result[incident.LoadPlan](s, "rehearsal-answers")
				from, found := r.dump(s)
				if !ok || !found {
					return nil, incident.Final(errors.New("what it would do is not known"))
				}
				_, l, err := r.connect(ctx, s)
				if err != nil {
					return nil, err
				}
				return r.d.load(ctx, s, l, plan, "rehearsal-answers", from)
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				p, _ := incident.Result[RehearsalPlan](s, "rehearsal-plan")
				from, _ := r.dump(s)
				return incident.Effect{Call: fmt.Sprintf("load dump %s of %s into the database %s", from.Name, from.Receipt.Time.UTC().Format(time.RFC3339), p.Name)}, nil
			},
		},
	}
}

func (r rehearsal) looksRight(ctx context.Context, s *incident.Scope) (any, error) {
	if s.Planning {
		return nil, nil
	}
	made, ok := incident.Result[incident.Disposable](s, "rehearsal-database")
	loaded, found := incident.Result[incident.Loaded](s, "rehearse")
	from, _ := r.dump(s)
	if !ok || !found {
		return nil, incident.Final(errors.New("what was loaded is not known"))
	}
	if err := enoughTables(loaded, made.Name, from); err != nil || r.d.Rehearsals.Check == nil {
		return loaded, err
	}
	if err := r.d.Rehearsals.Check(ctx, made); err != nil {
		return nil, fmt.Errorf("what was loaded into %s is not right: %w", made.Name, err)
	}
	return loaded, nil
}

// remove is an action that removes what this run made: also if making it failed halfway.
func (r rehearsal) remove() incident.Step {
	made := func(s *incident.Scope) (bool, string) {
		o, ok := s.Outcome("rehearsal-database")
		return s.Planning || ok && o.Status != incident.Skipped, "none was made"
	}
	return incident.Step{
		ID: "rehearsal-remove", Title: "Remove the new database", When: both(r.when, made), Attempts: 3, Backoff: 10 * time.Second,
		Do: incident.Action{
			Repeat: incident.Idempotent, // it looks before it removes
			Run:    func(ctx context.Context, s *incident.Scope) (any, error) { return r.removed(ctx, s) },
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				if d, ok := incident.Result[incident.Disposable](s, "rehearsal-database"); ok {
					return removal(d), nil
				}
				p, _ := incident.Result[RehearsalPlan](s, "rehearsal-plan")
				return incident.Effect{Call: "remove the service " + p.Name + ", if this run made it", Destroys: []string{"the database " + p.Name + ", which the rehearsal made"}}, nil
			},
		},
	}
}

// removed removes what bears the mark of this run, and is the one that was made, if that
// is known.
func (r rehearsal) removed(ctx context.Context, s *incident.Scope) (all Disposed, _ error) {
	p, ok := incident.Result[RehearsalPlan](s, "rehearsal-plan")
	if !ok {
		return all, incident.Final(errors.New("what this run made is not known"))
	}
	list, err := r.ours(ctx, p)
	if err != nil {
		return all, err
	}
	made, known := incident.Result[incident.Disposable](s, "rehearsal-database")
	list = slices.DeleteFunc(list, func(d incident.Disposable) bool {
		return d.Mark != p.Mark || d.Name != p.Name || known && !d.Same(made)
	})
	err = r.disposeAll(ctx, &all, list)
	return all, err
}

// outcome says whether the dump can be restored. It fails if it was not shown.
func (r rehearsal) outcome(s *incident.Scope) (any, error) {
	if s.Planning || s.Did("rehearsed") {
		return nil, nil
	}
	for _, step := range []string{"rehearsal-place", "rehearsal-plan", "rehearsal-database", "rehearsal-answers", "rehearse", "rehearsed"} {
		if o, ok := s.Outcome(step); ok && o.Status != incident.Done && o.Status != incident.Skipped {
			return nil, fmt.Errorf("that the dump can be restored was not shown: %s", o.Message)
		}
	}
	return nil, errors.New("that the dump can be restored was not shown: a step of the rehearsal was left out")
}

// rehearsalProblems says what the rehearsal found that is not as it should be, and what it
// could not remove.
func rehearsalProblems(s *incident.Scope) (problems []string) {
	if o, ok := s.Outcome("rehearsal-outcome"); ok && o.Status != incident.Done && o.Status != incident.Skipped {
		problems = append(problems, o.Message)
	}
	for _, step := range []string{"rehearsal-left", "rehearsal-remove"} {
		if all, ok := incident.Result[Disposed](s, step); ok {
			problems = append(problems, all.Still...)
		} else if o, ok := s.Outcome(step); ok && o.Status != incident.Skipped && !s.Planning {
			problems = append(problems, "a database of a rehearsal may still be there: "+o.Message)
		}
	}
	return problems
}
