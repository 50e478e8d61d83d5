package dynreg

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/lti"
)

// A Tool is what platforms are told about a tool (LTI Dynamic Registration 1.0,
// section 3.5; OpenID Connect Dynamic Client Registration 1.0, section 2). All
// addresses are https.
type Tool struct {
	// Name is what people see. Required.
	Name string
	// LoginURL is the address of the login handler (initiate_login_uri). Required.
	LoginURL string
	// TargetLinkURI is where launches lead unless a message says otherwise, as a
	// rule the launch handler. Required.
	TargetLinkURI string
	// JWKSURL is where the tool's public keys are. Required.
	JWKSURL string
	// RedirectURIs are where launches may be sent. Empty means TargetLinkURI alone.
	RedirectURIs []string
	// Messages are what the tool takes, and where it appears. One is required. A
	// platform is not told of types that it says it does not have.
	Messages []Message

	// Scopes are the services that the tool wants to use, such as those of packages
	// ags and nrps. A platform is not asked for those that it says it does not have;
	// Canvas would refuse the registration.
	Scopes []string
	// Claims are what the tool wants to know of users. Nil means iss and sub alone.
	// Canvas derives its privacy level from them, unless Canvas says one.
	Claims []string
	// CustomParameters are sent with each launch; values may be variables, such as
	// "$Context.id".
	CustomParameters map[string]string

	// Domain is the host by which links are taken for the tool's. Empty means the
	// host of TargetLinkURI.
	Domain string
	// SecondaryDomains are further ones.
	SecondaryDomains []string
	// Description is a sentence about the tool.
	Description string
	// HomeURL, LogoURL, PolicyURL and TermsURL are shown to administrators: the
	// tool's home page, its picture, and what it says about data and use.
	HomeURL, LogoURL, PolicyURL, TermsURL string
	// Contacts are mail addresses of those who run the tool.
	Contacts []string
	// Canvas is what Canvas alone is told.
	Canvas *CanvasTool
}

// CanvasTool has Canvas' extensions of a tool's configuration (docs: Registration).
type CanvasTool struct {
	// PrivacyLevel is what the tool is told of users: "anonymous", "name_only",
	// "email_only" or "public". Empty means what follows from the Claims.
	PrivacyLevel string
	// ToolID is the tool's own id for itself.
	ToolID string
	// Vendor is who makes the tool.
	Vendor string
}

// A Message is a message type that the tool takes.
type Message struct {
	// Type is [lti.MessageResourceLink] or another. Required.
	Type string
	// TargetLinkURI is where this message leads. Empty means that of the tool.
	TargetLinkURI string
	// Label is what people click on. Empty means the Name of the tool.
	Label string
	// IconURL is a picture beside it.
	IconURL string
	// Placements are where it appears: "ContentArea" and "RichTextEditor", or names
	// of the platform, such as "course_navigation" in Canvas. Empty is up to the
	// platform.
	Placements []string
	// Roles are who sees it. Empty is up to the platform.
	Roles []string
	// CustomParameters are sent beside those of the tool.
	CustomParameters map[string]string
	// Canvas is what Canvas alone is told.
	Canvas *CanvasMessage
}

// CanvasMessage has Canvas' extensions of a message.
type CanvasMessage struct {
	// Hidden keeps the tool out of the course navigation until a teacher adds it.
	Hidden bool
	// Visibility is who sees the link: "admins", "members" or "public". Empty is up
	// to Canvas.
	Visibility string
	// DisplayType is how the tool opens, such as "full_width_in_context" or
	// "new_window". Empty is up to Canvas.
	DisplayType string
	// Width and Height are those of the frame in pixels, where the placement has
	// one. Zero is up to Canvas.
	Width, Height int
}

func (t Tool) clone() Tool {
	t.RedirectURIs = slices.Clone(t.RedirectURIs)
	t.Messages = slices.Clone(t.Messages)
	for i, m := range t.Messages {
		m.Placements, m.Roles, m.CustomParameters = slices.Clone(m.Placements), slices.Clone(m.Roles), maps.Clone(m.CustomParameters)
		if m.Canvas != nil {
			c := *m.Canvas
			m.Canvas = &c
		}
		t.Messages[i] = m
	}
	t.Scopes, t.Claims, t.Contacts, t.SecondaryDomains = slices.Clone(t.Scopes), slices.Clone(t.Claims), slices.Clone(t.Contacts), slices.Clone(t.SecondaryDomains)
	t.CustomParameters = maps.Clone(t.CustomParameters)
	if t.Canvas != nil {
		c := *t.Canvas
		t.Canvas = &c
	}
	if len(t.RedirectURIs) == 0 {
		t.RedirectURIs = []string{t.TargetLinkURI}
	}
	if len(t.Claims) == 0 {
		t.Claims = []string{"iss", "sub"}
	}
	if u, err := url.Parse(t.TargetLinkURI); err == nil && t.Domain == "" {
		t.Domain = u.Hostname()
	}
	return t
}

func (t *Tool) check(p *problems) {
	if strings.TrimSpace(t.Name) == "" {
		p.add("dynreg: Tool.Name is required")
	}
	address := func(name, value string, required bool) {
		if err := checkAddress(value); err != nil && (required || value != "") {
			p.add("dynreg: Tool.%s: %w", name, err)
		}
	}
	address("LoginURL", t.LoginURL, true)
	address("TargetLinkURI", t.TargetLinkURI, true)
	address("JWKSURL", t.JWKSURL, true)
	address("HomeURL", t.HomeURL, false)
	address("LogoURL", t.LogoURL, false)
	address("PolicyURL", t.PolicyURL, false)
	address("TermsURL", t.TermsURL, false)
	for _, uri := range t.RedirectURIs {
		if uri != t.TargetLinkURI {
			address("RedirectURIs", uri, true)
		}
	}
	for _, s := range t.Scopes {
		if s == "" || strings.ContainsAny(s, " \t\r\n\"\\") {
			p.add("dynreg: Tool.Scopes: %s is not a scope", quote(s))
		}
	}
	if len(t.Messages) == 0 {
		p.add("dynreg: Tool.Messages is empty: say what the tool takes, at least %s", lti.MessageResourceLink)
	}
	for i, m := range t.Messages {
		if m.Type == "" {
			p.add("dynreg: Tool.Messages[%d]: Type is required", i)
		}
		address("Messages: TargetLinkURI", m.TargetLinkURI, false)
		address("Messages: IconURL", m.IconURL, false)
		if m.Canvas != nil && !slices.Contains([]string{"", "admins", "members", "public"}, m.Canvas.Visibility) {
			p.add("dynreg: Tool.Messages[%d]: Canvas.Visibility %s: must be admins, members or public", i, quote(m.Canvas.Visibility))
		}
	}
	if t.Canvas != nil && !slices.Contains([]string{"", "anonymous", "name_only", "email_only", "public"}, t.Canvas.PrivacyLevel) {
		p.add("dynreg: Tool.Canvas.PrivacyLevel %s: must be anonymous, name_only, email_only or public", quote(t.Canvas.PrivacyLevel))
	}
}
