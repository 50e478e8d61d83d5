package playbooks

import (
	"cmp"
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

const maintenanceMode = "CANVAS_MAINTENANCE_MODE"

// CanvasMaintenance is the playbook for a Canvas that is away, planned or not. It tells the
// users, puts the application into a mode in which it leaves Canvas alone, asks once a
// minute until Canvas is back, and takes the application out of that mode. A mode that
// somebody has left on is found too, and switched off.
//
// Its parameters are planned, in and lasts, and for one that the operator of Canvas announces
// the key of the announcement: then it looks at the status page again and again, follows an
// end that is put off, ends without a change if it is called off or moved before it began,
// and ends early if it is said to be over early. It has a lock of its own, so that a Canvas that
// is away for hours keeps no other playbook from its work: no other one sets this variable,
// and a deployment of another one brings it along.
func CanvasMaintenance(e Environment) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const prepare, during, after = "Preparation", "During the maintenance", "Afterwards"
	degrade := e.change("degrade", "Put the application into the mode without Canvas", mode("true"), "railway variables set CANVAS_MAINTENANCE_MODE=true --environment production")
	restore := e.change("restore", "Take the application out of the mode without Canvas", mode("false"), "railway variables set CANVAS_MAINTENANCE_MODE=false --environment production")
	for i, s := range degrade {
		degrade[i] = withWhen(s, both(decided("degrade"), stillOn))
	}
	for i, s := range restore {
		restore[i] = withWhen(s, both(decided("degrade", "wait", "restore"), stillOn))
	}
	degrade[0], restore[0] = withPhase(during, degrade[0]), withPhase(after, restore[0])
	return incident.Playbook{
		Name: "canvas-maintenance", Environment: e.name(), Title: "Canvas maintenance", Severity: alert.High, Lock: e.name() + "-canvas-maintenance",
		Timeout: 25*time.Hour + longestMaintenance + d.CanvasAway + d.outlasting(), // all of its waits, one after another
		About:   "Canvas is in maintenance, or will be, or fails every request.",
		Source:  "Canvas-Specific Issues, Canvas Maintenance Windows",
		Needs:   []incident.Need{incident.Needs("probe of Canvas", e.Probes.CanvasHost)},
		Parameters: append([]incident.Parameter{
			{Name: "planned", About: "The maintenance is planned", Type: incident.YesNo, Default: "no"},
			{Name: "in", About: "How long it is until it begins", Type: incident.Duration, Default: "0s", Min: "0s", Max: "24h"},
			{Name: "lasts", About: "How long it lasts", Type: incident.Duration, Default: "2h", Min: "1m", Max: "48h"},
		}, announcedParameters()...),
		Phases: []incident.Phase{{Name: prepare, Budget: 25 * time.Hour}, {Name: during}, {Name: after}},
		Steps: slices.Concat(
			[]incident.Step{
				{ID: "assess", Title: "Look at Canvas, and at what is said of it", Phase: prepare, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
					look("canvas-host", "Look at Canvas", e.Probes.CanvasHost),
					look("canvas-status", "Look at what is said of Canvas, also of maintenance to come", e.Probes.CanvasStatus),
					look("platform", "Look at what is said of the platform", e.Probes.Platform),
					e.settings("settings", maintenanceMode),
				}}},
				{ID: "window", Title: "Note when it is", Do: incident.Check{Run: e.window}},
				maintenanceDecision(),
				withWhen(e.announce("announce"), both(decided("degrade", "wait"), canvasShows, func(s *incident.Scope) (bool, string) {
					return usersAre(s, usersAll), "they know of it, or are not told"
				})),
				withWhen(e.tellUsers("tell-scheduled", "scheduled", e.maintenanceText("Canvas will be in maintenance")), both(decided("degrade"), ahead, func(s *incident.Scope) (bool, string) {
					return usersAre(s, usersAll), "they know of it, or are not told"
				})),
				e.begins("begin"),
				withWhen(e.tellUsers("tell-begun", "in_progress", e.maintenanceText("Canvas is in maintenance")), both(decided("degrade", "wait"), stillOn)),
				withWhen(e.waitToDeploy("wait-to-degrade", d), both(decided("degrade"), stillOn, func(s *incident.Scope) (bool, string) { return planned(s), "it was looked at just now" })),
			},
			degrade,
			[]incident.Step{
				withWhen(e.withinWindow(e.waitForCanvas("wait-canvas", `curl -f "https://aculeo.instructure.com"`)), both(decided("degrade", "wait"), stillOn)),
				withWhen(e.waitToDeploy("wait-platform", d), both(decided("degrade", "wait", "restore"), stillOn)),
			},
			restore,
			[]incident.Step{
				well("well", "See that the application is well", d.Recover, d.Times, e.Probes.Application),
				well("canvas-works", "See that Canvas works with it", d.Recover, 1, e.Probes.Canvas),
				e.withdraw("withdraw", "announce"),
				withWhen(e.tellUsers("tell-over", "completed", e.maintenanceText("Canvas is back")), both(decided("degrade", "wait"), stillOn)),
				withWhen(e.tellUsers("tell-off", "completed", e.calledOffText), isOff),
			},
		),
		Escalation: "level 3, Canvas support, if Canvas is away and its operator says nothing of it",
	}
}

// waitToDeploy waits while the platform is said to have a fault: what is deployed then can
// fail, and hides what the fault does. A platform of which nothing is known is no reason.
func (e Environment) waitToDeploy(id string, d Defaults) incident.Step {
	return incident.Step{
		ID: id, Title: "Wait until the platform has no fault in which nothing can be deployed", Timeout: 30 * time.Second,
		When: func(*incident.Scope) (bool, string) { return e.Probes.Platform != nil, "there is no such probe" },
		Do: incident.Verify{Within: d.CanvasAway, Every: d.CanvasPoll, Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			f := probe(ctx, e.Probes.Platform)
			if f.down() || f.Status == health.Maintenance {
				return nil, errors.New(f.String())
			}
			return f, nil
		}},
	}
}

func mode(value string) func(*incident.Scope) map[string]string {
	return func(*incident.Scope) map[string]string { return map[string]string{maintenanceMode: value} }
}

// windowOf returns the window that the parameters tell.
func windowOf(s *incident.Scope, now time.Time) Window {
	w := Window{From: now.Add(s.Duration("in")).Truncate(time.Second)}
	if planned(s) {
		w.To = w.From.Add(s.Duration("lasts"))
	}
	return w
}

// planned reports whether it is planned, and was not called off before the run began.
func planned(s *incident.Scope) bool {
	w, _ := incident.Result[Window](s, "window")
	return (s.Yes("planned") || s.Duration("in") > 0) && w.State != calledOff
}

// ahead is the condition that the maintenance has not begun.
func ahead(s *incident.Scope) (bool, string) {
	w, _ := incident.Result[Window](s, "window")
	return w.Ahead || w.Key == "" && s.Duration("in") > 0, "it has begun already"
}

// maintenanceDecision decides whether the application has to leave Canvas alone.
func maintenanceDecision() incident.Step {
	return incident.Step{
		ID: "decide", Title: "Decide what to do", OnFailure: incident.Pause,
		Do: checkOf(func(s *incident.Scope) (any, error) {
			front, platform, away := saw(s, "canvas-host"), saw(s, "platform"), canvasAway(s, "canvas-host", "canvas-status")
			now, read := incident.Result[Settings](s, "settings")
			w, _ := incident.Result[Window](s, "window")
			on := now.Values[maintenanceMode] == "true"
			switch {
			case !read:
				return nil, fmt.Errorf("whether %s is set could not be read", maintenanceMode)
			case w.State == calledOff && away == "" && !on:
				return Decision{"call off", "the operator of Canvas does not announce it any more"}, nil
			case planned(s) && !on:
				return Decision{"degrade", "the maintenance is planned"}, nil
			case away == "" && !front.fine():
				return nil, fmt.Errorf("whether Canvas is away could not be seen: %s", front)
			case away == "" && !planned(s) && on:
				return Decision{"restore", maintenanceMode + " is set, and Canvas works: it was left on"}, nil
			case away == "" && !planned(s):
				return Decision{"nothing", "Canvas works"}, nil
			case on:
				return Decision{"wait", maintenanceMode + " is set already; " + cmp.Or(away, "the maintenance is planned")}, nil
			case platform.down() || platform.Status == health.Maintenance:
				return nil, fmt.Errorf("%s, and nothing can be deployed, since the platform has a fault: %s", lowerFirst(away), platform)
			}
			return Decision{"degrade", away}, nil
		}),
	}
}

func lowerFirst(text string) string {
	if text == "" {
		return text
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// canvasShows is the condition that Canvas is there, and can show something to people.
func canvasShows(s *incident.Scope) (bool, string) {
	return saw(s, "canvas-host").fine(), "Canvas is away, and shows nothing to anybody"
}

// maintenanceText says when it is, in the zone of the people.
func (e Environment) maintenanceText(title string) func(*incident.Scope) incident.Message {
	return func(s *incident.Scope) incident.Message {
		w := current(s)
		text := "What needs Canvas does not work meanwhile; everything else does."
		if !w.To.IsZero() {
			text = fmt.Sprintf("From %s to %s. %s", e.clock(w.From), e.clock(w.To), text)
		}
		switch {
		case strings.HasSuffix(title, "back"):
			return incident.Message{Title: title, Text: "Everything works again."}
		case s.Yes("moved") && w.Ahead && strings.Contains(title, " will "):
			return incident.Message{Title: title + ", at another time than was said", Text: text}
		}
		return incident.Message{Title: title, Text: text}
	}
}

// clock writes a time as people read it.
func (e Environment) clock(t time.Time) string {
	if e.Zone == nil {
		return t.UTC().Format("Mon 2 Jan 15:04 MST")
	}
	return t.In(e.Zone).Format("Mon 2 Jan 15:04 MST")
}

// announcementKey names what is announced of a maintenance: there is one for each announcement
// of its operator and, of those that are known by parameters, one a day.
func announcementKey(w Window) string {
	if w.Key != "" {
		return "canvas-maintenance-" + w.Key
	}
	return "canvas-maintenance-" + w.From.UTC().Format(time.DateOnly)
}

// announce is an action that tells the users inside Canvas. A Canvas that is away cannot
// be told anything; that stops nothing.
func (e Environment) announce(id string) incident.Step {
	announcement := func(s *incident.Scope) incident.Announcement {
		w, _ := incident.Result[Window](s, "window")
		m := e.maintenanceText("Canvas maintenance")(s)
		end := w.To
		if end.IsZero() {
			end = w.From.Add(e.Defaults.WithDefaults().CanvasAway)
		}
		start := w.From.Add(-s.Duration("in"))
		if w.Key != "" {
			start = earlier(w.Seen, w.From)
		}
		return incident.Announcement{Key: announcementKey(w), Subject: m.Title, Message: m.Text, Start: start, End: end, Urgent: true}
	}
	return incident.Step{
		ID: id, Title: "Announce it to the users inside Canvas", Attempts: 2, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) { return e.Announcer != nil, "this environment announces nothing" },
		Do: incident.Action{
			Repeat: incident.Idempotent,
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				announced, err := e.Announcer.Announce(ctx, announcement(s))
				if err != nil {
					// Also if whether it was announced is not known: nobody is to be asked about that
					// now, and it is withdrawn in any case.
					return nil, errors.New(err.Error())
				}
				return announced, nil
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				a := announcement(s)
				return incident.Effect{Call: "announce in Canvas: " + a.Subject, Changes: []string{"users see: " + a.Message}, Undo: "withdraw it"}, nil
			},
			Undo:   e.withdrawing,
			Undoes: "Withdraw it",
		},
	}
}

// withdraw is an action that removes what was announced.
func (e Environment) withdraw(id, announced string) incident.Step {
	return incident.Step{
		ID: id, Title: "Withdraw the announcement", Attempts: 3, OnFailure: incident.GoOn,
		When: func(s *incident.Scope) (bool, string) {
			off, _ := isOff(s)
			w, begun := current(s), usersAre(s, usersBegun)
			o, made := s.Outcome(announced)
			is := off || begun && w.Key != "" && w.State == "" || made && o.Status != incident.Skipped && w.State == ""
			return e.Announcer != nil && is, "nothing was announced, or another run withdraws it"
		},
		Do: incident.Action{
			Repeat: incident.Idempotent, Run: e.withdrawing,
			Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
				return incident.Effect{Call: "withdraw the announcement in Canvas", Changes: []string{"users no longer see it"}}, nil
			},
		},
	}
}

func (e Environment) withdrawing(ctx context.Context, s *incident.Scope) (any, error) {
	w, _ := incident.Result[Window](s, "window")
	return nil, e.Announcer.Withdraw(ctx, announcementKey(w))
}
