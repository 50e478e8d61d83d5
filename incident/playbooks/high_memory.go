package playbooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// HighMemory is the playbook for an application that is short of memory. It restarts it,
// once its tasks are done if there is time for that, and watches whether the memory fills
// up again; then it tries a higher limit, if the platform gives that much, and then fewer
// tasks at once. What does not help is taken back.
//
// What fills up again within hours of a restart of its own, see Environment.Runs, is a
// leak: then it does not restart the application again, but tries the higher limit and
// fewer tasks, and tells the operators and the development team, once a day, how often it
// comes back. If nothing is left to try it says so and ends, and does not keep others
// waiting for an answer.
//
// Its parameters are limit, tasks and restore.
func HighMemory(e Environment) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const look1, act, verify = "Investigation", "Resolution", "Verification"
	return incident.Playbook{
		Name: "high-memory", Environment: e.name(), Title: "High memory usage", Severity: alert.High, Timeout: d.outlasting(),
		About:  fmt.Sprintf("More than %.0f %% of the memory is in use, or the application ends for want of it.", d.MemoryWarning),
		Source: "Performance Issues, High Memory Usage",
		Parameters: []incident.Parameter{
			{Name: "limit", About: "MEMORY_LIMIT_MB to try", Type: incident.Whole, Default: whole(d.MemoryLimitMB), Min: "64", Max: "65536"},
			{Name: "tasks", About: "MAX_CONCURRENT_TASKS to try", Type: incident.Whole, Default: whole(d.MaxConcurrentTasks), Min: "1", Max: "1000"},
			{Name: "restore", About: "Allow as many tasks as before when it has been calm", Type: incident.YesNo, Default: "no"},
		},
		Phases: []incident.Phase{{Name: look1, Budget: 10 * time.Minute}, {Name: act}, {Name: verify}},
		Steps: slices.Concat(
			[]incident.Step{
				{ID: "assess", Title: "Look at the memory, and at what uses it", Phase: look1, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
					measuring("memory", "Measure the memory in use", e.memory(d.MemoryWarning)),
					replacing(look("activity", "Look at users, tasks and memory", e.Probes.Activity), `curl -s "https://qa-automation.acu.edu.au/health/metrics" | jq '.memory_usage_mb'`),
					replacing(e.lines("logs", "Read what the log says of memory", incident.LogQuery{Tail: 200, Any: []string{"memory"}}), `railway logs --environment production | grep "memory"`),
					e.baseline("baseline", incident.MetricMemory, incident.MetricRequests),
					look("platform", "Look at what is said of the platform", e.Probes.Platform),
					e.deployments("deployments"),
					e.settings("settings", "MEMORY_LIMIT_MB", "MAX_CONCURRENT_TASKS"),
					e.earlier("earlier"),
				}}},
				memoryDecision(d),
			},
			e.tellOfLeak(),
			[]incident.Step{
				withPhase(act, withWhen(e.waitForOthers("wait-platform", d), decided("wait for the platform"))),
				e.drained("tasks-done", 5*time.Minute, both(decided(freeMemory, holdLeak), notUrgent(d))),
			},
			e.memoryTrials(d),
			[]incident.Step{
				withWhen(withPhase(verify, holding("well", "See that enough memory is free", e.memory(d.MemoryWarning), incident.Verify{Within: d.Recover, Times: d.Times})), held),
				well("health", "See that the application is well", d.Recover, d.Times, e.Probes.Application),
				e.restoredVariable("tasks", "Allow as many tasks as before", e.memory(d.MemoryWarning), func(s *incident.Scope) (bool, string) {
					return s.Yes("restore"), "fewer tasks are kept: memory would run short at the next peak"
				}),
				withWhen(e.inform("inform", func(s *incident.Scope) incident.Message {
					return incident.Message{Title: "Enough memory is free again", Text: strings.Join(keptAndWhy(s, "restart", "limit", "tasks"), "\n")}
				}), held),
				e.tellNothing(),
			},
		),
		Escalation: "level 2, the development team, if the memory fills up again: it is not given back",
	}
}

// memoryDecision decides whether anything has to be done.
func memoryDecision(d Defaults) incident.Step {
	return incident.Step{
		ID: "decide", Title: "Decide what to do", OnFailure: incident.Pause,
		Do: checkOf(func(s *incident.Scope) (any, error) {
			now, measured := incident.Result[Measured](s, "memory")
			platform := saw(s, "platform")
			switch {
			case !measured:
				return nil, errors.New("the memory in use could not be measured, and without that nothing is changed")
			case now.well():
				return Decision{"nothing", "enough memory is free: " + now.Text}, nil
			case platform.down() || platform.Status == health.Maintenance:
				return Decision{"wait for the platform", "the platform itself has a fault: " + platform.String()}, nil
			}
			why := []string{now.Text}
			if usual, ok := incident.Result[Baseline](s, "baseline"); ok && usual.String() != "" {
				why = append(why, usual.String())
			}
			if lines, ok := incident.Result[Lines](s, "logs"); ok && len(lines.Lines) > 0 {
				why = append(why, fmt.Sprintf("%d lines of the log are about memory", len(lines.Lines)+lines.More))
			}
			if deployed, ok := incident.Result[Deployments](s, "deployments"); ok && deployed.Recent && deployed.Current != nil {
				why = append(why, fmt.Sprintf("%s was deployed less than %v ago: if it is since then, roll it back", version(*deployed.Current), d.RecentDeployment))
			}
			if again, is := leak(s); is {
				return Decision{holdLeak, strings.Join(append([]string{again}, why...), "; ")}, nil
			}
			return Decision{freeMemory, strings.Join(why, "; ")}, nil
		}),
	}
}

// notUrgent is the condition that there is time to let tasks come to their end.
func notUrgent(d Defaults) incident.Condition {
	return func(s *incident.Scope) (bool, string) {
		m, ok := incident.Result[Measured](s, "memory")
		return ok && m.Share*d.MemoryWarning < d.Memory, fmt.Sprintf("more than %.0f %% of the memory is in use: there is no time for that", d.Memory)
	}
}

// drained is a step that waits for the tasks that run to come to their end, so that a
// restart ends none of them. It waits only so long.
func (e Environment) drained(id string, within time.Duration, when incident.Condition) incident.Step {
	return incident.Step{
		ID: id, Title: "Let the tasks that run come to their end", OnFailure: incident.GoOn, Timeout: 30 * time.Second,
		When: both(when, func(*incident.Scope) (bool, string) {
			return e.Probes.Activity != nil, "how many tasks run cannot be seen"
		}),
		Do: incident.Wait{Within: within, Every: time.Minute, Until: func(ctx context.Context, _ *incident.Scope) (any, bool, error) {
			n, ok := reading(e.Probes.Activity.Probe(ctx), "active_qa_tasks")
			if !ok {
				return nil, false, errors.New("how many tasks run could not be read")
			}
			return nil, n == 0, nil
		}},
	}
}

// memoryTrials are what is tried, one after another.
func (e Environment) memoryTrials(d Defaults) []incident.Step {
	g := e.memory(d.MemoryWarning)
	again := trial{
		id: "restart", title: "Restart the application, and see whether its memory fills up again", gauge: g, settle: d.Calm,
		value: func(*incident.Scope) string { return "once" }, when: decided(freeMemory),
		forward: []incident.Step{restart("restart", "Restart the application", e.Deployer, "railway restart --environment production")},
	}
	limit := e.tryVariable(trial{
		id: "limit", title: "Try a higher limit of memory", gauge: g, settle: d.Calm, value: parameter("limit"),
		when: both(decided(freeMemory, holdLeak), notYetWell("restart"), changes("settings", "MEMORY_LIMIT_MB", parameter("limit"), raise)),
	}, "MEMORY_LIMIT_MB", "railway variables set MEMORY_LIMIT_MB=1024 --environment production")
	tasks := e.tryVariable(trial{
		id: "tasks", title: "Try fewer tasks at once", gauge: g, settle: d.Calm, value: parameter("tasks"),
		when: both(decided(freeMemory, holdLeak), notYetWell("restart", "limit"), changes("settings", "MAX_CONCURRENT_TASKS", parameter("tasks"), lower)),
	}, "MAX_CONCURRENT_TASKS", "railway variables set MAX_CONCURRENT_TASKS=5 --environment production")
	room := e.room("room", both(decided(freeMemory, holdLeak), notYetWell("restart")))
	roomy := limit.when
	limit.when = both(func(s *incident.Scope) (bool, string) {
		r, ok := incident.Result[Room](s, "room")
		wanted, err := strconv.Atoi(s.Text("limit"))
		if ok && err == nil && r.MB > 0 && r.MB < wanted {
			return false, fmt.Sprintf("the platform gives a replica only %d MB: with a higher limit it would be ended; scale it first", r.MB)
		}
		return true, ""
	}, roomy)
	return slices.Concat(again.steps(e), []incident.Step{room}, limit.steps(e), tasks.steps(e))
}

// Room is how much memory the platform gives to a replica.
type Room struct {
	// MB is in megabytes of 1,048,576 bytes; zero means that there is no limit, or that it
	// is not known.
	MB int `json:"mb"`
}

// room is a step that looks at how much memory the platform gives.
func (e Environment) room(id string, when incident.Condition) incident.Step {
	return incident.Step{
		ID: id, Title: "Look at how much memory the platform gives", OnFailure: incident.GoOn,
		When: both(when, func(*incident.Scope) (bool, string) {
			return e.Scaler != nil, "this environment cannot tell"
		}),
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			now, err := e.Scaler.Scale(ctx)
			return Room{int(now.Memory >> 20)}, err
		}},
	}
}
