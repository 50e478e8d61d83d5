package drill

import (
	"context"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// leaked is a credential in a public place, which somebody reports.
func leaked() people {
	return people{Declare: &declared{
		After: 3 * time.Minute, Title: "SECRET_KEY of production was found in a public repository",
		Playbook: "credential-compromise", Severity: alert.Critical, Parameters: map[string]string{"credential": "SECRET_KEY"},
	}}
}

// onTheClock is that the days of a notifiable breach are on the clock of the incident: Privacy
// Act 1988 (Cth), s 26WH(2).
func onTheClock() rule {
	return rule{Kind: "incident-deadline", Text: "notify by", Max: 1, Why: "the 30 days of a notifiable breach run, and somebody is reminded of them"}
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
					onTheClock(),
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
			Oracle: oracle{Severity: alert.Critical, Required: []rule{{Kind: "page"}, onTheClock()}, Allowed: contained, Forbidden: held, Detected: 5 * time.Minute, Unhurt: true},
		},
		{
			Name: "isolation-unanswered", Title: "A breach is suspected at night, and nobody answers",
			Faults: []fault{{Kind: "leaked-credential"}}, At: 2 * time.Hour, Weekend: true, Watch: 4 * time.Hour, People: silent,
			Oracle: oracle{
				Severity: alert.Critical,
				Required: []rule{{Kind: "page", Min: 3, Why: "Escalation Matrix: the next level is called when nobody answers"}, onTheClock()},
				Allowed:  contained, Forbidden: held, Detected: 5 * time.Minute,
			},
		},
	}
}

// canvasAccountScenarios are those of a developer key that somebody else uses. It shows in Canvas
// only: in page views, changes and a sign-in from where nobody was before.
func canvasAccountScenarios() []scenario {
	reported := people{Declare: &declared{
		After: 3 * time.Minute, Title: "Somebody else uses the token of the tool in Canvas", Playbook: "canvas-account-compromise", Severity: alert.Critical,
	}}
	denied := reported
	reported.Deny = []string{"approve-key"} // a key that was compromised is not switched on again
	denied.Deny = []string{"all"}
	const security, key = "security@acu.edu.au", "CANVAS_PROD_PRIVATE_KEY"
	told := []rule{
		{Kind: "page", Why: "Escalation Matrix: somebody is called"},
		{Kind: "mail", Detail: security, Text: "is to be settled within 30 days", Why: "the time for a notifiable breach runs from the suspicion"},
		{Kind: "evidence", Max: 1, Why: "evidence is preserved, once, and before anything is changed"},
		onTheClock(),
	}
	never := none("it is no fault of a deployment, and nothing of it is to be lost", "rollback", "restore", "dump-restored", "stop", "restart-database", "scale", "canvas-refresh")
	return []scenario{
		{
			Name: "canvas-account-compromise", Title: "A stranger uses the token of the tool in Canvas",
			Faults: []fault{{Kind: "canvas-account"}}, At: 14 * time.Hour, Watch: 4 * time.Hour, People: reported,
			Oracle: oracle{
				Severity: alert.Critical,
				Required: join(told, []rule{
					{Kind: "approved", Detail: "approve of canvas-account-compromise", Why: "nobody can launch the tool meanwhile: a person decides"},
					{Kind: "key-off", Max: 1, Why: "1. immediately disable the compromised developer key"},
					{Kind: "slack", Detail: statusChannel, Why: "Communication, immediate: stakeholders by Slack"},
					{Kind: "set-variable", Detail: "CANVAS_PROD_CLIENT_ID", Max: 1, Why: "3. update the configuration with new credentials"},
					{Kind: "begin", Detail: key, Why: "2. generate a new private key"}, {Kind: "end", Detail: key, Why: "2. the old one opens nothing any more"},
					{Kind: "redeploy", Why: "a restart applies no variable"},
					{Kind: "end-sessions", Max: 1, Why: "whoever is in is signed out"},
					{Kind: "slack", Detail: alertChannel, Text: "the administrators of Canvas waits for approval", Why: "4. notify the administrators of Canvas, by a mail that a person approves"},
					{Kind: "mail", Detail: security, Text: "203.0.113.66", Why: "5. review the audit log: where it came from"},
					{Kind: "mail", Detail: security, Text: "which asked for /api/v1/accounts/1/users", Why: "5. and the page views: what was taken"},
				}),
				Allowed: []rule{{Kind: "prove"}, {Kind: "set-variable", Detail: key, Why: "Update Railway environment variables with the new private key"}},
				Order: []order{
					{First: rule{Kind: "evidence"}, Then: rule{Kind: "key-off"}, Why: "a change removes what is evidence"},
					{First: rule{Kind: "approved"}, Then: rule{Kind: "key-off"}, Why: "it takes users everything"},
					{First: rule{Kind: "key-off"}, Then: rule{Kind: "set-variable"}, Why: "the stranger first"},
					{First: rule{Kind: "key-made"}, Then: rule{Kind: "set-variable", Detail: "CLIENT_ID"}, Why: "there is a new one before it is used"},
					{First: rule{Kind: "begin"}, Then: rule{Kind: "end"}, Why: "the new one works before the old one ends"},
					{First: rule{Kind: "redeploy"}, Then: rule{Kind: "end"}, Why: "the new one is in use before the old one ends"},
				},
				Forbidden: join(never, none("a key that was compromised stays off", "key-on"), none("a restart applies no variable", "restart")),
				Detected:  5 * time.Minute, Acknowledged: 15 * time.Minute, Mitigated: 90 * time.Minute,
			},
		},
		{
			Name: "canvas-compromise-denied", Title: "The same, and the person who is asked to switch the key off says no",
			Faults: []fault{{Kind: "canvas-account"}}, At: 14 * time.Hour, Watch: 3 * time.Hour, People: denied,
			Oracle: oracle{
				Severity: alert.Critical, Required: told, Detected: 5 * time.Minute, Unhurt: true,
				Forbidden: join(never, none("nobody approved it", "key-off", "key-on", "set-variable", "redeploy", "restart", "begin", "end", "end-sessions", "freeze")),
			},
		},
	}
}

// plannedRestart is a playbook of no urgency, which a person has to approve.
func plannedRestart(e playbooks.Environment) []incident.Playbook {
	return []incident.Playbook{{
		Name: "planned-restart", Environment: e.Name, Title: "Planned restart", Severity: alert.Low,
		Steps: []incident.Step{
			{ID: "approve", Title: "Restart the application?", Do: incident.Approve{Within: 8 * time.Hour, Question: func(*incident.Scope) string { return "It is planned, and nothing is urgent." }}},
			{ID: "restart", Title: "Restart the application", Do: incident.Action{
				Run: func(ctx context.Context, _ *incident.Scope) (any, error) { return e.Deployer.Restart(ctx) },
				Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
					return incident.Effect{Call: "restart the application"}, nil
				},
			}},
		},
	}}
}

func hostScenarios() []scenario {
	noSlack := badDeploy()
	noSlack.Required = join([]rule{{Kind: "mail", Detail: onCallMail}, {Kind: "page"}}, noSlack.Required[len(told()):])
	noMail := badDeploy()
	noMail.Required = join([]rule{{Kind: "slack", Detail: alertChannel}, {Kind: "slack", Detail: statusChannel}, {Kind: "page"}}, noMail.Required[len(told()):])
	noSlack.Detected, noMail.Detected = 4*time.Minute, 4*time.Minute // the deployment is a minute later
	waits := badDeploy()                                             // what was planned stays open: nobody answers it
	waits.Resolved = 0
	waits.Required = append(waits.Required, rule{Kind: "slack", Detail: alertChannel, Text: "is put aside for", Why: "who planned it has to know that it asks anew"})
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
			Name: "waiting-makes-way", Title: "A bad deployment while a planned restart waits for the approval of somebody who went home",
			Faults: []fault{{Kind: "bad-deploy"}}, At: 17 * time.Hour, Watch: 2 * time.Hour, Playbooks: plannedRestart,
			People: people{Answer: -1, Declare: &declared{After: time.Second, Title: "A restart is planned", Playbook: "planned-restart", Severity: alert.Low}},
			Oracle: waits,
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
