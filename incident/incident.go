package incident

import (
	"slices"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// An Incident is something that is wrong, from the moment it was noticed until it was
// reviewed. It is a value; [Manager] changes what is stored.
type Incident struct {
	// ID names it: "INC-2026-0042". Given when it is opened.
	ID string `json:"id"`
	// Key is that of what is wrong: alerts with one key are one incident. See [Binding].
	Key string `json:"key,omitempty"`
	// Title is one line, Summary says more.
	Title   string `json:"title"`
	Summary string `json:"summary,omitempty"`
	// Environment is where: "production".
	Environment string `json:"environment,omitempty"`
	// Severity is how bad it is now. First is how bad it was when it was opened.
	Severity alert.Severity `json:"severity"`
	First    alert.Severity `json:"first_severity"`
	// SeverityBy is the person who chose the severity; empty if nobody did, and it is that
	// of the alerts. What a person chose is not changed by alerts.
	SeverityBy string `json:"severity_by,omitempty"`
	// State is how far it is.
	State State `json:"state"`
	// Binding is the name of the binding by which an alert opened it; empty if a person
	// did. Playbook is the name of the playbook that is bound to it, if one is.
	Binding  string `json:"binding,omitempty"`
	Playbook string `json:"playbook,omitempty"`
	// Simulated marks an incident of an exercise: it is kept apart in figures.
	Simulated bool `json:"simulated,omitempty"`

	// Triggered is when it began: the clocks run from here. Opened is when it was
	// recorded, OpenedBy by whom.
	Triggered time.Time `json:"triggered"`
	Opened    time.Time `json:"opened"`
	OpenedBy  string    `json:"opened_by"`
	// Reopened is when it was reopened last: the clocks run from there since. Reopens is
	// how often it was.
	Reopened time.Time `json:"reopened,omitzero"`
	Reopens  int       `json:"reopens,omitempty"`
	// Acknowledged, Mitigated and Resolved are when it first came to these states since
	// it was opened or reopened; zero if it has not.
	Acknowledged time.Time `json:"acknowledged,omitzero"`
	Mitigated    time.Time `json:"mitigated,omitzero"`
	Resolved     time.Time `json:"resolved,omitzero"`
	Reviewed     time.Time `json:"reviewed,omitzero"`
	// Closed is when it was resolved, merged or cancelled; zero while it is open.
	Closed time.Time `json:"closed,omitzero"`
	// Updated is when people were told last.
	Updated time.Time `json:"updated,omitzero"`
	// AcknowledgedBy says who takes care of it, since AckAt, and AckComment what they said
	// about it. AckExpires is when that ends, if it does.
	AcknowledgedBy string    `json:"acknowledged_by,omitempty"`
	AckAt          time.Time `json:"ack_at,omitzero"`
	AckComment     string    `json:"ack_comment,omitempty"`
	AckExpires     time.Time `json:"ack_expires,omitzero"`
	// Cause is what was found to be the cause, Resolution what put it right.
	Cause      string `json:"cause,omitempty"`
	Resolution string `json:"resolution,omitempty"`

	// Clocks are the times by which something has to happen. See [Clock].
	Clocks []Clock `json:"clocks,omitempty"`
	// Deadlines are what is due by a day and not over when the incident is, at most 20,
	// in the order in which they were set. See [Deadline].
	Deadlines []Deadline `json:"deadlines,omitempty"`
	// Roles are who does what: "commander", "communications", "operations", "scribe".
	Roles map[string]string `json:"roles,omitempty"`
	// Alerts are the alerts that it is about, at most 300, in the order in which they
	// came. AlertsEnded is since when none of them fires any more; zero while one does, or
	// if there are none.
	Alerts      []LinkedAlert `json:"alerts,omitempty"`
	AlertsEnded time.Time     `json:"alerts_ended,omitzero"`
	// Runs are the runs of playbooks that were attached, Deployments the deployments,
	// Tickets those in other systems. The oldest first.
	Runs        []string `json:"runs,omitempty"`
	Deployments []string `json:"deployments,omitempty"`
	Tickets     []string `json:"tickets,omitempty"`
	// FollowUps are what is still to be done when it is over.
	FollowUps []FollowUp `json:"follow_ups,omitempty"`
	// MergedInto is the incident that goes on in its place; Merged are those that it
	// goes on for.
	MergedInto string   `json:"merged_into,omitempty"`
	Merged     []string `json:"merged,omitempty"`
	// Escalation is the run that escalates it. Level is the level that was called last;
	// zero is none yet. NoEscalation means that it has none: another service calls people.
	Escalation   string `json:"escalation,omitempty"`
	Level        int    `json:"level,omitempty"`
	NoEscalation bool   `json:"no_escalation,omitempty"`
	// Told is what other parts were told of it, for [Manager].
	Told ManagerTold `json:"told,omitzero"`
	// Version counts its changes, for comparing.
	Version int64 `json:"version"`
}

// A LinkedAlert is an alert of an incident.
type LinkedAlert struct {
	// Key and Rule name the alert, Entity is what it is about.
	Key    string `json:"key"`
	Rule   string `json:"rule"`
	Entity string `json:"entity,omitempty"`
	// Severity is how bad it was at worst. Summary is what it said.
	Severity alert.Severity `json:"severity"`
	Summary  string         `json:"summary,omitempty"`
	// Fired is when it fired last, Ended when that was over; zero while it fires. Times is
	// how often it fired.
	Fired time.Time `json:"fired"`
	Ended time.Time `json:"ended,omitzero"`
	Times int       `json:"times"`
	// Conversation is the key of the notifications by which it was told.
	Conversation string `json:"conversation,omitempty"`
	// Acknowledged is when the alert itself was acknowledged last. AckOwed means that it
	// still has to be, since the incident was.
	Acknowledged time.Time `json:"acknowledged,omitzero"`
	AckOwed      bool      `json:"ack_owed,omitempty"`
	// StillTold means that it is on the timeline that it went on firing after the incident
	// was closed.
	StillTold bool `json:"still_told,omitempty"`
}

// A FollowUp is something that is still to be done when an incident is over.
type FollowUp struct {
	// Text is what, Owner is who does it, if that is known. Ticket is where it is kept, if
	// it is.
	Text   string `json:"text"`
	Owner  string `json:"owner,omitempty"`
	Ticket string `json:"ticket,omitempty"`
	// Due is by when; zero if nobody said.
	Due time.Time `json:"due,omitzero"`
	// Done is when it was done, DoneBy by whom.
	Done   time.Time `json:"done,omitzero"`
	DoneBy string    `json:"done_by,omitempty"`
}

// ManagerTold is what other parts were told of an incident, so that they are told after
// a crash, and told once otherwise.
type ManagerTold struct {
	// Escalation is the state that the escalation knows, and Severity the severity.
	Escalation State          `json:"escalation,omitempty"`
	Severity   alert.Severity `json:"severity,omitempty"`
	// AcksOwed are those who have acknowledged and of whom the escalation was not told yet,
	// EndsOwed escalations that were not told yet that they are over.
	AcksOwed []string `json:"acks_owed,omitempty"`
	EndsOwed []string `json:"ends_owed,omitempty"`
	// Opened means that [ManagerHooks].OnOpened has returned. Opening is when a process began
	// to call it again.
	Opened  bool      `json:"opened,omitempty"`
	Opening time.Time `json:"opening,omitzero"`
	// Reopened means that [ManagerHooks].OnReopened is still to be called. Reopening is when
	// a process began to call it.
	Reopened  bool      `json:"reopened_owed,omitempty"`
	Reopening time.Time `json:"reopening,omitzero"`
	// Ticket is the receipt of the ticket that is kept for it, see [Ticketer], TicketID
	// what people call it, and TicketDone that it was resolved. Ticketing is when a process
	// began to open or to resolve it; zero if none is at it.
	Ticket     alert.Receipt `json:"ticket,omitempty"`
	TicketID   string        `json:"ticket_id,omitempty"`
	TicketDone bool          `json:"ticket_done,omitempty"`
	Ticketing  time.Time     `json:"ticketing,omitzero"`
}

// State is how far an incident is.
type State string

// The states. An incident goes through the first five in this order, and may leave some
// out: see [State.Next].
const (
	Triggered    State = "triggered"    // nobody takes care of it yet
	Acknowledged State = "acknowledged" // somebody does
	Mitigated    State = "mitigated"    // users are no longer hurt; the cause may be there
	Resolved     State = "resolved"     // it is over
	Reviewed     State = "reviewed"     // and was looked back at: the report is final
	Merged       State = "merged"       // another incident goes on in its place
	Cancelled    State = "cancelled"    // it was none
)

// next are the states that may follow.
var next = map[State][]State{
	Triggered:    {Acknowledged, Mitigated, Resolved, Merged, Cancelled},
	Acknowledged: {Triggered, Mitigated, Resolved, Merged, Cancelled},
	Mitigated:    {Triggered, Acknowledged, Resolved, Merged, Cancelled},
	Resolved:     {Triggered, Reviewed},
	Reviewed:     {Triggered},
	Merged:       {},
	Cancelled:    {Triggered},
}

// Next returns the states that may follow. Triggered after another one means that it was
// reopened, or that its acknowledgement expired.
func (s State) Next() []State { return slices.Clone(next[s]) }

// Open reports whether something is still to be done about it.
func (s State) Open() bool { return s == Triggered || s == Acknowledged || s == Mitigated }
