package canvas

import (
	"context"
	"encoding/json"
	"iter"
	"net/url"
)

// An Account is a school, or a part of one (docs: Accounts).
type Account struct {
	// ID is Canvas's number for the account.
	ID ID `json:"id"`
	// Name is what people call it.
	Name string `json:"name"`
	// UUID is its id for other systems.
	UUID string `json:"uuid"`
	// ParentAccountID is the account that it is a part of; null for a root
	// account.
	ParentAccountID Null[ID] `json:"parent_account_id"`
	// RootAccountID is the uppermost account; null for that one.
	RootAccountID Null[ID] `json:"root_account_id"`
	// DefaultTimeZone is the IANA name of the zone that its courses are in
	// unless they say otherwise.
	DefaultTimeZone string `json:"default_time_zone"`
	// DefaultStorageQuotaMB is how much its courses may store, in megabytes.
	// Only administrators see it, and the three that follow.
	DefaultStorageQuotaMB Null[int64] `json:"default_storage_quota_mb"`
	// DefaultUserStorageQuotaMB is the same for users.
	DefaultUserStorageQuotaMB Null[int64] `json:"default_user_storage_quota_mb"`
	// SISAccountID is its id in the student system.
	SISAccountID Null[string] `json:"sis_account_id"`
	// IntegrationID is its id in another system.
	IntegrationID Null[string] `json:"integration_id"`
	// LTIGUID is what tools know the account by. It needs include[] "lti_guid".
	LTIGUID Null[string] `json:"lti_guid"`
	// State is "active" or "deleted".
	State string `json:"workflow_state"`
}

// Accounts lists the accounts that the user administers (docs: Accounts, "List
// accounts"). include may have "lti_guid" and others.
func (c *Client) Accounts(ctx context.Context, include ...string) iter.Seq2[Account, error] {
	query := url.Values{}
	setList(query, "include[]", include)
	return list[Account](ctx, c, "list accounts", Path("accounts"), query)
}

// SubAccounts lists the parts of an account, and with recursive their parts too
// (docs: Accounts, "Get the sub-accounts of an account").
func (c *Client) SubAccounts(ctx context.Context, account Ref, recursive bool) iter.Seq2[Account, error] {
	query := url.Values{}
	setFlag(query, "recursive", recursive)
	return list[Account](ctx, c, "list sub-accounts", Path("accounts", string(account), "sub_accounts"), query)
}

// GetAccount returns an account; [Self] is the root account (docs: Accounts,
// "Get a single account").
func (c *Client) GetAccount(ctx context.Context, account Ref) (Account, error) {
	return get[Account](ctx, c, "get account", Path("accounts", string(account)), nil)
}

// GetAccountSettings returns the settings of an account, by name. Their types
// differ, and Canvas adds more, so that they are left as they are (docs:
// Accounts, "Settings").
func (c *Client) GetAccountSettings(ctx context.Context, account Ref) (map[string]json.RawMessage, error) {
	return get[map[string]json.RawMessage](ctx, c, "get account settings", Path("accounts", string(account), "settings"), nil)
}

// GetPermissions returns what the user of the token may do in an account, for
// the permissions that are named: "manage_developer_keys", "view_audit_trail".
// A name that Canvas does not know is absent or false (docs: Accounts,
// "Permissions").
func (c *Client) GetPermissions(ctx context.Context, account Ref, names ...string) (map[string]bool, error) {
	const op = "get permissions"
	if len(names) == 0 {
		return nil, refused(op, "no permission is named")
	}
	return call[map[string]bool](ctx, c, Request{
		Op: op, Path: Path("accounts", string(account), "permissions"), Query: url.Values{"permissions[]": names},
	})
}

// GetEnvironmentSettings returns the settings of the whole instance that any
// user may see (docs: Accounts, "List environment settings").
func (c *Client) GetEnvironmentSettings(ctx context.Context) (map[string]json.RawMessage, error) {
	return get[map[string]json.RawMessage](ctx, c, "get environment settings", Path("settings", "environment"), nil)
}

// Scopes lists the names of the operations that developer keys of an account can
// be limited to: "url:GET|/api/v1/courses/:id" (docs: API Token Scopes, "List
// scopes").
func (c *Client) Scopes(ctx context.Context, account Ref) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		type scope struct {
			Name string `json:"scope"`
		}
		for s, err := range list[scope](ctx, c, "list scopes", Path("accounts", string(account), "scopes"), nil) {
			if !yield(s.Name, err) {
				return
			}
		}
	}
}
