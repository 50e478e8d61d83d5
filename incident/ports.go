package incident

import (
	"context"
	"time"
)

// Quota tells how much of a platform's rate budget is left, and who uses it. To
// use less of it is a matter of the host, which knows what can wait.
type Quota interface {
	// Quota returns what is known now. It should cost the platform little or
	// nothing: it is called when the budget is low. It returns soon after ctx
	// ends, and may be called concurrently. An error means that nothing is
	// known; a platform that is throttling is no error.
	Quota(ctx context.Context) (QuotaState, error)
}

// QuotaState is a rate budget at one moment. Amounts are in the units of the
// platform, whatever they are.
type QuotaState struct {
	// Time is when it was so.
	Time time.Time
	// Remaining is what is left; it can be negative. Limit is what an unused
	// budget has.
	Remaining, Limit float64
	// Measured says that the platform itself told these numbers, at least once.
	// Else they are assumptions.
	Measured bool
	// Throttled is true if requests are being rejected, or held back, now.
	Throttled bool
	// Others is how many units a second are used by what is not in Users: other
	// programs with the same identity.
	Others float64
	// Users are those that this program knows of, the largest first.
	Users []QuotaUse
}

// QuotaUse is one use of a rate budget.
type QuotaUse struct {
	// Name says what uses it: a route, a job, a part of the program.
	Name string
	// Requests is how many there were, Rejected how many of them the platform
	// rejected because of the budget, and Used is what they cost together.
	Requests, Rejected int64
	Used               float64
}

// PlatformKeys reads and switches the keys with which a program of ours is known
// to a platform: in Canvas, developer keys.
type PlatformKeys interface {
	// PlatformKey returns the state of a key. It may be called concurrently.
	//
	// The error is ErrNotFound if the platform has no such key (also after it was
	// deleted), and ErrNotPermitted if it does not show it to us.
	PlatformKey(ctx context.Context, id string) (PlatformKey, error)

	// SetPlatformKey switches a key on or off and returns the state that was
	// observed afterwards, not the one that was asked for. Switching to the state
	// that a key has is no error. It may be called concurrently; calls for one
	// key may take effect in any order.
	//
	// The error is ErrNotFound or ErrNotPermitted as above, and nothing was
	// changed. If the answer is lost, the implementation reads the state; if that
	// fails too, or ctx ends, the error is ErrOutcomeUnknown. Setting the same
	// state again is then safe.
	SetPlatformKey(ctx context.Context, id string, on bool) (PlatformKey, error)
}

// PlatformKey is the state of a key.
type PlatformKey struct {
	// ID is what the platform calls it: the client id.
	ID string
	// Name is what people call it.
	Name string
	// On says whether it works: launches are accepted, tokens are issued. It is
	// false as well if the key is off for a reason that switching does not
	// change; Reason then says so.
	On bool
	// Reason says why the key does not work although its switch is on; empty
	// otherwise.
	Reason string
	// LastUsed is when it was last used; zero if that is not known, or never.
	LastUsed time.Time
}

// Announcer tells the users of a platform of a maintenance, inside the platform.
type Announcer interface {
	// Announce makes sure that the users see a, once. What belongs to its key
	// already is changed to be like a, and nothing new is made; so repeating a
	// call, after any error, is safe. It may be called concurrently: of several
	// calls with one key, the result is one announcement, with the content of one
	// of them.
	//
	// The error is ErrNotPermitted if we may not announce, and ErrOutcomeUnknown
	// if the answer was lost and reading what is announced did not tell. An
	// announcement that is invalid is an error without a call.
	Announce(ctx context.Context, a Announcement) (Announced, error)

	// Withdraw removes what belongs to the key, for everybody. It is no error if
	// there is nothing. Its errors are those of Announce.
	Withdraw(ctx context.Context, key string) error
}

// Announcement is what the users are told.
type Announcement struct {
	// Key names what it is about, chosen by the caller: "maintenance-2026-12-05".
	// 1 to 64 letters, digits, dots, hyphens and underscores. Users may see it.
	Key string
	// Subject is one line, Message plain text, which may have several lines.
	Subject, Message string
	// Start and End bound when it is shown, which is usually earlier than the
	// maintenance itself. End must be later than Start.
	Start, End time.Time
	// Urgent says that it is a warning rather than information.
	Urgent bool
}

// Announced is an announcement as the platform has it.
type Announced struct {
	// ID is what the platform calls it.
	ID string
	// Created is true if this call made it, false if there was one with this key.
	Created bool
	// Start and End are when it is shown, as the platform says.
	Start, End time.Time
}
