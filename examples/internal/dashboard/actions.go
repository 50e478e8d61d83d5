package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// done says what was done, on the page after it. What is in an address is looked up here, so
// that no address can make a page say anything else.
var done = map[string]string{
	"acknowledged": "It is noted that somebody takes care of this. Nobody else is called.",
	"mitigated":    "It is noted that users are no longer hurt.",
	"resolved":     "The incident is resolved.",
	"reopened":     "The incident goes on.",
	"cancelled":    "It is noted that this was no incident.",
	"noted":        "The note is on the timeline.",
	"severity":     "The severity was changed.",
	"settled":      "The deadline is settled: what you said is on the timeline, and nobody is reminded of it any more.",
	"escalated":    "The next level of the escalation is being called.",
	"approved":     "Your approval is recorded.",
	"denied":       "Your denial is recorded. What was asked for is not done.",
	"back":         "It is recorded that the run goes back.",
	"answered":     "Your answer is recorded.",
	"paused":       "The run is paused: it begins nothing new. What it did just then comes to its end.",
	"resumed":      "The run goes on.",
	"ended":        "The run is cancelled. What was done stays as it is.",
	"forked":       "This run goes on from where the other one failed.",
	"started":      "The run is started.",
	"stopped":      "All automation is stopped. Runs that people started go on.",
	"allowed":      "Automation is allowed again.",
	"taken-over":   "The runs of that process are taken over by others.",
}

// actions are everything that can be done here.
func (h *Handler) actions() []action {
	incidents := func(c *request, _ json.RawMessage) string { return "incidents/" + c.r.PathValue("id") }
	runs := func(c *request, _ json.RawMessage) string { return "runs/" + c.r.PathValue("id") }
	switches := func(*request, json.RawMessage) string { return "automation" }
	ofIncident := func(verb, said string, guard func(c *request) (bool, *problem), fields ...string) action {
		return action{path: "/incidents/{id}/" + verb, fields: fields, said: said, guard: guard, back: incidents, show: (*request).showIncident}
	}
	ofRun := func(verb, said string, guard func(c *request) (bool, *problem), fields ...string) action {
		return action{path: "/runs/{id}/" + verb, fields: fields, said: said, guard: guard, back: runs, show: (*request).showRun}
	}
	ofApproval := func(verb, said string, fields ...string) action {
		guard := func(c *request) (bool, *problem) { return c.votedAlready(verb) }
		return action{path: "/approvals/{id}/" + verb, fields: fields, said: said, guard: guard, back: backOfApproval, show: (*request).showDecision}
	}
	note := ofIncident("note", "noted", (*request).notedAlready, "text")
	note.call = "/incidents/{id}/notes"
	settle := ofIncident("deadlines/{deadline}/settle", "settled", (*request).settledAlready)
	settle.make = func(c *request) any {
		return map[string]any{"reason": strings.TrimSpace(strings.ReplaceAll(c.r.PostForm.Get("reason"), "\r\n", "\n")), "void": c.r.PostForm.Get("void") == "yes"}
	}
	fork := ofRun("fork", "forked", nil, "step", "reason")
	fork.back = backOfRun
	all := []action{
		ofIncident("acknowledge", "acknowledged", (*request).takenMeanwhile, "comment", "for"),
		ofIncident("mitigate", "mitigated", inState(incident.Mitigated), "comment"),
		ofIncident("resolve", "resolved", inState(incident.Resolved), "cause", "resolution"),
		ofIncident("reopen", "reopened", inState(incident.Triggered, incident.Acknowledged), "reason"),
		ofIncident("cancel", "cancelled", inState(incident.Cancelled), "reason"),
		note,
		ofIncident("severity", "severity", nil, "severity", "reason"),
		settle,
		ofIncident("escalate", "escalated", (*request).calledMeanwhile, "comment"),
		ofApproval("approve", "approved", "plan", "comment"),
		ofApproval("deny", "denied", "comment"),
		ofApproval("back", "back", "to", "comment"),
		ofRun("answer", "answered", nil, "question", "answer", "comment", "to"),
		ofRun("pause", "paused", isHeld(true), "reason"),
		ofRun("resume", "resumed", isHeld(false), "reason"),
		ofRun("cancel", "ended", (*request).cancelledAlready, "reason"),
		fork,
		startAction(),
		{path: "/automation/stop", fields: []string{"reason"}, said: "stopped", guard: (*request).stoppedAlready, back: switches, show: (*request).showAutomation},
		{path: "/automation/resume", fields: []string{"reason"}, said: "allowed", guard: (*request).stoppedMeanwhile, back: switches, show: (*request).showAutomation},
		{path: "/replicas/take-over", fields: []string{"process", "reason"}, said: "taken-over", back: switches, show: (*request).showAutomation},
	}
	return all
}

// changed is the problem that things are not as they were when the form was shown.
func changed(format string, args ...any) *problem {
	return &problem{Status: http.StatusConflict, Code: "stale", Title: "Nothing was done: it has changed since you looked", Detail: fmt.Sprintf(format, args...)}
}

// unread is the problem that it could not be read whether something was done already. The
// API is asked nothing then.
func (c *request) unread(what string, err error) *problem {
	if errors.Is(err, incident.ErrNotFound) {
		return &problem{Status: http.StatusNotFound, Code: "not-found", Title: "There is no such thing", Detail: "Nothing was done."}
	}
	return &problem{
		Status: http.StatusServiceUnavailable, Code: "could-not-ask", Title: "Nothing was done", Detail: what + " could not be read. Try again in a moment.",
		Reference: c.log(what+" could not be read before a command", err),
	}
}

// theIncident reads the incident that the path names, before a command.
func (c *request) theIncident() (incident.Incident, *problem) {
	if c.h.cfg.Manager == nil {
		return incident.Incident{}, nil // the API says so
	}
	inc, err := c.h.cfg.Manager.Incident(c.ctx, c.r.PathValue("id"))
	if err != nil {
		return inc, c.unread("The incident", err)
	}
	return inc, nil
}

// inState says that what is asked for is done if the incident is in one of some states.
func inState(states ...incident.State) func(c *request) (bool, *problem) {
	return func(c *request) (bool, *problem) {
		inc, p := c.theIncident()
		return p == nil && c.may(httpapi.Operate) && slices.Contains(states, inc.State), p
	}
}

// settledAlready looks whether somebody has settled the deadline since the form was shown. The
// same person with the same words has: that is done.
func (c *request) settledAlready() (bool, *problem) {
	inc, p := c.theIncident()
	l, ok := inc.Deadline(c.r.PathValue("deadline"))
	if p != nil || !ok || l.Open() || !c.may(httpapi.Operate) {
		return false, p // the API says what is wrong
	}
	if l.MovedTo != "" {
		return false, changed("This deadline goes on in %s. Settle it there.", l.MovedTo)
	}
	if l.SettledBy == c.actor.Name && c.now.Sub(l.Settled) < onceFor {
		return true, nil
	}
	return false, changed("%s has settled it on %s: %s", l.SettledBy, c.clock(l.Settled), l.Reason)
}

// takenMeanwhile looks whether somebody has acknowledged since the form was shown.
func (c *request) takenMeanwhile() (bool, *problem) {
	inc, p := c.theIncident()
	shown := c.r.PostForm.Get("taken")
	switch {
	case p != nil || inc.AcknowledgedBy == shown || inc.AcknowledgedBy == "" || !c.may(httpapi.Operate):
		return false, p
	case inc.AcknowledgedBy == c.actor.Name && inc.State != incident.Triggered:
		return true, nil
	case inc.State == incident.Triggered:
		return false, nil
	}
	return false, changed("%s has taken care of it since %s. If you take it over, say so below.", inc.AcknowledgedBy, c.clock(inc.AckAt))
}

// calledMeanwhile looks whether a level was called since the form was shown.
func (c *request) calledMeanwhile() (bool, *problem) {
	inc, p := c.theIncident()
	if p != nil || c.r.PostForm.Get("level") == strconv.Itoa(inc.Level) || !c.may(httpapi.Operate) {
		return false, p
	}
	return false, changed("Level %d of the escalation was called meanwhile. See below who that is before you call the next one.", inc.Level)
}

// notedAlready looks whether the same person has just noted the same.
func (c *request) notedAlready() (bool, *problem) {
	inc, p := c.theIncident()
	if p != nil || c.h.cfg.Manager == nil || c.r.PostForm.Get("version") == strconv.FormatInt(inc.Version, 10) || !c.may(httpapi.Operate) {
		return false, p
	}
	text := strings.Join(strings.Fields(c.r.PostForm.Get("text")), " ")
	for e, err := range c.h.cfg.Manager.Timeline(c.ctx, inc.ID, 0) {
		if err != nil {
			return false, c.unread("The timeline", err)
		}
		if e.Kind == "note" && e.Actor == c.actor.Name && c.now.Sub(e.At) < onceFor && strings.Join(strings.Fields(e.Text), " ") == text {
			return true, nil
		}
	}
	return false, nil
}

// theRun reads the run that the path names, before a command.
func (c *request) theRun() (incident.Run, *problem) {
	if c.h.cfg.Runner == nil {
		return incident.Run{}, nil // the API says so
	}
	run, err := c.h.cfg.Runner.Run(c.ctx, c.r.PathValue("id"))
	if err != nil {
		return run, c.unread("The run", err)
	}
	return run, nil
}

// isHeld says that what is asked for is done if the run is held, or is not.
func isHeld(want bool) func(c *request) (bool, *problem) {
	return func(c *request) (bool, *problem) {
		run, p := c.theRun()
		return p == nil && c.may(httpapi.Operate) && run.ID != "" && run.Ended.IsZero() && (run.Held != nil) == want, p
	}
}

func (c *request) cancelledAlready() (bool, *problem) {
	run, p := c.theRun()
	return p == nil && c.may(httpapi.Operate) && run.State == incident.StateCancelled, p
}

// theApproval reads the approval that the path names.
func (c *request) theApproval() (incident.Approval, *problem) {
	var a incident.Approval
	p := c.h.call(c.ctx, c.r, http.MethodGet, "/approvals/"+c.r.PathValue("id"), nil, &a)
	return a, p
}

// votedAlready looks whether this person has decided just so before.
func (c *request) votedAlready(verb string) (bool, *problem) {
	a, p := c.theApproval()
	if p != nil {
		return false, p
	}
	return c.may(httpapi.Approve) && slices.ContainsFunc(a.Question.Votes, func(v incident.Signal) bool {
		return v.Kind == verb && strings.EqualFold(v.Actor, c.actor.Name)
	}), nil
}

// backOfApproval returns the page of the run that was decided about.
func backOfApproval(c *request, _ json.RawMessage) string {
	a, p := c.theApproval()
	switch {
	case p != nil:
		return ""
	case a.Question.Run != "":
		return "runs/" + a.Question.Run + "?step=" + url.QueryEscape(a.Question.Step)
	case a.Start != nil && a.Status == "approved" && !a.Closed.IsZero():
		return "runs/" + a.Start.ID
	}
	return "approvals/" + a.ID
}

// backOfRun returns the page of the run that a command has returned.
func backOfRun(_ *request, result json.RawMessage) string {
	var run incident.Run
	if json.Unmarshal(result, &run) != nil || run.ID == "" {
		return "runs"
	}
	return "runs/" + run.ID
}

// theSwitch reads the switch, before a command.
func (c *request) theSwitch() (incident.KillSwitch, *problem) {
	if c.h.cfg.Automation == nil {
		return incident.KillSwitch{}, nil // the API says so
	}
	s, err := c.h.cfg.Automation.Switch(c.ctx)
	if err != nil {
		return s, c.unread("The switch", err)
	}
	return s, nil
}

// stoppedAlready looks whether automation is stopped. That this cannot be told is no reason
// not to stop it.
func (c *request) stoppedAlready() (bool, *problem) {
	s, p := c.theSwitch()
	return p == nil && s.Stopped && s.By != "file" && c.may(httpapi.Operate), nil
}

// stoppedMeanwhile looks whether automation was stopped again, for another reason than the
// one that was shown.
func (c *request) stoppedMeanwhile() (bool, *problem) {
	s, p := c.theSwitch()
	switch {
	case p != nil || !c.may(httpapi.Administer):
		return false, p
	case !s.Stopped && c.h.cfg.Automation != nil:
		return true, nil
	case s.Stopped && c.r.PostForm.Get("at") != stamp(s):
		return false, changed("Automation was stopped by %s since you looked: %s", s.By, s.Reason)
	}
	return false, nil
}

// stamp names one turn of the switch.
func stamp(s incident.KillSwitch) string { return strconv.FormatInt(s.At.UnixMicro(), 10) }
