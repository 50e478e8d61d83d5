package alert

import (
	"slices"
	"time"

	"go.acu.edu.au/runbook/health"
)

// The inputs of [CriticalRules]. Each says who feeds it, and what is counted.
const (
	// InputRequests are the requests that the application answered, bad ones with a
	// status of 500 and above: kind Counter. A host feeds it from its own counters, or
	// from the HTTP metrics of its platform; requests that the platform never passed on
	// are not in it.
	InputRequests = "requests"
	// InputCanvasErrors are the requests that Canvas failed: those without an answer, and
	// those with a status of 500 and above, but not what it refused: kind Counter. The
	// hooks of the Canvas client feed it.
	InputCanvasErrors = "canvas_errors"
	// InputCanvasThrottled are the requests that Canvas rejected because the limit was
	// reached: kind Counter, the good ones are all others.
	InputCanvasThrottled = "canvas_throttled"
	// InputCanvasQuota is how much of the limit of Canvas is left, in percent: kind Gauge.
	InputCanvasQuota = "canvas_quota"
	// InputMemory is the memory in use, in percent of the limit: kind Gauge.
	InputMemory = "memory_usage"
	// InputDatabase is whether a connection to the database could be made: kind Checks.
	InputDatabase = "database"
	// InputRecentErrors is how many errors the application logged lately, as its health
	// endpoint says: kind Gauge.
	InputRecentErrors = "recent_errors"
	// InputTaskDuration is how long a task took, or has taken so far, in seconds: kind
	// Gauge.
	InputTaskDuration = "task_duration"
)

// CriticalLimits are the limits of [CriticalRules]. The zero value has those of the
// runbook.
type CriticalLimits struct {
	// ResponseTime is the longest response time. Zero means 5 s.
	ResponseTime time.Duration
	// ErrorRate is the highest share of requests that may fail in five minutes. Zero
	// means 0.05.
	ErrorRate float64
	// CanvasErrors is how many errors of Canvas there may be in a minute. Zero means 10.
	CanvasErrors float64
	// MemoryWarning and Memory are how much memory may be in use, in percent. Zero means
	// 80 and 90.
	MemoryWarning, Memory float64
	// Failures is how many checks in a row may fail before it is an alert. Zero means 3.
	Failures int
	// RecentErrors is how many errors there may have been lately. Zero means 5.
	RecentErrors float64
	// Task is how long a task may take. Zero means 5 minutes.
	Task time.Duration
	// QuotaWarning is how much of the limit of Canvas must be left, in percent. Zero means
	// 20.
	QuotaWarning float64
}

// CriticalInputs returns the inputs of [CriticalRules], each of which reports as often as
// the runbook monitors it. A host leaves out, with [LeaveOut], those that it does not feed.
func CriticalInputs() []Input {
	return []Input{
		{Name: InputHealth, Kind: Checks, Every: 30 * time.Second},
		{Name: InputResponseTime, Kind: Gauge, Unit: health.Seconds, Every: 30 * time.Second},
		{Name: InputRequests, Kind: Counter, Every: time.Minute},
		{Name: InputCanvasErrors, Kind: Counter},
		{Name: InputCanvasThrottled, Kind: Counter},
		{Name: InputCanvasQuota, Kind: Gauge, Unit: health.Percent},
		{Name: InputMemory, Kind: Gauge, Unit: health.Percent, Every: 5 * time.Minute},
		{Name: InputDatabase, Kind: Checks, Every: time.Minute},
		{Name: InputRecentErrors, Kind: Gauge, Every: 5 * time.Minute},
		{Name: InputTaskDuration, Kind: Gauge, Unit: health.Seconds},
	}
}

// CriticalRules returns the critical alerts of the runbook, with the severities of its
// incidents: what is down is critical, what is slow, short of memory or without its
// database is high. A rule whose input is not wired is an error of the engine. That a check
// fails explains what else is wrong with the same thing, so that an outage is told once.
func CriticalRules(l CriticalLimits) []Rule {
	orDefault(&l.ResponseTime, 5*time.Second)
	orDefault(&l.ErrorRate, 0.05)
	orDefault(&l.CanvasErrors, 10)
	orDefault(&l.MemoryWarning, 80)
	orDefault(&l.Memory, 90)
	orDefault(&l.Failures, 3)
	orDefault(&l.RecentErrors, 5)
	orDefault(&l.Task, 5*time.Minute)
	orDefault(&l.QuotaWarning, 20)
	down := []string{"health_check"}
	return []Rule{
		{
			Name: "health_check", Input: InputHealth, Severity: Critical, When: Failures{Fail: l.Failures, Pass: 2},
			Summary: "{entity} has failed {value} checks in a row", Playbook: "application-down",
		},
		{
			Name: "response_time", Input: InputResponseTime, Severity: High, When: Above{Limit: l.ResponseTime.Seconds()},
			Summary: "{entity} takes {value} to answer", Recover: 2, Parents: down, Playbook: "performance-degradation",
		},
		{
			Name: "error_rate", Input: InputRequests, Severity: High, When: Ratio{Limit: l.ErrorRate, Window: 5 * time.Minute},
			Summary: "{value} of the requests of {entity} fail", Parents: down, Playbook: "performance-degradation",
		},
		{
			Name: "canvas_errors", Input: InputCanvasErrors, Severity: High, When: Rate{Limit: l.CanvasErrors, Window: time.Minute},
			Summary: "Canvas failed {value} requests of {entity} in a minute", Hold: 2 * time.Minute, Playbook: "canvas-maintenance",
		},
		{
			Name: "memory", Input: InputMemory, Severity: High, When: Above{Limit: l.Memory},
			Summary: "{entity} uses {value} of its memory", Parents: down, Playbook: "high-memory",
		},
		{
			Name: "memory_warning", Input: InputMemory, Severity: Medium, When: Above{Limit: l.MemoryWarning},
			Summary: "{entity} uses {value} of its memory", Parents: []string{"health_check", "memory"}, Playbook: "high-memory",
		},
		{
			Name: "database_connection", Input: InputDatabase, Severity: High, When: Failures{Fail: 1, Pass: 2},
			Summary: "no connection to database {entity}", Playbook: "database-issues",
		},
		{
			Name: "recent_errors", Input: InputRecentErrors, Severity: Medium, When: Above{Limit: l.RecentErrors},
			Summary: "{entity} logged {value} errors lately", Parents: down, Playbook: "performance-degradation",
		},
		{
			Name: "slow_task", Input: InputTaskDuration, Severity: Medium, When: Above{Limit: l.Task.Seconds()},
			Summary: "a task of {entity} takes {value}", Playbook: "slow-qa-tasks",
		},
		{
			Name: "canvas_throttled", Input: InputCanvasThrottled, Severity: Medium, When: Rate{Limit: 0, Window: 5 * time.Minute},
			Summary: "Canvas rejected {value} requests of {entity} in 5 minutes", Hold: 5 * time.Minute, Playbook: "canvas-rate-limiting",
		},
		{
			Name: "canvas_quota", Input: InputCanvasQuota, Severity: Low,
			When:    Below{Limit: l.QuotaWarning, Recover: min(2*l.QuotaWarning, (l.QuotaWarning+100)/2)},
			Summary: "only {value} of the limit of Canvas is left for {entity}", Parents: []string{"canvas_throttled"}, Playbook: "canvas-rate-limiting",
		},
	}
}

// LeaveOut returns the rules and inputs without the inputs of these names, which a host
// does not feed, and without the rules about them, also where they are parents of others.
func LeaveOut(rules []Rule, inputs []Input, names ...string) ([]Rule, []Input) {
	inputs = slices.DeleteFunc(slices.Clone(inputs), func(in Input) bool { return slices.Contains(names, in.Name) })
	gone := make(map[string]bool)
	for _, r := range rules {
		gone[r.Name] = slices.Contains(names, r.Input)
	}
	rules = slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return gone[r.Name] })
	for i, r := range rules {
		rules[i].Parents = slices.DeleteFunc(slices.Clone(r.Parents), func(name string) bool { return gone[name] })
	}
	return rules, inputs
}
