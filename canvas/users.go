package canvas

import "context"

// A User is a person, or the technical user of a program. All of it but the ID
// is personal data. Which fields are there depends on what the token may see,
// and on the include[] of the call (docs: Users).
type User struct {
	// ID is Canvas's number for the user.
	ID ID `json:"id"`
	// Name is the whole name.
	Name string `json:"name"`
	// ShortName is how the user wants to be called.
	ShortName string `json:"short_name"`
	// SortableName is the name in the form "last, first".
	SortableName string `json:"sortable_name"`
	// LoginID is what the user logs in with.
	LoginID Null[string] `json:"login_id"`
	// SISUserID is the user's id in the student system.
	SISUserID Null[string] `json:"sis_user_id"`
	// IntegrationID is the user's id in another system.
	IntegrationID Null[string] `json:"integration_id"`
	// Email is the address that mail goes to. It needs include[] "email", and
	// is not in a profile.
	Email Null[string] `json:"email"`
	// PrimaryEmail is the same in a profile.
	PrimaryEmail Null[string] `json:"primary_email"`
	// LTIUserID is what tools know the user by; in a profile only.
	LTIUserID Null[string] `json:"lti_user_id"`
	// TimeZone is the IANA name of the zone that the user has chosen; in a
	// profile only.
	TimeZone Null[string] `json:"time_zone"`
	// LastLogin is when the user last logged in. It needs include[] "last_login".
	LastLogin Null[Time] `json:"last_login"`
	// CreatedAt is when the user was made.
	CreatedAt Null[Time] `json:"created_at"`
}

// GetUser returns a user; [Self] is the user of the token (docs: Users, "Show
// user details"). include may have "uuid", "last_login", "email" and others.
func (c *Client) GetUser(ctx context.Context, user Ref, include ...string) (User, error) {
	return get[User](ctx, c, "get user", Path("users", string(user)), include)
}

// GetProfile returns the profile of a user, which has the primary address and
// the id that tools know the user by (docs: Users, "Get user profile").
func (c *Client) GetProfile(ctx context.Context, user Ref) (User, error) {
	return get[User](ctx, c, "get profile", Path("users", string(user), "profile"), nil)
}
