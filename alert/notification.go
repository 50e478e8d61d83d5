package alert

import (
	"context"
	"slices"
	"time"
)

// A Notifier tells people or programs, through one service: it sends one message, or
// changes one that it sent before.
//
// Notify may be called concurrently for different keys; for one key the next call
// comes when the one before has ended. It makes one attempt, honours ctx, and
// returns when the service has taken the message.
//
// The receipt is whatever the notifier needs to find the message again: the time
// stamp of a chat message, the number of a ticket. It is kept, and given back with
// the next notification of the same key as [Notification.Prior]: that is how
// threads, edits and resolves work. A notifier returns the receipt of the first
// message again if it goes on being the one to find. An empty receipt means that
// there is nothing to find.
//
// The error decides what happens next, see [Error]: it is proven that nothing was
// sent, or the service refuses the message for good, or it is not known whether it
// was sent. An error that says nothing of it counts as not known. No error has a
// secret in it.
type Notifier interface {
	Notify(ctx context.Context, n Notification) (Receipt, error)
}

// NotifierFunc makes a function a [Notifier].
type NotifierFunc func(ctx context.Context, n Notification) (Receipt, error)

// Notify calls f.
func (f NotifierFunc) Notify(ctx context.Context, n Notification) (Receipt, error) { return f(ctx, n) }

// A Receipt is what a notifier keeps of a message. Only the notifier that made it can
// read it; it may be stored, and has no secret in it.
type Receipt string

// Kind is why a notification is sent.
type Kind string

// The kinds of notifications.
const (
	KindFiring   Kind = "firing"   // something is wrong: the first message of a key
	KindUpdate   Kind = "update"   // what is wrong has changed: more, less, or other
	KindReminder Kind = "reminder" // it is still wrong
	KindResolved Kind = "resolved" // it is over: the last message of a key
	KindFlapping Kind = "flapping" // it comes and goes, which is not told each time any more
	KindDigest   Kind = "digest"   // many things at once, counted and not told one by one
	KindNotice   Kind = "notice"   // about the alerting itself: a silence began, or ends soon
	KindPost     Kind = "post"     // written for people: a status update, a report
	KindTest     Kind = "test"     // somebody tries whether messages arrive
)

// Audience is who is told. The two never mix: a target has one.
type Audience string

// The audiences.
const (
	// Operators are told by alerts: the channel of alerts, the mail and the phone of
	// whoever is on call.
	Operators Audience = "operators"
	// Everyone is told by posts that were written for people: the status channel,
	// the stakeholders, the status page. They never get an alert.
	Everyone Audience = "everyone"
)

// A Notification is one message to one target.
type Notification struct {
	// Key names what the message is about, the same for all messages about it to
	// this target: the deduplication key of services that have one. At most 64
	// characters, of letters, digits, - and _.
	Key string `json:"key"`
	// Seq counts the messages of a key, from 1. Key and Seq together name the message:
	// the same two come again only for the same message.
	Seq int `json:"seq"`
	// Kind is why it is sent.
	Kind Kind `json:"kind"`
	// Severity is that of the worst alert; zero for a post.
	Severity Severity `json:"severity,omitempty"`
	// Environment is that of the alerts, if all have the same.
	Environment string `json:"environment,omitempty"`

	// Title is one line, at most 200 characters. Text is the whole message as plain
	// text, lines ended by \n; it says everything that a reader needs, also without
	// the rest. Both may have text from outside: a notifier escapes it as its
	// service demands, and shortens it to what the service takes.
	Title string `json:"title"`
	Text  string `json:"text"`
	// Alerts are what it is about, for notifiers that show more than text: those that
	// fire, the worst first, and after them those that are over since the last message.
	// At most 30.
	Alerts []Alert `json:"alerts,omitempty"`
	// Post is what somebody wrote, for KindPost, and for a KindTest to Everyone.
	Post *Post `json:"post,omitempty"`
	// At is when the message was made.
	At time.Time `json:"at"`

	// Prior is the receipt of the last message of this key that arrived; empty if
	// there is none.
	Prior Receipt `json:"prior,omitempty"`
	// PossibleRepeat means that the same message may have arrived already, since the
	// answer to an earlier attempt was lost. A notifier whose service recognises the
	// key sends it as it is; any other says in it that it may be a repetition, or
	// looks first.
	PossibleRepeat bool `json:"possible_repeat,omitempty"`
}

// TakenBy returns who takes care of what fires, each once, and whether everything that fires
// is taken care of. Of more alerts than a notification has that is not known, so that it is
// false.
func (n Notification) TakenBy() (by []string, all bool) {
	firing, open := 0, 0
	for _, a := range n.Alerts {
		if a.State == Resolved {
			continue
		}
		if firing++; a.Acknowledged == nil {
			open++
		} else if name := line(a.Acknowledged.By); !slices.Contains(by, name) {
			by = append(by, name)
		}
	}
	return by, firing > 0 && open == 0 && firing < mostAlerts
}

// A Post is an update for people, as somebody wrote or approved it.
type Post struct {
	// ID names what it is about: an incident, a maintenance, a report. Posts of one ID
	// are one thread.
	ID string `json:"id"`
	// Title is one line, Body the text.
	Title string `json:"title"`
	Body  string `json:"body"`
	// Status is the state of an incident as status pages have it: "investigating",
	// "identified", "monitoring", "resolved", or "scheduled", "in_progress",
	// "completed" of a maintenance. Empty for other posts.
	Status string `json:"status,omitempty"`
	// Components are the names of what is affected, with the state of each:
	// "operational", "degraded_performance", "partial_outage", "major_outage",
	// "under_maintenance".
	Components map[string]string `json:"components,omitempty"`
	// From and To are the planned times of a maintenance.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// By is who wrote or approved it.
	By string `json:"by,omitempty"`
	// Last means that nothing follows on this ID.
	Last bool `json:"last,omitempty"`
	// Urgent means that a person has to do something because of it: a question, a failure.
	// No [Limit] keeps it waiting, nor what was posted under its ID before.
	Urgent bool `json:"urgent,omitempty"`
}
