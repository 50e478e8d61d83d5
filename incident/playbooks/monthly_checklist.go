package playbooks

import (
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// MonthlyChecklist is the playbook of what is looked at once a month. What a program can
// see it sees; what is for people they do, and who did it is recorded. Credentials that are
// too old are renewed, if it is told to and people approve.
func MonthlyChecklist(e Environment, dumps Dumps, tools Toolchain) incident.Playbook {
	steps := []incident.Step{
		goingOn(tools.audit("weaknesses")), // it is said that nothing was looked for, and the rest of the list is done
		byHand("security-updates", "Review security updates and patches", "which of them matter here is a judgement", func(s *incident.Scope) string {
			return "Known weaknesses: " + knownWeaknesses(s) + "\nReview them, and the announcements of the platform, of Canvas and of Python. Say in the comment what you decided."
		}),
		byHand("dependencies", "Update dependencies and libraries", "whether an update is worth its risk is a judgement", func(*incident.Scope) string {
			return "Start the playbook dependency-update if something is old or weak. Say in the comment which run it was, or that nothing is due."
		}),
	}
	steps = append(steps, e.oldSecrets("secrets")...)
	steps = append(steps,
		incident.Step{ID: "backups", Title: "Check the integrity of the backups, by a rehearsed restore", OnFailure: incident.GoOn, Do: incident.Sub{
			Playbook: BackupVerification(e, dumps), With: func(*incident.Scope) map[string]string { return map[string]string{"rehearse": "yes"} },
		}},
		look("performance", "Measure the performance", e.Probes.Performance),
		byHand("performance-review", "Review the performance", "what is slow enough to be worth work is a judgement", func(s *incident.Scope) string {
			now := looked(s, "performance")
			return "Measured now: " + now.String() + now.details() + "\nCompare it with the weekly summaries of the month. Say in the comment what is to be done."
		}),
		e.quotaLook("canvas-usage"),
		byHand("canvas-usage-review", "Review the use of the Canvas API", "what of it is needed is a judgement", func(s *incident.Scope) string {
			if usage, ok := incident.Result[QuotaFound](s, "canvas-usage"); ok {
				return "Now: " + usage.String() + "\nSay in the comment what can be spared."
			}
			return "The rate limit cannot be read from here: look at the report of the month. Say in the comment what can be spared."
		}),
		byHand("feedback", "Review the feedback of users", "what users say is for people to read", func(*incident.Scope) string {
			return "Read the tickets and messages of the month. Say in the comment what comes of it."
		}),
		e.inform("tell-operators", func(s *incident.Scope) incident.Message {
			return incident.Message{Title: "Monthly checklist of " + e.name(), Text: checkedText(s)}
		}),
	)
	return incident.Playbook{
		Name: "monthly-checklist", Environment: e.name(), Title: "Monthly maintenance checklist", Severity: alert.Low, Lock: e.name() + "-monthly", Timeout: 14 * 24 * time.Hour,
		About:      "Once a month.",
		Source:     "Maintenance Procedures, Monthly Maintenance Checklist",
		Parameters: []incident.Parameter{{Name: "rotate", About: "Whether to renew credentials that are too old", Type: incident.YesNo, Default: "no"}},
		Needs:      []incident.Need{incident.Needs("Backups", e.Backups)},
		Steps:      steps, Escalation: "the operations manager",
	}
}

// oldSecrets are the steps that see how old the credentials are, and renew those that are
// too old, if that is asked for and approved.
func (e Environment) oldSecrets(id string) []incident.Step {
	d := e.Defaults.WithDefaults()
	old := func(name string) incident.Condition {
		return func(s *incident.Scope) (bool, string) {
			all, _ := incident.Result[[]CredentialAge](s, id)
			for _, c := range all {
				if c.Name == name {
					return c.Old && s.Yes("rotate"), "it is not too old, or nothing is to be renewed"
				}
			}
			return false, "how old it is was not told"
		}
	}
	steps := []incident.Step{
		e.ages(id),
		{ID: "approve-rotation", Title: "Renew the credentials that are too old?", OnFailure: incident.GoOn,
			When: func(s *incident.Scope) (bool, string) {
				return s.Yes("rotate") && len(tooOld(s)) > 0, "none is too old, or nothing is to be renewed"
			},
			Do: incident.Approve{Bound: true, Within: d.Approve, Question: func(s *incident.Scope) string {
				return fmt.Sprintf("Older than %.0f days: %s. Each is renewed so that the former one works until the new one is proven.", d.CredentialAge.Hours()/24, strings.Join(tooOld(s), ", "))
			}},
		},
	}
	for _, r := range e.Rotations {
		steps = append(steps, e.rotate(r, both(old(r.Name), approved("approve-rotation"))))
	}
	return steps
}

// knownWeaknesses says what the tool found, or that it did not look: nothing that was looked
// for is something else than nothing that was found.
func knownWeaknesses(s *incident.Scope) string {
	if found, ok := incident.Result[Report](s, "weaknesses"); ok {
		return found.String()
	}
	o, _ := s.Outcome("weaknesses")
	return "not looked for: " + o.Message
}

// itemTime is how long an item of the checklist waits for a person. All of them together
// have less than the run, so that one that nobody does keeps none of the others from being
// done, and the operators from being told.
const itemTime = 48 * time.Hour

// byHand is an item that a person does, who says what came of it.
func byHand(id, title, why string, instruction func(s *incident.Scope) string) incident.Step {
	return incident.Step{ID: id, Title: title, OnFailure: incident.GoOn, Do: incident.Manual{Why: why, Instruction: instruction, Within: itemTime}}
}

// tooOld names the credentials that are too old.
func tooOld(s *incident.Scope) (names []string) {
	all, _ := incident.Result[[]CredentialAge](s, "secrets")
	for _, c := range all {
		if c.Old {
			names = append(names, c.Name)
		}
	}
	return names
}

// checkedText says how each item ended.
func checkedText(s *incident.Scope) string {
	var lines []string
	for _, item := range []struct{ id, title string }{
		{"security-updates", "Security updates"}, {"dependencies", "Dependencies"}, {"backups", "Backups, rehearsed"},
		{"performance-review", "Performance"}, {"canvas-usage-review", "Canvas API"}, {"feedback", "Feedback"},
	} {
		o, ok := s.Outcome(item.id)
		state := "open"
		if ok && o.Status != incident.Skipped {
			state = string(o.Status)
		}
		if o.Status == incident.Done && o.Message == "" && item.id != "backups" { // which a program does
			o.Message = "nobody said what came of it"
		}
		lines = append(lines, strings.TrimSuffix(fmt.Sprintf("%s: %s: %s", item.title, state, o.Message), ": "))
	}
	all, _ := incident.Result[[]CredentialAge](s, "secrets")
	for _, c := range all {
		line := fmt.Sprintf("Credential %s: %.0f days old", c.Name, c.Age.Hours()/24)
		if c.Unknown != "" {
			line = fmt.Sprintf("Credential %s: how old is not known: %s", c.Name, c.Unknown)
		}
		if c.Old {
			line += ", which is too old"
		}
		if c.Owner != "" {
			line += "; owner: " + c.Owner
		}
		switch worthless, renewed := renewed(s, c.Name); {
		case worthless:
			line += "; renewed"
		case renewed:
			line += "; renewed, and the old one is NOT worthless yet"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
