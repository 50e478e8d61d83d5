package playbooks

import (
	"fmt"
	"strings"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// BackupVerification is the playbook that sees each day whether the database could be
// restored: that there is a backup at the platform, and a dump off it, neither too old. It
// ends as failed if one is missing or old. With the parameter rehearse it restores the
// newest dump into another database, which alone proves that it can be: into one that it
// makes for that and removes again, if there are [Rehearsals], else into the one that the
// host has for it. Without a backup at the platform that is new enough a dump is all that
// there is, and it makes such a database in any case.
func BackupVerification(e Environment, dumps Dumps) incident.Playbook {
	d := e.Defaults.WithDefaults()
	rehearsing := func(s *incident.Scope) (bool, string) {
		return s.Yes("rehearse") || e.makesRehearsals(dumps) && onlyDumps(s, d), "no rehearsal was asked for"
	}
	newest := func(s *incident.Scope) (Dump, bool) {
		list, _ := incident.Result[Dumplist](s, "dumps")
		if len(list.Dumps) == 0 {
			return Dump{}, false
		}
		return list.Dumps[0], true
	}
	steps := []incident.Step{
		{ID: "look", Title: "Look at the copies of the database", OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
			replacing(e.lookBackups("backups"), "railway database backups --environment production", "railway database backups --environment production --json | jq -r '.[0].created_at'"),
			lookDumps("dumps", dumps),
		}}},
		{ID: "judge", Title: "See whether they are as they should be", Do: checkOf(func(s *incident.Scope) (any, error) { return judgedCopies(s, d), nil })},
	}
	rehearsal := e.rehearse(dumps, rehearsing, newest)
	if e.makesRehearsals(dumps) {
		rehearsal[len(rehearsal)-1].OnFailure = incident.GoOn // it is told with the rest
	}
	steps = append(steps, rehearsal...)
	steps = append(steps,
		withWhen(e.inform("tell-operators", func(s *incident.Scope) incident.Message {
			return incident.Message{Title: "The database of " + e.name() + " could not be restored as it should be", Text: copiesOf(s).String()}
		}), func(s *incident.Scope) (bool, string) {
			return len(copiesOf(s).Problems) > 0, "everything is as it should be"
		}),
		incident.Step{ID: "as-they-should-be", Title: "Say how it stands", OnFailure: incident.Abort, Do: checkOf(func(s *incident.Scope) (any, error) {
			if found := copiesOf(s); len(found.Problems) > 0 {
				return nil, fmt.Errorf("%s", strings.Join(found.Problems, "; "))
			}
			return copiesOf(s), nil
		})},
	)
	return incident.Playbook{
		Name: "backup-verification", Environment: e.name(), Title: "Verify the backups", Severity: alert.High,
		About:  fmt.Sprintf("Each day: the newest backup is no older than %s, the newest dump off the platform no older than %s.", ago(d.BackupAge), ago(d.DumpAge)),
		Source: "Database Operations, Backup Verification",
		Needs:  []incident.Need{incident.Needs("Backups", e.Backups)},
		Parameters: []incident.Parameter{{
			Name: "rehearse", About: "Whether to restore the newest dump into a database for rehearsals", Type: incident.YesNo, Default: "no",
		}},
		Steps: steps, Escalation: "level 4, the infrastructure team: make a backup by hand, and find out why there is none",
	}
}

// onlyDumps reports whether the platform has no backup that is new enough, so that a dump is
// what would be restored.
func onlyDumps(s *incident.Scope, d Defaults) bool {
	backups, ok := incident.Result[Backlist](s, "backups")
	return ok && (len(backups.Backups) == 0 || backups.At.Sub(backups.Backups[0].Created) > d.BackupAge)
}

// CopiesState says how the copies of the database are.
type CopiesState struct {
	// Found says what there is, a line each. Problems says what is wrong, a line each.
	Found    []string `json:"found"`
	Problems []string `json:"problems,omitempty"`
}

// String returns all lines, the problems first.
func (c CopiesState) String() string {
	return strings.Join(append(append([]string{}, c.Problems...), c.Found...), "\n")
}

func copiesOf(s *incident.Scope) CopiesState {
	found, ok := incident.Result[CopiesState](s, "judge")
	if !ok {
		found.Problems = []string{"how the backups are could not be told"}
	}
	found.Problems = append(found.Problems, rehearsalProblems(s)...)
	if s.Did("rehearsed") {
		found.Found = append(found.Found, "the newest dump was restored into another database, and what it has is there")
	}
	if p, ok := incident.Result[RehearsalPlan](s, "rehearsal-plan"); ok {
		for _, d := range p.Others {
			found.Found = append(found.Found, fmt.Sprintf("there is the database %s of another rehearsal, which may be under way", d.Name))
		}
	}
	return found
}

// judgedCopies compares what was found with what there should be.
func judgedCopies(s *incident.Scope, d Defaults) (c CopiesState) {
	wrong := func(format string, args ...any) { c.Problems = append(c.Problems, fmt.Sprintf(format, args...)) }
	backups, ok := incident.Result[Backlist](s, "backups")
	switch {
	case !ok:
		o, _ := s.Outcome("backups")
		wrong("the backups could not be read: %s", o.Message)
	case len(backups.Backups) == 0:
		wrong("there is no backup")
	default:
		c.Found = append(c.Found, fmt.Sprintf("%s; %d in all", backups.newest(), len(backups.Backups)))
		if age := backups.At.Sub(backups.Backups[0].Created); age > d.BackupAge {
			wrong("the newest backup is %s old, which is more than %s", ago(age), ago(d.BackupAge))
		}
	}
	dumps, ok := incident.Result[Dumplist](s, "dumps")
	o, _ := s.Outcome("dumps")
	switch {
	case !ok && o.Status == incident.Skipped:
		wrong("no dumps are kept off the platform: if the platform is lost, so is the data")
	case !ok:
		wrong("the dumps could not be read: %s", o.Message)
	case len(dumps.Dumps) == 0:
		wrong("there is no dump off the platform")
	default:
		problems := dumpProblems(dumps, d)
		c.Found = append(c.Found, fmt.Sprintf("the newest dump off the platform, %s, is %s old, with %d tables", dumps.Dumps[0].Name, ago(dumps.At.Sub(dumps.Dumps[0].Receipt.Time)), dumps.Dumps[0].Receipt.Tables))
		c.Problems = append(c.Problems, problems...)
	}
	return c
}

// dumpProblems says what is wrong with the newest dump.
func dumpProblems(list Dumplist, d Defaults) (problems []string) {
	newest := list.Dumps[0]
	if err := newest.Receipt.Validate(); err != nil {
		problems = append(problems, fmt.Sprintf("the receipt of dump %s is worth nothing: %v", newest.Name, err))
	}
	if age := list.At.Sub(newest.Receipt.Time); age > d.DumpAge {
		problems = append(problems, fmt.Sprintf("the newest dump off the platform is %s old, which is more than %s", ago(age), ago(d.DumpAge)))
	}
	if newest.Receipt.Tables == 0 {
		problems = append(problems, fmt.Sprintf("dump %s has no table in it", newest.Name))
	}
	if len(list.Dumps) > 1 {
		if before := list.Dumps[1].Receipt; newest.Receipt.Size < before.Size/2 {
			problems = append(problems, fmt.Sprintf("dump %s is less than half as large as the one before it: %d bytes after %d", newest.Name, newest.Receipt.Size, before.Size))
		}
	}
	return problems
}
