package drill

import (
	"time"

	"go.acu.edu.au/runbook/alert"
)

// The channels and addresses of the runbook.
const (
	statusChannel = "#qa-automation-status"
	alertChannel  = "#qa-automation-alerts"
	onCallMail    = "on-call-team@acu.edu.au"
	updatesMail   = "qa-automation-alerts@acu.edu.au"
	// Those of the escalation matrix.
	operationsMail  = "operations@acu.edu.au"
	developmentMail = "dev-team@acu.edu.au"
)

// scenarios returns all scenarios in the order in which they are run.
func scenarios() []scenario {
	var all []scenario
	all = append(all, deployScenarios()...)
	all = append(all, dataScenarios()...)
	all = append(all, canvasScenarios()...)
	all = append(all, announcedScenarios()...)
	all = append(all, ltiScenarios()...)
	all = append(all, loadScenarios()...)
	all = append(all, securityScenarios()...)
	all = append(all, canvasAccountScenarios()...)
	all = append(all, hostScenarios()...)
	return all
}

// told are the messages that a critical incident of production must cause: operators, the
// person on call by phone, and stakeholders, at once.
func told() []rule {
	return []rule{
		{Kind: "slack", Detail: alertChannel, Why: "Alert Destinations: Slack #qa-automation-alerts"},
		{Kind: "mail", Detail: onCallMail, Why: "Alert Destinations: on-call-team@acu.edu.au"},
		{Kind: "page", Why: "Alert Destinations: SMS for critical alerts"},
		{Kind: "slack", Detail: statusChannel, Why: "Communication, immediate: stakeholders by Slack"},
	}
}

// warned are the messages of what is not critical: operators are told, nobody is paged.
func warned() []rule {
	return []rule{{Kind: "slack", Detail: alertChannel, Why: "Alert Destinations: Slack #qa-automation-alerts"}}
}

// none forbids kinds of acts.
func none(why string, kinds ...string) (list []rule) {
	for _, kind := range kinds {
		list = append(list, rule{Kind: kind, Why: why})
	}
	return list
}

// unpaged forbids to page anybody.
func unpaged() []rule { return none("SMS is for critical alerts only", "page") }

// join makes one list of several.
func join(lists ...[]rule) (all []rule) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// A rollback as the runbook has it: once, and no deployment may come in between.
func rolledBack() ([]rule, []order) {
	return []rule{
			{Kind: "rollback", Max: 1, Why: "Playbook 1, emergency actions: roll back immediately"},
			{Kind: "freeze", Why: "a push after the rollback would bring the bad version back"},
		}, []order{{
			First: rule{Kind: "freeze"}, Then: rule{Kind: "rollback"},
			Why: "automatic deployments are frozen before the rollback",
		}}
}

// badDeploy is the oracle of a bad deployment of production; several scenarios make it
// harder and expect the same.
func badDeploy() oracle {
	back, before := rolledBack()
	return oracle{
		Severity: alert.Critical, Required: join(told(), back), Order: before,
		Allowed:   []rule{{Kind: "unfreeze", Max: 1}},
		Forbidden: none("the deployment is the cause, and it keeps its cause", "restart", "redeploy", "scale", "restore", "restart-database"),
		Detected:  3 * time.Minute, Acknowledged: 15 * time.Minute,
		Mitigated: 20 * time.Minute, Resolved: 45 * time.Minute,
	}
}

// cutOff is the oracle of a deployment that does not get through to its database, which is
// well: it is rolled back, and the server left alone.
func cutOff() oracle {
	back, before := rolledBack()
	frozen := rule{Kind: "slack", Text: "frozen", Why: "a person lets it when the cause is gone"}
	return oracle{
		Severity: alert.High, Required: join(warned(), back, []rule{{Kind: "slack", Detail: statusChannel}, frozen}), Order: before,
		Allowed:   []rule{{Kind: "restart", Max: 1, Why: "Playbook 4: restart the application before anything else"}, {Kind: "unfreeze", Max: 1}},
		Forbidden: none("the server is well, and the deployment is the cause", "restart-database", "redeploy-database", "scale-database", "redeploy", "scale", "restore", "dump-restored", "migrate"),
		Detected:  5 * time.Minute, Acknowledged: 30 * time.Minute, Mitigated: 30 * time.Minute, Resolved: time.Hour,
	}
}

func deployScenarios() []scenario {
	crash := badDeploy()
	crash.Forbidden = none("the deployment is the cause", "redeploy", "scale", "restore", "restart-database")
	crash.Allowed = append(crash.Allowed, rule{Kind: "restart", Max: 1, Why: "Playbook 1: restart if it is no deployment"})
	lost := badDeploy()
	lost.Mitigated = 30 * time.Minute // a person may be asked what happened
	killed := badDeploy()
	killed.Mitigated, killed.Resolved = 35*time.Minute, time.Hour
	provider := badDeploy()
	provider.Mitigated, provider.Resolved = 2*time.Hour, 3*time.Hour
	return []scenario{
		{
			Name: "bad-deploy", Title: "A deployment answers 500 to everybody",
			Faults: []fault{{Kind: "bad-deploy"}}, At: 10 * time.Hour, Watch: 2 * time.Hour, Oracle: badDeploy(),
		},
		{
			Name: "bad-deploy-database", Title: "A deployment answers, and looks for the database where there is none",
			Faults: []fault{{Kind: "bad-deploy", Variant: "database"}}, At: 10 * time.Hour, Watch: 3 * time.Hour, Oracle: cutOff(),
		},
		{
			Name: "bad-deploy-at-night", Title: "A bad deployment on a Sunday at three in the morning",
			Faults: []fault{{Kind: "bad-deploy"}}, At: 3 * time.Hour, Weekend: true, Watch: 2 * time.Hour, Oracle: badDeploy(),
			People: people{Ack: 12 * time.Minute},
		},
		{
			Name: "crash-loop", Title: "The new version dies as soon as it has started",
			Faults: []fault{{Kind: "crash-loop", Variant: "deploy"}}, At: 15 * time.Hour, Watch: 2 * time.Hour, Oracle: crash,
		},
		{
			Name: "crash-loop-of-state", Title: "The application dies at once, and no deployment is to blame",
			Faults: []fault{{Kind: "crash-loop", Variant: "state"}}, At: 15 * time.Hour, Watch: 2 * time.Hour,
			Oracle: oracle{
				Severity: alert.Critical, Required: join(told(), []rule{{Kind: "restart", Max: 1, Why: "no deployment is the cause: restart"}}),
				Allowed:   []rule{{Kind: "freeze"}, {Kind: "unfreeze"}},
				Forbidden: none("no deployment is the cause", "rollback", "scale", "restore", "restart-database"),
				Detected:  3 * time.Minute, Acknowledged: 15 * time.Minute, Mitigated: 20 * time.Minute, Resolved: 45 * time.Minute,
			},
		},
		{
			Name: "answer-lost", Title: "A bad deployment, and the answer to the rollback is lost",
			Faults: []fault{{Kind: "bad-deploy"}, {Kind: "answer-lost"}}, At: 11 * time.Hour, Watch: 2 * time.Hour, Oracle: lost,
		},
		{
			Name: "replica-killed", Title: "A bad deployment, and the host dies right after it rolled back",
			Faults: []fault{{Kind: "bad-deploy"}}, At: 11 * time.Hour, Watch: 3 * time.Hour, Oracle: killed, Replaced: "rollback",
		},
		{
			Name: "replica-killed-before", Title: "A bad deployment, and the host dies before it rolls back",
			Faults: []fault{{Kind: "bad-deploy"}}, At: 11 * time.Hour, Watch: 3 * time.Hour, Oracle: killed, Replaced: "freeze",
		},
		{
			Name: "provider-outage", Title: "A bad deployment, and Railway's API goes away while it is looked at",
			Faults: []fault{{Kind: "bad-deploy"}, {Kind: "railway-incident", After: 2 * time.Minute, Apart: 2 * time.Minute, For: 40 * time.Minute}},
			At:     14 * time.Hour, Watch: 5 * time.Hour, Oracle: provider,
		},
		{
			Name: "railway-incident", Title: "Railway has an incident, and the application is unreachable",
			Faults: []fault{{Kind: "railway-incident", For: 50 * time.Minute}}, At: 13 * time.Hour, Watch: 4 * time.Hour,
			Oracle: oracle{
				Severity: alert.Critical, Required: told(),
				Forbidden: none("the cause is Railway, and nothing of ours mends it", "rollback", "restart", "redeploy", "scale", "restore", "set-variable", "restart-database", "key-off", "key-on"),
				Allowed:   []rule{{Kind: "freeze"}, {Kind: "unfreeze"}},
				Detected:  4 * time.Minute, Acknowledged: 15 * time.Minute, Mitigated: time.Hour, Resolved: 2 * time.Hour,
			},
		},
	}
}
