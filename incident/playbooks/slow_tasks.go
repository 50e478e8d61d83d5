package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// SlowTasks is the playbook for QA tasks that take too long. It looks at what they wait
// for: Canvas, the database, how many there are, the updates of their progress. How large
// they are is looked at if the probe of the activity measures it. Then it tries
// smaller batches, fewer items at once and fewer updates, one after another, and keeps what
// makes tasks faster.
//
// Its parameters are batch, parallel and interval.
func SlowTasks(e Environment) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const look1, act, verify = "Investigation", "Resolution", "Verification"
	return incident.Playbook{
		Name: "slow-qa-tasks", Environment: e.name(), Title: "Slow QA task execution", Severity: alert.Medium, Timeout: d.outlasting(),
		About:  "QA tasks take more than " + d.SlowTask.String() + ", or users complain that they are slow.",
		Source: "Performance Issues, Slow QA Task Execution",
		Needs:  []incident.Need{incident.Needs("probe of a task", e.Probes.Task)},
		Parameters: []incident.Parameter{
			{Name: "batch", About: "BATCH_SIZE to try", Type: incident.Whole, Default: whole(d.BatchSize), Min: "1", Max: "10000"},
			{Name: "parallel", About: "PARALLEL_PROCESSING_LIMIT to try", Type: incident.Whole, Default: whole(d.ParallelProcessing), Min: "1", Max: "1000"},
			{Name: "interval", About: "PROGRESS_UPDATE_INTERVAL to try, in seconds", Type: incident.Whole, Default: whole(d.ProgressInterval), Min: "1", Max: "600"},
		},
		Phases: []incident.Phase{{Name: look1, Budget: 15 * time.Minute}, {Name: act}, {Name: verify}},
		Steps: slices.Concat(
			[]incident.Step{
				{ID: "assess", Title: "Look at what tasks wait for", Phase: look1, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
					measuring("tasks", "Measure how long a task takes", e.tasks()),
					look("activity", "Look at how many tasks run, and at what else is measured of them", e.Probes.Activity),
					look("canvas", "Look at how fast Canvas answers the application", e.Probes.Canvas),
					look("canvas-host", "Look at Canvas", e.Probes.CanvasHost),
					look("canvas-status", "Look at what is said of Canvas", e.Probes.CanvasStatus),
					look("database", "Look at the database", e.Probes.Database),
					look("database-server", "Look at slow and blocked queries", e.Probes.DatabaseServer),
					look("websocket", "Look at the updates of progress", e.Probes.WebSocket),
					look("platform", "Look at what is said of the platform", e.Probes.Platform),
					e.quotaLook("quota"),
					e.settings("settings", "BATCH_SIZE", "PARALLEL_PROCESSING_LIMIT", "PROGRESS_UPDATE_INTERVAL"),
				}}},
				taskDecision(),
				withPhase(act, withWhen(e.waitForOthers("wait-platform", d), decided("wait for the platform"))),
				withWhen(e.waitForCanvas("wait-canvas"), decided("wait for Canvas")),
			},
			e.taskTrials(),
			[]incident.Step{
				withPhase(verify, holding("well", "See that a task is fast enough", e.tasks(), incident.Verify{Within: d.Recover + 2*d.SlowTask})),
				e.inform("inform", func(s *incident.Scope) incident.Message {
					return incident.Message{Title: "QA tasks are fast enough", Text: strings.Join(keptAndWhy(s, "batch", "parallel", "progress"), "\n")}
				}),
			},
		),
		Escalation: "level 2, the development team, if no setting makes tasks faster",
	}
}

// tasks is the gauge of how long a QA task takes: what the application measures of its
// tasks (task_duration), or else how long the task for tests takes.
func (e Environment) tasks() gauge {
	d := e.Defaults.WithDefaults()
	return gauge{name: "how long a task takes", samples: 1, timeout: 2*d.SlowTask + time.Minute, read: func(ctx context.Context) (float64, string, error) {
		share := func(took float64, which string) (float64, string, error) {
			return took / d.SlowTask.Seconds(), fmt.Sprintf("%s takes %s (limit %v)", which, seconds(took), d.SlowTask), nil
		}
		if e.Probes.Activity != nil {
			if took, ok := reading(e.Probes.Activity.Probe(ctx), "task_duration"); ok {
				return share(took, "a task")
			}
		}
		began := time.Now()
		r := e.Probes.Task.Probe(ctx)
		took, ok := reading(r, "task_duration")
		switch {
		case r.Status == health.Unknown:
			return 0, "", errors.New(found(r).String())
		case r.Status == health.Unhealthy && !ok:
			return failing, "the task for tests does not come to its end: " + cut(r.Message, 200), nil
		case !ok:
			took = cmp.Or(r.Duration, time.Since(began)).Seconds()
		}
		return share(took, "the task for tests")
	}}
}

// taskDecision decides whether it is the settings that may help.
func taskDecision() incident.Step {
	return incident.Step{
		ID: "decide", Title: "Find what tasks wait for", OnFailure: incident.Pause,
		Do: checkOf(func(s *incident.Scope) (any, error) {
			now, measured := incident.Result[Measured](s, "tasks")
			platform, database, server := saw(s, "platform"), saw(s, "database"), saw(s, "database-server")
			away := canvasAway(s, "canvas-host", "canvas-status")
			switch {
			case !measured:
				return nil, errors.New("how long a task takes could not be measured, and without that nothing is changed")
			case now.well():
				return Decision{"nothing", "tasks are fast enough: " + now.Text}, nil
			case platform.down() || platform.Status == health.Maintenance:
				return Decision{"wait for the platform", "the platform itself has a fault: " + platform.String()}, nil
			case away != "":
				return Decision{"wait for Canvas", away + "; tasks wait for it, and no setting changes that"}, nil
			case database.down() || server.down():
				return nil, fmt.Errorf("tasks wait for the database (%s; its server: %s): see the playbook database-issues", database, server)
			}
			return Decision{"try", strings.Join(append([]string{now.Text}, taskEvidence(s)...), "; ")}, nil
		}),
	}
}

// taskEvidence says what there is to say of what tasks wait for.
func taskEvidence(s *incident.Scope) (why []string) {
	if canvas := saw(s, "canvas"); !canvas.Missing {
		why = append(why, canvasTook(canvas))
	}
	if q, ok := incident.Result[QuotaFound](s, "quota"); ok {
		why = append(why, "of the rate limit of Canvas "+q.short())
	}
	for step, name := range map[string]string{"database-server": "the database", "websocket": "the updates of progress"} {
		if f := saw(s, step); f.Status == health.Degraded || f.down() {
			why = append(why, name+": "+f.String())
		}
	}
	slices.Sort(why)
	activity := saw(s, "activity").Numbers
	for _, name := range slices.Sorted(maps.Keys(activity)) {
		if strings.Contains(name, "task") {
			why = append(why, fmt.Sprintf("%s %.0f", name, activity[name]))
		}
	}
	return why
}

// taskTrials are what is tried, one after another.
func (e Environment) taskTrials() []incident.Step {
	g := e.tasks()
	batch := e.tryVariable(trial{
		id: "batch", title: "Try another size of batches", gauge: g, value: parameter("batch"),
		when: both(decided("try"), changes("settings", "BATCH_SIZE", parameter("batch"), either)),
	}, "BATCH_SIZE", "railway variables set BATCH_SIZE=25 --environment production")
	parallel := e.tryVariable(trial{
		id: "parallel", title: "Try fewer items at once, to spare Canvas", gauge: g, value: parameter("parallel"),
		when: both(decided("try"), notYetWell("batch"), changes("settings", "PARALLEL_PROCESSING_LIMIT", parameter("parallel"), lower)),
	}, "PARALLEL_PROCESSING_LIMIT", "railway variables set PARALLEL_PROCESSING_LIMIT=3 --environment production")
	progress := e.tryProgress(trial{
		id: "progress", gauge: g, value: parameter("interval"),
		when: both(decided("try"), notYetWell("batch", "parallel"), changes("settings", "PROGRESS_UPDATE_INTERVAL", parameter("interval"), raise)),
	})
	return slices.Concat(batch.steps(e), parallel.steps(e), progress.steps(e))
}

// tryProgress is a trial of fewer updates of progress.
func (e Environment) tryProgress(t trial) trial {
	t.title = "Try fewer updates of progress"
	return e.tryVariable(t, "PROGRESS_UPDATE_INTERVAL", "railway variables set PROGRESS_UPDATE_INTERVAL=5 --environment production")
}
