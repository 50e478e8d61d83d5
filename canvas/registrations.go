package canvas

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
)

// A Registration is an LTI tool that is known to a root account: its
// configuration, whether it is on, and what an administrator has changed (docs:
// LTI Registrations, which is BETA).
type Registration struct {
	// ID is Canvas's number for the registration.
	ID ID `json:"id"`
	// AccountID is the account that owns it.
	AccountID ID `json:"account_id"`
	// Name is the tool's own name.
	Name string `json:"name"`
	// AdminNickname is the name that administrators gave it.
	AdminNickname Null[string] `json:"admin_nickname"`
	// Vendor is who makes the tool.
	Vendor Null[string] `json:"vendor"`
	// Version is that of LTI: "1.1" or "1.3".
	Version string `json:"lti_version"`
	// State is "active", "inactive" or "deleted". Whether the tool is on is the
	// Binding.
	State string `json:"workflow_state"`
	// Internal marks Instructure's own services.
	Internal bool `json:"internal_service"`
	// Inherited marks what belongs to an account above.
	Inherited bool `json:"inherited"`
	// DynamicRegistration marks what a tool registered by itself.
	DynamicRegistration Null[bool] `json:"dynamic_registration"`
	// DeveloperKeyID is the key of the tool, which is its client id.
	DeveloperKeyID Null[ID] `json:"developer_key_id"`
	// Binding is the switch of the tool in the account of the call.
	Binding Null[Binding] `json:"account_binding"`
	// Configuration is what the tool asked for. A list has it only with
	// include[] "configuration".
	Configuration Null[ToolConfiguration] `json:"configuration"`
	// OverlaidConfiguration is what is in force: the configuration with what an
	// administrator changed. It needs include[] "overlaid_configuration".
	OverlaidConfiguration Null[ToolConfiguration] `json:"overlaid_configuration"`
	// Overlay is what an administrator changed, as Canvas has it; null means
	// nothing. It needs include[] "overlay".
	Overlay Null[json.RawMessage] `json:"overlay"`
	// CreatedAt is when it was made.
	CreatedAt Null[Time] `json:"created_at"`
	// UpdatedAt is when it was last changed.
	UpdatedAt Null[Time] `json:"updated_at"`
	// CreatedBy is who made it, where Canvas says.
	CreatedBy Null[Author] `json:"created_by"`
	// UpdatedBy is who changed it last, where Canvas says.
	UpdatedBy Null[Author] `json:"updated_by"`
}

// A ToolConfiguration is how an LTI tool is set up (docs: LTI Registrations).
type ToolConfiguration struct {
	// Title is what people see.
	Title string `json:"title"`
	// Description is what people read about it.
	Description string `json:"description"`
	// TargetLinkURI is where launches lead unless a placement says otherwise.
	TargetLinkURI string `json:"target_link_uri"`
	// OIDCInitiationURL is where a launch begins.
	OIDCInitiationURL string `json:"oidc_initiation_url"`
	// OIDCInitiationURLs are where it begins instead, by region: "eu-west-1".
	OIDCInitiationURLs map[string]string `json:"oidc_initiation_urls"`
	// RedirectURIs are where launches may be sent.
	RedirectURIs []string `json:"redirect_uris"`
	// PublicJWKURL is where the tool's public keys are.
	PublicJWKURL string `json:"public_jwk_url"`
	// PublicJWK is the public key of a tool that has no such address.
	PublicJWK json.RawMessage `json:"public_jwk"`
	// Scopes are the services of LTI that the tool may use.
	Scopes []string `json:"scopes"`
	// Domain is the host by which links are taken for the tool's.
	Domain string `json:"domain"`
	// ToolID is the tool's own id for itself.
	ToolID string `json:"tool_id"`
	// PrivacyLevel is what it is told of users: "public", "name_only",
	// "email_only" or "anonymous".
	PrivacyLevel string `json:"privacy_level"`
	// CustomFields are sent with each launch.
	CustomFields map[string]any `json:"custom_fields"`
	// Placements are where the tool appears.
	Placements []Placement `json:"placements"`
	// LaunchSettings are what placements have unless they say otherwise.
	LaunchSettings Placement `json:"launch_settings"`
}

// A RegistrationChange is one entry in the history of a registration, or of what
// administrators changed in it.
type RegistrationChange struct {
	// ID is Canvas's number for the entry; 0 in the history of the overlay.
	ID ID `json:"id"`
	// CreatedAt is when it happened.
	CreatedAt Null[Time] `json:"created_at"`
	// CreatedBy is who did it.
	CreatedBy Null[Author] `json:"created_by"`
	// CausedByReset says that the overlay was reset; absent in the history of
	// the registration.
	CausedByReset Null[bool] `json:"caused_by_reset"`
	// UpdateType is how it happened, "manual_edit" for one; absent in the history
	// of the overlay.
	UpdateType Null[string] `json:"update_type"`
	// Comment is what was said about it; absent in the history of the overlay.
	Comment Null[string] `json:"comment"`
	// Diff is what changed. In the history of the overlay it is a list of
	// ["+", "disabled_placements[0]", "top_navigation"], where "+" is added, "-"
	// removed and "~" changed; in that of the registration it is such a list for
	// each part.
	Diff json.RawMessage `json:"diff"`
}

func registrationPath(account Ref, id ID, more ...string) string {
	return Path(append([]string{"accounts", string(account), "lti_registrations", id.String()}, more...)...)
}

// Registrations lists the LTI registrations of a root account and those that it
// inherits and has on (docs: LTI Registrations, "List LTI Registrations in an
// account"). include may have "configuration", "overlaid_configuration" and
// "overlay".
func (c *Client) Registrations(ctx context.Context, account Ref, include ...string) iter.Seq2[Registration, error] {
	query := url.Values{}
	setList(query, "include[]", include)
	r := Request{Op: "list registrations", Path: Path("accounts", string(account), "lti_registrations"), Query: query}
	return Items[Registration](ctx, c, r, &ListOptions{Items: "data"})
}

// GetRegistration returns a registration with its configuration (docs: LTI
// Registrations, "Show an LTI Registration"). include may have
// "overlaid_configuration" and "overlay".
func (c *Client) GetRegistration(ctx context.Context, account Ref, id ID, include ...string) (Registration, error) {
	return get[Registration](ctx, c, "get registration", registrationPath(account, id), include)
}

// GetRegistrationByClientID returns the registration of a developer key, with
// its configuration (docs: LTI Registrations, "Show an LTI Registration (via the
// client_id)").
func (c *Client) GetRegistrationByClientID(ctx context.Context, account Ref, clientID ID) (Registration, error) {
	path := Path("accounts", string(account), "lti_registration_by_client_id", clientID.String())
	return get[Registration](ctx, c, "get registration by client id", path, nil)
}

// BindRegistration switches a tool on or off for a root account (docs: LTI
// Registrations, "Bind an LTI Registration to an Account"). It sets a value, and
// is repeated after a failure. That the answer says another state than was
// asked for is an error.
func (c *Client) BindRegistration(ctx context.Context, account Ref, id ID, state BindingState) (Binding, error) {
	path := registrationPath(account, id, "bind")
	return c.bind(ctx, "bind registration", path, map[string]any{"workflow_state": state}, state)
}

// ResetRegistration takes back all that administrators changed in the
// configuration of a tool (docs: LTI Registrations, "Reset an LTI Registration to
// Defaults"). It is not repeated after a failure: each reset is an entry in the
// history, and may undo what somebody did meanwhile.
func (c *Client) ResetRegistration(ctx context.Context, account Ref, id ID) (Registration, error) {
	return change[Registration](ctx, c, "reset registration", http.MethodPut, registrationPath(account, id, "reset"), nil, false)
}

// OverlayHistory lists what administrators changed in the configuration of a
// tool, newest first: the last limit changes, of which Canvas gives at most 100.
// Zero means 10 (docs: LTI Registrations, "Overlay History").
func (c *Client) OverlayHistory(ctx context.Context, account Ref, id ID, limit int) iter.Seq2[RegistrationChange, error] {
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", digitsOf(int64(limit)))
	}
	r := Request{Op: "list overlay history", Path: registrationPath(account, id, "overlay_history"), Query: query}
	return whole[RegistrationChange](ctx, c, r)
}

// RegistrationHistory lists what changed in a registration, newest first (docs:
// LTI Registrations, "Registration History").
func (c *Client) RegistrationHistory(ctx context.Context, account Ref, id ID) iter.Seq2[RegistrationChange, error] {
	return list[RegistrationChange](ctx, c, "list registration history", registrationPath(account, id, "history"), nil)
}
