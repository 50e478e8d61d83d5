package doctor

// A PlatformTool is a tool as the platform has it. Fields that the platform does
// not tell are left empty, and are not looked at.
type PlatformTool struct {
	// ClientID is the id by which the platform knows the tool.
	ClientID string
	// RedirectURIs are where the platform may post launches.
	RedirectURIs []string
	// LoginURL is where the platform begins a launch, TargetLinkURI what it
	// launches, and JWKSURL where it reads the tool's keys.
	LoginURL, TargetLinkURI, JWKSURL string
	// PublicJWK is the tool's public key, JSON, if the platform keeps it in place
	// of JWKSURL.
	PublicJWK []byte
	// Placements are where the tool appears.
	Placements []Placement
	// Scopes are the services that the tool may use.
	Scopes []string
	// Deployments are the ids of its deployments. Nil means that they are not
	// known.
	Deployments []string
	// Off says that the tool is switched off.
	Off bool
}

// A Placement is a place in the platform where a tool appears.
type Placement struct {
	// Name is the platform's name for it: "course_navigation".
	Name string
	// MessageType is what is launched there: "LtiDeepLinkingRequest". Empty means
	// that it is not known, or any.
	MessageType string
	// TargetLinkURI is what is launched there. Empty means the tool's own.
	TargetLinkURI string
	// Enabled says that people see it.
	Enabled bool
}
