package canvas

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"

	"go.acu.edu.au/runbook"
)

// An AccessToken is a token that a user has made by hand (docs: Access Tokens).
type AccessToken struct {
	// ID is Canvas's number for the token.
	ID ID `json:"id"`
	// Hint is the beginning of the token, by which people know it.
	Hint string `json:"token_hint"`
	// Token is the token itself. Canvas shows it once: when it was created or
	// regenerated. Otherwise it is the zero Secret.
	Token runbook.Secret `json:"-"`
	// Purpose is what the user wrote that it is for.
	Purpose string `json:"purpose"`
	// UserID is whose token it is.
	UserID ID `json:"user_id"`
	// RealUserID is who made it while acting as that user.
	RealUserID Null[ID] `json:"real_user_id"`
	// AppName is the name of the developer key behind it.
	AppName Null[string] `json:"app_name"`
	// State is "active", "pending", "disabled" or "deleted". A token that was
	// made for another user is pending until that user activates it.
	State string `json:"workflow_state"`
	// Scopes limit what it may do. None means no limit but the user's own.
	Scopes []string `json:"scopes"`
	// CanRegenerate says whether the user of the client may regenerate it.
	CanRegenerate Null[bool] `json:"can_manually_regenerate"`
	// ExpiresAt is when it stops working; null means never.
	ExpiresAt Null[Time] `json:"expires_at"`
	// LastUsedAt is when it was last used, to within some minutes.
	LastUsedAt Null[Time] `json:"last_used_at"`
	// CreatedAt is when it was made.
	CreatedAt Null[Time] `json:"created_at"`
	// UpdatedAt is when it was last changed.
	UpdatedAt Null[Time] `json:"updated_at"`
}

var errNotRegenerated = errors.New("the answer has no new token: only tokens that a person made can be regenerated")

// UnmarshalJSON reads a token and hides its text at once.
func (t *AccessToken) UnmarshalJSON(data []byte) error {
	type fields AccessToken
	in := struct {
		*fields
		Token hidden `json:"token"`
	}{fields: (*fields)(t)}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	t.Token = in.Token.text
	return nil
}

// TokenOptions say what a new token is like.
type TokenOptions struct {
	// Purpose says what it is for. Canvas has required it since October 2025.
	Purpose string `json:"purpose"`
	// ExpiresAt is when it is to stop working. Absent or null means never; users
	// who are students only must have an end within 120 days.
	ExpiresAt Null[Time] `json:"expires_at,omitzero"`
	// Scopes limit what it may do. Canvas ignores them unless the default
	// developer key enables scopes.
	Scopes []string `json:"scopes,omitempty"`
}

// AccessTokens lists the tokens that a user made by hand, without their texts
// (docs: Access Tokens, "List access tokens for a user").
func (c *Client) AccessTokens(ctx context.Context, user Ref) iter.Seq2[AccessToken, error] {
	return list[AccessToken](ctx, c, "list access tokens", Path("users", string(user), "user_generated_tokens"), nil)
}

// GetAccessToken returns a token of a user, without its text. token is an id or
// a hint (docs: Access Tokens, "Show an access token").
func (c *Client) GetAccessToken(ctx context.Context, user, token Ref) (AccessToken, error) {
	return get[AccessToken](ctx, c, "get access token", Path("users", string(user), "tokens", string(token)), nil)
}

// CreateAccessToken makes a token for a user (docs: Access Tokens, "Create an
// access token"). It is not repeated after a failure: when the answer is lost,
// there may be a token that nobody knows, which [Client.AccessTokens] shows by
// its purpose and [Client.DeleteAccessToken] removes.
func (c *Client) CreateAccessToken(ctx context.Context, user Ref, opts TokenOptions) (AccessToken, error) {
	const op = "create access token"
	if opts.Purpose == "" {
		return AccessToken{}, refused(op, "the purpose is missing")
	}
	path := Path("users", string(user), "tokens")
	return change[AccessToken](ctx, c, op, http.MethodPost, path, map[string]any{"token": opts}, false)
}

// RegenerateAccessToken gives a token a new text. The old one stops working at
// once, also if the answer is lost: then the token must be regenerated again, so
// that the call is not repeated by itself. expires is the new end, which a
// token that has expired must have; absent means that the old one stays (docs:
// Access Tokens, "Update an access token").
func (c *Client) RegenerateAccessToken(ctx context.Context, user, token Ref, expires Null[Time]) (AccessToken, error) {
	const op = "regenerate access token"
	body := struct {
		Regenerate bool       `json:"regenerate"`
		ExpiresAt  Null[Time] `json:"expires_at,omitzero"`
	}{true, expires}
	path := Path("users", string(user), "tokens", string(token))
	t, err := change[AccessToken](ctx, c, op, http.MethodPut, path, map[string]any{"token": body}, false)
	if err == nil && t.Token.IsZero() {
		// Canvas ignores the wish for tokens that no person made.
		return AccessToken{}, &Error{Op: op, Status: http.StatusOK, Code: codeUnchanged, cause: errNotRegenerated}
	}
	return t, err
}

// DeleteAccessToken revokes a token. It is repeated after a failure, so that
// [ErrNotFound] may mean that the first attempt did it (docs: Access Tokens,
// "Delete an access token").
func (c *Client) DeleteAccessToken(ctx context.Context, user, token Ref) error {
	return remove(ctx, c, "delete access token", Path("users", string(user), "tokens", string(token)), nil)
}
