package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// DatabaseRestore is the playbook that puts the data of a backup, or of a dump from off the
// platform, in place of what there is. It rehearses a dump first where there is a database
// for that, says what is lost before people approve, stops the application meanwhile, puts
// aside what there was, and restores once: what may have been done is never done again by
// itself.
//
// A platform's own backup often restores only to where it came from, and takes all newer
// backups with it. What was put aside is therefore a dump, off the platform.
func DatabaseRestore(e Environment, dumps Dumps) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const prepare, act, verify = "Choose and agree", "Restore", "Verify"
	steps := []incident.Step{
		// Before everything that people may go back to: later they would see what the run did.
		withPhase(prepare, optional(withWhen(e.frozen("freeze"), e.hasStopper))), e.stopped("stop", e.hasStopper),
		{ID: "look", Title: "Look at what can be restored", OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
			replacing(e.lookBackups("backups"), "railway database backups --environment production"),
			lookDumps("dumps", dumps),
		}}},
		{ID: "choose", Title: "Choose what to restore", Do: checkOf(func(s *incident.Scope) (any, error) { return chosenCopy(s) }), Replaces: []string{`read -p "Enter backup ID to restore from: " BACKUP_ID`}},
	}
	steps = append(steps, e.rehearse(dumps, fromDump, chosenDump)...)
	steps = append(steps,
		e.planRestore("restore-plan"),
		e.planLoad("load-plan", "See what loading the dump would do", dumps.Live, fromDump, chosenDump),
		incident.Step{ID: "approve", Title: "Restore the database?", Do: incident.Approve{
			Bound: true, Min: d.Approvers, Within: d.Approve, Question: func(s *incident.Scope) string { return e.restoreQuestion(s, dumps) },
		}},
		e.tell("tell-begin", "identified", func(*incident.Scope) incident.Message {
			return incident.Message{Title: "The database is being restored", Text: "The application cannot be used meanwhile."}
		}),
		withPhase(act, optional(withWhen(e.freeze("freeze"), e.hasStopper))),
	)
	steps = append(steps, e.stop("stop", "Stop the application, so that nothing is written that would be lost", both(e.hasStopper, wasRunning))...)
	steps = append(steps, e.putAside(dumps, func(s *incident.Scope) (bool, string) {
		backup, _ := fromBackup(s)
		return !backup || e.Dumper != nil && dumps.kept(), "no dump can be made, and a backup made now is deleted by the restore"
	})...)
	steps = append(steps,
		e.restore("restore"),
		e.load("load", "Load the dump", "load-plan", dumps, fromDump, chosenDump),
		incident.Step{ID: "looks-right", Title: "See that what the dump has is there", When: fromDump, Do: incident.Verify{
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				return nil, e.looksRight(ctx, s, dumps, "load", dumps.Live, chosenDump)
			},
		}},
		e.start("start", both(e.hasStopper, wasRunning)),
		withPhase(verify, withWhen(e.databaseWell("database-well", d), wasRunning)),
		replacing(withWhen(well("well", "See that the application is well", d.Recover, d.Times, e.Probes.Application), wasRunning), "./scripts/health-check.sh production"),
		optional(withWhen(e.unfreeze("unfreeze"), func(s *incident.Scope) (bool, string) { return s.Did("freeze"), "nothing was frozen" })),
		e.tell("tell-resolved", "resolved", e.restoredText),
		e.inform("tell-operators", e.restoredText),
	)
	return incident.Playbook{
		Name: "database-restore", Environment: e.name(), Title: "Restore the database", Severity: alert.Critical,
		About:  "The data is damaged or gone, and everything that was written since a backup is to be given up for what the backup has.",
		Source: "Database Operations, Database Restore Procedure",
		Parameters: []incident.Parameter{
			{Name: "from", About: "A backup of the platform, or a dump from off it", Default: "backup", Choices: []string{"backup", "dump"}},
			{Name: "id", About: "The id of the backup, or the name of the dump; none means the newest", Optional: true},
			{Name: "before", About: "None that was made at this time (RFC 3339) or later: since when the data is damaged", Optional: true},
		},
		Needs:  []incident.Need{incident.Needs("Backups", e.Backups), incident.Needs("Probes.Database", e.Probes.Database)},
		Phases: []incident.Phase{{Name: prepare}, {Name: act}, {Name: verify}},
		Steps:  steps, Escalation: "level 4, the infrastructure team and the support of the platform",
	}
}

func (e Environment) hasStopper(*incident.Scope) (bool, string) {
	return e.Stopper != nil && e.Freezer != nil, "this environment cannot stop the application, or keep the platform from deploying; it goes on writing meanwhile"
}

// wasRunning is the condition that the application was not stopped before the restore, as
// it is after a breach: then it stays so.
func wasRunning(s *incident.Scope) (bool, string) {
	before, _ := incident.Result[incident.StopState](s, "stop-before")
	return !before.Stopped, "the application was stopped before the restore, and stays so until a person starts it"
}

func fromDump(s *incident.Scope) (bool, string) {
	return s.Text("from") == "dump", "a backup is restored, and no dump"
}

func fromBackup(s *incident.Scope) (bool, string) {
	return s.Text("from") != "dump", "a dump is loaded, and no backup restored"
}

// A Chosen is what is restored.
type Chosen struct {
	// Backup is the backup, or Dump the dump.
	Backup *incident.Backup `json:"backup,omitempty"`
	Dump   *Dump            `json:"dump,omitempty"`
	// Made is when it was made: what was written later is not in it.
	Made time.Time `json:"made"`
	// Newer is how many newer ones there are.
	Newer int `json:"newer"`
}

// String names it.
func (c Chosen) String() string { return Copied{Backup: c.Backup, Dump: c.Dump}.String() }

// chosenCopy chooses from what there is, by the parameters.
func chosenCopy(s *incident.Scope) (Chosen, error) {
	before := time.Time{}
	if text := s.Text("before"); text != "" {
		var err error
		if before, err = time.Parse(time.RFC3339, text); err != nil {
			return Chosen{}, fmt.Errorf("parameter before: %.40q is not a time as in 2026-01-15T02:00:00+11:00", text)
		}
	}
	fits := func(id string, made time.Time) bool {
		return (s.Text("id") == "" || s.Text("id") == id) && (before.IsZero() || made.Before(before))
	}
	var all []string
	if dump, _ := fromDump(s); dump {
		list, _ := incident.Result[Dumplist](s, "dumps")
		for i, found := range list.Dumps {
			if fits(found.Name, found.Receipt.Time) {
				return Chosen{Dump: &found, Made: found.Receipt.Time, Newer: i}, nil
			}
			all = append(all, found.Name)
		}
	} else {
		list, _ := incident.Result[Backlist](s, "backups")
		for i, found := range list.Backups {
			if fits(found.ID, found.Created) {
				return Chosen{Backup: &found, Made: found.Created, Newer: i}, nil
			}
			all = append(all, found.ID)
		}
	}
	return Chosen{}, fmt.Errorf("there is no such %s; those that there are: %s", s.Text("from"), cmp.Or(strings.Join(all, ", "), "none"))
}

// chosenDump returns the dump that was chosen.
func chosenDump(s *incident.Scope) (Dump, bool) {
	c, ok := incident.Result[Chosen](s, "choose")
	if !ok || c.Dump == nil {
		return Dump{}, false
	}
	return *c.Dump, true
}

// restorer returns the Backups as ones that can restore.
func (e Environment) restorer() (incident.BackupRestorer, error) {
	r, can := e.Backups.(incident.BackupRestorer)
	if !can {
		return nil, incident.Final(errors.New("this environment has nothing that restores its backups; use a dump"))
	}
	return r, nil
}

// planRestore is a step that says what restoring the backup would do.
func (e Environment) planRestore(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "See what restoring the backup would do", When: fromBackup,
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) { return e.restorePlan(ctx, s) }},
	}
}

func (e Environment) restorePlan(ctx context.Context, s *incident.Scope) (incident.RestorePlan, error) {
	r, err := e.restorer()
	if err != nil {
		return incident.RestorePlan{}, err
	}
	c, ok := incident.Result[Chosen](s, "choose")
	if !ok || c.Backup == nil {
		return incident.RestorePlan{}, incident.Final(errors.New("no backup was chosen"))
	}
	return r.PlanRestore(ctx, c.Backup.ID)
}

// restore is the action that restores the backup. It is sent once: of one that may have
// been done a person looks what came of it.
func (e Environment) restore(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Restore the backup", When: fromBackup, Timeout: 2 * time.Hour,
		Replaces: []string{"railway database restore $BACKUP_ID --environment " + e.name()},
		Do: incident.Action{
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				plan, ok := incident.Result[incident.RestorePlan](s, "restore-plan")
				if !ok {
					return nil, incident.Final(errors.New("what it would do was not told, so that nobody agreed to it"))
				}
				r, err := e.restorer()
				if err != nil {
					return nil, err
				}
				restored, err := r.RestoreBackup(ctx, plan)
				if errors.Is(err, incident.ErrStale) {
					err = fmt.Errorf("%w; nothing was restored: go back to the step restore-plan, and agree again", err)
				}
				return restored, err
			},
			Preview: func(ctx context.Context, s *incident.Scope) (incident.Effect, error) {
				plan, err := e.restorePlan(ctx, s)
				if err != nil {
					return incident.Effect{}, err
				}
				return restoreEffect(plan), nil
			},
		},
	}
}

func restoreEffect(plan incident.RestorePlan) incident.Effect {
	effect := incident.Effect{
		Call:     fmt.Sprintf("restore backup %s of %s into %s", backupName(plan.Backup), plan.Backup.Created.UTC().Format(time.RFC3339), plan.Target),
		Changes:  []string{"the database has the data of " + plan.Backup.Created.UTC().Format(time.RFC3339)},
		Destroys: append([]string{}, plan.Destroys...),
	}
	for _, b := range plan.Deletes {
		effect.Destroys = append(effect.Destroys, fmt.Sprintf("backup %s of %s", backupName(b), b.Created.UTC().Format(time.RFC3339)))
	}
	return effect
}

// restoreQuestion says to those who approve what they approve.
func (e Environment) restoreQuestion(s *incident.Scope, dumps Dumps) string {
	c, _ := incident.Result[Chosen](s, "choose")
	lines := []string{
		fmt.Sprintf("The database of %s gets the data of %s: %s. What was written since is lost: %s until now.", e.name(), e.stamp(c.Made), c, ago(s.Now.Sub(c.Made))),
	}
	if c.Newer > 0 {
		lines = append(lines, fmt.Sprintf("There are %d newer ones, which were not chosen.", c.Newer))
	}
	plan, _ := incident.Result[incident.RestorePlan](s, "restore-plan")
	load, _ := incident.Result[incident.LoadPlan](s, "load-plan")
	for _, lost := range append(restoreEffect(plan).Destroys, load.Destroys...) {
		lines = append(lines, "Destroyed: "+lost)
	}
	switch {
	case s.Did("rehearsed"):
		lines = append(lines, "It was rehearsed: the dump was restored into another database, and what it has is there.")
	case c.Dump != nil:
		lines = append(lines, "It was not rehearsed.")
	default:
		lines = append(lines, "A backup of the platform cannot be rehearsed: it restores only to where it came from.")
	}
	switch {
	case e.Dumper != nil && dumps.kept():
		lines = append(lines, "A dump of what is there now is put aside first.")
	case c.Dump != nil:
		lines = append(lines, "A backup of what is there now is made first.")
	default:
		lines = append(lines, "Nothing of what is there now is put aside: this environment makes no dumps.")
	}
	return strings.Join(lines, "\n")
}

// restoredText says what came back, and what did not.
func (e Environment) restoredText(s *incident.Scope) incident.Message {
	c, _ := incident.Result[Chosen](s, "choose")
	text := fmt.Sprintf("It has the data of %s again. What was entered later is not there.", e.stamp(c.Made))
	if aside, ok := incident.Result[Copied](s, "put-aside"); ok {
		text += " What there was before is kept: " + aside.String() + "."
	}
	if r, ok := incident.Result[incident.Restored](s, "restore"); ok && r.Kept != "" {
		text += " The platform keeps the former data: " + r.Kept + "."
	}
	if running, why := wasRunning(s); !running {
		text += " " + strings.ToUpper(why[:1]) + why[1:] + "."
	}
	return incident.Message{Title: "The database was restored", Text: text}
}
