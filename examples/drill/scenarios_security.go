package main

import (
	"time"

	"go.acu.edu.au/runbook/alert"
)

// leaked is a credential in a public place, which somebody reports.
func leaked() people {
	return people{Declare: &declared{
		After: 3 * time.Minute, Title: "SECRET_KEY of production was found in a public repository",
		Playbook: "credential-compromise", Severity: alert.Critical, Parameters: map[string]string{"credential": "SECRET_KEY"},
	}}
}

func securityScenarios() []scenario {
	denied := people{Declare: &declared{
		After: 3 * time.Minute, Title: "Somebody seems to use an account that is not theirs", Playbook: "suspected-breach", Severity: alert.Critical,
	}}
	silent := denied
	denied.Deny = []string{"all"}
	silent.Ack, silent.Answer = -1, -1
	held := none("nobody approved it", "stop", "begin", "end", "key-off", "set-variable", "redeploy", "restart", "rollback", "restore")
	contained := []rule{{Kind: "freeze", Why: "contain"}, {Kind: "end-sessions", Max: 1, Why: "contain: it was started by a person"}}
	return []scenario{
		{
			Name: "leaked-credential", Title: "A secret of production is in a public repository",
			Faults: []fault{{Kind: "leaked-credential"}}, At: 16 * time.Hour, Watch: 4 * time.Hour,
			People: leaked(),
			Oracle: oracle{
				Severity: alert.Critical,
				Required: []rule{
					{Kind: "page", Why: "Suspected Security Breach: alert the security team"},
					{Kind: "set-variable", Detail: "SECRET_KEY", Why: "rotate compromised credentials"},
					{Kind: "redeploy", Why: "a restart applies no variable: the old secret would stay"},
				},
				Allowed: []rule{
					{Kind: "begin"}, {Kind: "prove"}, {Kind: "end"}, {Kind: "set-variable", Detail: "PREVIOUS"}, {Kind: "delete-variable", Detail: "PREVIOUS"},
					{Kind: "end-sessions", Max: 1, Why: "force logout of all existing sessions"}, {Kind: "stop", Max: 1}, {Kind: "freeze"}, {Kind: "unfreeze"},
					{Kind: "restart", Max: 1}, {Kind: "dump"}, {Kind: "backup"},
				},
				Forbidden: none("a rollback brings the leaked secret back", "rollback", "restore"),
				Order: []order{
					{First: rule{Kind: "begin"}, Then: rule{Kind: "end"}, Why: "the new one works before the old one ends"},
					{First: rule{Kind: "redeploy"}, Then: rule{Kind: "end"}, Why: "the new one is in use before the old one ends"},
				},
				Detected: 5 * time.Minute, Acknowledged: 15 * time.Minute, SecretEnded: true,
			},
		},
		{
			Name: "isolation-denied", Title: "A breach is suspected, and the person who is asked to isolate says no",
			Faults: []fault{{Kind: "leaked-credential"}}, At: 16 * time.Hour, Watch: 4 * time.Hour, People: denied,
			Oracle: oracle{Severity: alert.Critical, Required: []rule{{Kind: "page"}}, Allowed: contained, Forbidden: held, Detected: 5 * time.Minute, Unhurt: true},
		},
		{
			Name: "isolation-unanswered", Title: "A breach is suspected at night, and nobody answers",
			Faults: []fault{{Kind: "leaked-credential"}}, At: 2 * time.Hour, Weekend: true, Watch: 4 * time.Hour, People: silent,
			Oracle: oracle{
				Severity: alert.Critical,
				Required: []rule{{Kind: "page", Min: 3, Why: "Escalation Matrix: the next level is called when nobody answers"}},
				Allowed:  contained, Forbidden: held, Detected: 5 * time.Minute,
			},
		},
	}
}

func hostScenarios() []scenario {
	noSlack := badDeploy()
	noSlack.Required = join([]rule{{Kind: "mail", Detail: onCallMail}, {Kind: "page"}}, noSlack.Required[len(told()):])
	noMail := badDeploy()
	noMail.Required = join([]rule{{Kind: "slack", Detail: alertChannel}, {Kind: "slack", Detail: statusChannel}, {Kind: "page"}}, noMail.Required[len(told()):])
	noSlack.Detected, noMail.Detected = 4*time.Minute, 4*time.Minute // the deployment is a minute later
	silent := badDeploy()
	silent.Acknowledged = 0
	silent.Required = append(silent.Required, rule{Kind: "page", Min: 2, Why: "Escalation Matrix"})
	return []scenario{
		{
			Name: "slack-down", Title: "A bad deployment while Slack is down",
			Faults: []fault{{Kind: "slack-down", For: 3 * time.Hour}, {Kind: "bad-deploy", After: time.Minute}},
			At:     10 * time.Hour, Watch: 5 * time.Hour, Oracle: noSlack,
		},
		{
			Name: "mail-down", Title: "A bad deployment while mail is down",
			Faults: []fault{{Kind: "mail-down", For: 3 * time.Hour}, {Kind: "bad-deploy", After: time.Minute}},
			At:     10 * time.Hour, Watch: 5 * time.Hour, Oracle: noMail,
		},
		{
			Name: "two-at-once", Title: "A bad deployment, and Canvas limits us at the same time",
			Faults: []fault{{Kind: "bad-deploy"}, {Kind: "canvas-throttled", Apart: 5 * time.Minute, Swap: true}},
			At:     10 * time.Hour, Watch: 8 * time.Hour,
			Oracle: oracle{
				Severity: alert.Critical, Required: join(told(), []rule{{Kind: "rollback", Max: 1}, {Kind: "freeze"}}),
				Allowed: []rule{
					{Kind: "set-variable", Detail: "CANVAS_RATE_LIMIT_PER_MINUTE"}, {Kind: "delete-variable", Detail: "CANVAS_RATE_LIMIT_PER_MINUTE"},
					{Kind: "redeploy"}, {Kind: "unfreeze"},
				},
				Forbidden: none("neither asks for it", "scale", "restore", "restart-database", "key-off", "end-sessions"),
				Undone:    []string{"CANVAS_RATE_LIMIT_PER_MINUTE"},
				Detected:  6 * time.Minute, Acknowledged: 15 * time.Minute, Mitigated: 90 * time.Minute, Resolved: 7 * time.Hour,
			},
		},
		{
			Name: "nobody-acknowledges", Title: "A bad deployment at night, and nobody answers the phone",
			Faults: []fault{{Kind: "bad-deploy"}}, At: 3 * time.Hour, Weekend: true, Watch: 3 * time.Hour, Least: time.Hour,
			People: people{Ack: -1, Answer: -1}, Oracle: silent,
		},
		{
			Name: "quiet-day", Title: "Nothing is wrong for a day",
			At: 6 * time.Hour, Watch: 24 * time.Hour, Least: 24 * time.Hour,
			Oracle: oracle{
				Required:  []rule{{Kind: "slack", Min: 2, Why: "Daily Reports: 8:00 and 18:00"}},
				Allowed:   []rule{{Kind: "backup"}, {Kind: "dump"}},
				Forbidden: join(unpaged(), none("nothing is wrong", "incident-opened")),
				Unhurt:    true,
			},
		},
	}
}
