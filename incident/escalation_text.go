package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// What those who are called read is for somebody who was asleep a minute ago: what is
// wrong, since when, why they are called, who was called before them, how to take it, and
// what happens if they do not.

// compose makes the message for one of those whom a level calls.
func (s *escalation) compose(c *conversation, found lookedUp, which int) alert.Notification {
	n := s.notification(c, found.At)
	if c.draft {
		n.Kind, n.Severity, n.Alerts = alert.KindPost, 0, nil
		n.Post = s.draft(c, found.At)
		n.Title, n.Text = n.Post.Title, n.Post.Body
		return n
	}
	prefix := ""
	n.Kind = alert.KindFiring
	if c.told {
		n.Kind, prefix = alert.KindReminder, "STILL "
	}
	if s.why.kind == signalWorse {
		prefix = "WORSE: "
		if c.told {
			n.Kind = alert.KindUpdate
		}
	}
	n.Title = s.title(prefix, fmt.Sprintf("level %d", s.next.level+1))
	paragraphs := []string{
		n.Title, s.inc.Summary, s.since(c, found.At), s.reason(c, found, which), s.before(c, found.At),
		"To acknowledge: " + s.howTo(), s.whatToDo(), s.after(c, found.At), s.levelAt(s.next).Note, s.helpdesk(),
	}
	n.Text = strings.Join(slices.DeleteFunc(paragraphs, func(p string) bool { return p == "" }), "\n\n") + "\n"
	return n
}

// notification makes a message without its words.
func (s *escalation) notification(c *conversation, at time.Time) alert.Notification {
	a := alert.Alert{
		Key: alert.Key("incident", s.inc.Environment, s.inc.ID, alert.Failing), Rule: "incident", Environment: s.inc.Environment, Entity: s.inc.ID,
		Severity: s.severity, Summary: s.inc.Title, Detail: "To acknowledge: " + s.howTo(), Playbook: s.inc.Playbook,
		State: alert.Firing, Began: s.inc.Triggered, Fired: s.inc.Triggered,
	}
	return alert.Notification{Severity: s.severity, Environment: s.inc.Environment, Alerts: []alert.Alert{a}, At: at}
}

// inform makes the message that somebody takes care, or that it is over.
func (s *escalation) inform(c *conversation, kind alert.Kind, at time.Time) alert.Notification {
	n := s.notification(c, at)
	n.Kind = kind
	var words string
	if kind == alert.KindResolved {
		n.Alerts[0].State, n.Alerts[0].Ended = alert.Resolved, at
		n.Title = s.title("OVER: ", "")
		words = fmt.Sprintf("It is over since %s. Nothing is to be done.", s.clock(at, at, c.zone))
	} else {
		n.Alerts[0].Acknowledged = &alert.Acknowledgement{By: s.takenBy, At: at}
		n.Title = s.title("TAKEN by "+s.takenBy+", ", "")
		words = fmt.Sprintf("%s takes care since %s. Nobody is called any more.", s.takenBy, s.clock(at, at, c.zone))
	}
	n.Text = n.Title + "\n\n" + words + "\n"
	return n
}

// draft makes what a vendor is asked, for a person to approve.
func (s *escalation) draft(c *conversation, at time.Time) *alert.Post {
	where := ""
	if s.inc.Environment != "" {
		where = " in our environment " + s.inc.Environment
	}
	body := []string{
		fmt.Sprintf("Since %s we see this%s: %s", s.clock(s.inc.Triggered, time.Time{}, c.zone), where, s.inc.Title),
		s.inc.Summary,
		fmt.Sprintf("Our reference is %s; it is of %s severity for us. Please tell us what you know of it, and by when you expect it to be solved.", s.inc.ID, s.severity),
	}
	return &alert.Post{
		ID: s.inc.ID, Title: cleanLine(fmt.Sprintf("%s%s (%s)", s.exercise(), cleanWords(s.inc.Title, maxLine/2), s.inc.ID)),
		Body: strings.Join(slices.DeleteFunc(body, func(p string) bool { return p == "" }), "\n\n") + "\n",
	}
}

// title is one line: "CRITICAL production: Canvas does not answer (INC-2026-0042, level 2)".
func (s *escalation) title(prefix, suffix string) string {
	head := s.exercise() + prefix + strings.ToUpper(s.severity.String())
	if s.inc.Environment != "" {
		head += " " + s.inc.Environment
	}
	if suffix != "" {
		suffix = ", " + suffix
	}
	tail := " (" + s.inc.ID + suffix + ")"
	room := max(20, maxLine-len([]rune(head))-len([]rune(tail))-2)
	return cleanLine(head + ": " + cleanWords(s.inc.Title, room) + tail)
}

func (s *escalation) exercise() string {
	if s.inc.Simulated {
		return "EXERCISE: "
	}
	return ""
}

// since says where it is and since when.
func (s *escalation) since(c *conversation, at time.Time) string {
	text := fmt.Sprintf("%s has severity %d, %s. It began at %s, %s ago.", s.inc.ID, s.severity, s.severity, s.clock(s.inc.Triggered, at, c.zone), inSpan(at.Sub(s.inc.Triggered)))
	if !s.inc.Reopened.IsZero() {
		text += fmt.Sprintf(" It was over meanwhile, and came back at %s.", s.clock(s.inc.Reopened, at, c.zone))
	}
	return text
}

// reason says why this person is called.
func (s *escalation) reason(c *conversation, found lookedUp, which int) string {
	level := s.levelAt(s.next)
	text := fmt.Sprintf("You are called as %s, level %d of %d (%s).", c.person, s.next.level+1, len(s.in.Policy.Levels), level.Name)
	switch s.why.kind {
	case signalForce:
		text += fmt.Sprintf(" %s has called this level by hand.", s.why.by)
	case signalWorse:
		text += " It became worse."
	case reasonExpired:
		text += fmt.Sprintf(" %s acknowledged, and nothing was heard since.", s.why.by)
	case signalUnacknowledged:
		text += fmt.Sprintf(" %s had acknowledged, and no longer takes care.", s.why.by)
	default:
		text += " Nobody has acknowledged."
	}
	var others []string
	for i, t := range found.Tell {
		for _, name := range t.People {
			if i != which && !t.Draft && !slices.Contains(found.Tell[which].People, name) && !slices.Contains(others, name) {
				others = append(others, name)
			}
		}
	}
	if len(others) > 0 {
		text += " Called at the same time: " + inList(others) + "."
	}
	if level.MultiAck {
		text += " Everybody who is called at this level has to acknowledge."
	}
	return text
}

// before says who was called before, the last ones if there are many.
func (s *escalation) before(c *conversation, at time.Time) string {
	if len(s.history) == 0 {
		return "Nobody was called before you."
	}
	lines := []string{"Called before you:"}
	for _, call := range s.history[max(0, len(s.history)-8):] {
		var who []string
		for _, t := range call.told {
			if t.Status != Skipped {
				who = append(who, t.String())
			}
		}
		if len(who) == 0 {
			who = []string{"nobody"}
		}
		lines = append(lines, cleanWords(fmt.Sprintf("- %s, level %d, %s: %s", s.clock(call.at, at, c.zone), call.level, call.name, strings.Join(who, "; ")), 400))
	}
	return strings.Join(lines, "\n")
}

// howTo says how to acknowledge.
func (s *escalation) howTo() string {
	if s.in.Acknowledge == "" {
		return "acknowledge incident " + s.inc.ID + "."
	}
	return strings.ReplaceAll(s.in.Acknowledge, "{incident}", s.inc.ID)
}

func (s *escalation) whatToDo() string {
	if s.inc.Playbook == "" {
		return ""
	}
	return "What to do: playbook " + s.inc.Playbook
}

// after says what happens if nobody acknowledges.
func (s *escalation) after(c *conversation, at time.Time) string {
	next := s.following(s.next)
	if next.level < 0 {
		if s.next.round < s.in.Policy.Repeat {
			return fmt.Sprintf("If nobody acknowledges, it begins again with level 1 at %s.", s.clock(at.Add(s.in.Policy.RepeatAfter), at, c.zone))
		}
		return "This is the last level: if nobody acknowledges, nobody else is called."
	}
	level := s.levelAt(next)
	return fmt.Sprintf("If nobody acknowledges, level %d, %s, is called at %s.", next.level+1, level.Name, s.clock(at.Add(level.after(s.severity)), at, c.zone))
}

// helpdesk names the emergency line, for what is critical.
func (s *escalation) helpdesk() string {
	if s.in.Policy.Helpdesk == "" || s.severity != alert.Critical {
		return ""
	}
	return "Emergency line, IT helpdesk: " + s.in.Policy.Helpdesk
}

// reachedText says for the timeline who was called.
func (s *escalation) reachedText(e EscalationEvent, handed string, why callReason, problems []string) string {
	var reached, missed []string
	for _, t := range e.Told {
		switch {
		case t.reached():
			reached = append(reached, t.String())
		case t.Status != Skipped || t.Draft:
			missed = append(missed, t.String())
		}
	}
	text := fmt.Sprintf("Level %d, %s, was called", e.Level, e.Name)
	switch why.kind {
	case signalForce:
		text += " by hand of " + why.by
	case signalWorse, reasonExpired, signalUnacknowledged:
		text += " again"
	}
	if len(reached) > 0 {
		text += ": " + inList(reached)
	} else {
		text += ", and nobody was reached"
		if s.plan == planCall && s.next.round+1 == e.Round && !s.taken {
			text += ": the next level is called at once"
		}
	}
	text += "."
	if handed != "" {
		text += fmt.Sprintf(" %s calls people from here on, and no further level is called by itself.", handed)
	}
	if len(missed) > 0 {
		text += " Not counted: " + inList(missed) + "."
	}
	if len(problems) > 0 {
		text += " Problems: " + strings.Join(problems, "; ") + "."
	}
	return cleanWords(text, maxWords)
}

// clock shows a time in a zone, or in that of the policy, with the day unless it is the
// day of another one.
func (s *escalation) clock(t, day time.Time, zone string) string {
	where := zoneOf(cmp.Or(zone, s.in.Policy.Zone))
	t, day = t.In(where), day.In(where)
	if t.YearDay() == day.YearDay() && t.Year() == day.Year() {
		return t.Format("15:04 MST")
	}
	return t.Format("Mon 2 Jan 2006 15:04 MST")
}

// inSpan says a duration as people do: "3 h 20 min".
func inSpan(d time.Duration) string {
	minutes := int(max(0, d).Round(time.Minute) / time.Minute)
	days, hours, minutes := minutes/(24*60), minutes/60%24, minutes%60
	switch {
	case days > 0 && hours == 0:
		return fmt.Sprintf("%d d", days)
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0 && minutes == 0:
		return fmt.Sprintf("%d h", hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	}
	return fmt.Sprintf("%d min", minutes)
}
