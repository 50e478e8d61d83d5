package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// SuspectedBreach is the playbook for the suspicion that somebody has broken in. Evidence
// is preserved before anything is changed; the time until which a notifiable breach has to be
// settled is put on the clock of the incident; those who answer for security are told at once;
// sessions are ended and deployments frozen; and if a person approves, the application is
// taken off the network, and stays off it.
func SuspectedBreach(e Environment, desk SecurityDesk) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const first, look, contain, assess = "Tell and preserve", "Investigate", "Contain and isolate", "Assess and notify"
	isolating := approved("approve-isolation")
	steps := []incident.Step{
		withPhase(first, desk.deadline("deadline", e)),
		desk.notify("tell-security", e, func(s *incident.Scope) incident.Message {
			return incident.Message{Title: "Suspected breach of " + e.name(), Text: fmt.Sprintf("%s suspects it since %s. Evidence is being preserved; nothing was changed yet.\n%s", by(s), e.stamp(s.Now), e.notifyUntil(s))}
		}),
		e.warn("tell-operators", func(*incident.Scope) incident.Message {
			return incident.Message{Title: "Suspected breach of " + e.name(), Text: "Change nothing by hand: evidence is being preserved. Speak about it with those who answer for security only."}
		}),
		desk.preserve("preserve", e),
		{ID: "investigate", Title: "Look for traces", Phase: look, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: e.traceSteps(desk)}},
		withPhase(contain, e.freeze("freeze")),
		goingOn(e.endSessions("end-sessions")),
		{ID: "approve-isolation", Title: "Take the application off the network?", OnFailure: incident.GoOn, Do: incident.Approve{
			Bound: true, Within: d.Approve, Question: func(s *incident.Scope) string {
				return fmt.Sprintf("Nobody could use %s until it is started again by a person. What was found:\n%s", e.name(), tracesText(s))
			},
		}},
	}
	steps = append(steps, e.stop("isolate", "Take the application off the network", isolating)...)
	steps = append(steps,
		withWhen(e.offline("offline"), both(isolating, func(s *incident.Scope) (bool, string) { return s.Did("isolate"), "it was not stopped" })),
		withWhen(e.tell("tell-everyone", "identified", func(*incident.Scope) incident.Message {
			return incident.Message{Title: "The application is not available", Text: "It was taken offline on purpose while we look into something. Your work in Canvas is not affected."}
		}), both(isolating, func(s *incident.Scope) (bool, string) { return s.Did("isolate"), "it is available" })),
		incident.Step{ID: "assess", Title: "Write down scope and impact", Phase: assess, OnFailure: incident.GoOn, Do: incident.Manual{
			Within: 8 * time.Hour, Why: "what was seen, taken or changed, and whose data it is, is a judgement of people",
			Instruction: func(s *incident.Scope) string {
				return "Say in the comment, which is put on the timeline: since when, how they got in, what they could reach, whose data it is, how sure that is.\n" +
					tracesText(s) + "\n" + e.notifyUntil(s) + "\nIf a credential may be known to somebody, run credential-compromise; if it is the developer key, canvas-account-compromise."
			},
		}},
		desk.notify("tell-assessment", e, func(s *incident.Scope) incident.Message {
			o, _ := s.Outcome("assess")
			return incident.Message{Title: "What is known of the suspected breach of " + e.name(), Text: fmt.Sprintf("Assessment: %s\n%s\nOff the network: %v. Sessions ended: %v. Deployments frozen: %v.\n%s",
				cmp.Or(o.Message, "none was written"), tracesText(s), s.Did("isolate"), s.Did("end-sessions"), s.Did("freeze"), e.notifyUntil(s))}
		}),
	)
	return incident.Playbook{
		Name: "suspected-breach", Environment: e.name(), Title: "Suspected security breach", Severity: alert.Critical,
		About:      "Something was seen that speaks for somebody having got in who should not be there. The application stays off the network, and deployments frozen, until a person starts it again.",
		Source:     "Security Incidents, Suspected Security Breach",
		Parameters: append([]incident.Parameter{sinceWhen()}, aware()...),
		Needs:      append(desk.needs(e), incident.Needs("Stopper", e.Stopper), incident.Needs("DeployFreezer", e.Freezer), incident.Needs("Logs", e.Logs)),
		Phases:     []incident.Phase{{Name: first, Budget: 10 * time.Minute}, {Name: look, Budget: 10 * time.Minute}, {Name: contain}, {Name: assess}},
		Steps:      steps, Escalation: "those who answer for security, the IT director, and the privacy officer",
	}
}

// traceSteps are the looks for what somebody left behind.
func (e Environment) traceSteps(desk SecurityDesk) []incident.Step {
	return []incident.Step{
		replacing(e.lines("lines", "Read log lines that speak of it", incident.LogQuery{Tail: 1000, Any: []string{"failed", "unauthorized", "suspicious"}}),
			`railway logs --environment production | grep -E "(failed|unauthorized|suspicious)"`),
		replacing(look("security", "Look at recent sign-ins", e.Probes.Security), `curl -s "https://qa-automation.acu.edu.au/health/security-metrics"`),
		e.quotaLook("canvas-usage"),
		replacing(desk.unusual("unusual-usage"), "./scripts/analyze-canvas-usage.sh"),
		e.traces("traces"),
		e.deployments("deployments"),
	}
}

// offline is a step that sees that the application can really not be reached any more.
func (e Environment) offline(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "See that it can no longer be reached", Timeout: 30 * time.Second,
		Do: incident.Verify{Within: 5 * time.Minute, Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			found := probe(ctx, e.Probes.Application)
			switch found.Status {
			case health.Unhealthy:
				return found, nil
			case health.Healthy, health.Degraded:
				return nil, errors.New("the application still answers: " + found.String())
			}
			return nil, errors.New("whether it still answers could not be seen: " + found.String())
		}},
	}
}

// tracesText says what was found, a line each: numbers, and no line of the log.
func tracesText(s *incident.Scope) string {
	lines, read := incident.Result[Lines](s, "lines")
	text := []string{"Log lines with failed, unauthorized or suspicious: could not be read"}
	if read {
		text[0] = fmt.Sprintf("Log lines with failed, unauthorized or suspicious: %d", len(lines.Lines)+lines.More)
	}
	if security := saw(s, "security"); !security.Missing {
		text = append(text, "Sign-ins: "+security.String())
		for _, name := range sortedKeys(security.Numbers) {
			text = append(text, fmt.Sprintf("%s: %g", name, security.Numbers[name]))
		}
	}
	if usage, ok := incident.Result[QuotaFound](s, "canvas-usage"); ok {
		text = append(text, "Canvas API: "+usage.String())
	}
	if unusual, ok := incident.Result[Report](s, "unusual-usage"); ok {
		text = append(text, "Unusual use of Canvas: "+unusual.String())
	} else if o, _ := s.Outcome("unusual-usage"); o.Message != "" {
		text = append(text, "Unusual use of Canvas was not looked for: "+cut(o.Message, 200))
	}
	if t, ok := incident.Result[Traces](s, "traces"); ok {
		text = append(text, "Audit log of Canvas: "+t.String())
	}
	if seen, ok := incident.Result[Deployments](s, "deployments"); ok && seen.Recent {
		text = append(text, "Deployed lately: "+described(*seen.Current))
	}
	if kept, ok := incident.Result[Preserved](s, "preserve"); ok {
		text = append(text, "Evidence: "+kept.String())
	}
	return strings.Join(text, "\n")
}
