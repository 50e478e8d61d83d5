package dynreg

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/lti"
)

// Registered is a registration that a platform has made.
type Registered struct {
	// Registration is what launches are verified with, to be kept. It is marked as
	// External.
	//
	// Its ServiceHosts are those of issuer and registration endpoint, but only if the
	// token endpoint is at a host of the platform too (its issuer's, or one that is
	// trusted). Access tokens of a token endpoint elsewhere go nowhere else: a
	// platform could name another's, to be sent the tokens for that one. Add
	// ServiceHosts only where both are known to belong together.
	Registration lti.Registration
	// Platform is what the platform says about itself.
	Platform Platform
	// Invitation is the one that was used.
	Invitation Invitation
	// Scopes are those that the platform grants, of those that were asked for. An
	// administrator may take away more.
	Scopes []string
	// ManagementURL is where the registration could be read and changed, and
	// ManagementToken what that takes (RFC 7592). Few platforms have them.
	ManagementURL   string
	ManagementToken runbook.Secret
	// Answer is the platform's answer as it came, JSON. It may have secrets.
	Answer runbook.Secret
}

// request is a registration as it is sent.
type request struct {
	ApplicationType string            `json:"application_type"`
	GrantTypes      []string          `json:"grant_types"`
	ResponseTypes   []string          `json:"response_types"`
	RedirectURIs    []string          `json:"redirect_uris"`
	LoginURL        string            `json:"initiate_login_uri"`
	Name            string            `json:"client_name"`
	JWKSURL         string            `json:"jwks_uri"`
	AuthMethod      string            `json:"token_endpoint_auth_method"`
	Scope           string            `json:"scope"`
	HomeURL         string            `json:"client_uri,omitempty"`
	LogoURL         string            `json:"logo_uri,omitempty"`
	PolicyURL       string            `json:"policy_uri,omitempty"`
	TermsURL        string            `json:"tos_uri,omitempty"`
	Contacts        []string          `json:"contacts,omitempty"`
	Tool            toolConfiguration `json:"https://purl.imsglobal.org/spec/lti-tool-configuration"`
}

type toolConfiguration struct {
	Domain           string            `json:"domain"`
	SecondaryDomains []string          `json:"secondary_domains,omitempty"`
	Description      string            `json:"description,omitempty"`
	TargetLinkURI    string            `json:"target_link_uri"`
	Custom           map[string]string `json:"custom_parameters,omitempty"`
	Claims           []string          `json:"claims"`
	Messages         []message         `json:"messages"`
	PrivacyLevel     string            `json:"https://canvas.instructure.com/lti/privacy_level,omitempty"`
	ToolID           string            `json:"https://canvas.instructure.com/lti/tool_id,omitempty"`
	Vendor           string            `json:"https://canvas.instructure.com/lti/vendor,omitempty"`
}

type message struct {
	Type           string            `json:"type"`
	TargetLinkURI  string            `json:"target_link_uri,omitempty"`
	Label          string            `json:"label,omitempty"`
	IconURL        string            `json:"icon_uri,omitempty"`
	Placements     []string          `json:"placements,omitempty"`
	Roles          []string          `json:"roles,omitempty"`
	Custom         map[string]string `json:"custom_parameters,omitempty"`
	DefaultEnabled *bool             `json:"https://canvas.instructure.com/lti/course_navigation/default_enabled,omitzero"`
	Visibility     string            `json:"https://canvas.instructure.com/lti/visibility,omitempty"`
	DisplayType    string            `json:"https://canvas.instructure.com/lti/display_type,omitempty"`
	Width          int               `json:"https://canvas.instructure.com/lti/launch_width,omitzero"`
	Height         int               `json:"https://canvas.instructure.com/lti/launch_height,omitzero"`
}

// request returns what a platform is asked for: of what the tool wants, what the
// platform has.
func (t *Tool) request(p *Platform) (*request, *Error) {
	r := &request{
		ApplicationType: "web", GrantTypes: []string{"client_credentials", "implicit"}, ResponseTypes: []string{"id_token"},
		RedirectURIs: t.RedirectURIs, LoginURL: t.LoginURL, Name: t.Name, JWKSURL: t.JWKSURL, AuthMethod: "private_key_jwt",
		Scope: strings.Join(t.scopes(p), " "), HomeURL: t.HomeURL, LogoURL: t.LogoURL, PolicyURL: t.PolicyURL, TermsURL: t.TermsURL,
		Contacts: t.Contacts,
		Tool: toolConfiguration{
			Domain: t.Domain, SecondaryDomains: t.SecondaryDomains, Description: t.Description, TargetLinkURI: t.TargetLinkURI,
			Custom: t.CustomParameters, Claims: t.Claims,
		},
	}
	if t.Canvas != nil && p.isCanvas() {
		r.Tool.PrivacyLevel, r.Tool.ToolID, r.Tool.Vendor = t.Canvas.PrivacyLevel, t.Canvas.ToolID, t.Canvas.Vendor
	}
	for _, m := range t.Messages {
		if len(p.Messages) > 0 && !slices.ContainsFunc(p.Messages, func(s SupportedMessage) bool { return s.Type == m.Type }) {
			continue
		}
		out := message{
			Type: m.Type, TargetLinkURI: m.TargetLinkURI, Label: m.Label, IconURL: m.IconURL,
			Placements: m.Placements, Roles: m.Roles, Custom: m.CustomParameters,
		}
		if out.TargetLinkURI == "" {
			out.TargetLinkURI = t.TargetLinkURI
		}
		if out.Label == "" {
			out.Label = t.Name
		}
		if c := m.Canvas; c != nil && p.isCanvas() {
			out.Visibility, out.DisplayType, out.Width, out.Height = c.Visibility, c.DisplayType, c.Width, c.Height
			if c.Hidden {
				out.DefaultEnabled = new(bool)
			}
		}
		r.Tool.Messages = append(r.Tool.Messages, out)
	}
	if len(r.Tool.Messages) == 0 {
		return nil, fail(ReasonConfiguration, "messages_supported has none of the message types of the tool")
	}
	return r, nil
}

// scopes are those of the tool that the platform has.
func (t *Tool) scopes(p *Platform) []string {
	if len(p.Scopes) == 0 {
		return t.Scopes
	}
	return slices.DeleteFunc(slices.Clone(t.Scopes), func(s string) bool { return !slices.Contains(p.Scopes, s) })
}

// fetch returns what the platform says about itself.
func (r *Registrar) fetch(ctx context.Context, address string, token runbook.Secret) (Platform, *Error) {
	u, err := parseAddress(address)
	if err != nil {
		return Platform{}, fail(ReasonAddress, "%s: %v", paramConfiguration, err)
	}
	select { // whoever has an invitation must not be able to hold any number of connections
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return Platform{}, &Error{Reason: ReasonFetch, cause: ctx.Err()}
	}
	resp, err := r.read.Do(ctx, httpx.Call{Op: "get the configuration", URL: u, Header: header(token)})
	if err != nil {
		return Platform{}, &Error{Reason: ReasonFetch, cause: err}
	}
	if resp.Status != http.StatusOK {
		return Platform{}, &Error{Reason: ReasonFetch, Status: resp.Status, Detail: "no configuration from " + quote(u.Host)}
	}
	return parsePlatform(resp.Body)
}

// post sends a registration, once.
func (r *Registrar) post(ctx context.Context, p *Platform, asked *request, token runbook.Secret) (Registered, *Error) {
	u, err := url.Parse(p.RegistrationURL)
	if err != nil {
		return Registered{}, fail(ReasonUnsent, "registration_endpoint cannot be read") // cannot be: it was checked
	}
	body, err := json.Marshal(asked, json.Deterministic(true))
	if err != nil {
		return Registered{}, fail(ReasonUnsent, "the tool's configuration cannot be written: %v", err)
	}
	h := header(token)
	h.Set("Content-Type", "application/json")
	resp, err := r.send.Do(ctx, httpx.Call{Op: "register", Method: http.MethodPost, URL: u, Header: h, Body: body})
	if err != nil {
		e := unanswered(err)
		if e.Reason == ReasonUnknown {
			e.Detail = "look at the platform for a tool named " + quote(asked.Name) + ", and delete it before the next invitation"
		}
		return Registered{}, e
	}
	switch {
	case resp.Status/100 == 2:
		out, e := parseAnswer(resp.Body, asked, p)
		if e != nil {
			e.Status = resp.Status
		}
		return out, e
	case resp.Status/100 == 4:
		e := &Error{Reason: ReasonRefused, Status: resp.Status}
		e.Code, e.Message = said(resp.Body)
		return Registered{}, e
	}
	// A redirect is not followed; what was done before it is not known.
	e := fail(ReasonUnknown, "look at the platform for a tool named %s, and delete it before the next invitation", quote(asked.Name))
	e.Status = resp.Status
	return Registered{}, e
}

func header(token runbook.Secret) http.Header {
	h := http.Header{"Accept": {"application/json"}}
	if !token.IsZero() {
		h.Set("Authorization", "Bearer "+token.Reveal())
	}
	return h
}
