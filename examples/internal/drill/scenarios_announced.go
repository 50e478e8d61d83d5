package drill

import (
	"time"

	"go.acu.edu.au/runbook/alert"
)

// announcedAhead is how long before it begins a maintenance is announced.
const announcedAhead = 6 * time.Hour

// planned is the oracle of a maintenance of Canvas that is announced hours ahead: users are
// told before, the application leaves Canvas alone as long as Canvas is away and no longer,
// and nobody is alarmed by what was planned.
func planned() oracle {
	users := rule{Kind: "slack", Detail: statusChannel, Text: "Canvas will be in maintenance", Why: "Schedule maintenance notifications for users"}
	on := rule{Kind: "set-variable", Detail: "CANVAS_MAINTENANCE_MODE=true", Max: 1, Why: "During Canvas Maintenance: enable"}
	off := rule{Kind: "set-variable", Detail: "CANVAS_MAINTENANCE_MODE=false", Max: 1, Why: "During Canvas Maintenance: disable when it is back"}
	shown := rule{Kind: "announce", Max: 1, Why: "Schedule maintenance notifications for users, inside Canvas"}
	away, back := rule{Kind: "canvas-away"}, rule{Kind: "canvas-back"}
	return oracle{
		Required: []rule{
			{Kind: "slack", Detail: alertChannel, Text: "Canvas announces a maintenance", Max: 1, Why: "Subscribe to Canvas status updates: operators are told once"},
			users, {Kind: "mail", Detail: updatesMail, Text: "Canvas will be in maintenance"}, shown, on, off,
			{Kind: "slack", Detail: statusChannel, Text: "Canvas is back", Max: 1}, {Kind: "withdraw", Max: 1, Why: "it is over"},
		},
		Allowed: []rule{{Kind: "redeploy", Max: 2, Why: "a restart applies no variable"}}, Forbidden: join(canvasIsCause(), unpaged()),
		Order: []order{
			{First: users, Then: away, Why: "users are told before"}, {First: shown, Then: away, Why: "users are told before"},
			{First: away, Then: on, Why: "on when it begins"}, {First: back, Then: off, Why: "off when Canvas is back"},
			{First: off, Then: rule{Kind: "slack", Detail: statusChannel, Text: "Canvas is back"}, Why: "users are told when it works"},
		},
		Undone: []string{"CANVAS_MAINTENANCE_MODE"}, Mitigated: announcedAhead + 10*time.Minute,
	}
}

// announcedScenarios are those of a maintenance of Canvas that its status page announces.
func announcedScenarios() []scenario {
	const lasts = 90 * time.Minute
	of := func(variant string) []fault {
		return []fault{{Kind: "canvas-maintenance-announced", Variant: variant, For: lasts}}
	}
	over := planned()
	over.Severity, over.Forbidden = alert.High, canvasIsCause()
	over.Required = append(over.Required, warned()...)
	over.Order = append(over.Order, order{First: rule{Kind: "canvas-overdue"}, Then: rule{Kind: "incident-opened"}, Why: "what was planned is no incident; what is longer than was said is"})
	over.Detected, over.Acknowledged, over.Resolved = announcedAhead+lasts+20*time.Minute, 30*time.Minute, announcedAhead+lasts+80*time.Minute
	moved := planned()
	moved.Mitigated += time.Hour
	moved.Required = append(moved.Required,
		rule{Kind: "slack", Detail: alertChannel, Text: "Canvas moves its maintenance", Max: 1, Why: "operators are told again"},
		rule{Kind: "slack", Detail: statusChannel, Text: "at another time than was said", Max: 1, Why: "users are told again"})
	moved.Allowed = append(moved.Allowed, rule{Kind: "canvas", Detail: "account_notifications", Max: 1, Why: "what users see inside Canvas has the new times"})
	longer := planned()
	longer.Required = append(longer.Required, rule{Kind: "slack", Detail: alertChannel, Text: "Canvas changes the end of its maintenance", Max: 1})
	killed := planned()
	killed.Mitigated += 10 * time.Minute // another host begins five minutes later
	const title = "Canvas announces a maintenance six hours ahead"
	return []scenario{
		{Name: "canvas-announced", Title: title, Faults: of("as-announced"), At: 12 * time.Hour, Watch: 11 * time.Hour, Oracle: planned()},
		{Name: "canvas-announced-over", Title: title + ", and is not back when it said", Faults: of("over"), At: 12 * time.Hour, Watch: 12 * time.Hour, Oracle: over},
		{Name: "canvas-announced-longer", Title: title + ", and puts off its end while it lasts", Faults: of("longer"), At: 12 * time.Hour, Watch: 12 * time.Hour, Oracle: longer},
		{Name: "canvas-announced-moved", Title: title + ", and moves it by an hour", Faults: of("moved"), At: 12 * time.Hour, Watch: 12 * time.Hour, Oracle: moved},
		{
			Name: "canvas-announced-killed", Title: title + ", and the host dies while it deploys for it", Faults: of("as-announced"), At: 12 * time.Hour, Watch: 11 * time.Hour,
			Oracle: killed, Replaced: "redeploy",
		},
		{
			Name: "canvas-announced-off", Title: title + ", and calls it off", Faults: of("called-off"), At: 12 * time.Hour, Watch: 11 * time.Hour,
			Oracle: oracle{
				Required: []rule{
					{Kind: "slack", Detail: alertChannel, Text: "Canvas announces a maintenance", Max: 1}, {Kind: "announce", Max: 1}, {Kind: "withdraw", Max: 1, Why: "it will not be"},
					{Kind: "slack", Detail: alertChannel, Text: "does not announce its maintenance any more", Max: 1, Why: "operators are told"},
					{Kind: "slack", Detail: statusChannel, Text: "called off", Max: 1, Why: "users who were told are told"},
				},
				Forbidden: join(canvasIsCause(), unpaged(), none("nothing happens to Canvas", "set-variable", "redeploy")),
				Undone:    []string{"CANVAS_MAINTENANCE_MODE"}, Unhurt: true,
			},
		},
	}
}
