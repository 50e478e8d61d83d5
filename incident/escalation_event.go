package incident

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

// EscalationHooks are what an escalation needs of whoever keeps the incidents: of a
// [Manager]. All are optional. They may be called concurrently.
type EscalationHooks struct {
	// Incident returns an incident as it is now. It is asked when a level is reached: who
	// is called reads what is known by then, and nobody is called about an incident of
	// which it says that somebody takes care of it, or that it is over, although the signal
	// has not arrived. If it fails, what was known before counts. Nil means that signals
	// are all that is known.
	Incident func(ctx context.Context, id string) (Incident, error)
	// Open returns the incidents that are open, for [Escalations.Audit]. Nil means that
	// only escalations are audited that have begun and have not ended.
	Open func(ctx context.Context) iter.Seq2[Incident, error]
	// OnLevel is told what happened, to put it on the timeline. After a crash it may be
	// told again, with the same Key. An error is logged, and nobody is called later
	// because of it.
	OnLevel func(ctx context.Context, e EscalationEvent) error
}

// An EscalationEvent is something that happened in an escalation.
type EscalationEvent struct {
	// Key makes it one: an event that comes twice, because of a crash, has the same.
	Key string `json:"key"`
	// Kind is what happened.
	Kind EscalationEventKind `json:"kind"`
	// Run is the escalation, Incident and Policy say what it is about.
	Run      string `json:"run"`
	Incident string `json:"incident"`
	Policy   string `json:"policy"`
	// Level counts the levels from 1, and is the one that was called, or is about to be; zero
	// if none was. Name is its name.
	Level int    `json:"level,omitempty"`
	Name  string `json:"name,omitempty"`
	// Round counts how often the policy began, from 1.
	Round int `json:"round"`
	// At is when.
	At time.Time `json:"at"`
	// Actor is who did it: a person, or "runbook" for the program.
	Actor string `json:"actor"`
	// Text says it in a sentence.
	Text string `json:"text"`
	// Told is who was called, or was to be, and how that went.
	Told []EscalationTold `json:"told,omitempty"`
	// Next is when something is due again: the next level, the opening that is waited for,
	// the end of an acknowledgement. Zero if nothing happens by itself.
	Next time.Time `json:"next,omitzero"`
}

// Failed reports whether somebody should look at it: nobody could be called, or nobody
// answered to the end.
func (e EscalationEvent) Failed() bool {
	return e.Kind == EscalationNobody || e.Kind == EscalationExhausted
}

// EscalationEventKind is what happened in an escalation.
type EscalationEventKind string

// The kinds of events of escalations.
const (
	EscalationCalled       EscalationEventKind = "called"       // a level was called, and somebody was reached
	EscalationNobody       EscalationEventKind = "nobody"       // a level was called, and nobody was reached: the next one is
	EscalationHanded       EscalationEventKind = "handed over"  // a service took it that calls one after the other by itself
	EscalationHeld         EscalationEventKind = "held"         // a level waits for its hours
	EscalationLeftOut      EscalationEventKind = "left out"     // a level is outside its hours: the next one is called
	EscalationForced       EscalationEventKind = "forced"       // a person called the next level by hand
	EscalationWorse        EscalationEventKind = "worse"        // the incident became worse
	EscalationPart         EscalationEventKind = "part"         // some have acknowledged, and more have to
	EscalationAcknowledged EscalationEventKind = "acknowledged" // somebody takes care: nobody is called any more
	EscalationExpired      EscalationEventKind = "expired"      // the acknowledgement ran out: calls begin again
	EscalationWithdrawn    EscalationEventKind = "withdrawn"    // the acknowledgement was taken back, likewise
	EscalationExhausted    EscalationEventKind = "exhausted"    // everybody was called, and nobody has answered
	EscalationOver         EscalationEventKind = "over"         // the incident is over
)

// EscalationTold is one attempt to reach somebody.
type EscalationTold struct {
	// Person is who, by name, or who reads the channel. Channel is through what.
	Person  string `json:"person"`
	Channel string `json:"channel"`
	// Status is how it ended: Done means that the service took the message, Skipped that it
	// was not to be used; Reason says why, or what went wrong.
	Status OutcomeStatus `json:"status"`
	Reason string        `json:"reason,omitempty"`
	// Draft means that a message was drafted, which nobody gets before it is approved.
	Draft bool `json:"draft,omitempty"`
	// Repeat means that the same message may have arrived before, since it is not known how
	// an earlier attempt ended.
	Repeat bool `json:"repeat,omitempty"`
	// At is when.
	At time.Time `json:"at"`
}

// reached reports whether somebody was told.
func (t EscalationTold) reached() bool { return t.Status == Done && !t.Draft }

// String says it in words: "Ana (phone)", "IT director (sms: refused)".
func (t EscalationTold) String() string {
	how := t.Channel
	switch {
	case t.Status == Done && t.Draft:
		how += ": drafted, waits for approval"
	case t.Status == Done:
	case t.Status == Unknown:
		how += ": not known whether it arrived"
	default:
		how += ": " + t.Reason
	}
	if t.Person == t.Channel {
		return how
	}
	return t.Person + " (" + how + ")"
}

// DraftChannel returns a channel that tells nobody, but posts a draft to a target that
// needs approval: to the support of a vendor. Post is [alert.Router.Post]; target is one
// with [alert.Target.NeedsApproval], or this sends without asking anybody.
func DraftChannel(post func(ctx context.Context, p alert.Post, targets ...string) error, target string) alert.Notifier {
	return alert.NotifierFunc(func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
		if runbook.IsReadOnly(ctx) {
			return "", &alert.Error{Service: "draft", Op: "post", Unsent: true, Err: runbook.ErrReadOnly}
		}
		if n.Post == nil {
			return "", &alert.Error{Service: "draft", Op: "post", Kind: alert.ErrRefused, Err: fmt.Errorf("a message of kind %q is no post", n.Kind)}
		}
		p := *n.Post
		if n.PossibleRepeat {
			p.Title = "Possible repeat: " + p.Title
		}
		return "", post(ctx, p, target)
	})
}

// maxListed is how many things are named in a sentence; more are counted.
const maxListed = 6

// inList joins words as people do: "a, b and c".
func inList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	if more := len(words) - maxListed + 1; more > 1 {
		words = append(slices.Clone(words[:maxListed-1]), fmt.Sprintf("%d others", more))
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
