package webhook

import (
	"time"

	"go.acu.edu.au/runbook/alert"
)

// Version is the version of [Message].
const Version = 1

// A Message is the body of a request, as JSON: an [alert.Notification] and what names it.
type Message struct {
	// Version is that of the form of the message: 1.
	Version int `json:"version"`
	// ID names the message: the same ID is the same message. It is the header webhook-id.
	ID string `json:"id"`
	// Conversation is what the message is about: all messages about it have the same.
	// Seq counts them, from 1.
	Conversation string `json:"conversation"`
	Seq          int    `json:"seq"`
	// Kind is why it is sent: "firing", "update", "reminder", "resolved", "flapping",
	// "digest", "notice", "post" or "test".
	Kind alert.Kind `json:"kind"`
	// Severity is "critical", "high", "medium" or "low"; none for a post.
	Severity alert.Severity `json:"severity,omitempty"`
	// Environment is that of the alerts, if all have the same.
	Environment string `json:"environment,omitempty"`
	// Title is one line, Text the whole message for people.
	Title string `json:"title"`
	Text  string `json:"text"`
	// Alerts are what it is about, at most 30: those that fire, the worst first, and after
	// them those that are over.
	Alerts []alert.Alert `json:"alerts,omitempty"`
	// Post is what somebody wrote, for the kind "post".
	Post *alert.Post `json:"post,omitempty"`
	// At is when the message was made.
	At time.Time `json:"at"`
	// PossibleRepeat means that the same ID may have been taken already.
	PossibleRepeat bool `json:"possible_repeat,omitempty"`
}
