package canvas

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A MessageType is the LTI message that a placement of a tool sends. Canvas may
// have others than those here.
type MessageType string

// The message types of LTI 1.3, and those of LTI 1.1 (docs: External Tools).
const (
	ResourceLinkRequest         MessageType = "LtiResourceLinkRequest"
	DeepLinkingRequest          MessageType = "LtiDeepLinkingRequest"
	BasicLaunchRequest          MessageType = "basic_lti_request"           // LTI 1.1
	ContentItemSelectionRequest MessageType = "ContentItemSelectionRequest" // LTI 1.1
)

// A Placement is how a tool appears in one place of Canvas's pages (docs:
// External Tools; LTI Registrations). Text fields are empty where the placement
// follows the tool.
type Placement struct {
	// Name is the place: "course_navigation", "link_selection",
	// "assignment_selection", "editor_button" and some 40 others.
	Name string `json:"placement"`
	// Enabled says whether the tool appears there; absent means that it does.
	Enabled Null[bool] `json:"-"`
	// MessageType is what is sent when it is used.
	MessageType MessageType `json:"message_type"`
	// TargetLinkURI is where it leads in LTI 1.3.
	TargetLinkURI string `json:"target_link_uri"`
	// URL is where it leads in LTI 1.1.
	URL string `json:"url"`
	// Text is what people see.
	Text string `json:"text"`
	// Label is the same in the language of the user.
	Label string `json:"label"`
	// Visibility is who sees it: "admins", "members" or "public".
	Visibility string `json:"visibility"`
	// RequiredPermissions are those that a user needs to see it, with commas.
	RequiredPermissions string `json:"required_permissions"`
	// Default is "enabled" or "disabled": whether course_navigation shows it
	// unless a teacher says otherwise.
	Default string `json:"default"`
	// DisplayType is the layout of the page: "full_width_in_context".
	DisplayType string `json:"display_type"`
	// WindowTarget is "_blank" for a new tab of the browser.
	WindowTarget string `json:"windowTarget"`
	// IconURL is its picture.
	IconURL string `json:"icon_url"`
	// CustomFields are sent with each launch.
	CustomFields map[string]any `json:"custom_fields"`
}

// UnmarshalJSON reads a placement. What comes from a tool's own XML has true as
// a text.
func (p *Placement) UnmarshalJSON(data []byte) error {
	type fields Placement
	in := struct {
		*fields
		Enabled looseText `json:"enabled"`
	}{fields: (*fields)(p)}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	switch strings.ToLower(string(in.Enabled)) {
	case "":
	case "false", "0":
		p.Enabled = Value(false)
	default:
		p.Enabled = Value(true)
	}
	return nil
}

// A Tool is an external tool that is installed in an account or a course: a
// deployment, in the words of LTI 1.3 (docs: External Tools).
type Tool struct {
	// ID is Canvas's number for the tool.
	ID ID `json:"id"`
	// Name is what people see.
	Name string `json:"name"`
	// Description is what people read about it.
	Description string `json:"description"`
	// URL is where it leads unless a placement says otherwise.
	URL string `json:"url"`
	// Domain is the host by which links are taken for the tool's.
	Domain string `json:"domain"`
	// ConsumerKey is its key in LTI 1.1; "N/A" in LTI 1.3.
	ConsumerKey string `json:"consumer_key"`
	// PrivacyLevel is what it is told of users: "public", "name_only",
	// "email_only" or "anonymous".
	PrivacyLevel string `json:"privacy_level"`
	// Version is that of LTI: "1.1" or "1.3".
	Version string `json:"version"`
	// State is the privacy level too, or "deleted" or "disabled".
	State string `json:"workflow_state"`
	// DeveloperKeyID is its key in LTI 1.3, which tools know as the client id.
	DeveloperKeyID Null[ID] `json:"developer_key_id"`
	// RegistrationID is its [Registration], in LTI 1.3.
	RegistrationID Null[ID] `json:"lti_registration_id"`
	// DeploymentID is the deployment id of its launches, in LTI 1.3.
	DeploymentID Null[string] `json:"deployment_id"`
	// UnifiedToolID is the id of the product.
	UnifiedToolID Null[string] `json:"unified_tool_id"`
	// CustomFields are sent with each launch.
	CustomFields map[string]any `json:"custom_fields"`
	// CreatedAt is when it was installed.
	CreatedAt Null[Time] `json:"created_at"`
	// UpdatedAt is when it was last changed.
	UpdatedAt Null[Time] `json:"updated_at"`
	// Placements are where it appears, sorted by name. In Canvas's answer each
	// is a field; every field that is an object counts, so that placements
	// which Canvas adds are there as well.
	Placements []Placement `json:"-"`
}

// UnmarshalJSON reads a tool and gathers its placements.
func (t *Tool) UnmarshalJSON(data []byte) error {
	type fields Tool
	if err := json.Unmarshal(data, (*fields)(t)); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	t.Placements = nil
	for _, name := range slices.Sorted(maps.Keys(all)) {
		raw := bytes.TrimSpace(all[name])
		if name == "custom_fields" || len(raw) == 0 || raw[0] != '{' {
			continue
		}
		var p Placement
		if err := json.Unmarshal(raw, &p); err != nil {
			return err
		}
		p.Name = name
		t.Placements = append(t.Placements, p)
	}
	return nil
}

// Placement returns how the tool appears in one place, and whether it does at
// all.
func (t *Tool) Placement(name string) (Placement, bool) {
	for _, p := range t.Placements {
		if p.Name == name {
			return p, p.Enabled.Or(true)
		}
	}
	return Placement{}, false
}

// ToolsOptions choose from the tools of a place. Nil means those that are
// installed there itself.
type ToolsOptions struct {
	// Search is a part of the name.
	Search string
	// Placement is a place where tools must appear.
	Placement string
	// IncludeParents adds the tools of the accounts above, which can be used
	// there too.
	IncludeParents bool
}

// Tools lists the external tools of an account or a course (docs: External
// Tools, "List external tools").
func (c *Client) Tools(ctx context.Context, in Place, opts *ToolsOptions) iter.Seq2[Tool, error] {
	var o ToolsOptions
	if opts != nil {
		o = *opts
	}
	query := url.Values{}
	setText(query, "search_term", o.Search)
	setText(query, "placement", o.Placement)
	setFlag(query, "include_parents", o.IncludeParents)
	return list[Tool](ctx, c, "list tools", in.path("external_tools"), query)
}

// GetTool returns a tool that is installed in the place itself (docs: External
// Tools, "Get a single external tool").
func (c *Client) GetTool(ctx context.Context, in Place, tool ID) (Tool, error) {
	return get[Tool](ctx, c, "get tool", in.path("external_tools", tool.String()), nil)
}

// CreateTool installs an LTI 1.3 tool by its client id, which is the id of its
// developer key (docs: External Tools, "Create an external tool"). It is not
// repeated after a failure: a second one would be another deployment.
func (c *Client) CreateTool(ctx context.Context, in Place, clientID ID) (Tool, error) {
	body := map[string]any{"client_id": clientID.String()}
	return change[Tool](ctx, c, "create tool", http.MethodPost, in.path("external_tools"), body, false)
}

// DeleteTool removes a tool from a place, with its deployment id (docs: External
// Tools, "Delete an external tool"). It is repeated after a failure, so that
// [ErrNotFound] may mean that the first attempt did it.
func (c *Client) DeleteTool(ctx context.Context, in Place, tool ID) error {
	return remove(ctx, c, "delete tool", in.path("external_tools", tool.String()), nil)
}
