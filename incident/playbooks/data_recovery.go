package playbooks

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// DataRecovery is the playbook for QA tasks whose data is lost: it says which copies are
// from before the damage, reads in Canvas which tasks had run, restores the newest clean
// copy if people approve what that loses, and tells the users what came back and what did
// not.
func DataRecovery(e Environment, dumps Dumps) incident.Playbook {
	restore := DatabaseRestore(e, dumps)
	return incident.Playbook{
		Name: "task-data-recovery", Environment: e.name(), Title: "Recover lost QA task data", Severity: alert.Critical,
		About:  "Tasks, or what came of them, are gone or wrong, and it is known since when.",
		Source: "Disaster Recovery, Data Recovery Procedures",
		Parameters: []incident.Parameter{
			{Name: "damaged", About: "Since when the data is damaged (RFC 3339): 2026-01-15T02:00:00+11:00"},
			{Name: "from", About: "A backup of the platform, or a dump from off it", Default: "backup", Choices: []string{"backup", "dump"}}, sinceWhen(),
		},
		Needs: restore.Needs,
		Steps: []incident.Step{
			{ID: "look", Title: "Look for the data", OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
				replacing(e.lookBackups("backups"), "Check database backups for recoverable data"),
				lookDumps("dumps", dumps),
				replacing(e.traces("traces"), "Review Canvas audit logs for task execution history"),
			}}},
			{ID: "clean", Title: "Find the newest copy from before the damage", OnFailure: incident.Abort, Do: checkOf(func(s *incident.Scope) (any, error) { return cleanCopies(s) })},
			e.inform("tell-operators", func(s *incident.Scope) incident.Message {
				found, _ := incident.Result[CleanCopies](s, "clean")
				return incident.Message{Title: "Data of " + e.name() + " is being recovered", Text: found.String() + "\nRun again the tasks since then, of which Canvas knows: " + tracesOf(s)}
			}),
			{ID: "restore", Title: "Restore the newest clean copy", OnFailure: incident.Abort, Replaces: []string{"Restore from most recent clean backup"}, Do: incident.Sub{
				Playbook: restore, With: func(s *incident.Scope) map[string]string {
					return map[string]string{"from": s.Text("from"), "before": s.Text("damaged")}
				},
			}},
			replacing(e.tell("tell-users", "resolved", func(s *incident.Scope) incident.Message {
				c, _ := incident.Result[Chosen](s, "restore.choose")
				return incident.Message{Title: "Data of QA tasks was recovered", Text: fmt.Sprintf("Everything from before %s is there again. What was entered or run after that is not: please run those tasks again.", e.stamp(c.Made))}
			}), "Notify affected users of data recovery status"),
		},
		Escalation: "level 2, the development team",
	}
}

// CleanCopies are the newest copies from before the damage.
type CleanCopies struct {
	// Backup and Dump name them, with their times; empty if there is none.
	Backup string `json:"backup,omitempty"`
	Dump   string `json:"dump,omitempty"`
}

// String says it in a line.
func (c CleanCopies) String() string {
	return fmt.Sprintf("From before the damage: backup %s, dump %s.", cmp.Or(c.Backup, "none"), cmp.Or(c.Dump, "none"))
}

func cleanCopies(s *incident.Scope) (found CleanCopies, err error) {
	damaged, err := time.Parse(time.RFC3339, s.Text("damaged"))
	if err != nil {
		return found, fmt.Errorf("parameter damaged: %.40q is not a time as in 2026-01-15T02:00:00+11:00", s.Text("damaged"))
	}
	backups, _ := incident.Result[Backlist](s, "backups")
	for _, b := range backups.Backups {
		if b.Created.Before(damaged) {
			found.Backup = fmt.Sprintf("%s of %s", backupName(b), b.Created.UTC().Format(time.RFC3339))
			break
		}
	}
	dumps, _ := incident.Result[Dumplist](s, "dumps")
	for _, d := range dumps.Dumps {
		if d.Receipt.Time.Before(damaged) {
			found.Dump = fmt.Sprintf("%s of %s", d.Name, d.Receipt.Time.UTC().Format(time.RFC3339))
			break
		}
	}
	if s.Text("from") == "dump" && found.Dump == "" || s.Text("from") != "dump" && found.Backup == "" {
		return found, fmt.Errorf("no %s is from before the damage. %s", s.Text("from"), found)
	}
	return found, nil
}

// tracesOf says what Canvas knows of what was run.
func tracesOf(s *incident.Scope) string {
	t, ok := incident.Result[Traces](s, "traces")
	if !ok {
		return "its audit log could not be read"
	}
	var all []string
	for _, a := range t.Actions[:min(len(t.Actions), 5)] {
		all = append(all, fmt.Sprintf("%s (%d)", a.Name, a.Count))
	}
	return cmp.Or(strings.Join(all, ", "), "nothing")
}
