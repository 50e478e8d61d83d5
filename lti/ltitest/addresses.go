package ltitest

import "net/url"

// Paths of the endpoints. They are those of Canvas (canvas-lms, config/routes.rb),
// for other platforms too, which may have any.
const (
	pathAuth          = "/api/lti/authorize_redirect"
	pathKeySet        = "/api/lti/security/jwks"
	pathToken         = "/login/oauth2/token"
	pathConfiguration = "/api/lti/security/openid-configuration"
	pathRegistration  = "/api/lti/registrations"
)

// An Endpoint names an address of the platform in [Fault] and [Request].
type Endpoint string

// Endpoints of a platform.
const (
	KeySet        Endpoint = "key set"       // the platform's keys
	Authorization Endpoint = "authorization" // the OIDC authentication endpoint
	TokenEndpoint Endpoint = "token"         // access tokens for services
	LineItems     Endpoint = "line items"    // the line items of a course
	OneLineItem   Endpoint = "line item"     // one of them
	Scores        Endpoint = "scores"        // scores of a line item
	Results       Endpoint = "results"       // results of a line item
	Memberships   Endpoint = "memberships"   // the members of a course
	Notices       Endpoint = "notices"       // handlers of notices
	DeepLinks     Endpoint = "deep links"    // where deep linking responses go
	Configuration Endpoint = "configuration" // the OpenID configuration
	Registrations Endpoint = "registrations" // dynamic registration
	TheTool       Endpoint = "tool"          // requests of the platform to a tool
	Elsewhere     Endpoint = "elsewhere"     // a host that is not the platform's
)

// query adds the query that the services of a neutral platform have, as those
// of Moodle do: a tool must keep it when it adds a path.
func (p *Platform) query(address string) string {
	if p.Canvas {
		return address
	}
	return address + "?type_id=7"
}

func (p *Platform) lineItemsURL(c *course) string {
	return p.query(p.back() + "/api/lti/courses/" + itoa(c.number) + "/line_items")
}

func (p *Platform) lineItemURL(c *course, i *lineItem) string {
	return p.query(p.back() + "/api/lti/courses/" + itoa(c.number) + "/line_items/" + itoa(i.number))
}

func (p *Platform) resultURL(c *course, i *lineItem, user string) string {
	return p.query(p.back() + "/api/lti/courses/" + itoa(c.number) + "/line_items/" + itoa(i.number) + "/results/" + url.PathEscape(user))
}

func (p *Platform) membersURL(c *course) string {
	return p.query(p.back() + "/api/lti/courses/" + itoa(c.number) + "/names_and_roles")
}

func (p *Platform) noticesURL(t *tool) string {
	return p.query(p.back() + "/api/lti/notice-handlers/" + itoa(t.id))
}
