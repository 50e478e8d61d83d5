package canvas

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"go.acu.edu.au/runbook"
)

// A BindingState says whether something can be used in an account.
type BindingState string

// The states of a binding.
const (
	BindingOn    BindingState = "on"
	BindingOff   BindingState = "off"
	BindingAllow BindingState = "allow" // the accounts below decide; in Instructure's own account only
)

// A Binding is the switch of a developer key, or of an LTI registration, in an
// account (docs: Developer Key Account Bindings; LTI Registrations).
type Binding struct {
	// ID is Canvas's number for the binding.
	ID ID `json:"id"`
	// AccountID is the account.
	AccountID ID `json:"account_id"`
	// DeveloperKeyID is the key; 0 in the binding of a registration.
	DeveloperKeyID ID `json:"developer_key_id"`
	// RegistrationID is the registration; 0 in the binding of a key.
	RegistrationID ID `json:"registration_id"`
	// State is the position of the switch.
	State BindingState `json:"workflow_state"`
	// Owned says whether the account may change it; absent for registrations.
	Owned Null[bool] `json:"account_owns_binding"`
	// UpdatedAt is when it was last switched; absent for keys.
	UpdatedAt Null[Time] `json:"updated_at"`
	// UpdatedBy is who switched it; absent for keys.
	UpdatedBy Null[Author] `json:"updated_by"`
}

// A DeveloperKey is the client of an OAuth2 program, or of an LTI 1.3 tool
// (docs: Developer Keys).
type DeveloperKey struct {
	// ID is the client id.
	ID ID `json:"id"`
	// Name is what people see.
	Name string `json:"name"`
	// Notes are what administrators wrote about it.
	Notes string `json:"notes"`
	// Email is whom to ask about it. It is personal data.
	Email Null[string] `json:"email"`
	// AccountName is the account that it belongs to.
	AccountName Null[string] `json:"account_name"`
	// State is "active", "inactive" or "deleted", for all accounts. Whether the
	// key is on in an account is a [Binding].
	State string `json:"workflow_state"`
	// Binding is the key's switch in the account of the list, where Canvas says.
	Binding Null[Binding] `json:"developer_key_account_binding"`
	// IsLTI tells keys of tools from keys of programs.
	IsLTI bool `json:"is_lti_key"`
	// APIKey is the client secret. Keys of tools have none, and those that are
	// inherited do not show it.
	APIKey runbook.Secret `json:"-"`
	// Scopes limit what its tokens may do, if RequireScopes.
	Scopes []string `json:"scopes"`
	// RequireScopes says that tokens must name their scopes.
	RequireScopes Null[bool] `json:"require_scopes"`
	// AllowIncludes says whether tokens with scopes may use include[]. Without
	// it Canvas ignores that in silence, and fields are absent.
	AllowIncludes Null[bool] `json:"allow_includes"`
	// TestClusterOnly keeps the key from being used in production.
	TestClusterOnly Null[bool] `json:"test_cluster_only"`
	// RedirectURIs are where users may be sent back to.
	RedirectURIs []string `json:"-"`
	// ClientType is "confidential" or "public".
	ClientType Null[string] `json:"client_type"`
	// PublicJWKURL is where the public keys of a tool are.
	PublicJWKURL Null[string] `json:"public_jwk_url"`
	// PublicJWK is the public key of a tool that has no such address.
	PublicJWK json.RawMessage `json:"public_jwk"`
	// AccessTokenCount is how many tokens it has that work.
	AccessTokenCount Null[int64] `json:"-"`
	// LastUsedAt is when one of its tokens was last used.
	LastUsedAt Null[Time] `json:"last_used_at"`
	// CreatedAt is when it was made.
	CreatedAt Null[Time] `json:"created_at"`
	// UpdatedAt is when it was last changed.
	UpdatedAt Null[Time] `json:"updated_at"`
}

// UnmarshalJSON reads a key and hides its secret at once.
func (k *DeveloperKey) UnmarshalJSON(data []byte) error {
	type fields DeveloperKey
	in := struct {
		*fields
		APIKey       hidden     `json:"api_key"`
		RedirectURIs lines      `json:"redirect_uris"`
		Tokens       *looseText `json:"access_token_count"`
	}{fields: (*fields)(k)}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	k.APIKey, k.RedirectURIs, k.AccessTokenCount = in.APIKey.text, in.RedirectURIs, Null[int64]{}
	if in.Tokens != nil {
		if n, err := strconv.ParseInt(string(*in.Tokens), 10, 64); err == nil {
			k.AccessTokenCount = Value(n)
		}
	}
	return nil
}

// DeveloperKeys lists the keys that were made in an account, or with inherited
// those that it has from Instructure (docs: Developer Keys, "List Developer
// Keys").
func (c *Client) DeveloperKeys(ctx context.Context, account Ref, inherited bool) iter.Seq2[DeveloperKey, error] {
	query := url.Values{}
	setFlag(query, "inherited", inherited)
	return list[DeveloperKey](ctx, c, "list developer keys", Path("accounts", string(account), "developer_keys"), query)
}

// GetDeveloperKey returns a key of an account, its own or inherited. Canvas has
// no call for one key, so that the lists are read until it is found. If it is in
// neither, the error is [ErrNotFound].
func (c *Client) GetDeveloperKey(ctx context.Context, account Ref, key ID) (DeveloperKey, error) {
	for _, inherited := range []bool{false, true} {
		for k, err := range c.DeveloperKeys(ctx, account, inherited) {
			if err != nil {
				return DeveloperKey{}, err
			}
			// The id of a key of another shard is global in one place and local
			// in another; only what is equal counts.
			if k.ID == key {
				return k, nil
			}
		}
	}
	return DeveloperKey{}, &Error{Op: "get developer key", Status: http.StatusOK, kind: ErrNotFound}
}

// BindDeveloperKey switches a key on or off for an account, which must be a root
// account (docs: Developer Key Account Bindings, "Create a Developer Key Account
// Binding"). Tokens of a key that is off do not work, and launches of its tool
// fail, until it is on again. It sets a value, and is repeated after a failure.
// That the answer says another state than was asked for is an error.
func (c *Client) BindDeveloperKey(ctx context.Context, account Ref, key ID, state BindingState) (Binding, error) {
	path := Path("accounts", string(account), "developer_keys", key.String(), "developer_key_account_bindings")
	return c.bind(ctx, "bind developer key", path, map[string]any{
		"developer_key_account_binding": map[string]any{"workflow_state": state},
	}, state)
}

func (c *Client) bind(ctx context.Context, op, path string, body any, state BindingState) (Binding, error) {
	b, err := change[Binding](ctx, c, op, http.MethodPost, path, body, true)
	if err == nil && b.State != state {
		err = &Error{Op: op, Status: http.StatusOK, Code: codeUnchanged, cause: fmt.Errorf("the state is %q and not %q", printable(string(b.State), 20), state)}
	}
	return b, err
}
