package playbooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// PerformanceDegradation is the playbook for an application that answers slowly. It
// compares the present with the same hour of the days before; looks for the bottleneck in
// the database, in Canvas, in the tasks and in how many users there are; and then changes
// one thing at a time, of which it keeps what helps and takes back the rest. When it has
// been calm for a while, it puts back what helped too.
//
// Its parameters are workers, rate and restore.
func PerformanceDegradation(e Environment) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const assess, act, verify = "Performance assessment", "Mitigation", "Verification"
	return incident.Playbook{
		Name: "performance-degradation", Environment: e.name(), Title: "Performance degradation", Severity: alert.High, Timeout: d.outlasting(),
		About:  "The application takes more than " + d.ResponseTime.String() + " to answer, requests fail or time out, or memory is short.",
		Source: "Incident Response Playbooks, 3. Performance Degradation",
		Needs:  []incident.Need{incident.Needs("probe of the performance", e.Probes.Performance)},
		Parameters: []incident.Parameter{
			{Name: "workers", About: "ASYNC_WORKERS to try", Type: incident.Whole, Default: whole(d.AsyncWorkers), Min: "1", Max: "64"},
			{Name: "rate", About: "CANVAS_RATE_LIMIT_PER_MINUTE to try", Type: incident.Whole, Default: whole(d.CanvasRateSlow), Min: "1", Max: "10000"},
			{Name: "restore", About: "Put back what helped when it has been calm", Type: incident.YesNo, Default: "yes"},
		},
		Phases: []incident.Phase{{Name: assess, Budget: 10 * time.Minute}, {Name: act}, {Name: verify}},
		Steps: slices.Concat(
			[]incident.Step{e.assessPerformance(assess), performanceDecision(d), withWhen(e.waitForOthers("wait-platform", d), decided("wait for the platform")), withWhen(e.waitForCanvas("wait-canvas"), decided("wait for Canvas"))},
			e.slowTrials(act),
			[]incident.Step{withPhase(verify, holding("well", "See that the application answers as it should", e.responsiveness(), incident.Verify{Within: d.Recover, Times: d.Times}))},
			e.slowRestorations(),
			[]incident.Step{e.tell("tell-resolved", "resolved", func(s *incident.Scope) incident.Message {
				return incident.Message{Title: "The application answers as it should", Text: strings.Join(keptAndWhy(s, "workers", "replicas", "rate"), "\n")}
			})},
		),
		Escalation: "level 2, the development team, if nothing here makes it faster",
	}
}

// assessPerformance looks at everything at once.
func (e Environment) assessPerformance(phase string) incident.Step {
	d := e.Defaults.WithDefaults()
	return incident.Step{ID: "assess", Title: "Look at everything, and tell people", Phase: phase, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
		e.tell("tell-investigating", "investigating", func(*incident.Scope) incident.Message {
			return incident.Message{Title: "The application is slow", Text: "We are looking into it."}
		}),
		replacing(measuring("performance", "Measure how the application answers", e.responsiveness()), "./scripts/performance-check.sh production"),
		goingOn(measuring("speed", "Measure how long an answer takes", e.speed())),
		replacing(look("activity", "Look at users, tasks, errors and memory", e.Probes.Activity), `curl -s "https://qa-automation.acu.edu.au/health/metrics"`),
		e.baseline("baseline", incident.MetricLatencyP95, incident.MetricRequests, incident.MetricErrors, incident.MetricCPU, incident.MetricMemory),
		measuredMemory("memory", e, d),
		look("database", "Look at the database", e.Probes.Database),
		look("database-server", "Look at slow and blocked queries", e.Probes.DatabaseServer),
		look("canvas", "Look at how fast Canvas answers the application", e.Probes.Canvas),
		look("canvas-host", "Look at Canvas", e.Probes.CanvasHost),
		look("canvas-status", "Look at what is said of Canvas", e.Probes.CanvasStatus),
		look("platform", "Look at what is said of the platform", e.Probes.Platform),
		e.quotaLook("quota"),
		e.deployments("deployments"),
		e.settings("settings", "ASYNC_WORKERS", "CANVAS_RATE_LIMIT_PER_MINUTE"),
	}}}
}

// measuredMemory is a step that measures the memory where that is possible.
func measuredMemory(id string, e Environment, d Defaults) incident.Step {
	s := measuring(id, "Measure the memory in use", e.memory(d.Memory))
	s.OnFailure, s.Attempts = incident.GoOn, 1
	return s
}

// performanceDecision looks for the bottleneck.
func performanceDecision(d Defaults) incident.Step {
	return incident.Step{
		ID: "decide", Title: "Find the bottleneck", OnFailure: incident.Pause,
		Do: checkOf(func(s *incident.Scope) (any, error) {
			now, measured := incident.Result[Measured](s, "performance")
			platform, database, server := saw(s, "platform"), saw(s, "database"), saw(s, "database-server")
			memory, knowsMemory := incident.Result[Measured](s, "memory")
			away := canvasAway(s, "canvas-host", "canvas-status")
			switch {
			case !measured:
				return nil, errors.New("how the application answers could not be measured, and without that nothing is changed")
			case now.well():
				return Decision{"nothing", "the application answers as it should: " + now.Text}, nil
			case platform.down() || platform.Status == health.Maintenance:
				return Decision{"wait for the platform", "the platform itself has a fault: " + platform.String()}, nil
			case database.down() || server.down():
				return nil, fmt.Errorf("the bottleneck is the database (%s; its server: %s): see the playbook database-issues", database, server)
			case knowsMemory && !memory.well():
				return nil, fmt.Errorf("the bottleneck is the memory (%s): see the playbook high-memory", memory.Text)
			case away != "":
				return Decision{"wait for Canvas", away + "; what waits for it is slow, and neither workers nor restarts change that"}, nil
			}
			return slowDecision(s, d, now)
		}),
	}
}

// slowDecision decides where to begin when nothing is down.
func slowDecision(s *incident.Scope, d Defaults, now Measured) (any, error) {
	usual, _ := incident.Result[Baseline](s, "baseline")
	why := []string{now.Text}
	if text := usual.String(); text != "" {
		why = append(why, text)
	}
	activity := saw(s, "activity")
	for _, name := range []string{"active_sessions", "active_qa_tasks"} {
		if n, ok := activity.Numbers[name]; ok {
			why = append(why, fmt.Sprintf("%s %.0f", name, n))
		}
	}
	if server := saw(s, "database-server"); server.Status == health.Degraded {
		why = append(why, "the database is not as it should be either: "+server.Message)
	}
	if deployed, ok := incident.Result[Deployments](s, "deployments"); ok && deployed.Recent && deployed.Current != nil {
		why = append(why, fmt.Sprintf("%s was deployed less than %v ago: if it is since then, roll it back", version(*deployed.Current), d.RecentDeployment))
	}
	quota, knowsQuota := incident.Result[QuotaFound](s, "quota")
	canvas := saw(s, "canvas")
	if !canvas.Missing {
		why = append(why, canvasTook(canvas))
	}
	if slow := canvas.Status == health.Degraded; slow || knowsQuota && (quota.Throttled || quota.left() < quotaLeft) {
		why = append(why, "Canvas is the bottleneck, and more workers would press it harder")
		if slow {
			why = append(why, canvas.Message)
		}
		return Decision{"spare Canvas", strings.Join(why, "; ")}, nil
	}
	if speed, timed := incident.Result[Measured](s, "speed"); timed && speed.well() && usual.of(incident.MetricRequests).times() < 1.5 {
		// Requests fail, at a usual load, and not because they wait.
		return nil, fmt.Errorf("requests fail though answers come in time, so that neither workers nor fewer requests to Canvas would mend it: look in the log for why (%s)", strings.Join(why, "; "))
	}
	return Decision{"scale", strings.Join(why, "; ")}, nil
}

// canvasTook says how fast Canvas answers.
func canvasTook(f Found) string {
	return fmt.Sprintf("Canvas answers within %s", seconds(f.Took.Seconds()))
}

// slowTrials are what is tried, one after another.
func (e Environment) slowTrials(phase string) []incident.Step {
	g := e.responsiveness()
	workers := e.tryVariable(trial{
		id: "workers", title: "Try more workers", gauge: g, value: parameter("workers"),
		when: both(decided("scale"), changes("settings", "ASYNC_WORKERS", parameter("workers"), raise)),
	}, "ASYNC_WORKERS", "railway variables set ASYNC_WORKERS=8 --environment production", "railway restart --environment production")
	replicas := e.tryReplica(trial{
		id: "replicas", title: "Try one more replica", gauge: g, value: func(*incident.Scope) string { return "one more" },
		when: both(decided("scale"), notYetWell("workers"), e.loaded),
	})
	rate := e.tryVariable(trial{
		id: "rate", title: "Try fewer requests to Canvas", gauge: g, value: parameter("rate"),
		when: both(decided("scale", "spare Canvas"), notYetWell("workers", "replicas"), changes("settings", "CANVAS_RATE_LIMIT_PER_MINUTE", parameter("rate"), lower)),
	}, "CANVAS_RATE_LIMIT_PER_MINUTE", "railway variables set CANVAS_RATE_LIMIT_PER_MINUTE=100 --environment production")
	steps := slices.Concat(workers.steps(e), replicas.steps(e), rate.steps(e))
	steps[0] = withPhase(phase, steps[0])
	return steps
}

// loaded is the condition that there is more to do than usual, so that another replica,
// which costs something, may help.
func (e Environment) loaded(s *incident.Scope) (bool, string) {
	b, ok := incident.Result[Baseline](s, "baseline")
	requests, cpu := b.of(incident.MetricRequests), b.of(incident.MetricCPU)
	switch {
	case e.Scaler == nil:
		return false, "this environment cannot be scaled"
	case !ok || requests.Days == 0 && cpu.Days == 0:
		return false, "whether there is more to do than usual is not known"
	case requests.times() < 1.5 && cpu.times() < 1.5:
		return false, "there is no more to do than usual, so that a replica would change nothing: " + b.String()
	}
	return true, ""
}

// slowRestorations put back what helped, the last first, one at a time.
func (e Environment) slowRestorations() []incident.Step {
	g := e.responsiveness()
	wanted := func(s *incident.Scope) (bool, string) { return s.Yes("restore"), "it is not to be put back" }
	return []incident.Step{
		e.restoredVariable("rate", "Put the rate of requests to Canvas back", g, wanted),
		e.restoredReplica("replicas", "Put the replicas back", g, both(wanted, stays("rate"))),
		e.restoredVariable("workers", "Put the workers back", g, both(wanted, stays("rate", "replicas"))),
	}
}

// keptAndWhy says of each trial whether it helped.
func keptAndWhy(s *incident.Scope, trials ...string) (lines []string) {
	v, _ := incident.Result[Decision](s, "decide")
	lines = append(lines, "It was decided to "+v.Action+": "+v.Why+".")
	for _, id := range trials {
		if v, ok := incident.Result[Verdict](s, id+".verdict"); ok {
			state := "kept"
			switch {
			case s.Did(id + ".back"):
				state = "taken back"
			case !v.Helped:
				state = "no help"
			case s.Did(id+"-restored.back") && !s.Did(id+"-restored.again"):
				state = "kept until it was calm"
			}
			lines = append(lines, fmt.Sprintf("%s: %s: %s.", id, state, v.Why))
		}
	}
	return lines
}

// Scaled is what a change of replicas was, for taking it back.
type Scaled struct {
	// Before and After are how many replicas there are in the region.
	Region string `json:"region"`
	Before int    `json:"before"`
	After  int    `json:"after"`
}

// tryReplica is a trial of one more replica, in the region that has most.
func (e Environment) tryReplica(t trial) trial {
	before := func(s *incident.Scope) (Scaled, bool) { return incident.Result[Scaled](s, "set-before") }
	look := func(ctx context.Context, s *incident.Scope) (any, error) {
		if earlier, ok := before(s); ok && made(s, "set") {
			return earlier, nil // the run came here before: one more is there already, or was tried
		}
		now, err := e.Scaler.Scale(ctx)
		if err != nil {
			return nil, err
		}
		if len(now.Regions) == 0 {
			return nil, incident.Final(errors.New("how many replicas there are is not known, so that it could not be put back"))
		}
		most := slices.MaxFunc(now.Regions, func(a, b incident.RegionScale) int { return a.Replicas - b.Replicas })
		return Scaled{most.Region, most.Replicas, most.Replicas + 1}, nil
	}
	t.forward = []incident.Step{
		{ID: "set-before", Title: "Look at how many replicas there are", Do: incident.Check{Run: look}},
		e.scaled("set", "Add a replica", before, func(c Scaled) int { return c.After }),
	}
	t.back = []incident.Step{e.scaled("back", "Remove the replica again", before, func(c Scaled) int { return c.Before })}
	return t
}

// restoredReplica is a step that removes a replica that a trial has added.
func (e Environment) restoredReplica(trial, title string, g gauge, when incident.Condition) incident.Step {
	return restoration{
		trial: trial, title: title, gauge: g, when: when,
		back:    []incident.Step{e.scaled("back", title, told[Scaled], func(c Scaled) int { return c.Before })},
		again:   []incident.Step{e.scaled("again", "Add it again: it does not stay well without it", told[Scaled], func(c Scaled) int { return c.After })},
		changed: func(s *incident.Scope) any { c, _ := incident.Result[Scaled](s, trial+".set-before"); return c },
	}.step(e)
}

// scaled is an action that sets the replicas of a region. Setting the same number twice is
// the same as once.
func (e Environment) scaled(id, title string, of func(s *incident.Scope) (Scaled, bool), to func(Scaled) int) incident.Step {
	return incident.Step{
		ID: id, Title: title, Attempts: 3,
		Do: incident.Action{
			Repeat: incident.Idempotent,
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				c, ok := of(s)
				if !ok || to(c) < 1 {
					return nil, incident.Final(errors.New("how many replicas there were is not known"))
				}
				wanted := incident.RegionScale{Region: c.Region, Replicas: to(c)}
				now, err := e.Scaler.SetScale(ctx, incident.Scale{Regions: []incident.RegionScale{wanted}})
				if err == nil && !slices.Contains(now.Regions, wanted) {
					err = fmt.Errorf("the platform says that it was not done: in all regions there are %d replicas", now.Replicas())
				}
				return c, err
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				c, ok := of(s)
				if !ok {
					return incident.Effect{}, errors.New("how many replicas there are is not known")
				}
				return incident.Effect{
					Call:    fmt.Sprintf("set the replicas of %s in region %q to %d", e.name(), c.Region, to(c)),
					Changes: []string{fmt.Sprintf("replicas: %d become %d", c.Before+c.After-to(c), to(c))},
				}, nil
			},
		},
	}
}
