package playbooks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// CanvasCredentials says how the application gets what it needs of Canvas, for
// [CanvasAccountCompromise].
type CanvasCredentials struct {
	// ClientID is the name of the variable with the client id, which is that of the
	// developer key: "CANVAS_PROD_CLIENT_ID". Required.
	ClientID string
	// Rotations are the names of those of Environment.Rotations that renew what belongs to
	// the developer key: its private key, the tokens. At least one.
	Rotations []string
}

// needs are what of it is missing.
func (c CanvasCredentials) needs(e Environment) []incident.Need {
	all := []incident.Need{{Name: "CanvasCredentials.ClientID", Met: c.ClientID != ""}, {Name: "CanvasCredentials.Rotations", Met: len(c.Rotations) > 0}}
	for _, name := range c.Rotations {
		known := slices.ContainsFunc(e.Rotations, func(r Rotation) bool { return r.Name == name })
		all = append(all, incident.Need{Name: "Rotation of " + name, Met: known})
	}
	return all
}

// CanvasAccountCompromise is the playbook for a developer key of Canvas, or what belongs to
// it, that somebody else uses. Those who answer for security are told at once, with the
// time until which a notifiable breach has to be settled, which is put on the clock of the
// incident; the audit log and the page views
// are read, and evidence is preserved, before anything is changed, which takes at most some
// minutes: people are asked after it, also if it fails. Once a person has approved that nobody
// can launch the tool until there is a new one, the key is switched off; a new key and a new
// private key take its place; sessions are ended, and the administrators of Canvas are told.
func CanvasAccountCompromise(e Environment, desk SecurityDesk, canvas CanvasCredentials) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const stop, renew, verify = "Tell, preserve and switch off", "New credentials", "Verify and tell"
	steps := []incident.Step{
		withPhase(stop, desk.deadline("deadline", e)),
		desk.notify("tell-security", e, func(s *incident.Scope) incident.Message {
			return incident.Message{
				Title: "The developer key of " + e.name() + " in Canvas is compromised",
				Text:  "Evidence is being preserved; nothing was changed yet. Once somebody approves it, the key is switched off, which ends launches and tokens of the tool.\n" + e.notifyUntil(s),
			}
		}),
		e.developerKey("key"),
		replacing(e.traces("traces"), "Review Canvas audit logs for suspicious activity"),
		e.pageViews("page-views"),
	}
	steps[len(steps)-1].Timeout = 2 * time.Minute // somebody uses the key meanwhile
	if desk.Preserve != nil {
		before := goingOn(desk.preserve("preserve", e))
		before.Timeout, before.Attempts = 5*time.Minute, 1 // somebody uses the key meanwhile
		steps = append(steps, before)
	}
	steps = append(steps, []incident.Step{
		{ID: "approve", Title: "Switch the developer key off?", When: keyIsOn, Do: incident.Approve{Bound: true, Within: d.Approve, Question: func(s *incident.Scope) string {
			k, _ := incident.Result[KeyFound](s, "key")
			return fmt.Sprintf("The developer key %s (%s) is switched off in Canvas%s. Nobody can launch the tool, and its tokens are worthless, until there is a new key.\n%s",
				e.Key, k.Name, lastUsed(k), strings.Join(seenOfCanvas(e, s), "\n"))
		}}},
		withWhen(e.switchOff("disable"), keyIsOn),
		e.tell("tell-everyone", "identified", func(*incident.Scope) incident.Message {
			return incident.Message{Title: "The tool cannot be opened from Canvas", Text: "For reasons of security its access to Canvas was taken away. It comes back with a new one."}
		}),
		e.draft("tell-canvas", "the administrators of Canvas", func(*incident.Scope) incident.Message {
			return incident.Message{Title: "A developer key of ours is compromised", Text: fmt.Sprintf("The developer key %s is compromised, and was switched off. Please look for what was done with it, and leave it off.", e.Key)}
		}),
	}...)
	steps = append(steps, withPhase(renew, newKey(canvas)), e.newKeyIsOn("new-key-is-on"))
	steps = append(steps, e.change("client-id", "Configure the client id of the new key", func(s *incident.Scope) map[string]string {
		return map[string]string{canvas.ClientID: newClientID(s)}
	}, "Update application configuration with new credentials")...)
	for _, r := range e.Rotations {
		if slices.Contains(canvas.Rotations, r.Name) {
			steps = append(steps, e.rotate(r, nil))
		}
	}
	if e.Sessions != nil {
		steps = append(steps, e.endSessions("end-sessions"))
	}
	steps = append(steps,
		withPhase(verify, well("well", "See that the application is well", d.Recover, d.Times, e.Probes.Application)),
		well("canvas-works", "See that Canvas works with it", d.Recover, 1, e.Probes.Canvas),
		well("login-works", "See that users can launch the tool", d.Recover, 1, e.Probes.Login),
		e.oldKeyIsOff("still-off"),
		e.tell("tell-resolved", "resolved", func(*incident.Scope) incident.Message {
			return incident.Message{Title: "The tool works again", Text: "It has a new access to Canvas."}
		}),
		desk.notify("tell-outcome", e, func(s *incident.Scope) incident.Message { return compromisedText(e, s) }),
		e.warn("tell-operators", func(s *incident.Scope) incident.Message { return compromisedText(e, s) }),
	)
	return incident.Playbook{
		Name: "canvas-account-compromise", Environment: e.name(), Title: "The Canvas account is compromised", Severity: alert.Critical,
		About:      "Somebody else uses the developer key, or an account of ours in Canvas.",
		Source:     "Security Incidents, Canvas Security Issues",
		Parameters: append([]incident.Parameter{sinceWhen(), {Name: "account", About: "Whose page views are read, by the id of the user in Canvas; self is the user of our own token", Default: "self", Optional: true}}, aware()...),
		Needs: append(append(desk.needs(e), canvas.needs(e)...),
			incident.Needs("PlatformKeys", e.PlatformKeys), incident.Need{Name: "Key (the id of the developer key)", Met: e.Key != ""}, incident.Needs("AuditLog", e.AuditLog)),
		Phases: []incident.Phase{{Name: stop, Budget: 15 * time.Minute}, {Name: renew}, {Name: verify}},
		Steps:  steps, Escalation: "level 3, the support of Canvas and its administrator at ACU",
	}
}

// keyIsOn is the condition that the developer key works: one that is off already needs no
// approval. If it could not be read it is taken to be on.
func keyIsOn(s *incident.Scope) (bool, string) {
	k, ok := incident.Result[KeyFound](s, "key")
	return !ok || k.On, "it is off already, or there is none of this id"
}

// switchOff is an action that switches the developer key off. Twice is the same as once. It
// has no undo: who undoes a run must not switch a key on again that somebody else has.
func (e Environment) switchOff(id string) incident.Step {
	s := e.switchOn(id)
	do, _ := s.Do.(incident.Action)
	s.Title, s.Replaces = "Switch the compromised developer key off", []string{"Immediately disable compromised Canvas developer key"}
	do.Run, do.Undo, do.Undoes = do.Undo, nil, ""
	do.Preview = effect(incident.Effect{
		Call: "switch developer key " + e.Key + " off in Canvas", Changes: []string{"Canvas launches the tool no longer, and issues no tokens to it"}, Undo: "switch it on",
		Destroys: []string{"the sign-ins and tokens that were made with it"},
	})
	s.Do = do
	return s
}

// newKey is what a person does in Canvas.
func newKey(canvas CanvasCredentials) incident.Step {
	return incident.Step{
		ID: "new-key", Title: "Make a new developer key in Canvas", Replaces: []string{"Generate new Canvas developer key and private key"},
		Do: incident.Manual{
			Why: "the call by which Canvas makes keys for tools is a beta of it, and what a new key may do is for those who administer Canvas to decide",
			Instruction: func(*incident.Scope) string {
				return "1. Admin, Developer Keys, + Developer Key, + LTI Key: the same settings as the old one, with the address of the key set of the tool.\n2. Switch the new key on. Leave the old one off.\n" +
					"3. Install the app with the new client id, and remove the former installation.\n4. Say that it is done with the output {\"client_id\": \"10000000000042\"}: the client id is no secret, and goes to " + canvas.ClientID + "."
			},
		},
	}
}

// newKeyIsOn is a step that sees that the key that a person made is there, is another one,
// and works.
func (e Environment) newKeyIsOn(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "See that the new key works",
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			switch name := newClientID(s); {
			case s.Planning:
				return nil, nil
			case name == "" || name == e.Key:
				return nil, incident.Final(errors.New("the client id of the new key was not said; go back to the step new-key, and give it as the output"))
			default:
				k, err := e.PlatformKeys.PlatformKey(ctx, name)
				if err != nil {
					return nil, fmt.Errorf("the new developer key %.40s cannot be read: %w", name, err)
				}
				if !k.On {
					return nil, fmt.Errorf("the new developer key %s is off: %s", k.ID, cmp.Or(k.Reason, "switch it on in Canvas"))
				}
				return KeyFound{On: k.On, Name: k.Name}, nil
			}
		}},
	}
}

// newClientID returns the client id that a person said; empty if they said none.
func newClientID(s *incident.Scope) string {
	if s.Planning {
		return "(that of the new key)"
	}
	said, _ := incident.Result[map[string]json.RawMessage](s, "new-key")
	return strings.Trim(string(said["client_id"]), `" `)
}

// oldKeyIsOff is a step that sees that the old key was not switched on meanwhile.
func (e Environment) oldKeyIsOff(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "See that the old key is off",
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			k, err := e.PlatformKeys.PlatformKey(ctx, e.Key)
			switch {
			case errors.Is(err, incident.ErrNotFound):
				return KeyFound{Missing: true}, nil
			case err != nil:
				return nil, err
			case k.On && !s.Planning:
				return nil, incident.Final(fmt.Errorf("the old developer key %s is on again: somebody switched it on", e.Key))
			}
			return KeyFound{On: k.On, Name: k.Name}, nil
		}},
	}
}

// compromisedText says what was done, and what the audit log says.
func compromisedText(e Environment, s *incident.Scope) incident.Message {
	state := "is off"
	if !s.Did("still-off") {
		state = "was NOT seen to be off"
	}
	lines := []string{fmt.Sprintf("The old developer key %s %s. The new client id is %s; configure it as the key of this environment, too.", e.Key, state, cmp.Or(newClientID(s), "not known"))}
	for _, r := range e.Rotations {
		if worthless, begun := renewed(s, r.Name); begun && !worthless {
			lines = append(lines, "The old "+r.Name+" is NOT worthless yet.")
		}
	}
	lines = append(lines, seenOfCanvas(e, s)...)
	if kept, ok := incident.Result[Preserved](s, "preserve"); ok {
		lines = append(lines, "Evidence: "+kept.String())
	} else if o, asked := s.Outcome("preserve"); asked && o.Status == incident.Failed {
		lines = append(lines, "Evidence could NOT be preserved before the change: "+cut(o.Message, 200))
	}
	lines = append(lines, e.notifyUntil(s))
	return incident.Message{Title: "The Canvas account of " + e.name() + " has new credentials", Text: strings.Join(lines, "\n")}
}

// seenOfCanvas says what the audit log and the page views of Canvas say, a line each.
func seenOfCanvas(e Environment, s *incident.Scope) (lines []string) {
	if t, ok := incident.Result[Traces](s, "traces"); ok {
		lines = append(lines, fmt.Sprintf("Audit log of Canvas since %s: %s", e.stamp(t.From), t))
	} else {
		lines = append(lines, "The audit log of Canvas could not be read: read it by hand.")
	}
	if v, ok := incident.Result[Views](s, "page-views"); ok {
		lines = append(lines, "Page views: "+v.String())
	} else {
		lines = append(lines, "The page views could not be read: read them by hand.")
	}
	return lines
}
