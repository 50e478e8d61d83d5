package playbooks

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// BreachDeadline is the name of the deadline that the playbooks about security set: see
// [SecurityDesk].Deadline.
const BreachDeadline = "notify"

// OnTheClock is what is kept of the deadline that was set.
type OnTheClock struct {
	// Incident is the incident on whose clock it is: the one that goes on if that of the run
	// was merged. Name is the name of the deadline there.
	Incident string `json:"incident"`
	Name     string `json:"name"`
	// From is when it began to count, Due until when there is time.
	From time.Time `json:"from"`
	Due  time.Time `json:"due"`
	// Open means that it is still to be settled: a person may have done that before.
	Open bool `json:"open"`
}

// deadline is an action that puts the time for a notifiable breach on the clock of the
// incident, once, before anything else is done: Privacy Act 1988 (Cth), s 26WH(2), counts
// from when somebody became aware, and not from when there was time to write it down. That it
// fails keeps nobody from being told and nothing from being contained; what people are told
// then says that no clock runs.
func (d SecurityDesk) deadline(id string, e Environment) incident.Step {
	days := e.Defaults.WithDefaults().BreachNotice
	return incident.Step{
		ID: id, Title: "Put the time for a notifiable breach on the clock", Timeout: 20 * time.Second, Attempts: 3, Backoff: 2 * time.Second, OnFailure: incident.GoOn,
		When: both(personalData, func(s *incident.Scope) (bool, string) {
			return s.Incident != "", "this run belongs to no incident, which would have the clock"
		}, func(*incident.Scope) (bool, string) {
			return d.Deadline != nil, "this host keeps no deadlines"
		}),
		Do: incident.Action{
			Repeat: incident.Idempotent, // it is set once, and never moved later
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				from := s.Now.Add(-s.Duration("aware"))
				inc, set, err := d.Deadline(ctx, s.Incident, incident.Obligation{
					By: cmp.Or(by(s), "runbook"), Run: s.Run, Name: BreachDeadline, From: from, Due: e.breachDue(from),
					What: "settle whether a breach of personal data must be notified, and notify it if it must (Privacy Act 1988, ss 26WH, 26WK and 26WL)",
					Tell: "those who answer for security, and the privacy officer",
				})
				return OnTheClock{Incident: inc.ID, Name: set.Name, From: set.From, Due: set.Due, Open: set.Open()}, err
			},
			Preview: effect(incident.Effect{
				Call: fmt.Sprintf("set the deadline %s of the incident, %.0f days after somebody became aware", BreachDeadline, days.Hours()/24), Changes: []string{"people are reminded of it until a person settles it, also when the incident is over"},
			}),
		},
	}
}

// aware are the parameters that say whether there are days to count, and since when.
func aware() []incident.Parameter {
	return []incident.Parameter{
		{Name: "personal-data", About: "Whether personal data may be concerned; who is not sure says yes", Type: incident.YesNo, Default: "yes"},
		{Name: "aware", About: "How long ago somebody became aware of what speaks for a breach: the days in which it is to be settled count from then", Type: incident.Duration, Default: "0s", Min: "0s", Max: "2160h"},
	}
}

// personalData is the condition that personal data may be concerned.
func personalData(s *incident.Scope) (bool, string) {
	return s.Yes("personal-data"), "no personal data is concerned, said who started it"
}

// breachDue returns until when a breach has to be settled of which somebody became aware at a
// time. Whole days are days of the calendar where people are, as the law counts them: a day on
// which the clocks are changed makes it neither longer nor shorter.
func (e Environment) breachDue(from time.Time) time.Time {
	const day = 24 * time.Hour
	lasts := e.Defaults.WithDefaults().BreachNotice
	if lasts%day != 0 {
		return from.Add(lasts)
	}
	zone := e.Zone
	if zone == nil {
		zone = time.UTC
	}
	return from.In(zone).AddDate(0, 0, int(lasts/day))
}

// notifyUntil says until when a notifiable breach must have been settled, and whether that is
// on a clock. Without one it is counted from when those who answer for security were told:
// what people approve has it in it, and must not change while they are asked.
func (e Environment) notifyUntil(s *incident.Scope) string {
	if concerned, why := personalData(s); !concerned {
		return "No days are counted for a notifiable breach: " + why + ". If that is not so, the days count from when somebody became aware."
	}
	lasts := e.Defaults.WithDefaults().BreachNotice.Hours() / 24
	text := func(due time.Time, clock string) string {
		return fmt.Sprintf("If personal data is concerned, whether the breach must be notified is to be settled within %.0f days: by %s. Once it is known that it must, notify at once. %s", lasts, e.stamp(due), clock)
	}
	if set, ok := incident.Result[OnTheClock](s, "deadline"); ok && set.Open {
		return text(set.Due, fmt.Sprintf("This is on the clock of %s: the deadline %s stays open, also when the incident is over, until a person settles it with a reason.", set.Incident, set.Name))
	} else if ok {
		return fmt.Sprintf("Whether a breach must be notified was settled before: see the deadline %s of %s. If what is known now is new, the days count from when somebody became aware of that: set another one.", set.Name, set.Incident)
	}
	from := s.Now
	if told, ok := s.Outcome("tell-security"); ok {
		from = told.Ended
	}
	why := "this is a plan"
	if o, ok := s.Outcome("deadline"); ok {
		why = cut(o.Message, 200)
	}
	return text(e.breachDue(from.Add(-s.Duration("aware"))), "NO clock runs for it ("+why+"): note it, or set it by hand.")
}
