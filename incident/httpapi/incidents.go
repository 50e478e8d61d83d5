package httpapi

import (
	"errors"
	"net/http"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

type incidentList struct {
	Incidents []incident.Incident `json:"incidents" api:"never null" about:"The one that was changed last first."`
	More      bool                `json:"more" about:"There are more than the limit."`
}

type openBody struct {
	Title        string         `json:"title" api:"required,line" about:"One line that says what is wrong."`
	Summary      string         `json:"summary" api:"words" about:"More about it."`
	Environment  string         `json:"environment" api:"line" about:"Where."`
	Severity     alert.Severity `json:"severity" api:"required" about:"How bad it is. Who is unsure takes the worse."`
	Key          string         `json:"key" api:"line" about:"That of what is wrong: there is one open incident with it."`
	Triggered    time.Time      `json:"triggered" about:"When it began. Left out, now."`
	Playbook     string         `json:"playbook" api:"line" about:"The name of the playbook that is for it."`
	Simulated    bool           `json:"simulated" about:"It is an exercise."`
	NoEscalation bool           `json:"no_escalation" about:"Nobody is called: whoever opens it has seen to that."`
}

type severityBody struct {
	Severity alert.Severity `json:"severity" api:"required" about:"How bad it is."`
	Reason   string         `json:"reason" api:"words" about:"Why."`
}

type roleBody struct {
	Role string `json:"role" api:"required,line" about:"commander, communications, operations, scribe, or another one."`
	Who  string `json:"who" api:"line" about:"Who has it. Empty means that nobody has it any more."`
}

type noteBody struct {
	Text string `json:"text" api:"required,words" about:"What goes on the timeline."`
}

type updateBody struct {
	Text       string            `json:"text" api:"required,words" about:"What people are told."`
	Title      string            `json:"title" api:"line" about:"One line. Left out, that of the incident."`
	Status     string            `json:"status" api:"enum=investigating|identified|monitoring|resolved" about:"How far it is in the words of status pages. Left out, what fits."`
	Components map[string]string `json:"components" api:"line" about:"What is affected, with the state of each."`
	Targets    []string          `json:"targets" api:"line" about:"Who is told. Left out, everyone."`
}

// ofManager fills in what the operations on incidents have in common. Without a method it
// is a command.
func ofManager(o operation) *operation {
	o.tag, o.part = "incidents", partManager
	if o.method == "" {
		o.method, o.verb = http.MethodPost, Operate
		o.codes = append(o.codes, codeState, codeBusy, codeOutcomeUnknown)
	}
	return &o
}

func (a *api) incidentOperations() []*operation {
	return []*operation{
		ofManager(operation{
			method: http.MethodGet, path: "/incidents", id: "listIncidents", verb: Read, summary: "list incidents",
			parameters: []parameter{
				{name: "open", in: "query", about: "Those only about which something is still to be done.", schema: schema{Type: typeString, Enum: []string{"true", "false"}}},
				{name: "deadlines", in: "query", about: "Those only that have an open deadline, whatever their state.", schema: schema{Type: typeString, Enum: []string{"true", "false"}}},
				textParameter("environment", "The environment."), textParameter("key", "The key."), sinceParameter, limitParameter,
			},
			endpoint: show((*call).listIncidents),
		}),
		ofManager(operation{
			path: "/incidents", id: "openIncident", summary: "open an incident", codes: []string{codeTaken},
			about:    "Its clocks run, and people are called by its escalation.",
			example:  `{"title":"Students cannot submit","environment":"production","severity":"high","key":"submit"}`,
			endpoint: take(http.StatusCreated, (*call).openIncident),
		}),
		ofManager(operation{
			method: http.MethodGet, path: "/incidents/{incident}", id: "getIncident", verb: Read, summary: "show an incident",
			endpoint: show(func(c *call) (incident.Incident, error) { return c.a.cfg.Manager.Incident(c.ctx, c.incident()) }),
		}),
		ofManager(operation{
			method: http.MethodGet, path: "/incidents/{incident}/timeline", id: "getTimeline", verb: Read, summary: "read the timeline of an incident",
			about: "What happened, and whether the record of it is as it was written.", parameters: chainParameters,
			endpoint: show(func(c *call) (chainPage, error) {
				inc, err := c.a.cfg.Manager.Incident(c.ctx, c.incident())
				if err != nil {
					return chainPage{}, err
				}
				return c.chain("incident/" + inc.ID)
			}),
		}),
	}
}

// tellingOperations are those by which people say something about an incident.
func (a *api) tellingOperations() []*operation {
	return []*operation{
		ofManager(operation{
			path: "/incidents/{incident}/severity", id: "setSeverity", summary: "change the severity of an incident",
			about:   "Its times are computed anew from the first trigger. Alerts do not change it any more.",
			example: `{"severity":"critical","reason":"all courses are affected"}`,
			endpoint: take(http.StatusOK, func(c *call, b severityBody) (incident.Incident, error) {
				return c.a.cfg.Manager.SetSeverity(c.ctx, c.incident(), b.Severity, c.actor.Name, b.Reason)
			}),
		}),
		ofManager(operation{
			path: "/incidents/{incident}/roles", id: "setRole", summary: "say who has a role in an incident",
			example: `{"role":"commander","who":"Kim Lee"}`,
			endpoint: take(http.StatusOK, func(c *call, b roleBody) (incident.Incident, error) {
				return c.a.cfg.Manager.SetRole(c.ctx, c.incident(), b.Role, b.Who, c.actor.Name)
			}),
		}),
		ofManager(operation{
			path: "/incidents/{incident}/notes", id: "addNote", summary: "put a note on the timeline of an incident", about: "In every state.",
			example: `{"text":"the queue grows since 09:10"}`,
			endpoint: take(http.StatusOK, func(c *call, b noteBody) (incident.Incident, error) {
				return c.a.cfg.Manager.Note(c.ctx, c.incident(), c.actor.Name, b.Text)
			}),
		}),
		ofManager(operation{
			path: "/incidents/{incident}/updates", id: "postUpdate", summary: "tell people how far an incident is", codes: []string{codeNotTold},
			about:    "The clock of updates begins anew. Asking twice tells people twice.",
			example:  `{"text":"Submitting works again for most of you.","status":"monitoring"}`,
			endpoint: take(http.StatusOK, (*call).postUpdate),
		}),
	}
}

// reportOperations are those by which people look back.
func (a *api) reportOperations() []*operation {
	return []*operation{
		ofManager(operation{
			method: http.MethodGet, path: "/incidents/{incident}/report", id: "getReport", verb: Read, summary: "make the report of an incident",
			about:    "Times, decisions, runs, what is still to be done, and whether the record is as it was written.",
			endpoint: show((*call).report),
		}),
		ofManager(operation{
			method: http.MethodGet, path: "/incidents/{incident}/report/document", id: "getReportDocument", verb: Read, summary: "read the report of an incident as a document",
			about: "The same in Markdown.",
			endpoint: document(func(c *call) (string, error) {
				r, err := c.report()
				if err != nil {
					return "", err
				}
				return r.Markdown(), nil
			}),
		}),
		ofManager(operation{
			method: http.MethodGet, path: "/figures", id: "getFigures", verb: Read, summary: "compute how incidents went",
			about: "Of those that were triggered in a period: times, and how the promised times were kept, by severity.",
			parameters: []parameter{
				{name: "from", in: "query", about: "The first moment. Left out, 30 days before the end.", schema: schema{Type: typeString, Format: formatTime}},
				{name: "to", in: "query", about: "The first moment after the period. Left out, now.", schema: schema{Type: typeString, Format: formatTime}},
				textParameter("environment", "The environment."),
			},
			endpoint: show((*call).figures),
		}),
	}
}

// incident returns the incident that the path names.
func (c *call) incident() string { return c.r.PathValue("incident") }

func (c *call) listIncidents() (incidentList, error) {
	q := c.query()
	query := incident.IncidentQuery{Open: q.yes("open"), Deadlines: q.yes("deadlines"), Key: q.text("key"), Environment: q.text("environment"), Since: q.time("since")}
	limit := int(q.number("limit", 100, 1, 1000))
	if err := q.err(); err != nil {
		return incidentList{}, err
	}
	query.Limit = limit + 1
	list := incidentList{Incidents: []incident.Incident{}}
	for inc, err := range c.a.cfg.Manager.Incidents(c.ctx, query) {
		if err != nil {
			return incidentList{}, err
		}
		if len(list.Incidents) == limit {
			list.More = true
			break
		}
		list.Incidents = append(list.Incidents, inc)
	}
	return list, nil
}

func (c *call) openIncident(b openBody) (incident.Incident, error) {
	if time.Until(b.Triggered) > time.Minute {
		return incident.Incident{}, invalid(FieldProblem{Pointer: "#/triggered", Detail: "must not be in the future"})
	}
	inc, err := c.a.cfg.Manager.Open(c.ctx, incident.Opening{
		By: c.actor.Name, Title: b.Title, Summary: b.Summary, Environment: b.Environment, Severity: b.Severity, Key: b.Key, Triggered: b.Triggered,
		Playbook: b.Playbook, Simulated: b.Simulated, NoEscalation: b.NoEscalation,
	})
	if err == nil {
		c.w.Header().Set("Location", "incidents/"+inc.ID)
	}
	return inc, err
}

func (c *call) postUpdate(b updateBody) (incident.Incident, error) {
	inc, err := c.a.cfg.Manager.Update(c.ctx, c.incident(), incident.StatusUpdate{
		By: c.actor.Name, Text: b.Text, Title: b.Title, Status: b.Status, Components: b.Components, Targets: b.Targets,
	})
	if err != nil && inc.ID != "" && !errors.Is(err, incident.ErrOutcomeUnknown) {
		c.a.cfg.Logger.WarnContext(c.ctx, "httpapi: an update was not told", "incident", inc.ID, "error", err)
		return inc, newProblem(codeNotTold, "the update is on the timeline, and was not told, or not everywhere: tell people in another way, or again")
	}
	return inc, err
}

func (c *call) report() (incident.Report, error) {
	var cfg incident.ReportConfig
	if c.a.cfg.Runner != nil {
		cfg.Run = c.a.cfg.Runner.Run
	}
	return c.a.cfg.Manager.Report(c.ctx, c.incident(), cfg)
}

func (c *call) figures() (incident.Figures, error) {
	q := c.query()
	query := incident.FigureQuery{From: q.time("from"), To: q.time("to"), Environment: q.text("environment")}
	if query.To.IsZero() {
		query.To = time.Now()
	}
	if query.From.IsZero() {
		query.From = query.To.Add(-30 * 24 * time.Hour)
	}
	if !query.From.Before(query.To) {
		q.fail("from", "must be before to")
	}
	if err := q.err(); err != nil {
		return incident.Figures{}, err
	}
	return c.a.cfg.Manager.Figures(c.ctx, query)
}
