package playbooks

import (
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// Weekly is the playbook of the performance summary of a week: the figures of a whole week,
// from Monday to Monday in the zone of the people, beside those of the week before. Each
// figure is traced to the stored samples that it was made of: how many, of which times, and
// where they are. One that cannot be is named and not told. It ends as failed if no figure
// can be told, or the report reaches nobody.
//
// The figures come from the metrics of the platform and from sources, such as
// [HistoryFigures] and the incidents of the week; at least one of both is needed. A host
// starts it on Mondays, with package alert/schedule.
func Weekly(e Environment, sources ...FigureSource) incident.Playbook {
	return incident.Playbook{
		Name: "weekly-report", Environment: e.name(), Title: "Weekly performance summary", Severity: alert.Low, Lock: e.name() + "-routines",
		About:  "Each Monday, about the week that ended with it.",
		Source: "Monitoring and Alerting, Daily Reports",
		Needs:  []incident.Need{incident.Needs("Inform", e.Inform), e.needsFigures(sources)},
		Parameters: []incident.Parameter{{
			Name: "back", About: "Which week: 1 is the last whole one, 2 the one before", Type: incident.Whole, Default: "1", Min: "1", Max: "12",
		}},
		Steps: []incident.Step{
			{ID: "week", Title: "See which week it is", Do: checkOf(func(s *incident.Scope) (any, error) { return e.week(s.Now, s.Whole("back")), nil })},
			e.reckon("figures", "week", sources),
			{ID: "told", Title: "See whether there is something to tell", OnFailure: incident.GoOn, Do: checkOf(func(s *incident.Scope) (any, error) {
				r := figuresOf(s, "figures")
				if len(r.Now) == 0 {
					r.NotTold = append(r.NotTold, "no figure can be told of this week")
				}
				return Routine{Unknown: r.NotTold, Well: r.lines(e)[:len(r.Now)]}, nil
			})},
			reporting(replacing(e.inform("report", func(s *incident.Scope) incident.Message {
				p, _ := incident.Result[Period](s, "week")
				return incident.Message{
					Title: "Performance of " + e.name() + " in the week from " + e.stamp(p.From),
					Text:  "Until " + e.stamp(p.To) + ", compared with the week before.\n- " + strings.Join(figuresOf(s, "figures").lines(e), "\n- "),
				}
			}), "Weekly performance summary (Mondays)")),
			{ID: "as-it-should-be", Title: "See that figures were told", OnFailure: incident.Abort, Do: checkOf(func(s *incident.Scope) (any, error) {
				if r := routineOf(s, "told"); len(r.Well) == 0 {
					return nil, r.bad()
				}
				return nil, nil
			})},
		},
		Escalation: "level 2, the development team, if it has become worse",
	}
}

// week returns the whole week that ended so many Mondays ago, the last one included, and
// the week before it.
func (e Environment) week(now time.Time, back int) Period {
	today := e.midnight(now, 0)
	monday := -((int(today.Weekday()) + 6) % 7) - 7*(back-1)
	return Period{
		From: e.midnight(now, monday-7), To: e.midnight(now, monday),
		BeforeFrom: e.midnight(now, monday-14), BeforeTo: e.midnight(now, monday-7),
	}
}
