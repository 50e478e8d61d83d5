package canvasprobe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/incident"
)

// AnnouncerConfig says where [Announcer] announces.
type AnnouncerConfig struct {
	// Client calls the instance as an administrator who may manage notifications.
	// Required.
	Client *canvas.Client
	// Account is the account whose users see it. Empty means canvas.Self, the
	// whole school.
	Account canvas.Ref
	// Roles are who sees it, by name or id of the role: "TeacherEnrollment". None
	// means everybody.
	Roles []string
}

// Announcer announces maintenances as account notifications, which Canvas shows
// on the first page of its users. It implements incident.Announcer and is safe
// for concurrent use.
//
// A notification has no field for a key, so the key is in the last line of the
// message, where people see it: "[ref maintenance-2026-12-05]". Hidden text would
// not survive Canvas's cleaning of HTML. Of several processes that announce with
// one key at the same time, each makes one for a moment; each then removes all
// but the oldest.
type Announcer struct{ cfg AnnouncerConfig }

var _ incident.Announcer = (*Announcer)(nil)

// NewAnnouncer returns an Announcer, or what is wrong with cfg.
func NewAnnouncer(cfg AnnouncerConfig) (*Announcer, error) {
	if cfg.Client == nil {
		return nil, errors.New("canvasprobe: announcer: Client is required")
	}
	if cfg.Account == "" {
		cfg.Account = canvas.Self
	}
	cfg.Roles = slices.Concat([]string{}, cfg.Roles)
	return &Announcer{cfg}, nil
}

// Announce implements incident.Announcer.
func (n *Announcer) Announce(ctx context.Context, a incident.Announcement) (incident.Announced, error) {
	if err := a.Validate(); err != nil {
		return incident.Announced{}, err
	}
	what := "announce " + a.Key
	have, err := n.find(ctx, a.Key)
	if err != nil {
		return incident.Announced{}, portError(what, err)
	}
	if len(have) > 0 {
		return n.change(ctx, what, a, have)
	}
	made, err := n.cfg.Client.CreateNotification(ctx, n.cfg.Account, n.content(a))
	if err != nil && !mayHaveRun(err) {
		return incident.Announced{}, portError(what, err)
	}
	// The answer was lost, or another process announced at the same time: what is
	// there decides.
	read, stop := afterwards(ctx)
	defer stop()
	have, readErr := n.find(read, a.Key)
	switch {
	case readErr != nil && err == nil:
		return incident.Announced{}, unknownOutcome(what, readErr)
	case len(have) == 0 && err == nil:
		return announced(made, true), nil // the list is behind
	case len(have) == 0:
		return incident.Announced{}, unknownOutcome(what, err)
	}
	if err := n.removeAll(read, have[1:]); err != nil {
		return incident.Announced{}, unknownOutcome(what, err)
	}
	return announced(have[0], err != nil || have[0].ID == made.ID), nil
}

// change makes the oldest of what is there like a, and removes the others.
func (n *Announcer) change(ctx context.Context, what string, a incident.Announcement, have []canvas.Notification) (incident.Announced, error) {
	if err := n.removeAll(ctx, have[1:]); err != nil {
		return incident.Announced{}, n.changed(what, err)
	}
	if n.isLike(have[0], a) {
		return announced(have[0], false), nil
	}
	now, err := n.cfg.Client.UpdateNotification(ctx, n.cfg.Account, have[0].ID, n.content(a))
	if err != nil {
		return incident.Announced{}, n.changed(what, err)
	}
	return announced(now, false), nil
}

// changed is the error of a change that the client has repeated already.
func (n *Announcer) changed(what string, err error) error {
	if mayHaveRun(err) {
		return unknownOutcome(what, err)
	}
	return portError(what, err)
}

// Withdraw implements incident.Announcer.
func (n *Announcer) Withdraw(ctx context.Context, key string) error {
	if err := incident.ValidateKey(key); err != nil {
		return err
	}
	what := "withdraw " + key
	have, err := n.find(ctx, key)
	if err != nil {
		return portError(what, err)
	}
	if err := n.removeAll(ctx, have); err != nil {
		return n.changed(what, err)
	}
	return nil
}

// find returns what belongs to the key, the oldest first, whether it is shown
// now or not.
func (n *Announcer) find(ctx context.Context, key string) ([]canvas.Notification, error) {
	var out []canvas.Notification
	for have, err := range n.cfg.Client.Notifications(ctx, n.cfg.Account) {
		if err != nil {
			return nil, err
		}
		if strings.Contains(have.Message, mark(key)) {
			out = append(out, have)
		}
	}
	slices.SortFunc(out, func(a, b canvas.Notification) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func mark(key string) string { return "[ref " + key + "]" }

func (n *Announcer) removeAll(ctx context.Context, list []canvas.Notification) error {
	for _, old := range list {
		if err := n.cfg.Client.RemoveNotification(ctx, n.cfg.Account, old.ID); err != nil && !errors.Is(err, canvas.ErrNotFound) {
			return err
		}
	}
	return nil
}

// content returns the notification, in HTML.
func (n *Announcer) content(a incident.Announcement) canvas.NotificationChange {
	text := strings.ReplaceAll(html.EscapeString(strings.ReplaceAll(a.Message, "\r\n", "\n")), "\n", "<br>")
	icon := "information"
	if a.Urgent {
		icon = "warning"
	}
	return canvas.NotificationChange{
		Subject: canvas.Value(a.Subject),
		Message: canvas.Value("<p>" + text + "</p><p><small>" + mark(a.Key) + "</small></p>"),
		StartAt: canvas.Value(canvas.Time{Time: a.Start}), EndAt: canvas.Value(canvas.Time{Time: a.End}),
		Icon: canvas.Value(icon), Roles: canvas.Value(n.cfg.Roles),
	}
}

// isLike reports whether a notification needs no change. Times are kept to the
// second.
func (n *Announcer) isLike(have canvas.Notification, a incident.Announcement) bool {
	want := n.content(a)
	same := func(at canvas.Null[canvas.Time], want time.Time) bool {
		got, ok := at.Get()
		return ok && got.Truncate(time.Second).Equal(want.Truncate(time.Second))
	}
	return have.Subject == want.Subject.Or("") && have.Message == want.Message.Or("") && have.Icon == want.Icon.Or("") &&
		same(have.StartAt, a.Start) && same(have.EndAt, a.End) && n.sameRoles(have)
}

// sameRoles compares names and ids, since Config may have either.
func (n *Announcer) sameRoles(have canvas.Notification) bool {
	if len(have.Roles) != len(n.cfg.Roles) {
		return false
	}
	for _, r := range n.cfg.Roles {
		if !slices.Contains(have.Roles, r) && !slices.ContainsFunc(have.RoleIDs, func(id canvas.ID) bool { return id.String() == r }) {
			return false
		}
	}
	return true
}

func announced(n canvas.Notification, created bool) incident.Announced {
	return incident.Announced{
		ID: n.ID.String(), Created: created, Start: n.StartAt.Or(canvas.Time{}).Time, End: n.EndAt.Or(canvas.Time{}).Time,
	}
}

// String names where it announces.
func (n *Announcer) String() string {
	return fmt.Sprintf("notifications of account %s at %s", n.cfg.Account, n.cfg.Client.BaseURL())
}
