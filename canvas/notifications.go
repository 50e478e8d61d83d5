package canvas

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// A Notification is an announcement that Canvas shows to all users of an account
// on their first page (docs: Account Notifications).
type Notification struct {
	// ID is Canvas's number for the notification.
	ID ID `json:"id"`
	// Subject is its title.
	Subject string `json:"subject"`
	// Message is its text, in HTML.
	Message string `json:"message"`
	// StartAt is from when it is shown.
	StartAt Null[Time] `json:"start_at"`
	// EndAt is until when it is shown.
	EndAt Null[Time] `json:"end_at"`
	// Icon is "warning", "information", "question", "error" or "calendar".
	Icon string `json:"icon"`
	// Roles are who sees it, "StudentEnrollment" and others; none means
	// everybody. Canvas calls the names deprecated.
	Roles []string `json:"roles"`
	// RoleIDs are the same by their ids.
	RoleIDs []ID `json:"role_ids"`
	// Author is who made it; only in a list of all.
	Author Null[Author] `json:"author"`
	// Closed says whether the user of the token has closed it, where Canvas
	// says.
	Closed Null[bool] `json:"closed"`
}

// A NotificationChange is what a notification is to be like. In an update,
// absent fields but for Roles stay as they are.
type NotificationChange struct {
	// Subject is the title.
	Subject Null[string] `json:"subject,omitzero"`
	// Message is the text, in HTML.
	Message Null[string] `json:"message,omitzero"`
	// StartAt is from when it is shown.
	StartAt Null[Time] `json:"start_at,omitzero"`
	// EndAt is until when it is shown. It must be later than StartAt.
	EndAt Null[Time] `json:"end_at,omitzero"`
	// Icon is as in [Notification]; Canvas takes "warning" for a new one.
	Icon Null[string] `json:"icon,omitzero"`
	// Roles are who sees it: names or ids of roles. An empty list means
	// everybody. An update must have it, even if it does not change: Canvas
	// would show the notification to everybody otherwise.
	Roles Null[[]string] `json:"-"`
}

func (n NotificationChange) body() map[string]any {
	body := map[string]any{"account_notification": n}
	if roles, ok := n.Roles.Get(); ok && len(roles) > 0 {
		body["account_notification_roles"] = roles
	}
	return body
}

func notificationPath(account Ref, id ID) string {
	return Path("accounts", string(account), "account_notifications", id.String())
}

// Notifications lists the notifications of an account, whatever their times.
// Only administrators may do so (docs: Account Notifications, "Index of active
// global notification for the user", with include_all).
func (c *Client) Notifications(ctx context.Context, account Ref) iter.Seq2[Notification, error] {
	return c.notifications(ctx, account, "include_all", true)
}

// OwnNotifications lists the notifications that the user of the token sees now,
// and with past also those that the user has closed and those that have ended.
// They come from the root account, whatever the account (docs: Account
// Notifications, "Index of active global notification for the user").
func (c *Client) OwnNotifications(ctx context.Context, account Ref, past bool) iter.Seq2[Notification, error] {
	return c.notifications(ctx, account, "include_past", past)
}

func (c *Client) notifications(ctx context.Context, account Ref, flag string, on bool) iter.Seq2[Notification, error] {
	query := url.Values{}
	setFlag(query, flag, on)
	return whole[Notification](ctx, c, Request{
		Op: "list notifications", Path: Path("accounts", string(account), "account_notifications"), Query: query,
	})
}

// GetNotification returns a notification that the user of the token sees now
// (docs: Account Notifications, "Show a global notification").
func (c *Client) GetNotification(ctx context.Context, account Ref, id ID) (Notification, error) {
	return get[Notification](ctx, c, "get notification", notificationPath(account, id), nil)
}

// CreateNotification announces something to the users of an account. Subject,
// message and times are required (docs: Account Notifications, "Create a global
// notification"). It is not repeated after a failure: people would see it twice.
func (c *Client) CreateNotification(ctx context.Context, account Ref, n NotificationChange) (Notification, error) {
	path := Path("accounts", string(account), "account_notifications")
	return change[Notification](ctx, c, "create notification", http.MethodPost, path, n.body(), false)
}

// UpdateNotification changes a notification. It sets values, and is repeated
// after a failure (docs: Account Notifications, "Update a global notification").
func (c *Client) UpdateNotification(ctx context.Context, account Ref, id ID, to NotificationChange) (Notification, error) {
	const op = "update notification"
	if _, ok := to.Roles.Get(); !ok {
		return Notification{}, refused(op, "the roles are missing, without which Canvas would show it to everybody: set them, or an empty list")
	}
	return change[Notification](ctx, c, op, http.MethodPut, notificationPath(account, id), to.body(), true)
}

// CloseNotification hides a notification from the user of the token, and from
// nobody else (docs: Account Notifications, "Close notification for user"). It
// is repeated after a failure.
func (c *Client) CloseNotification(ctx context.Context, account Ref, id ID) error {
	return remove(ctx, c, "close notification", notificationPath(account, id), nil)
}

// RemoveNotification deletes a notification for everybody (docs: Account
// Notifications, "Close notification for user. Destroy notification for admin").
// It is repeated after a failure, so that [ErrNotFound] may mean that the first
// attempt did it.
func (c *Client) RemoveNotification(ctx context.Context, account Ref, id ID) error {
	return remove(ctx, c, "remove notification", notificationPath(account, id), url.Values{"remove": {"true"}})
}
