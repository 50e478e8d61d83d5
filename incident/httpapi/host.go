package httpapi

import (
	"net/http"
	"reflect"

	"go.acu.edu.au/runbook/incident"
)

type replicaList struct {
	Replicas []incident.Replica `json:"replicas" api:"never null"`
}

type takeOverBody struct {
	Process string `json:"process" api:"required,line" about:"The process that hangs, as the list has it."`
	Reason  string `json:"reason" api:"required,words,max=500" about:"Why, and what was looked at: what it does now may be done twice."`
}

type takenOver struct {
	Runs []string `json:"runs" api:"never null" about:"The runs that others go on with."`
}

// hostOperations are those about the host itself.
func (a *api) hostOperations() []*operation {
	return []*operation{
		{
			method: http.MethodGet, path: "/automation", id: "getAutomation", tag: "automation", verb: Read, part: partAutomation,
			summary: "show whether automation is stopped", endpoint: show(func(c *call) (incident.KillSwitch, error) { return c.a.cfg.Automation.Switch(c.ctx) }),
		},
		{
			method: http.MethodPost, path: "/automation/stop", id: "stopAutomation", tag: "automation", verb: Operate, part: partAutomation,
			summary: "stop all automatic actions", about: "In all environments and processes. What is under way comes to its end; runs that people started go on.",
			example: `{"reason":"it restarts in circles"}`, codes: []string{codeBusy, codeOutcomeUnknown},
			endpoint: tell(func(c *call, b reasonBody) error { return c.a.cfg.Automation.Stop(c.ctx, c.actor.Name, b.Reason) }),
		},
		{
			method: http.MethodPost, path: "/automation/resume", id: "resumeAutomation", tag: "automation", verb: Administer, part: partAutomation,
			summary: "allow automatic actions again", example: `{"reason":"the rule is fixed"}`, codes: []string{codeBusy, codeOutcomeUnknown},
			endpoint: tell(func(c *call, b reasonBody) error { return c.a.cfg.Automation.Resume(c.ctx, c.actor.Name, b.Reason) }),
		},
		{
			method: http.MethodGet, path: "/replicas", id: "listReplicas", tag: "replicas", verb: Read, part: partReplicas,
			summary: "list the processes that carry out runs", endpoint: show(func(c *call) (replicaList, error) {
				list, err := c.a.cfg.Replicas.Replicas(c.ctx)
				return replicaList{Replicas: ifAny(list)}, err
			}),
		},
		{
			method: http.MethodPost, path: "/replicas/take-over", id: "takeOver", tag: "replicas", verb: Administer, part: partReplicas,
			summary: "give the runs of a process that hangs to others", about: "What it does now may be done twice; whatever it reports later is refused. A dead process needs nobody: its runs go on by themselves.",
			example: `{"process":"b","reason":"it does not answer, and its machine is gone"}`, codes: []string{codeStale, codeUnsupported, codeOutcomeUnknown},
			endpoint: take(http.StatusOK, (*call).takeOver),
		},
		{
			method: http.MethodGet, path: "/audit", id: "readAudit", tag: "audit", verb: Read,
			summary: "read the audit record", about: "Who did what, when and why, and what was refused; and whether the record is as it was written.",
			parameters: chainParameters, endpoint: show(func(c *call) (chainPage, error) { return c.chain("audit") }),
		},
		{
			method: http.MethodGet, path: "/openapi.json", id: "getDescription", tag: "description", verb: Read,
			summary: "read this description", about: "Of what this host has, as OpenAPI 3.1.",
			endpoint: endpoint{
				results: map[string]reflect.Type{mediaJSON: reflect.TypeFor[struct{}]()}, status: http.StatusOK,
				serve: func(c *call) error {
					c.send(http.StatusOK, mediaJSON, c.a.document)
					return nil
				},
			},
		},
	}
}

// takeOver takes over the runs of a process. The runner puts on the timelines what may
// happen twice. Where there is none, it is recorded here.
func (c *call) takeOver(b takeOverBody) (takenOver, error) {
	records, err := c.takeOverRuns(b)
	if err != nil {
		return takenOver{}, err
	}
	result := takenOver{Runs: []string{}}
	for _, record := range records {
		result.Runs = append(result.Runs, record.ID)
	}
	return result, nil
}

func (c *call) takeOverRuns(b takeOverBody) ([]incident.RunRecord, error) {
	if c.a.cfg.Runner != nil {
		return c.a.cfg.Runner.TakeOver(c.ctx, c.a.cfg.Replicas, b.Process, c.actor.Name, b.Reason)
	}
	if err := c.audit("replica taken over", "takes over the runs of process "+b.Process+": "+b.Reason, b); err != nil {
		return nil, err
	}
	return c.a.cfg.Replicas.TakeOver(c.ctx, b.Process, incident.Control{By: c.actor.Name, Reason: b.Reason})
}
