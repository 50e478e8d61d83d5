package incident

import (
	"context"
	"encoding/json"
	"iter"
	"strings"
	"time"
	"unicode"

	"go.acu.edu.au/runbook/alert"
)

// The kinds of the entries that [Manager] puts on a timeline. Runs of playbooks put
// theirs beside them: see [EventKind].
const (
	entryOpened       = "opened"
	entryReopened     = "reopened"
	entryAcknowledged = "acknowledged"
	entryExpired      = "acknowledgement expired"
	entryMitigated    = "mitigated"
	entryUnmitigated  = "no longer mitigated"
	entryResolved     = "resolved"
	entryReviewed     = "reviewed"
	entryCancelled    = "cancelled"
	entryMerged       = "merged"
	entryTookOver     = "took over another"
	entrySeverity     = "severity"
	entryRole         = "role"
	entryNote         = "note"
	entryUpdate       = "update"
	entryPosted       = "update posted"
	entryNotPosted    = "update not posted"
	entryRun          = "run"
	entryDeployment   = "deployment"
	entryTicket       = "ticket"
	entryFired        = "alert fired"
	entryAgain        = "alert fired again"
	entryWorse        = "alert became worse"
	entryEnded        = "alert ended"
	entryAllEnded     = "all alerts ended"
	entryStill        = "alert still fires"
	entryLinked       = "alert linked"
	entryClock        = "clock"
	entryEscalation   = "escalation"
	entryEscalated    = "escalated"
	entryFollowUp     = "follow-up"
	entryFollowedUp   = "follow-up done"

	entryDeadline        = "deadline"
	entryDeadlineMark    = "deadline nears"
	entryDeadlineSettled = "deadline settled"
)

// entryData is what the entries of a [Manager] have as Data. What does not apply is left
// out.
type entryData struct {
	Incident string `json:"incident,omitempty"` // of entries of the audit record
	State    State  `json:"state,omitempty"`
	Was      State  `json:"was,omitempty"`
	// Triggered is when the incident began, of entryOpened.
	Triggered time.Time `json:"triggered,omitzero"`
	// Severity and the one before, with the clocks and those before.
	Severity    alert.Severity `json:"severity,omitempty"`
	WasSeverity alert.Severity `json:"was_severity,omitempty"`
	Clocks      []Clock        `json:"clocks,omitempty"`
	WasClocks   []Clock        `json:"was_clocks,omitempty"`
	// Clock is the one whose time passes, with Percent of it.
	Clock   *Clock `json:"clock,omitempty"`
	Percent int    `json:"percent,omitempty"`
	// Deadline is the one that was set, settled or moved, or of which a mark was reached.
	Deadline *Deadline `json:"deadline,omitempty"`
	// Expires is when an acknowledgement does.
	Expires time.Time `json:"expires,omitzero"`
	// Alert is the key of an alert, Other that of another incident, ID that of what was
	// attached.
	Alert string `json:"alert,omitempty"`
	Other string `json:"other,omitempty"`
	ID    string `json:"id,omitempty"`
	// Comment is what somebody said about it, in their words.
	Comment string `json:"comment,omitempty"`
	// Level is a level of the escalation, Told who was told.
	Level int      `json:"level,omitempty"`
	Told  []string `json:"told,omitempty"`
	// Status is that of an update.
	Status string `json:"status,omitempty"`
	// Waited is how many seconds something waited for a person: of entries of runs.
	Waited float64 `json:"waited,omitempty"`
}

// readEntryData reads the data of an entry. What is of another shape has none.
func readEntryData(e Entry) (d entryData) {
	if len(e.Data) > 0 && json.Unmarshal(e.Data, &d) != nil {
		return entryData{}
	}
	return d
}

const (
	incidentKind = "incident"
	auditChain   = "audit"
)

func timelineOf(id string) string { return "incident/" + id }

// Timeline returns what happened in an incident in the order in which it was recorded,
// after an entry by its number. Entries are never changed but by redaction, see [Retention]:
// [VerifyChain] proves it. Of an incident that there is not it is empty.
func (m *Manager) Timeline(ctx context.Context, id string, after int64) iter.Seq2[Entry, error] {
	return m.cfg.Store.Entries(ctx, timelineOf(id), after)
}

// now returns the time in the precision in which it is stored.
func (m *Manager) now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// at shows a time in a sentence.
func (m *Manager) at(t time.Time) string { return t.In(m.cfg.Zone).Format("Mon 2 Jan 2006 15:04 MST") }

// What people write is kept up to so many characters.
const (
	maxLine   = 200
	maxWords  = 3000
	maxAlerts = 300 // of an incident
	maxShort  = 120 // of what an incident has many of
)

// cleanShort is cleanLine for what an incident has many of, so that it can be stored.
func cleanShort(text string) string { return cleanLine(cleanWords(text, maxShort)) }

// cleanLine makes a text from outside one line of at most 200 characters.
func cleanLine(text string) string {
	return strings.Join(strings.Fields(cleanWords(text, maxLine)), " ")
}

// cleanWords leaves out of a text from outside what no store keeps and no terminal should
// be sent, and shortens it.
func cleanWords(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	text = strings.TrimSpace(text)
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most-1]) + "…"
	}
	return text
}

// withComment adds what somebody said to a sentence.
func withComment(text, comment string) string {
	if comment == "" {
		return text
	}
	return text + ": " + comment
}
