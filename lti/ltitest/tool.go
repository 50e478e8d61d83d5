package ltitest

import (
	"net/http"
	"slices"
	"strconv"
)

// Scopes of the services.
const (
	ScopeLineItem         = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem"
	ScopeLineItemReadOnly = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem.readonly"
	ScopeResultReadOnly   = "https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly"
	ScopeScore            = "https://purl.imsglobal.org/spec/lti-ags/scope/score"
	ScopeMembership       = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
	ScopeNotices          = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
)

// Scopes returns all scopes that a tool can have.
func Scopes() []string {
	return []string{ScopeLineItem, ScopeLineItemReadOnly, ScopeResultReadOnly, ScopeScore, ScopeMembership, ScopeNotices}
}

// Privacy says what a platform tells a tool of its users.
type Privacy string

// What a tool is told. The words are those of Canvas.
const (
	PrivacyPublic    Privacy = "public"
	PrivacyNameOnly  Privacy = "name_only"
	PrivacyEmailOnly Privacy = "email_only"
	PrivacyAnonymous Privacy = "anonymous"
)

// A Tool is a tool as it is registered at the platform.
type Tool struct {
	// ClientID is the tool's id. Empty means "10000000000042" for the first tool,
	// as Canvas has it, and the next numbers for others.
	ClientID string
	// Deployments are the ids of its deployments. Nil means one.
	Deployments []string
	// LoginURL is where the tool takes login initiations; [Platform.Launch] and
	// the check of notice handlers need it.
	LoginURL string
	// RedirectURIs are where answers may be posted: exactly these. One that has a
	// query fits if its parameters are there.
	RedirectURIs []string
	// TargetLinkURI is what is launched, unless a [Message] says otherwise. Empty
	// means the first of RedirectURIs.
	TargetLinkURI string
	// JWKSURL is where the tool's keys are. They are fetched each time that a
	// signature is checked, as by Canvas.
	JWKSURL string
	// PublicJWK is the tool's one key, in place of JWKSURL; see [PublicJWK].
	PublicJWK map[string]any
	// Handler is the tool itself, for all addresses of its own. Nil means that it
	// is reached by [Platform].KeySet and [Platform].HTTP.
	Handler http.Handler
	// Scopes are those that it may have. Nil means all.
	Scopes []string
	// Custom are parameters of each message.
	Custom map[string]any
	// Privacy is what the tool is told of users. Empty means everything.
	Privacy Privacy
	// Disabled switches the tool off.
	Disabled bool
}

// tool is a Tool and what the platform knows of it.
type tool struct {
	Tool
	id       int
	handlers map[string]string // of notices, by type
}

// AddTool registers a tool, and returns it with everything that was filled in.
// It panics if the client id is taken.
func (p *Platform) AddTool(t Tool) Tool {
	defer p.lock()()
	return p.addTool(t)
}

func (p *Platform) addTool(t Tool) Tool {
	for n := 42 + len(p.tools); t.ClientID == ""; n++ {
		if id := "100000000000" + strconv.Itoa(n); p.tool(id) == nil {
			t.ClientID = id
		}
	}
	if p.tool(t.ClientID) != nil {
		panic("ltitest: there is a tool " + strconv.Quote(t.ClientID) + " already")
	}
	own := &tool{Tool: t, id: 106 + len(p.tools), handlers: make(map[string]string)}
	if t.Deployments == nil {
		own.Deployments = []string{strconv.Itoa(own.id)}
		if p.Canvas {
			own.Deployments = []string{strconv.Itoa(own.id) + ":" + opaque("deployment", own.id)}
		}
	}
	if t.TargetLinkURI == "" && len(t.RedirectURIs) > 0 {
		own.TargetLinkURI = t.RedirectURIs[0]
	}
	if t.Scopes == nil {
		own.Scopes = Scopes()
	}
	p.tools = append(p.tools, own)
	return own.copy()
}

func (t *tool) copy() Tool {
	out := t.Tool
	out.Deployments = slices.Clone(t.Deployments)
	out.RedirectURIs = slices.Clone(t.RedirectURIs)
	out.Scopes = slices.Clone(t.Scopes)
	return out
}

// EnableTool switches a tool on or off. It panics if there is no such tool.
func (p *Platform) EnableTool(clientID string, on bool) {
	defer p.lock()()
	p.mustTool(clientID).Disabled = !on
}

// SetToolKey gives a tool one key, in place of what it had; see [PublicJWK]. It
// panics if there is no such tool.
func (p *Platform) SetToolKey(clientID string, jwk map[string]any) {
	defer p.lock()()
	t := p.mustTool(clientID)
	t.PublicJWK, t.JWKSURL = jwk, ""
}

// Tools returns the tools that are registered, those that registered themselves
// included.
func (p *Platform) Tools() []Tool {
	defer p.lock()()
	out := make([]Tool, len(p.tools))
	for i, t := range p.tools {
		out[i] = t.copy()
	}
	return out
}

func (p *Platform) tool(clientID string) *tool {
	for _, t := range p.tools {
		if t.ClientID == clientID {
			return t
		}
	}
	return nil
}

// mustTool finds a tool, the first one if no id is given. It panics, because a
// test that misspells one would test nothing.
func (p *Platform) mustTool(clientID string) *tool {
	if clientID == "" && len(p.tools) > 0 {
		return p.tools[0]
	}
	t := p.tool(clientID)
	if t == nil {
		panic("ltitest: there is no tool " + strconv.Quote(clientID) + ": add it with AddTool")
	}
	return t
}

func (t *tool) grants(scopes ...string) []string {
	var out []string
	for _, s := range scopes {
		if slices.Contains(t.Scopes, s) {
			out = append(out, s)
		}
	}
	return out
}
