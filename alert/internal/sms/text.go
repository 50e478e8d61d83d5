package sms

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// Style is how messages are written.
type Style struct {
	// Segments is how many parts a message may have at most.
	Segments int
	// Unicode keeps characters that are not in the default alphabet.
	Unicode bool
	// Brief leaves out what nobody can follow by ear: what was found, and all of an address
	// but its end.
	Brief bool
	// Zone is that of times.
	Zone *time.Location
}

// Text is what a phone shows of a notification: first what is wrong, then what to do and
// who knows, and last what was found, which is cut off if it is too long.
func (s Style) Text(n alert.Notification) string {
	lines := s.lines(n)
	if n.PossibleRepeat {
		lines[0] = "(possible repeat) " + lines[0]
	}
	text := strings.Join(lines, "\n")
	if !s.Unicode {
		text = Fold(text)
	}
	return Fit(text, s.Segments)
}

// lines are what a message says, what matters most first; there is at least one.
func (s Style) lines(n alert.Notification) []string {
	lines := []string{send.Line(n.Title)}
	add := func(line string) {
		if line = send.Line(line); line != "" {
			lines = append(lines, send.Cut(line, 2000)) // more than ten parts hold
		}
	}
	switch n.Kind {
	case alert.KindResolved:
	case alert.KindPost, alert.KindNotice, alert.KindTest:
		text := strings.TrimPrefix(n.Text, n.Title) // which it begins with
		if n.Post != nil {
			lines[0], text = send.Line(n.Post.Title), n.Post.Body
		}
		add(text)
	default:
		firing := slices.DeleteFunc(slices.Clone(n.Alerts), func(a alert.Alert) bool { return a.State == alert.Resolved })
		if len(firing) == 0 {
			break
		}
		worst := firing[0]
		add(s.next(n, worst))
		add("Since " + s.clock(worst.Began, n.At) + affects(worst) + ".")
		if !s.Brief {
			add(worst.Detail)
		}
	}
	if lines[0] == "" {
		lines[0] = string(n.Kind)
	}
	return lines
}

// next says what to do, and who takes care of it.
func (s Style) next(n alert.Notification, worst alert.Alert) string {
	var parts []string
	p := worst.Playbook
	if u, err := url.Parse(p); s.Brief && err == nil && u.Host != "" {
		p = strings.Trim(path.Base(u.Path), "/.") // nobody can write an address down by ear
	}
	if p != "" {
		parts = append(parts, "Playbook: "+p+".")
	}
	switch by, all := n.TakenBy(); {
	case all:
		parts = append(parts, "Taken by "+strings.Join(by, ", ")+".")
	case len(by) > 0:
		parts = append(parts, "Partly taken by "+strings.Join(by, ", ")+".")
	default:
		parts = append(parts, "Nobody has it yet.")
	}
	return strings.Join(parts, " ")
}

func affects(a alert.Alert) string {
	if len(a.Affected) == 0 {
		return ""
	}
	return "; affects " + strings.Join(a.Affected, ", ")
}

func (s Style) clock(t, now time.Time) string {
	t, now = t.In(s.Zone), now.In(s.Zone)
	if t.YearDay() != now.YearDay() || t.Year() != now.Year() {
		return t.Format("Mon 2 Jan 15:04 MST")
	}
	return t.Format("15:04 MST")
}
