package host

import (
	"slices"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// The inputs of the rules. Results of checks are fed by the check's label "input",
// measurements under their own names.
const (
	inputApplication = "application" // is the application itself well
	inputDatabase    = "database"    // does the application get through to its database
	inputServer      = "database_server"
	inputRedis       = "redis"
	inputCanvas      = "canvas" // is Canvas there
	inputMode        = "canvas_mode"
	inputThrough     = "canvas_application" // does the application get through to Canvas
	inputLaunch      = "launch"
	inputKeys        = "lti_keys"
	inputKey         = "developer_key"
	inputToken       = "canvas_token"
	inputSocket      = "websocket"
	inputTask        = "qa_task"
	inputPlatform    = "platform"
	inputFigures     = "figures"   // does the application tell its figures
	inputHeartbeat   = "heartbeat" // of the workers of the application
)

// What the thing that a rule is about needs to be well; while that is not, the rule's alerts
// are told to nobody. They are labels of the alerts.
const (
	needsApplication = "needs-application"
	needsDatabase    = "needs-database"
	needsCanvas      = "needs-canvas"
	needsPlatform    = "needs-platform"
	needsLaunch      = "needs-launch" // that people can open the tool
	needsSpeed       = "needs-speed"  // answers within the time of a check
)

func needs(what ...string) map[string]string {
	labels := make(map[string]string)
	for _, w := range what {
		labels[w] = "yes"
	}
	return labels
}

// inputs are what is fed, with how often each reports. Figures may be missing, since not
// every version of the application tells all of them.
func inputs() []alert.Input {
	checks := func(name string, every time.Duration) alert.Input {
		return alert.Input{Name: name, Kind: alert.Checks, Every: every}
	}
	gauge := func(name string, unit health.Unit) alert.Input {
		return alert.Input{Name: name, Kind: alert.Gauge, Unit: unit}
	}
	all := []alert.Input{
		checks(inputApplication, everyApplication), checks(inputDatabase, everyDatabase), checks(inputServer, everyDatabase), checks(inputRedis, everyDatabase),
		checks(inputCanvas, everyCanvas), checks(inputMode, everyCanvas), checks(inputThrough, everyCanvas), checks(inputKeys, everyCanvas), checks(inputKey, everyCanvas),
		checks(inputLaunch, everyPerformance), checks(inputToken, everyPerformance), checks(inputFigures, everyPerformance),
		checks(inputSocket, everyDatabase), checks(inputTask, everyTask), checks(inputPlatform, everyCanvas),
		{Name: inputHeartbeat, Kind: alert.Heartbeat},
		gauge("application_response_time", health.Seconds),
		gauge("application_certificate", health.Days), gauge("response_time_p95", health.Seconds), gauge("error_rate", health.Percent),
		gauge(alert.InputMemory, health.Percent), gauge(alert.InputRecentErrors, ""), gauge(alert.InputTaskDuration, health.Seconds),
		gauge(alert.InputCanvasErrors, ""), gauge(alert.InputCanvasThrottled, ""), gauge(alert.InputCanvasQuota, health.Percent),
		gauge("pool_used", health.Percent), gauge("connections_used", health.Percent), gauge("disk_used", health.Percent),
		gauge("longest_blocked", health.Seconds), gauge("failed_logins", ""), gauge("backup_age", health.Days), gauge("credential_age", health.Days),
	}
	return all
}

// rules are the critical alerts of the runbook, judged by what the application tells of
// itself, and those that its other procedures need. Each names its playbook, by which an
// incident is bound to it: see [procedures]. beat is how often workers report.
func rules(d playbooks.Defaults, beat time.Duration) []alert.Rule {
	all := critical(d)
	add := func(r alert.Rule) { all = append(all, r) }
	failing := func(name, input string, times int, s alert.Severity, playbook, summary string, labels map[string]string) {
		add(alert.Rule{Name: name, Input: input, Severity: s, When: alert.Failures{Fail: times, Pass: 2}, Summary: summary, Playbook: playbook, Labels: labels})
	}
	above := func(name, input string, limit float64, s alert.Severity, playbook, summary string, labels map[string]string) {
		add(alert.Rule{Name: name, Input: input, Severity: s, When: alert.Above{Limit: limit}, Summary: summary, Playbook: playbook, Labels: labels})
	}
	failing("canvas_down", inputCanvas, 3, alert.High, "canvas-maintenance", "Canvas does not answer, or is in maintenance", nil)
	failing("canvas_mode", inputMode, 15, alert.Medium, "canvas-maintenance", "the application leaves Canvas alone, and Canvas works", needs(needsCanvas, needsApplication))
	failing("canvas_application", inputThrough, 3, alert.Critical, "canvas-authentication", "the application does not get through to Canvas", needs(needsCanvas, needsApplication, needsDatabase))
	failing("launch", inputLaunch, 2, alert.Critical, "canvas-authentication", "the tool cannot be launched from Canvas", needs(needsCanvas, needsApplication, needsDatabase))
	failing("developer_key", inputKey, 2, alert.Critical, "canvas-authentication", "the developer key does not work", needs(needsCanvas))
	failing("canvas_token", inputToken, 3, alert.Medium, "validate-canvas-integration", "Canvas does not accept our own token", needs(needsCanvas))
	add(alert.Rule{
		Name: "lti_keys", Input: inputKeys, Severity: alert.High, When: alert.Failures{Fail: 5, Pass: 2}, Playbook: "lti-configuration",
		Summary: "the key set of the tool cannot be used", Labels: needs(needsApplication, needsLaunch, needsSpeed),
	})
	failing("figures", inputFigures, 2, alert.Medium, "comprehensive-check", "the application does not tell its figures", needs(needsApplication, needsDatabase, needsSpeed))
	failing("database_server", inputServer, 2, alert.High, "database-issues", "the server of the database does not work", needs(needsPlatform))
	above("database_connections", "connections_used", 90, alert.High, "database-issues", "{value} of the connections of the database are in use", nil)
	above("database_pool", "pool_used", 95, alert.High, "database-issues", "{value} of the application's pool of connections are in use", needs(needsApplication))
	above("database_disk", "disk_used", 90, alert.High, "database-issues", "{value} of the disk of the database are used", nil)
	above("database_blocked", "longest_blocked", 60, alert.High, "database-issues", "a query waits for others for {value}", nil)
	failing("redis", inputRedis, 3, alert.High, "comprehensive-check", "Redis does not work: nobody can sign in", needs(needsPlatform))
	failing("websocket", inputSocket, 3, alert.Medium, "websocket-failures", "the connection that carries progress fails", needs(needsApplication, needsSpeed))
	failing("qa_task", inputTask, 2, alert.Medium, "comprehensive-check", "a QA task for tests fails", needs(needsApplication, needsDatabase, needsCanvas, needsSpeed))
	failing("platform", inputPlatform, 1, alert.Medium, "comprehensive-check", "the operator of the platform says that it has a fault", nil)
	above("failed_logins", "failed_logins", 50, alert.High, "suspected-breach", "{value} sign-ins failed within an hour", nil)
	add(alert.Rule{
		Name: "certificate", Input: "application_certificate", Severity: alert.Medium, When: alert.Below{Limit: 14},
		Summary: "the certificate of {entity} ends in {value}", Playbook: "comprehensive-check",
	})
	above("backup_age", "backup_age", d.BackupAge.Hours()/24, alert.High, "backup-verification", "the newest backup is {value} old", nil)
	above("credential_age", "credential_age", d.CredentialAge.Hours()/24, alert.Low, "monthly-checklist", "a credential is {value} old", nil)
	add(alert.Rule{
		Name: "heartbeat", Input: inputHeartbeat, Severity: alert.Medium, When: alert.Silent{Period: max(beat, time.Second), Grace: 2 * beat},
		Summary: "worker {entity} does not report any more", Playbook: "comprehensive-check", Labels: needs(needsApplication),
	})
	for i := range all {
		r := &all[i]
		if r.Labels == nil {
			r.Labels = make(map[string]string)
		}
		r.Labels[labelProcedure] = r.Playbook
		if _, ok := r.When.(alert.Failures); !ok {
			r.OnError = alert.Keep // that a check cannot look at all is one alert, and not one for each figure
		}
		if r.Input != inputApplication {
			r.NoData = alert.Keep // nothing is known of what is behind something that is away, which is told
		}
		if slices.Contains(causes, r.Name) {
			r.Hold = aftermath
		}
		if r.Name == "platform" { // which explains those that are held
			r.Hold = aftermath + 5*time.Minute
		}
	}
	return all
}

// labelProcedure is the label of alerts that names the playbook that is for them.
const labelProcedure = "procedure"

// aftermath is for how long what the application counted while something was down is still in
// its figures, of minutes that are read every five: for as long that goes on explaining them.
const aftermath = 10 * time.Minute

// causes are the rules that explain others.
var causes = []string{"health_check", "database_connection", "database_server", "canvas_down", "canvas_application", "launch", "developer_key"}

// critical are alert.CriticalRules. What they count, the application has counted already: the
// share of requests that fail in five minutes, the errors of Canvas in the last.
func critical(d playbooks.Defaults) []alert.Rule {
	limits := alert.CriticalLimits{
		ResponseTime: d.ResponseTime, ErrorRate: d.ErrorRate, MemoryWarning: d.MemoryWarning, Memory: d.Memory,
		RecentErrors: float64(d.RecentErrors), Task: d.SlowTask,
	}
	all := alert.CriticalRules(limits)
	for i := range all {
		r := &all[i]
		r.Labels = needs(needsApplication, needsDatabase, needsCanvas) // whose failures make the application slow
		switch r.Name {
		case "health_check":
			r.Input, r.Labels = inputApplication, nil
		case "response_time": // one slow answer is no incident
			r.Input, r.For = "application_response_time", time.Minute
		case "error_rate":
			r.Input, r.When = "error_rate", alert.Above{Limit: 100 * d.ErrorRate}
			r.Labels[needsLaunch] = "yes" // each launch that is refused is an error too
		case "recent_errors":
			r.Labels[needsLaunch] = "yes"
		case "canvas_errors":
			r.When, r.Labels = alert.Above{Limit: 10}, needs(needsApplication, needsCanvas)
		case "canvas_throttled":
			r.When, r.Severity, r.Labels = alert.Above{Limit: 0}, alert.High, needs(needsApplication, needsCanvas)
		case "canvas_quota":
			r.Labels = needs(needsApplication, needsCanvas)
		case "database_connection": // the check of the application, which explains it, is to see it too
			r.Input, r.When, r.Labels = inputDatabase, alert.Failures{Fail: 2, Pass: 2}, needs(needsApplication)
		case "memory", "memory_warning":
			r.Labels = needs(needsApplication)
		}
	}
	return append(all, alert.Rule{
		Name: "slow_answers", Input: "response_time_p95", Severity: alert.High, When: alert.Above{Limit: d.ResponseTime.Seconds()},
		Summary: "5 of 100 answers take longer than {value}", Parents: []string{"health_check"}, Playbook: "performance-degradation", Labels: needs(needsApplication, needsDatabase, needsCanvas),
	})
}

// inhibitions keep from being told what something else explains: what needs the
// application, the database or Canvas, while that does not work; and while the platform has a
// fault, what goes wrong in the environments without users.
func inhibitions(others []string) []alert.Inhibition {
	because := func(rule, label string) alert.Inhibition {
		return alert.Inhibition{
			By: alert.Matcher{Labels: map[string]string{"rule": rule, "reason": ""}}, What: alert.Matcher{Labels: map[string]string{label: "yes"}}, Equal: []string{"environment"},
		}
	}
	fault := alert.Matcher{Labels: map[string]string{"rule": "platform", "reason": ""}}
	all := []alert.Inhibition{
		{By: fault, What: alert.Matcher{Labels: map[string]string{needsPlatform: "yes"}}},
		because("health_check", needsApplication), because("database_connection", needsDatabase), because("database_server", needsDatabase),
		because("canvas_down", needsCanvas), because("canvas_application", needsLaunch), because("launch", needsLaunch), because("developer_key", needsLaunch),
		because("response_time", needsSpeed), because("slow_answers", needsSpeed),
	}
	if len(others) > 0 {
		all = append(all, alert.Inhibition{By: fault, What: alert.Matcher{Environments: others}})
	}
	return all
}

// A procedure is a playbook that alerts are bound to.
type procedure struct {
	playbook string
	// severity is that of its incidents in production, by the runbook's levels. Zero is
	// that of the alert: the playbook is for things of several levels.
	severity alert.Severity
	// automatic means that it may begin without a person, if the policy of the environment
	// lets it.
	automatic bool
	// again is what happens when its incident comes back.
	again again
}

// again is what happens with a playbook when what it was for comes back.
type again uint8

const (
	// leave begins nothing by itself: what was done did not last, and a person, who is
	// called, decides.
	leave again = iota
	// beginAgain lets it begin again by itself: it sees what it did before, and does not do
	// again what did not last.
	beginAgain
)

// procedures are those that alerts are bound to. Those about security begin by hand: they
// end sessions.
func procedures() []procedure {
	return []procedure{
		{"application-down", alert.Critical, true, leave},
		{"canvas-authentication", alert.Critical, true, leave},
		{"performance-degradation", alert.High, true, leave},
		{"database-issues", alert.High, true, leave},
		{"canvas-rate-limiting", alert.High, true, leave},
		{"canvas-maintenance", alert.High, true, leave},
		{"lti-configuration", alert.High, true, leave},
		{"high-memory", alert.High, true, beginAgain},
		{"slow-qa-tasks", alert.Medium, true, leave},
		{"websocket-failures", alert.Medium, true, leave},
		{"backup-verification", alert.High, true, leave},
		{"suspected-breach", alert.Critical, false, leave},
		{"validate-canvas-integration", alert.Medium, true, leave},
		{"comprehensive-check", 0, true, leave},
		{"monthly-checklist", alert.Low, false, leave},
	}
}

// procedureOf returns the procedure of a playbook; one that has none begins nothing again.
func procedureOf(playbook string) procedure {
	for _, p := range procedures() {
		if p.playbook == playbook {
			return p
		}
	}
	return procedure{playbook: playbook}
}
